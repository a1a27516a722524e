//! Claims about the end of executions, and what it leaves to the next one.

use std::time::Duration;

use super::harness::{Db, for_agent, slots};
use super::*;
use crate::domain::query::ClaimedTask;
use crate::domain::queue::Unique;
use crate::domain::task::{IdempotencyKey, Outcome, TaskError};

fn handed_out(db: &mut Db, task: &NewTask) -> ClaimedTask {
    db.offer(task, &slots("echo", 0, 1)).claimed.unwrap()
}

fn rescued(db: &mut Db) {
    db.begin_session();
    let session = db.session;
    db.write(|tx| rescue(tx, session)).unwrap();
}

fn failed(retryable: bool) -> Outcome {
    Outcome::Failed(TaskError {
        code: "broken".into(),
        message: "broke".into(),
        retryable,
    })
}

fn died() -> Outcome {
    let reason = "signal 11".to_owned();
    Outcome::AgentDied {
        alone: true,
        reason,
    }
}

#[test]
fn a_cancelled_task_says_why_it_was_cancelled_however_its_execution_ends() {
    let interrupted = Outcome::Interrupted {
        reason: "drain".into(),
    };
    let ends = [
        failed(true),
        failed(false),
        died(),
        interrupted,
        Outcome::TimedOut,
        Outcome::Cancelled,
    ];
    for end in ends.into_iter().map(Some).chain([None]) {
        let mut db = Db::new();
        let held = handed_out(&mut db, &for_agent("echo"));
        db.cancel(held.id).unwrap();
        match end.clone() {
            Some(outcome) => drop(db.settle(held.id, held.lease_id, outcome)),
            None => rescued(&mut db),
        }
        let task = db.task(held.id);
        assert_eq!(task.state, TaskState::Cancelled, "{end:?}");
        let error = task.error.unwrap();
        assert_eq!(
            (&*error.code, &*error.message),
            ("cancelled", "no"),
            "{end:?}"
        );
    }
}

#[test]
fn a_task_that_fell_due_while_nobody_looked_comes_before_what_was_queued_later() {
    let mut db = Db::new();
    let due = db.now.after(Duration::from_secs(10));
    let later = NewTask {
        run_at: Some(due),
        ..for_agent("echo")
    };
    db.submit(&later);
    db.now = db.now.after(Duration::from_secs(20));
    db.submit(&for_agent("echo"));
    db.now = db.now.after(Duration::from_secs(10));
    db.due();
    assert_eq!(db.claim(&[slots("echo", 0, 1)])[0].id, later.id);
}

#[test]
fn what_was_poison_may_end_its_agent_as_often_again_after_a_retry() {
    let mut db = Db::new();
    let mut held = handed_out(
        &mut db,
        &NewTask {
            max_attempts: 20,
            ..for_agent("echo")
        },
    );
    let ends = [TaskState::Queued, TaskState::Queued, TaskState::Dead];
    for round in 0..2 {
        for end in ends {
            assert_eq!(
                db.settle(held.id, held.lease_id, died()).state,
                end,
                "{round}"
            );
            if end == TaskState::Queued {
                held = db.claim(&[slots("echo", 0, 1)]).remove(0);
            }
        }
        assert_eq!(db.task(held.id).reason.as_deref(), Some("poison"));
        db.retry(held.id).unwrap();
        held = db.claim(&[slots("echo", 0, 1)]).remove(0);
    }
}

#[test]
fn a_key_of_a_request_that_found_its_twin_gives_the_twin_for_a_day() {
    let mut db = Db::new();
    let unique = |id: u8| NewTask {
        unique: Some(Unique {
            key: "u".into(),
            period: None,
            states: Unique::STATES.to_vec(),
        }),
        idempotency: (id > 0).then(|| IdempotencyKey {
            key: "k".into(),
            digest: [id; 32],
        }),
        ..for_agent("echo")
    };
    let first = handed_out(&mut db, &unique(0));
    assert_eq!(db.submit(&unique(1)).task.id, first.id);
    // The twin fails: a request of its own would make another task now.
    db.fail(&first, false);
    assert_eq!(db.submit(&unique(1)).task.id, first.id);
    assert_ne!(db.submit(&unique(0)).task.id, first.id);
}
