//! Health, figures, recovery, journal.

use serde_json::json;

use super::{at, name};
use crate::clock;
use crate::domain::event::NewEvent;
use crate::domain::health::HealthStatus;
use crate::domain::ids::RecoveryRunId;
use crate::domain::query::{EventFilter, PageRequest};
use crate::domain::record::{AgentMetrics, HealthRecord, RecoveryRun, SystemMetrics};

use crate::persistence::{Store, StoreError};

pub(super) fn health(check: &str, status: HealthStatus, n: i64) -> HealthRecord {
    HealthRecord {
        check: check.into(),
        component: "agent".into(),
        status,
        message: "a word".into(),
        value: Some(0.5),
        threshold: None,
        at: at(n),
        duration_ms: 3,
        details: json!({"depth": n}),
    }
}

pub(crate) async fn a_health_row_is_written_when_a_level_changes(store: Store) {
    use HealthStatus::{Critical, Healthy};
    for (n, level) in (0..).zip([Healthy, Healthy, Critical, Critical, Healthy]) {
        let round = vec![health("agent.echo", level, n), health("system", Healthy, n)];
        store.log_health_check(round).await.unwrap();
    }
    store.log_health_check(Vec::new()).await.unwrap();
    let history = store
        .health_history("agent.echo", PageRequest::default())
        .await
        .unwrap();
    let expected = [(4, Healthy), (2, Critical), (0, Healthy)]
        .map(|(n, level)| health("agent.echo", level, n));
    assert_eq!(history.items, expected);
    let quiet = store
        .health_history("system", PageRequest::default())
        .await
        .unwrap();
    assert_eq!(quiet.items.len(), 1);
}

pub(crate) async fn figures_come_newest_first(store: Store) {
    let sample = |agent: &str, n| AgentMetrics {
        agent: name(agent),
        at: at(n),
        cpu_seconds: 1.5,
        memory_bytes: 4096,
        queue_depth: 2,
        running: 1,
        errors_total: 3,
        restarts_total: 4,
    };
    store
        .update_agent_metrics(vec![sample("echo", 1), sample("sum", 1)])
        .await
        .unwrap();
    store
        .update_agent_metrics(vec![sample("echo", 2)])
        .await
        .unwrap();
    let stored = store.agent_metrics(&name("echo"), 10).await.unwrap();
    assert_eq!(stored, [sample("echo", 2), sample("echo", 1)]);

    let host = |n| SystemMetrics {
        at: at(n),
        cpu_ratio: 0.25,
        memory_used_bytes: 10,
        memory_limit_bytes: 20,
        disk_used_ratio: 0.5,
        process_memory_bytes: 5,
    };
    store.log_system_metrics(host(1)).await.unwrap();
    store.log_system_metrics(host(2)).await.unwrap();
    assert_eq!(store.system_metrics(10).await.unwrap(), [host(2), host(1)]);
}

pub(crate) async fn a_recovery_run_is_replaced_by_its_end(store: Store) {
    let mut run = RecoveryRun {
        id: RecoveryRunId::from_bytes(clock::new_id()),
        action: "restart_echo".into(),
        cause: "agent.echo".into(),
        outcome: "running".into(),
        message: String::new(),
        attempt: 1,
        started_at: at(1),
        finished_at: None,
    };
    store.log_recovery_run(run.clone()).await.unwrap();
    run.outcome = "succeeded".into();
    run.message = "restarted".into();
    run.finished_at = Some(at(2));
    store.log_recovery_run(run.clone()).await.unwrap();
    let action = Some("restart_echo".to_owned());
    let found = store
        .recovery_runs(action, PageRequest::default())
        .await
        .unwrap();
    assert_eq!(found.items, [run]);
    let other = store
        .recovery_runs(Some("other".into()), PageRequest::default())
        .await
        .unwrap();
    assert_eq!(other.items, []);
    run_with_an_unknown_outcome_is_refused(&store).await;
}

async fn run_with_an_unknown_outcome_is_refused(store: &Store) {
    let run = RecoveryRun {
        id: RecoveryRunId::from_bytes(clock::new_id()),
        action: "a".into(),
        cause: "operator".into(),
        outcome: "wonderful".into(),
        message: String::new(),
        attempt: 1,
        started_at: at(1),
        finished_at: None,
    };
    let refused = store.log_recovery_run(run).await.unwrap_err();
    assert!(matches!(refused, StoreError::Rejected { .. }), "{refused}");
}

fn fact(kind: &'static str, subject: &str, n: i64) -> NewEvent {
    NewEvent {
        kind,
        subject: subject.into(),
        at: at(n),
        data: json!({ "n": n }),
    }
}

pub(crate) async fn events_are_found_by_position_type_family_and_subject(store: Store) {
    let facts = vec![
        fact("task.created", "tsk_1", 1),
        fact("task.started", "tsk_1", 2),
        fact("agent.ready", "echo#0", 3),
        fact("task.created", "tsk_2", 4),
    ];
    store.append_events(facts).await.unwrap();
    let found = async |filter: EventFilter| -> Vec<i64> {
        let events = store.events(filter, 100).await.unwrap();
        assert!(events.is_sorted_by_key(|event| event.seq));
        events
            .iter()
            .map(|event| event.data.value()["n"].as_i64().unwrap())
            .collect()
    };
    let all = store.events(EventFilter::default(), 100).await.unwrap();
    assert_eq!(all.len(), 4);
    let kinds = |kinds: &[&str]| EventFilter {
        kinds: kinds.iter().map(|&kind| kind.to_owned()).collect(),
        ..EventFilter::default()
    };
    assert_eq!(found(kinds(&["task.*"])).await, [1, 2, 4]);
    assert_eq!(found(kinds(&["task.started", "agent.*"])).await, [2, 3]);
    let about = EventFilter {
        subject: Some("tsk_1".into()),
        ..EventFilter::default()
    };
    assert_eq!(found(about).await, [1, 2]);
    let since = EventFilter {
        since: Some(at(3)),
        ..EventFilter::default()
    };
    assert_eq!(found(since).await, [3, 4]);
    let after = EventFilter {
        after: Some(all[1].seq),
        ..EventFilter::default()
    };
    assert_eq!(found(after).await, [3, 4]);
    assert_eq!(
        store.events(EventFilter::default(), 2).await.unwrap().len(),
        2
    );
}
