//! Claims about timeouts of waiting and of a whole life, and about uniqueness.

use std::time::Duration;

use serde_json::json;

use super::harness::{Db, for_agent, slots};
use super::*;
use crate::domain::queue::Unique;
use crate::domain::task::Outcome;

const SECOND: Duration = Duration::from_secs(1);

fn impatient(waiting: u32, total: u32) -> NewTask {
    let some = |seconds: u32| (seconds > 0).then(|| SECOND * seconds);
    NewTask {
        waiting_timeout: some(waiting),
        total_timeout: some(total),
        ..for_agent("echo")
    }
}

/// Time passes, and what is due is done.
fn pass(db: &mut Db, seconds: u32) -> DueWork {
    db.now = db.now.after(SECOND * seconds);
    db.due()
}

#[test]
fn a_task_that_waits_too_long_for_a_slot_times_out_and_says_so() {
    let mut db = Db::new();
    let id = db.submit(&impatient(5, 0)).task.id;
    let early = pass(&mut db, 4);
    assert_eq!((early.expired, early.next), (0, Some(SECOND)));
    assert_eq!(pass(&mut db, 1).expired, 1);
    let task = db.task(id);
    assert_eq!(task.state, TaskState::TimedOut);
    assert!(task.error.unwrap().message.contains("waiting_timeout_ms"));
    assert_eq!(
        db.kinds(&id.to_string()),
        ["task.created", "task.timed_out"]
    );
}

#[test]
fn waiting_counts_anew_each_time_it_waits_and_not_while_it_runs() {
    let mut db = Db::new();
    db.submit(&impatient(5, 0));
    let claimed = db.claim(&[slots("echo", 0, 1)]).remove(0);
    assert_eq!(pass(&mut db, 60).expired, 0, "it runs");
    let reason = "r".to_owned();
    db.settle(
        claimed.id,
        claimed.lease_id,
        Outcome::Interrupted { reason },
    );
    assert_eq!(pass(&mut db, 4).expired, 0);
    assert_eq!(pass(&mut db, 1).expired, 1);
}

#[test]
fn a_task_scheduled_for_later_does_not_wait_before_its_time() {
    let mut db = Db::new();
    let mut later = impatient(5, 10);
    later.run_at = Some(db.now.after(SECOND * 100));
    let id = db.submit(&later).task.id;
    assert_eq!(pass(&mut db, 101).expired, 0);
    assert_eq!(db.task(id).state, TaskState::Queued);
    assert_eq!(pass(&mut db, 4).expired, 1);
}

#[test]
fn a_running_task_out_of_its_total_time_is_taken_from_its_agent_and_its_late_result_is_kept() {
    let mut db = Db::new();
    let id = db.submit(&impatient(0, 10)).task.id;
    let claimed = db.claim(&[slots("echo", 0, 1)]).remove(0);
    let done = pass(&mut db, 10);
    assert_eq!(done.stop, [(id, claimed.lease_id)]);
    assert_eq!(db.task(id).state, TaskState::TimedOut);
    assert!(db.succeed(&claimed, json!({"late": 1})).stale);
    let attempt = list::attempts(&db.conn, id).unwrap().remove(0);
    assert_eq!(attempt.outcome, "timed_out");
    let late = attempt.stale_result.unwrap();
    assert_eq!(
        (late.outcome.as_str(), late.output),
        ("succeeded", Some(json!({"late": 1})))
    );
}

#[test]
fn a_total_timeout_holds_over_attempts_and_over_a_restart_and_a_retry_begins_it_anew() {
    let mut db = Db::new();
    let id = db.submit(&impatient(0, 10)).task.id;
    let claimed = db.claim(&[slots("echo", 0, 1)]).remove(0);
    db.fail(&claimed, true);
    pass(&mut db, 6);
    db.claim(&[slots("echo", 0, 1)]);
    db.begin_session();
    let session = db.session;
    db.write(|tx| rescue(tx, session)).unwrap();
    assert_eq!(db.task(id).state, TaskState::Queued);
    assert_eq!(pass(&mut db, 4).expired, 1);
    db.write(|tx| control::retry(tx, id)).unwrap();
    assert_eq!(pass(&mut db, 9).expired, 0);
    assert_eq!(pass(&mut db, 1).expired, 1);
}

fn only_one(key: &str, period: Option<Duration>) -> NewTask {
    NewTask {
        unique: Some(Unique {
            key: key.into(),
            period,
            states: Unique::STATES.to_vec(),
        }),
        ..for_agent("echo")
    }
}

#[test]
fn a_second_submission_with_a_key_of_uniqueness_gives_the_first_task() {
    let mut db = Db::new();
    let first = db.submit(&only_one("a", None)).task.id;
    let second = db.submit(&only_one("a", None));
    assert_eq!((second.task.id, second.unique_conflict), (first, true));
    assert!(!db.submit(&only_one("b", None)).unique_conflict);
    assert!(!db.submit(&for_agent("echo")).unique_conflict);
    assert_eq!(db.task(first).unique_key.as_deref(), Some("a"));
}

#[test]
fn uniqueness_ends_with_its_period_and_with_a_task_that_failed() {
    let mut db = Db::new();
    let first = db.submit(&only_one("a", Some(SECOND * 10))).task.id;
    db.now = db.now.after(SECOND * 9);
    assert!(db.submit(&only_one("a", Some(SECOND * 10))).unique_conflict);
    db.now = db.now.after(SECOND);
    let next = db.submit(&only_one("a", Some(SECOND * 10)));
    assert!(!next.unique_conflict && next.task.id != first);
    for id in [first, next.task.id] {
        db.write(|tx| control::cancel(tx, id, "no")).unwrap();
    }
    assert!(!db.submit(&only_one("a", None)).unique_conflict);
}
