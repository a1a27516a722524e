//! From submission to settlement.

use std::time::Duration;

use serde_json::json;

use super::scene::{LONG, World, for_agent, scene, soon};
use crate::actors::dispatcher::DispatchError;
use crate::actors::work::{AgentMessage, AgentSubmission, WorkSink};
use crate::clock;
use crate::domain::ids::WorkflowId;
use crate::domain::task::{NewTask, TaskState};
use crate::domain::workflow::check::check;
use crate::domain::workflow::{NewWorkflow, WorkflowState};

#[test]
fn a_task_that_finds_a_free_slot_is_running_when_its_submission_is_answered() {
    scene(async {
        let world = World::new().await;
        let mut echo = world.ready(0, 1, 1);
        // A slot is not free while a claim asks for it: that which the agent's coming set off.
        world.at_rest().await;
        let submitted = world.submit("echo").await;
        assert_eq!(submitted.task.state, TaskState::Running);
        let task = echo.task().await;
        assert_eq!((task.id, task.attempt), (submitted.task.id, 1));
        echo.succeed(&task);
        let done = world.end_of(task.id).await;
        assert_eq!(
            (done.state, done.result),
            (TaskState::Succeeded, Some(json!({"done": 1})))
        );
    });
}

#[test]
fn what_waits_is_handed_out_when_an_agent_becomes_ready_and_when_a_slot_becomes_free() {
    scene(async {
        let world = World::new().await;
        let (first, second) = (world.submit("echo").await, world.submit("echo").await);
        assert_eq!(first.task.state, TaskState::Queued);
        let mut echo = world.ready(0, 1, 1);
        let task = echo.task().await;
        assert_eq!(task.id, first.task.id);
        assert!(echo.is_idle(), "one slot, one task");
        echo.succeed(&task);
        assert_eq!(echo.task().await.id, second.task.id);
    });
}

#[test]
fn work_spreads_over_replicas() {
    scene(async {
        let world = World::new().await;
        for _ in 0..4 {
            world.submit("echo").await;
        }
        let mut replicas = [world.ready(0, 1, 2), world.ready(1, 1, 2)];
        for replica in &mut replicas {
            replica.task().await;
            replica.task().await;
        }
    });
}

#[test]
fn a_retryable_failure_comes_again_and_a_final_one_ends_the_task() {
    scene(async {
        let world = World::new().await;
        let mut echo = world.ready(0, 1, 1);
        let id = world.submit("echo").await.task.id;
        let first = echo.task().await;
        echo.fail(&first, true);
        let second = echo.task().await;
        assert_eq!((second.id, second.attempt), (id, 2));
        assert_ne!(second.lease_id, first.lease_id);
        echo.fail(&second, false);
        assert_eq!(world.end_of(id).await.state, TaskState::Failed);
        let loads = world.handle.loads().await.unwrap();
        assert_eq!((loads[0].agent.as_str(), loads[0].errors), ("echo", 2));
    });
}

#[test]
fn a_task_for_later_waits_for_its_instant() {
    scene(async {
        let world = World::new().await;
        let mut echo = world.ready(0, 1, 1);
        let hour = Duration::from_secs(3_600);
        let submitted = world
            .handle
            .submit(NewTask {
                run_at: Some(clock::now().after(hour)),
                ..for_agent("echo")
            })
            .await
            .unwrap();
        assert_eq!(submitted.task.state, TaskState::Scheduled);
        tokio::time::advance(hour / 2).await;
        world.at_rest().await;
        assert!(echo.is_idle(), "half an hour early");
        // The database's clock is the real one, and no test waits for it: the instant comes nearer.
        let database = rusqlite::Connection::open(world.dir.path().join("test.db")).unwrap();
        database.busy_timeout(LONG).unwrap();
        let now = clock::now().as_micros();
        let moved = database.execute("UPDATE tasks SET run_at = ?1", [now]);
        assert_eq!(moved.unwrap(), 1);
        let handed_over = async {
            while echo.is_idle() {
                tokio::time::advance(hour / 60).await;
            }
        };
        soon("its instant", handed_over).await;
    });
}

#[test]
fn a_workflow_runs_to_its_end_without_anyone_asking() {
    scene(async {
        let world = World::new().await;
        let definition = check(&json!({"name": "w", "tasks": [
            {"name": "split", "agent": "echo"},
            {"name": "count", "role": "worker", "for_each": [1, 2, 3], "depends_on": ["split"]},
            {"name": "merge", "agent": "echo", "payload": {"$ref": "tasks.count.result"}},
        ]}))
        .unwrap();
        let id = WorkflowId::from_bytes(clock::new_id());
        let new = NewWorkflow {
            id,
            definition,
            labels: Default::default(),
            idempotency: None,
            traceparent: None,
        };
        world.handle.run_workflow(new).await.unwrap();
        let mut echo = world.ready(0, 1, 2);
        for _ in 0..5 {
            let task = echo.task().await;
            echo.succeed(&task);
        }
        let wait = world.handle.workflow_wait(id, Duration::from_secs(60));
        let workflow = soon("the workflow", wait).await.unwrap();
        assert_eq!(workflow.state, WorkflowState::Completed);
        assert_eq!(workflow.output, Some(json!({"merge": {"done": 1}})));
    });
}

#[test]
fn an_unknown_agent_is_refused_with_the_nearest_name() {
    scene(async {
        let world = World::new().await;
        let refused = world.handle.submit(for_agent("ecko")).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "there is no agent 'ecko'; did you mean 'echo'?"
        );
    });
}

#[test]
fn a_full_queue_refuses_and_takes_again_when_it_has_room() {
    scene(async {
        let world = World::new().await;
        for _ in 0..4 {
            world.submit("echo").await;
        }
        let full = world.handle.submit(for_agent("echo")).await;
        assert!(
            matches!(full, Err(DispatchError::QueueFull { capacity: 4, .. })),
            "{full:?}"
        );
        world.submit("sum").await;
        let mut echo = world.ready(0, 1, 4);
        for _ in 0..4 {
            echo.task().await;
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        world.submit("echo").await;
    });
}

#[test]
fn a_wait_ends_with_its_time_and_shows_the_task_as_it_is() {
    scene(async {
        let world = World::new().await;
        let id = world.submit("echo").await.task.id;
        let wait = world.handle.task_wait(id, Duration::from_secs(3));
        let moved = async {
            loop {
                // A read goes by the real clock, and must not be late by this one.
                if world.store.status().readers_busy == 0 {
                    tokio::time::advance(Duration::from_millis(100)).await;
                }
                tokio::task::yield_now().await;
            }
        };
        let task = soon("the wait's end", async {
            tokio::select! { task = wait => task, () = moved => unreachable!() }
        });
        assert_eq!(task.await.unwrap().state, TaskState::Queued);
    });
}

#[test]
fn a_task_that_is_run_comes_back_with_its_result_or_as_it_is_when_the_time_is_over() {
    scene(async {
        let world = World::new().await;
        let mut echo = world.ready(0, 1, 1);
        for _ in 0..3 {
            let run = world.handle.run_task(for_agent("echo"), LONG);
            let work = async {
                let task = echo.task().await;
                echo.succeed(&task);
                task.id
            };
            let (ran, id) = tokio::join!(soon("a result", run), work);
            let ran = ran.unwrap().task;
            assert_eq!((ran.id, ran.state), (id, TaskState::Succeeded));
            // It is what the database says, read back or not.
            assert_eq!(ran, world.task(id).await);
        }
        let early = world.handle.run_task(for_agent("sum"), Duration::ZERO);
        assert_eq!(early.await.unwrap().task.state, TaskState::Queued);
    });
}

#[test]
fn agents_submit_tasks_and_send_messages() {
    scene(async {
        let world = World::new().await;
        let mut echo = world.ready(0, 1, 1);
        WorkSink::submit(
            &world.handle,
            AgentSubmission {
                from: echo.instance.clone(),
                name: None,
                agent: None,
                role: Some("worker".parse().unwrap()),
                payload: json!(7),
                traceparent: None,
            },
        );
        assert_eq!(echo.task().await.payload, json!(7));
        world.handle.message(AgentMessage {
            from: echo.instance.clone(),
            to: "echo".parse().unwrap(),
            kind: "custom".into(),
            content: json!("hi"),
        });
        let message = echo.message().await;
        assert_eq!(
            (message.content, message.from.unwrap().as_str()),
            (json!("hi"), "echo")
        );
    });
}
