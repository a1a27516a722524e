//! What every backend must do: each case takes a fresh store.
//!
//! Tasks and workflows have their cases in `conformance::work`.

use serde_json::json;

use super::{Store, StoreError};
use crate::clock;
use crate::domain::agent::{Desired, InstanceId};
use crate::domain::event::NewEvent;
use crate::domain::exit::ExitReason;
use crate::domain::health::HealthStatus;
use crate::domain::ids::{CrashId, MessageId, RecoveryRunId, TaskId};
use crate::domain::name::Name;
use crate::domain::query::{EventFilter, PageRequest};
use crate::domain::record::{
    AgentMetrics, AgentRecord, Crash, HealthRecord, Message, RecoveryRun, RestartBudget,
    SpawnedProcess, SystemMetrics,
};
use crate::domain::timestamp::Timestamp;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + micros)
}

fn agent(agent: &str, hash: &str) -> AgentRecord {
    AgentRecord {
        name: name(agent),
        kind: "process".into(),
        desired: None,
        replicas: None,
        config_hash: hash.into(),
        generation: 0,
        restarts_total: 0,
        created_at: at(0),
        updated_at: at(0),
    }
}

pub(crate) async fn an_agents_overrides_last_until_its_part_of_the_file_changes(store: Store) {
    let echo = name("echo");
    let first = store.register_agent(agent("echo", "aa")).await.unwrap();
    assert_eq!((first.desired, first.replicas), (None, None));
    store
        .set_desired(&echo, Some(Desired::Stopped))
        .await
        .unwrap();
    store.set_replicas(&echo, Some(3)).await.unwrap();
    let kept = store.register_agent(agent("echo", "aa")).await.unwrap();
    assert_eq!(
        (kept.desired, kept.replicas),
        (Some(Desired::Stopped), Some(3))
    );
    assert_eq!(kept.created_at, first.created_at);
    let changed = store.register_agent(agent("echo", "bb")).await.unwrap();
    assert_eq!((changed.desired, changed.replicas), (None, None));
    store.register_agent(agent("able", "aa")).await.unwrap();
    let names: Vec<_> = store
        .agents()
        .await
        .unwrap()
        .into_iter()
        .map(|it| it.name)
        .collect();
    assert_eq!(names, [name("able"), echo]);
}

pub(crate) async fn generations_and_restarts_never_fall(store: Store) {
    let echo = name("echo");
    store.register_agent(agent("echo", "aa")).await.unwrap();
    store.save_generation(&echo, 7, 3).await.unwrap();
    store.save_generation(&echo, 5, 2).await.unwrap();
    let stored = store.register_agent(agent("echo", "bb")).await.unwrap();
    assert_eq!((stored.generation, stored.restarts_total), (7, 3));
}

pub(crate) async fn an_unknown_agent_is_named(store: Store) {
    let refused = store.set_desired(&name("ghost"), None).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotFound { .. }), "{refused}");
    assert_eq!(refused.to_string(), "agent 'ghost' does not exist");
}

pub(crate) async fn processes_are_known_from_their_spawn_to_their_end(store: Store) {
    let process = SpawnedProcess {
        agent: name("echo"),
        index: 1,
        generation: 4,
        pid: 77,
        start_ticks: 123_456,
        boot_id: "b".into(),
    };
    store.process_spawned(process.clone()).await.unwrap();
    assert_eq!(store.spawned_processes().await.unwrap(), [process]);
    let instance = InstanceId {
        agent: name("echo"),
        index: 1,
    };
    store.process_ended(&instance, 3).await.unwrap();
    assert_eq!(store.spawned_processes().await.unwrap().len(), 1);
    store.process_ended(&instance, 4).await.unwrap();
    assert_eq!(store.spawned_processes().await.unwrap(), []);
}

fn crash(agent: &str, n: i64) -> Crash {
    Crash {
        id: CrashId::from_bytes(clock::new_id()),
        agent: name(agent),
        index: 0,
        generation: 9,
        reason: ExitReason::Panic {
            message: "oh".into(),
            place: "a.rs:1:2".into(),
        },
        signature: Some("panic:a.rs:1:2".into()),
        at: at(n),
        uptime_ms: 12,
        tasks: vec![TaskId::from_bytes([7; 16])],
        log: vec!["one".into(), "two".into()],
    }
}

pub(crate) async fn crashes_come_newest_first_and_fifty_of_each_agent_are_kept(store: Store) {
    let crashes: Vec<_> = (0..55).map(|n| crash("echo", n)).collect();
    for crash in crashes.clone() {
        store.log_crash(crash).await.unwrap();
    }
    store.log_crash(crash("other", 0)).await.unwrap();
    let stored = store.crashes(&name("echo"), 500).await.unwrap();
    assert_eq!(stored.len(), 50);
    assert_eq!(stored.first(), crashes.last());
    assert_eq!(store.crashes(&name("echo"), 2).await.unwrap().len(), 2);
    assert_eq!(store.crashes(&name("other"), 9).await.unwrap().len(), 1);
}

pub(crate) async fn a_restart_budget_replaces_its_predecessor(store: Store) {
    let mut budget = RestartBudget {
        owner: "echo#0".into(),
        deaths: vec![at(1)],
        quarantined_until: None,
        quarantines: 0,
        updated_at: at(1),
    };
    store.save_restart_budget(budget.clone()).await.unwrap();
    budget.deaths.push(at(2));
    budget.quarantined_until = Some(at(9));
    store.save_restart_budget(budget.clone()).await.unwrap();
    assert_eq!(store.restart_budgets().await.unwrap(), [budget]);
}

fn message(to: &str, n: i64) -> Message {
    Message {
        id: MessageId::from_bytes(clock::new_id()),
        from: (n % 2 == 0).then(|| name("echo")),
        to: name(to),
        kind: "custom".into(),
        content: json!({ "n": n }),
        created_at: at(n),
        delivered_at: None,
    }
}

pub(crate) async fn messages_are_paged_newest_first_and_delivered_once(store: Store) {
    let sent: Vec<_> = (0..5).map(|n| message("sum", n)).collect();
    for message in sent.clone() {
        store.log_message(message).await.unwrap();
    }
    store.log_message(message("other", 9)).await.unwrap();
    let mut page = PageRequest {
        limit: 2,
        cursor: None,
    };
    let mut seen = Vec::new();
    loop {
        let found = store
            .messages(Some(name("sum")), page.clone())
            .await
            .unwrap();
        assert_eq!(found.has_more, found.next_cursor.is_some());
        seen.extend(found.items);
        let Some(next) = found.next_cursor else { break };
        page.cursor = Some(next);
    }
    let newest_first: Vec<_> = sent.iter().rev().cloned().collect();
    assert_eq!(seen, newest_first);
    assert_eq!(
        store
            .messages(None, PageRequest::default())
            .await
            .unwrap()
            .items
            .len(),
        6
    );

    let id = sent[0].id;
    store.message_delivered(id).await.unwrap();
    let delivered = |found: Vec<Message>| {
        found
            .into_iter()
            .find(|message| message.id == id)
            .unwrap()
            .delivered_at
    };
    let first = delivered(
        store
            .messages(None, PageRequest::default())
            .await
            .unwrap()
            .items,
    );
    assert!(first.is_some());
    store.message_delivered(id).await.unwrap();
    let second = delivered(
        store
            .messages(None, PageRequest::default())
            .await
            .unwrap()
            .items,
    );
    assert_eq!(first, second);
    let unknown = store
        .message_delivered(MessageId::from_bytes([0; 16]))
        .await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })));
}

fn health(check: &str, status: HealthStatus, n: i64) -> HealthRecord {
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
            .map(|event| event.data["n"].as_i64().unwrap())
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

pub(crate) async fn a_ping_goes_there_and_back(store: Store) {
    store.ping().await.unwrap();
    let status = store.status();
    assert!(status.writable, "{status:?}");
    assert_eq!(status.last_error, None);
    assert!(status.size_bytes > 0);
    assert_eq!(status.schema_version, crate::persistence::migrate::latest());
}

pub(crate) async fn retention_spares_what_is_young(store: Store) {
    let now = clock::now();
    let young = Message {
        created_at: now,
        ..message("sum", 0)
    };
    store.log_message(message("sum", 1)).await.unwrap();
    store.log_message(young.clone()).await.unwrap();
    let fresh = HealthRecord {
        at: now,
        ..health("system", HealthStatus::Healthy, 0)
    };
    store
        .log_health_check(vec![health("system", HealthStatus::Critical, 0)])
        .await
        .unwrap();
    store.log_health_check(vec![fresh.clone()]).await.unwrap();
    let pruned = store.prune().await.unwrap();
    assert_eq!(pruned.get("messages"), Some(&1), "{pruned:?}");
    assert_eq!(pruned.get("health_records"), Some(&1), "{pruned:?}");
    let messages = store.messages(None, PageRequest::default()).await.unwrap();
    assert_eq!(messages.items, [young]);
    let history = store
        .health_history("system", PageRequest::default())
        .await
        .unwrap();
    assert_eq!(history.items, [fresh]);
    assert!(store.prune().await.unwrap().is_empty());
}

pub(crate) async fn after_close_writes_and_reads_are_refused(store: Store) {
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(
        store.ping().await,
        Err(StoreError::Unavailable { .. })
    ));
    assert!(matches!(
        store.agents().await,
        Err(StoreError::Unavailable { .. })
    ));
    assert!(!store.status().writable);
}
