//! Claims about what is done to tasks by hand: the place that they come back to, and what is left of one
//! that was removed.

use std::time::Duration;

use super::harness::{Db, for_agent, slots};
use super::*;
use crate::domain::task::IdempotencyKey;
use crate::persistence::StoreError;
use crate::persistence::sqlite::prune::prune_in;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn with_key(digest: u8) -> NewTask {
    NewTask {
        idempotency: Some(IdempotencyKey {
            key: "k".into(),
            digest: [digest; 32],
        }),
        max_attempts: 1,
        ..for_agent("echo")
    }
}

/// A dead task that was made by a request with a key.
fn dead(db: &mut Db) -> TaskId {
    let held = db
        .offer(&with_key(1), &slots("echo", 0, 1))
        .claimed
        .unwrap();
    assert_eq!(db.fail(&held, true).state, TaskState::Dead);
    held.id
}

#[test]
fn the_request_of_a_task_that_was_purged_makes_a_new_one_and_its_key_means_that() {
    let mut db = Db::new();
    let first = dead(&mut db);
    assert_eq!(db.submit(&with_key(1)).task.id, first);
    db.purge(first).unwrap();
    let second = db.submit(&with_key(1));
    assert!(!second.existing && second.task.id != first);
    db.now = db.now.after(DAY - Duration::from_secs(1));
    let again = db.submit(&with_key(1));
    assert!(again.existing && again.task.id == second.task.id);
}

#[test]
fn the_key_of_a_task_that_was_purged_is_no_other_requests_until_its_day_is_over() {
    let mut db = Db::new();
    let first = dead(&mut db);
    db.purge(first).unwrap();
    let refused = db.try_submit(&with_key(2), None);
    assert!(matches!(refused, Err(StoreError::IdempotencyMismatch(_))));
    db.now = db.now.after(DAY);
    assert!(!db.submit(&with_key(2)).existing);
}

#[test]
fn a_task_that_ended_is_pruned_after_the_day_of_its_key_and_the_same_request_makes_a_new_one() {
    let mut db = Db::new();
    let first = db
        .offer(&with_key(1), &slots("echo", 0, 1))
        .claimed
        .unwrap();
    db.succeed(&first, serde_json::json!(1));
    db.now = db.now.after(DAY - Duration::from_micros(1));
    db.write(prune_in).unwrap();
    assert_eq!(db.submit(&with_key(1)).task.id, first.id);
    db.now = db.now.after(Duration::from_micros(2));
    db.write(prune_in).unwrap();
    assert!(matches!(
        db.retry(first.id),
        Err(StoreError::NotFound { .. })
    ));
    assert!(!db.submit(&with_key(1)).existing);
}

/// Three of one priority, a second apart; the first is brought to where it may be queued by hand, which is
/// done between the second and the third. What is then claimed, in order.
fn order_after(by_hand: impl Fn(&mut Db, TaskId), first: &NewTask) -> Vec<u8> {
    let mut db = Db::new();
    db.submit(first);
    let mut ids = vec![first.id];
    if first.run_at.is_none() {
        db.cancel(first.id).unwrap();
    }
    for _ in 0..2 {
        db.now = db.now.after(Duration::from_secs(1));
        let next = for_agent("echo");
        db.submit(&next);
        ids.push(next.id);
        if ids.len() == 2 {
            db.now = db.now.after(Duration::from_secs(1));
            by_hand(&mut db, first.id);
            assert_eq!(db.task(first.id).run_at, db.now, "it is ready now");
        }
    }
    let order = db.claim(&[slots("echo", 0, 9)]);
    let number = |id| ids.iter().position(|it| *it == id).unwrap();
    order.iter().map(|task| number(task.id) as u8).collect()
}

#[test]
fn what_is_queued_by_hand_stands_behind_what_waits_already_and_before_what_comes_later() {
    let retry = |db: &mut Db, id| drop(db.retry(id).unwrap());
    let queue = |db: &mut Db, id| {
        db.write(|tx| control::move_by_hand(tx, id, TaskState::Queued, ""))
            .unwrap();
    };
    let mut scheduled = for_agent("echo");
    scheduled.run_at = Some(Db::new().now.after(DAY));
    assert_eq!(order_after(retry, &for_agent("echo")), [1, 0, 2]);
    assert_eq!(order_after(queue, &for_agent("echo")), [1, 0, 2]);
    assert_eq!(order_after(queue, &scheduled), [1, 0, 2]);
}

#[test]
fn what_is_retried_keeps_its_priority() {
    let mut db = Db::new();
    let urgent = NewTask {
        priority: 9,
        ..for_agent("echo")
    };
    db.submit(&urgent);
    db.cancel(urgent.id).unwrap();
    db.submit(&for_agent("echo"));
    db.now = db.now.after(Duration::from_secs(1));
    db.retry(urgent.id).unwrap();
    assert_eq!(db.claim(&[slots("echo", 0, 1)])[0].id, urgent.id);
}

#[test]
fn a_pause_stands_with_the_end_and_the_reason_that_were_given_last() {
    let mut db = Db::new();
    let queue: Name = "default".parse().unwrap();
    let rules = db.rules.clone();
    let mut pause = |until, reason: &str| {
        db.write(|tx| pauses::pause(tx, &rules, &queue, until, Some(reason)))
            .unwrap();
        let stands = pauses::list(&db.conn).unwrap().remove(0);
        let told = db.kinds("default").len();
        (stands.until, stands.reason.unwrap(), told)
    };
    let until = Some(Timestamp::from_micros(i64::MAX));
    assert_eq!(pause(None, "deploy"), (None, "deploy".into(), 1));
    assert_eq!(pause(None, "deploy"), (None, "deploy".into(), 1));
    assert_eq!(pause(None, "incident"), (None, "incident".into(), 2));
    assert_eq!(pause(until, "incident"), (until, "incident".into(), 3));
}
