//! Work that waits: for a signal, for an instant, for a daemon that was lost.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::name;
use crate::clock;
use crate::domain::ids::{SessionId, TaskId, WorkflowId};
use crate::domain::query::PageRequest;
use crate::domain::schedule::{CatchUp, Overlap, Rule, ScheduleSpec, ScheduledWork};
use crate::domain::task::{IdempotencyKey, NewTask, Target, TaskState};
use crate::domain::workflow::check::check;
use crate::domain::workflow::{NewWorkflow, WorkflowState};
use crate::persistence::{Store, StoreError};

const LEASE: Duration = Duration::from_secs(30);

async fn session(store: &Store, node: &str) -> SessionId {
    let begun = store.begin_session(node, 1, LEASE).await.unwrap();
    begun.session.id
}

pub(crate) async fn a_workflow_waits_for_its_signal_and_says_what_it_waits_for(store: Store) {
    session(&store, "node").await;
    let id = WorkflowId::from_bytes(clock::new_id());
    let definition = json!({"name": "w", "tasks": [
        {"name": "ask", "signal": "go"},
        {"name": "late", "signal": "never", "timeout_ms": 1, "on_timeout": "continue"},
    ]});
    let new = NewWorkflow {
        id,
        definition: check(&definition).unwrap(),
        labels: Default::default(),
        idempotency: None,
        traceparent: None,
    };
    let (workflow, _) = store.create_workflow(new).await.unwrap();
    assert_eq!(workflow.waits.len(), 2);
    let said = store.signal_workflow(id, "go", json!(7)).await.unwrap();
    assert_eq!(said.workflow.waits.len(), 1);
    let otherwise = store.signal_workflow(id, "go", json!(8)).await;
    assert!(matches!(otherwise, Err(StoreError::Conflict(_))));
    while !store.workflow(id).await.unwrap().waits.is_empty() {
        store.expire_waits().await.unwrap();
    }
    let done = store.workflow(id).await.unwrap();
    assert_eq!(done.state, WorkflowState::Completed);
    assert_eq!(done.output, Some(json!({"ask": 7, "late": null})));
}

fn schedule(rule: Duration) -> ScheduleSpec {
    ScheduleSpec {
        name: name("tick"),
        rule: Rule::Every(rule),
        shown: format!("every {rule:?}"),
        overlap: Overlap::Allow,
        catch_up: CatchUp::All,
        catch_up_max: 100,
        jitter: Duration::ZERO,
        work: ScheduledWork::Task {
            target: Target::Agent(name("echo")),
            payload: json!({"n": 1}),
        },
    }
}

pub(crate) async fn each_instant_of_a_schedule_is_one_run_and_one_task(store: Store) {
    let session = session(&store, "node").await;
    let specs: Arc<[ScheduleSpec]> = [schedule(Duration::from_millis(5))].into();
    let mut fired = 0;
    while fired < 3 {
        let one = store.fire_schedules(session, specs.clone());
        let other = store.fire_schedules(session, specs.clone());
        let (one, other) = futures_util::future::join(one, other).await;
        fired += one.unwrap().count + other.unwrap().count;
    }
    let page = PageRequest {
        limit: 500,
        cursor: None,
    };
    let history = store.schedule_history(&name("tick"), page.clone()).await;
    let mut due: Vec<_> = history
        .unwrap()
        .items
        .iter()
        .map(|run| run.due_at)
        .collect();
    due.dedup();
    let tasks = store.tasks(Default::default(), page).await.unwrap();
    assert_eq!((due.len() as u64, tasks.items.len() as u64), (fired, fired));
}

pub(crate) async fn a_pause_of_a_schedule_is_kept_and_a_trigger_fires_once_a_key(store: Store) {
    let session = session(&store, "node").await;
    let spec = schedule(Duration::from_secs(3600 * 24 * 365));
    let specs: Arc<[ScheduleSpec]> = [spec.clone()].into();
    store.fire_schedules(session, specs).await.unwrap();
    let why = Some("deploy".to_owned());
    store
        .pause_schedule(&spec.name, true, None, why)
        .await
        .unwrap();
    let (record, last) = store.schedules().await.unwrap().remove(0);
    assert!(record.paused && last.is_none());
    let key = |key: &str, digest| {
        Some(IdempotencyKey {
            key: key.to_owned(),
            digest: [digest; 32],
        })
    };
    let trigger = |key| store.trigger_schedule(session, spec.clone(), key);
    let first = trigger(key("a", 1)).await.unwrap();
    assert_eq!(trigger(key("a", 1)).await.unwrap(), first);
    assert_ne!(trigger(key("b", 1)).await.unwrap().task_id, first.task_id);
    assert_ne!(trigger(None).await.unwrap().task_id, first.task_id);
    let other = trigger(key("a", 2)).await;
    assert!(matches!(other, Err(StoreError::IdempotencyMismatch(_))));
}

pub(crate) async fn what_a_lost_daemon_held_is_queued_again_under_whatever_name_the_next_one_has(
    store: Store,
) {
    let first = session(&store, "pod-1").await;
    let id = TaskId::from_bytes(clock::new_id());
    let task = NewTask::plain(id, "t".into(), Target::Agent(name("echo")), json!(1));
    store.create_task(first, task, None).await.unwrap();
    let offer = || crate::domain::query::SlotOffer {
        instance: crate::domain::agent::InstanceId {
            agent: name("echo"),
            index: 0,
        },
        role: None,
        queue: name("default"),
        free: 1,
        reserve: None,
    };
    let mut session_now = first;
    // Twenty cuts are borne.
    for life in 1..=21 {
        let claimed = store.claim(session_now, vec![offer()]).await.unwrap();
        assert_eq!((claimed.tasks.len(), claimed.tasks[0].attempt), (1, life));
        session_now = session(&store, &format!("pod-{}", life + 1)).await;
    }
    let dead = store.task(id).await.unwrap();
    assert_eq!((dead.state, dead.crash_attempts), (TaskState::Dead, 0));
    assert_eq!(dead.reason.as_deref(), Some("interrupted"));
    assert!(matches!(
        store.claim(first, vec![offer()]).await,
        Err(StoreError::Conflict(_))
    ));
}
