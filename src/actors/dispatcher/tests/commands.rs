//! Cancel, timeouts, drain.

use std::time::Duration;

use super::scene::{World, for_agent, scene, soon};
use crate::actors::dispatcher::{CANCEL_GRACE, DispatchError};
use crate::domain::task::{DEFAULT_TIMEOUT, TaskState};

#[test]
fn a_running_task_is_cancelled_when_its_agent_has_given_it_up() {
    scene(async {
        let world = World::new().await;
        let mut echo = world.ready(0, 1, 1);
        let id = world.submit("echo").await.task.id;
        let task = echo.task().await;
        let asked = world.handle.cancel_task(id, "no more").await.unwrap();
        assert_eq!(asked.state, TaskState::Running);
        assert_eq!(echo.cancel().await, id);
        echo.give_up(&task);
        let ended = world.end_of(id).await;
        assert_eq!(
            (ended.state, ended.error.unwrap().message),
            (TaskState::Cancelled, "no more".into())
        );
        assert!(world.restarts.0.lock().is_empty());
    });
}

#[test]
fn an_agent_that_does_not_give_a_task_up_is_restarted() {
    scene(async {
        let world = World::new().await;
        let mut echo = world.ready(0, 7, 1);
        let id = world.submit("echo").await.task.id;
        echo.task().await;
        world.handle.cancel_task(id, "no more").await.unwrap();
        echo.cancel().await;
        tokio::time::advance(CANCEL_GRACE).await;
        assert_eq!(world.end_of(id).await.state, TaskState::Cancelled);
        assert_eq!(*world.restarts.0.lock(), [("echo#0".to_owned(), 7)]);
    });
}

#[test]
fn an_attempt_that_takes_too_long_is_given_up_and_tried_again() {
    scene(async {
        let world = World::new().await;
        let mut echo = world.ready(0, 1, 1);
        let id = world.submit("echo").await.task.id;
        let slow = echo.task().await;
        tokio::time::advance(DEFAULT_TIMEOUT).await;
        assert_eq!(echo.cancel().await, id);
        world
            .when(id, |task| task.state != TaskState::Running)
            .await;
        assert!(echo.is_idle(), "its slot is not free yet");
        echo.give_up(&slow);
        let again = echo.task().await;
        assert_eq!((again.id, again.attempt), (id, 2));
        let outcomes = world.store.task_attempts(id).await.unwrap();
        assert_eq!(
            outcomes[0].outcome, "timed_out",
            "giving up is no late result"
        );
    });
}

#[test]
fn a_result_after_the_attempt_timed_out_is_stale() {
    scene(async {
        let world = World::new().await;
        let mut echo = world.ready(0, 1, 1);
        let id = world.submit("echo").await.task.id;
        let slow = echo.task().await;
        tokio::time::advance(DEFAULT_TIMEOUT).await;
        echo.cancel().await;
        echo.succeed(&slow);
        let again = echo.task().await;
        assert_eq!(again.attempt, 2);
        echo.succeed(&again);
        let task = world.end_of(id).await;
        assert_eq!(task.result, Some(serde_json::json!({"done": 2})));
        let first = world.store.task_attempts(id).await.unwrap().remove(0);
        assert_eq!(first.outcome, "timed_out");
        let late = first.stale_result.unwrap();
        assert_eq!(late.output, Some(serde_json::json!({"done": 1})));
    });
}

#[test]
fn an_agent_that_hangs_past_the_timeout_is_restarted() {
    scene(async {
        let world = World::new().await;
        let mut echo = world.ready(0, 3, 1);
        let id = world.submit("echo").await.task.id;
        echo.task().await;
        tokio::time::advance(DEFAULT_TIMEOUT).await;
        echo.cancel().await;
        world
            .when(id, |task| task.state != TaskState::Running)
            .await;
        tokio::time::advance(CANCEL_GRACE).await;
        let restarted = async {
            while world.restarts.0.lock().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        soon("the restart", restarted).await;
        echo.die(&crate::domain::exit::ExitReason::Killed);
        let mut next = world.ready(0, 4, 1);
        assert_eq!(next.task().await.attempt, 2);
        let outcomes = world.store.task_attempts(id).await.unwrap();
        assert_eq!(outcomes[0].outcome, "timed_out", "{outcomes:?}");
    });
}

#[test]
fn a_failed_workflow_asks_its_running_tasks_back() {
    scene(async {
        let world = World::new().await;
        let mut echo = world.ready(0, 1, 2);
        let definition = crate::domain::workflow::check::check(&serde_json::json!({
            "name": "w", "tasks": [{"name": "a", "agent": "echo"}, {"name": "b", "agent": "echo"}],
        }))
        .unwrap();
        let id = crate::domain::ids::WorkflowId::from_bytes(crate::clock::new_id());
        let new = crate::domain::workflow::NewWorkflow {
            id,
            definition,
            labels: Default::default(),
            idempotency: None,
            traceparent: None,
        };
        world.handle.run_workflow(new).await.unwrap();
        let (a, b) = (echo.task().await, echo.task().await);
        echo.fail(&a, false);
        assert_eq!(echo.cancel().await, b.id);
        echo.give_up(&b);
        assert_eq!(world.end_of(b.id).await.state, TaskState::Cancelled);
    });
}

#[test]
fn a_drain_refuses_new_work_waits_for_what_runs_and_takes_the_rest_back() {
    scene(async {
        let world = World::new().await;
        let mut echo = world.ready(0, 1, 2);
        let quick = world.submit("echo").await.task.id;
        let slow = world.submit("echo").await.task.id;
        let (first, _) = (echo.task().await, echo.task().await);
        let handle = world.handle.clone();
        let drained =
            tokio::task::spawn_local(async move { handle.drain(Duration::from_secs(12)).await });
        let draining = async {
            while !world.handle.is_draining() {
                tokio::task::yield_now().await;
            }
        };
        soon("the drain", draining).await;
        let refused = world.handle.submit(for_agent("echo")).await;
        assert!(
            matches!(refused, Err(DispatchError::Draining)),
            "{refused:?}"
        );
        echo.succeed(&first);
        assert_eq!(world.end_of(quick).await.state, TaskState::Succeeded);
        tokio::time::advance(Duration::from_secs(12)).await;
        assert_eq!(soon("the drain's end", drained).await.unwrap().unwrap(), 1);
        let task = world.task(slow).await;
        assert_eq!((task.state, task.interruptions), (TaskState::Queued, 1));
    });
}

#[test]
fn a_drain_with_nothing_running_is_over_at_once() {
    scene(async {
        let world = World::new().await;
        let drained = world.handle.drain(Duration::from_secs(12));
        assert_eq!(soon("the drain", drained).await.unwrap(), 0);
    });
}
