//! Claims about limits of queues and keys, and about pauses.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::harness::{Db, for_agent, slots};
use super::*;
use crate::domain::query::HeldBack;
use crate::domain::queue::{Limits, QueueSpec, RateLimit};
use crate::domain::task::Outcome;

const SECOND: Duration = Duration::from_secs(1);

fn at_once(concurrency: u32) -> Limits {
    Limits {
        concurrency: Some(concurrency),
        rate: None,
    }
}

fn rate(max: u32, seconds: u32) -> Limits {
    Limits {
        concurrency: None,
        rate: Some(RateLimit {
            max,
            period: SECOND * seconds,
        }),
    }
}

fn limited(limits: Limits, per_key: Limits) -> Db {
    let db = Db::new();
    let spec = QueueSpec {
        limits,
        per_key,
        ..QueueSpec::plain("default".parse().unwrap())
    };
    db.rules.set([spec].iter());
    db
}

fn keyed(key: &str) -> NewTask {
    NewTask {
        concurrency_key: Some(key.into()),
        ..for_agent("echo")
    }
}

#[test]
fn no_more_tasks_of_a_queue_run_at_once_than_its_limit_and_an_end_makes_room() {
    let mut db = limited(at_once(2), Limits::default());
    for _ in 0..4 {
        db.submit(&for_agent("echo"));
    }
    let first = db.claims(&[slots("echo", 0, 9)]);
    assert_eq!((first.tasks.len(), first.held_back), (2, true));
    let none = db.claims(&[slots("echo", 0, 9)]);
    assert!(none.tasks.is_empty() && none.dry.len() == 1 && none.held_back);
    db.succeed(&first.tasks[0], serde_json::json!(1));
    assert_eq!(db.claim(&[slots("echo", 0, 9)]).len(), 1);
}

#[test]
fn a_limited_queue_hands_nothing_out_at_the_submission_so_that_nobody_is_overtaken() {
    let mut db = limited(at_once(1), Limits::default());
    assert_eq!(
        db.offer(&for_agent("echo"), &slots("echo", 0, 1)).claimed,
        None
    );
}

#[test]
fn one_key_at_its_limit_does_not_hold_back_the_others() {
    let mut db = limited(Limits::default(), at_once(1));
    for key in ["a", "a", "a", "b"] {
        db.submit(&keyed(key));
    }
    let free = db.submit(&for_agent("echo")).task.id;
    let got = db.claim(&[slots("echo", 0, 9)]);
    assert_eq!(
        got.len(),
        3,
        "one of a, one of b, and the one without a key"
    );
    assert!(got.iter().any(|task| task.id == free));
    assert!(db.claim(&[slots("echo", 0, 9)]).is_empty());
    let key = |db: &Db, id| db.task(id).concurrency_key;
    let done = got
        .iter()
        .find(|it| key(&db, it.id).as_deref() == Some("a"));
    let done = done.unwrap().clone();
    db.succeed(&done, serde_json::json!(1));
    let next = db.claim(&[slots("echo", 0, 9)]);
    assert_eq!(key(&db, next[0].id).as_deref(), Some("a"));
}

#[test]
fn tasks_of_one_key_share_its_limit_whether_they_are_for_an_agent_or_for_its_role() {
    let mut db = limited(Limits::default(), at_once(1));
    db.submit(&keyed("a"));
    for target in [
        Target::Role("worker".parse().unwrap()),
        Target::Role("echo".parse().unwrap()),
    ] {
        db.submit(&NewTask {
            target,
            ..keyed("a")
        });
    }
    let got = db.claims(&[slots("echo", 0, 9)]);
    assert_eq!((got.tasks.len(), got.held_back), (1, true));
    db.succeed(&got.tasks[0], serde_json::json!(1));
    assert_eq!(db.claim(&[slots("echo", 0, 9)]).len(), 1);
}

#[test]
fn a_clock_that_was_set_back_holds_a_rate_limited_queue_up_for_one_period_at_most() {
    for (of_queue, per_key) in [
        (rate(2, 10), Limits::default()),
        (Limits::default(), rate(2, 10)),
    ] {
        let mut db = limited(of_queue, per_key);
        for _ in 0..5 {
            db.submit(&keyed("a"));
        }
        assert_eq!(db.claim(&[slots("echo", 0, 9)]).len(), 2);
        db.now = db.now.before(SECOND * 3600);
        let full = db.claims(&[slots("echo", 0, 9)]);
        assert!(full.tasks.is_empty(), "what started a moment ago counts");
        assert_eq!(full.next.map(|span| span.as_secs()), Some(10));
        db.now = db.now.after(SECOND * 9);
        assert!(db.claim(&[slots("echo", 0, 9)]).is_empty());
        db.now = db.now.after(SECOND + Duration::from_micros(1));
        assert_eq!(db.claim(&[slots("echo", 0, 9)]).len(), 2);
    }
}

#[test]
fn a_rate_limit_lets_so_many_start_in_any_window_and_says_when_the_next_may() {
    let mut db = limited(rate(2, 10), Limits::default());
    for _ in 0..5 {
        db.submit(&for_agent("echo"));
    }
    assert_eq!(db.claim(&[slots("echo", 0, 1)]).len(), 1);
    db.now = db.now.after(SECOND * 4);
    assert_eq!(db.claim(&[slots("echo", 0, 9)]).len(), 1);
    let full = db.claims(&[slots("echo", 0, 9)]);
    assert!(full.tasks.is_empty());
    assert_eq!(full.next.map(|span| span.as_secs()), Some(6));
    db.now = db.now.after(SECOND * 6 + Duration::from_micros(1));
    assert_eq!(db.claim(&[slots("echo", 0, 9)]).len(), 1);
    assert!(db.claim(&[slots("echo", 0, 9)]).is_empty());
}

#[test]
fn a_rate_limit_of_keys_counts_each_key_alone_and_holds_over_a_restart() {
    let mut db = limited(Limits::default(), rate(1, 10));
    for key in ["a", "a", "b"] {
        db.submit(&keyed(key));
    }
    assert_eq!(db.claim(&[slots("echo", 0, 9)]).len(), 2);
    db.begin_session();
    let session = db.session;
    db.write(|tx| rescue(tx, session)).unwrap();
    assert!(db.claim(&[slots("echo", 0, 9)]).is_empty());
}

#[test]
fn starts_of_keys_that_never_come_again_are_forgotten_when_their_window_is_over() {
    let mut db = limited(Limits::default(), rate(1, 10));
    for n in 0..8 {
        db.submit(&keyed(&format!("once-{n}")));
    }
    assert_eq!(db.claim(&[slots("echo", 0, 9)]).len(), 8);
    db.now = db.now.after(SECOND * 11);
    for n in 0..2 {
        db.submit(&keyed(&format!("again-{n}")));
    }
    assert_eq!(db.claim(&[slots("echo", 0, 9)]).len(), 2);
    let sql = "SELECT count(*) FROM queue_starts";
    let kept: i64 = db.conn.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(kept, 2);
}

#[test]
fn a_paused_queue_hands_nothing_out_until_it_is_resumed_or_its_time_is_over() {
    let mut db = Db::new();
    let queue: Name = "default".parse().unwrap();
    let rules = db.rules.clone();
    let until = db.now.after(SECOND * 5);
    for _ in 0..2 {
        db.write(|tx| pauses::pause(tx, &rules, &queue, Some(until), None))
            .unwrap();
    }
    assert_eq!(db.kinds("default"), ["queue.paused"], "once");
    assert_eq!(
        db.offer(&for_agent("echo"), &slots("echo", 0, 1)).claimed,
        None
    );
    assert!(db.claims(&[slots("echo", 0, 1)]).held_back);
    assert_eq!(db.due().next, Some(SECOND * 5));
    db.now = until;
    assert_eq!(db.due().resumed, 1);
    assert_eq!(db.claim(&[slots("echo", 0, 1)]).len(), 1);
    db.write(|tx| pauses::pause(tx, &rules, &queue, None, Some("why")))
        .unwrap();
    db.due();
    db.submit(&for_agent("echo"));
    assert!(db.claim(&[slots("echo", 0, 1)]).is_empty());
    db.write(|tx| pauses::resume(tx, &queue)).unwrap();
    assert_eq!(db.claim(&[slots("echo", 0, 1)]).len(), 1);
}

#[test]
fn a_task_of_low_priority_is_not_starved_by_a_stream_of_high_ones() {
    let mut db = Db::new();
    let with = |priority| NewTask {
        priority,
        ..for_agent("echo")
    };
    let patient = db.submit(&with(1)).task.id;
    let mut minutes = 0;
    loop {
        db.submit(&with(9));
        db.submit(&with(9));
        let got = db.claim(&[slots("echo", 0, 1)]).remove(0);
        if got.id == patient {
            break;
        }
        minutes += 1;
        assert!(
            minutes <= 17,
            "none goes first that came eight minutes later"
        );
        db.now = db.now.after(SECOND * 60);
    }
    assert!(minutes > 1, "the high ones went first");
}

#[test]
fn what_holds_a_task_back_is_named_only_while_it_binds() {
    let both = Limits {
        concurrency: Some(2),
        rate: Some(RateLimit {
            max: 3,
            period: SECOND * 10,
        }),
    };
    let mut db = limited(both, both);
    let held = |db: &Db, key| {
        let of = ("default", key);
        held_back::read(&db.conn, &db.rules, db.now, of).unwrap()
    };
    for key in ["a", "b", "a"] {
        db.submit(&keyed(key));
        db.now = db.now.after(Duration::from_micros(1));
    }
    let first = db.claim(&[slots("echo", 0, 1)]).remove(0);
    assert_eq!(held(&db, Some("a")), HeldBack::default(), "one more may");
    let second = db.claim(&[slots("echo", 0, 1)]).remove(0);
    let full = held(&db, Some("a"));
    let holders = full.queue_full.as_ref().map(|it| it.holders.clone());
    assert_eq!(holders, Some(vec![first.id, second.id]));
    assert_eq!(
        (&full.key_full, full.queue_opens),
        (&None, None),
        "only one of a runs"
    );
    let began = db.now;
    db.now = db.now.after(SECOND);
    db.succeed(&first, serde_json::json!(1));
    db.claim(&[slots("echo", 0, 1)]);
    let full = held(&db, Some("b"));
    let opens = began.after(SECOND * 10 + Duration::from_micros(1));
    assert_eq!((full.queue_opens, full.key_opens), (Some(opens), None));
    assert_eq!(held(&db, None).key_full, None);
    db.now = opens;
    assert_eq!(held(&db, Some("a")).queue_opens, None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    /// Random submissions, claims, ends and sudden deaths of the daemon.
    #[test]
    fn what_runs_never_exceeds_the_limits_and_what_may_run_is_never_held_back(
        steps in proptest::collection::vec((0..4u8, 0..3usize, any::<usize>()), 1..80)
    ) {
        let mut db = limited(at_once(3), at_once(1));
        let keys = ["a", "b", "c"];
        let mut running: BTreeMap<TaskId, (LeaseId, usize)> = BTreeMap::new();
        let mut waiting: Vec<(TaskId, usize)> = Vec::new();
        for (step, key, pick) in steps {
            match step {
                0 => waiting.push((db.submit(&keyed(keys[key])).task.id, key)),
                1 => {
                    for task in db.claim(&[slots("echo", 0, 9)]) {
                        let place = waiting.iter().position(|(id, _)| *id == task.id).unwrap();
                        let (id, key) = waiting.remove(place);
                        running.insert(id, (task.lease_id, key));
                    }
                    let idle = |key: usize| running.values().all(|(_, held)| *held != key);
                    let left = waiting.iter().any(|(_, key)| idle(*key));
                    prop_assert!(running.len() == 3 || !left, "a free place is used");
                }
                2 if !running.is_empty() => {
                    let id = *running.keys().nth(pick % running.len()).unwrap();
                    let (lease, key) = running.remove(&id).unwrap();
                    let reason = "r".to_owned();
                    if pick % 3 == 0 {
                        db.settle(id, lease, Outcome::Interrupted { reason });
                        waiting.push((id, key));
                    } else {
                        db.settle(id, lease, Outcome::Succeeded(serde_json::json!(1)));
                    }
                }
                3 => {
                    db.begin_session();
                    let session = db.session;
                    db.write(|tx| rescue(tx, session)).unwrap();
                    waiting.extend(running.iter().map(|(id, (_, key))| (*id, *key)));
                    running.clear();
                    // Whoever was interrupted too often is gone for good.
                    waiting.retain(|(id, _)| !db.task(*id).state.is_final());
                }
                _ => {}
            }
            waiting.retain(|(id, _)| !db.task(*id).state.is_final());
            prop_assert!(running.len() <= 3);
            for key in 0..3 {
                let held = running.values().filter(|(_, it)| *it == key).count();
                prop_assert!(held <= 1);
            }
        }
    }
}
