//! What stands in the database of what agents spend.

use super::*;
use crate::clock;
use crate::domain::query::{ClaimedTask, Settlement, SlotOffer};
use crate::domain::spend::{Per, Usage};
use crate::domain::task::{Outcome, TaskState};
use crate::domain::timestamp::Timestamp;
use crate::persistence::sqlite::tasks::harness::{Db, for_agent, slots};

const DAY: i64 = 86_400_000_000;

fn today(db: &Db) -> Window {
    Window::at(Per::Day, db.now)
}

fn cost(micros: u64) -> Sum {
    Sum {
        cost_micros: micros,
        ..Sum::default()
    }
}

fn write(window: Timestamp, sum: Sum, attempts: Vec<AttemptSpend>) -> SpendWrite {
    SpendWrite {
        agent: "echo".parse().unwrap(),
        window,
        sum,
        attempts,
        events: Vec::new(),
    }
}

fn known(db: &mut Db, window: Window) -> Stored {
    let agent: Name = "echo".parse().unwrap();
    db.write(|tx| stored(tx, &agent, window)).unwrap()
}

/// Slots whose tasks hold ten thousandths of a dollar and a hundred tokens.
fn reserving(db: &Db) -> SlotOffer {
    SlotOffer {
        reserve: Some(Reserve {
            window: today(db).start,
            amount: Amount {
                micros: 1_000,
                tokens: 100,
            },
            counts_tasks: true,
        }),
        ..slots("echo", 0, 1)
    }
}

fn said(db: &Db, claimed: &ClaimedTask, usage: Usage) -> AttemptSpend {
    AttemptSpend {
        task: claimed.id,
        lease: claimed.lease_id,
        window: today(db).start,
        usage,
    }
}

fn handed_over(db: &mut Db) -> ClaimedTask {
    db.submit(&for_agent("echo"));
    let offer = reserving(db);
    db.claim(&[offer]).remove(0)
}

#[test]
fn a_sum_that_comes_late_or_twice_makes_none_smaller() {
    let mut db = Db::new();
    let window = today(&db);
    for micros in [500, 900, 900, 700] {
        let write = write(window.start, cost(micros), Vec::new());
        db.write(|tx| apply(tx, &write)).unwrap();
    }
    assert_eq!(known(&mut db, window).own.cost_micros, 900);
}

#[test]
fn a_longer_window_counts_what_shorter_ones_inside_it_hold() {
    let mut db = Db::new();
    let (day, start) = (today(&db), today(&db).start.as_micros());
    for (at, micros) in [
        (start, 1),
        (start + DAY / 24, 10),
        (start + DAY / 2, 100),
        (start - 1, 1_000),
        (start + DAY, 10_000),
    ] {
        let write = write(Timestamp::from_micros(at), cost(micros), Vec::new());
        db.write(|tx| apply(tx, &write)).unwrap();
    }
    let Stored {
        own,
        inside,
        before,
    } = known(&mut db, day);
    assert_eq!((own.cost_micros, inside.cost_micros), (1, 110));
    assert_eq!(before, None);
}

#[test]
fn of_a_window_that_nothing_is_stored_of_the_one_before_is_told() {
    let mut db = Db::new();
    let day = today(&db);
    assert_eq!(known(&mut db, day), Stored::default());
    for (days, micros) in [(1, 7), (3, 9)] {
        let at = Timestamp::from_micros(day.start.as_micros() - days * DAY);
        let write = write(at, cost(micros), Vec::new());
        db.write(|tx| apply(tx, &write)).unwrap();
    }
    let before = known(&mut db, day).before.unwrap();
    assert_eq!(before.cost_micros, 7);
}

#[test]
fn what_an_execution_said_is_shown_with_it_and_what_it_never_spoke_of_stays_unknown() {
    let mut db = Db::new();
    let claimed = handed_over(&mut db);
    assert_eq!(db.attempts(claimed.id)[0].usage, None);
    let usage = Usage {
        cost_micros: Some(250),
        ..Usage::default()
    };
    let attempts = vec![said(&db, &claimed, usage)];
    let write = write(today(&db).start, cost(250), attempts);
    db.write(|tx| apply(tx, &write)).unwrap();
    assert_eq!(db.attempts(claimed.id)[0].usage, Some(usage));
}

#[test]
fn the_end_of_a_task_and_what_it_spent_are_one_commit() {
    let mut db = Db::new();
    let claimed = handed_over(&mut db);
    let usage = Usage {
        input_tokens: Some(7),
        ..Usage::default()
    };
    let attempts = vec![said(&db, &claimed, usage)];
    let settlement = Settlement {
        task: claimed.id,
        lease_id: claimed.lease_id,
        outcome: Outcome::Succeeded(serde_json::json!(1)),
        backoff: std::time::Duration::ZERO,
        spend: Some(Box::new(write(today(&db).start, cost(250), attempts))),
    };
    db.try_settle(&settlement).unwrap();
    assert_eq!(db.task(claimed.id).state, TaskState::Succeeded);
    assert_eq!(db.attempts(claimed.id)[0].usage, Some(usage));
    let window = today(&db);
    assert_eq!(known(&mut db, window).own.cost_micros, 250);
}

#[test]
fn what_a_task_held_when_its_daemon_was_killed_counts_as_spent_once() {
    let mut db = Db::new();
    let (silent, spoke) = (handed_over(&mut db), handed_over(&mut db));
    let usage = Usage {
        cost_micros: Some(400),
        output_tokens: Some(250),
        ..Usage::default()
    };
    let attempts = vec![said(&db, &spoke, usage)];
    let told = write(today(&db).start, cost(400), attempts);
    db.write(|tx| apply(tx, &told)).unwrap();
    for _life in 0..2 {
        db.begin_session();
        let session = db.session;
        db.write(|tx| crate::persistence::sqlite::tasks::rescue(tx, session))
            .unwrap();
    }
    let window = today(&db);
    let own = known(&mut db, window).own;
    assert_eq!(own.cost_micros, 400);
    // One said nothing of 1000 and 100, the other 400 of 1000 and more than 100.
    let presumed = Amount {
        micros: 1_000 + 600,
        tokens: 100,
    };
    assert_eq!(own.presumed, presumed);
    assert_eq!(db.task(silent.id).state, TaskState::Queued);
}

#[test]
fn the_next_execution_of_a_task_is_told_what_the_ones_before_have_spent() {
    let mut db = Db::new();
    let first = handed_over(&mut db);
    assert_eq!(first.spent, Amount::default());
    let usage = Usage {
        cost_micros: Some(400),
        input_tokens: Some(3),
        output_tokens: Some(4),
    };
    let attempts = vec![said(&db, &first, usage)];
    let told = write(today(&db).start, cost(400), attempts);
    db.write(|tx| apply(tx, &told)).unwrap();
    db.settle(
        first.id,
        first.lease_id,
        Outcome::Interrupted {
            reason: "drain".into(),
        },
    );
    let offer = reserving(&db);
    let second = db.claim(&[offer]).remove(0);
    let spent = Amount {
        micros: 400,
        tokens: 7,
    };
    assert_eq!(
        (second.id, second.attempt, second.spent),
        (first.id, 2, spent)
    );
}

#[tokio::test]
async fn a_window_is_read_behind_every_sum_that_waits_to_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let options = crate::persistence::SqliteOptions::new(dir.path().join("test.db"));
    let db = Sqlite::open(options).await.unwrap();
    let day = Window::at(Per::Day, clock::now());
    let kept = record(&db, write(day.start, cost(77), Vec::new()));
    let read = window(&db, "echo".parse().unwrap(), day);
    let (kept, read) = tokio::join!(kept, read);
    kept.unwrap();
    assert_eq!(read.unwrap().own, cost(77));
}
