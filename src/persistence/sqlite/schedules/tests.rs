//! Claims about schedules in SQLite: once for each instant, and what becomes of an overlap.

use std::time::Duration;

use super::*;
use crate::domain::ids::TaskId;
use crate::domain::queue::QueueSpec;
use crate::domain::schedule::{CatchUp, Rule, ScheduledWork};
use crate::domain::task::{IdempotencyKey, Target};
use crate::persistence::sqlite::tasks::harness::{Db, slots};
use crate::persistence::sqlite::write::Notes;

const MINUTE: Duration = Duration::from_secs(60);

fn minutely(overlap: Overlap, catch_up: CatchUp) -> ScheduleSpec {
    ScheduleSpec {
        name: "tick".parse().unwrap(),
        rule: Rule::Every(MINUTE),
        shown: "every 1m".into(),
        overlap,
        catch_up,
        catch_up_max: 10,
        jitter: Duration::ZERO,
        work: ScheduledWork::Task {
            target: Target::Agent("x".parse().unwrap()),
            payload: json!({"n": 1}),
        },
    }
}

struct Clockwork {
    db: Db,
    spec: ScheduleSpec,
}

impl Clockwork {
    fn new(overlap: Overlap, catch_up: CatchUp) -> Self {
        let mut made = Self {
            db: Db::new(),
            spec: minutely(overlap, catch_up),
        };
        // A whole minute.
        made.db.now = Timestamp::from_micros(1_700_000_040_000_000);
        made.look();
        made
    }

    fn look(&mut self) -> Fired {
        let (session, spec) = (self.db.session, self.spec.clone());
        let rules = self.db.rules.clone();
        let looked = self.db.write(|tx| {
            let mut pass = Pass::of(session, &rules);
            pass.look_at(tx, &spec)?;
            Ok(pass.fired)
        });
        looked.unwrap()
    }

    fn later(&mut self, span: Duration) -> Fired {
        self.db.now = self.db.now.after(span);
        self.look()
    }

    fn tasks(&self) -> i64 {
        let sql = "SELECT count(*) FROM tasks";
        self.db.conn.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    fn finish_one(&mut self) -> TaskId {
        let task = self.db.claim(&[slots("x", 0, 1)]).remove(0);
        self.db.succeed(&task, json!(1));
        task.id
    }

    fn outcomes(&self) -> Vec<String> {
        let sql = "SELECT outcome || ' ' || reason FROM schedule_runs ORDER BY due_at";
        all(&self.db.conn, sql, [], |row| row.get(0)).unwrap()
    }
}

#[test]
fn an_instant_fires_once_however_often_it_is_looked_at() {
    let mut clockwork = Clockwork::new(Overlap::Allow, CatchUp::Last);
    assert_eq!(clockwork.later(MINUTE).count, 1);
    assert_eq!(clockwork.look().count, 0);
    // Another daemon that has not seen the step forward.
    clockwork
        .db
        .conn
        .execute(
            "UPDATE schedules SET considered = considered - 60000000",
            [],
        )
        .unwrap();
    assert_eq!(clockwork.look().count, 0);
    assert_eq!(clockwork.look().next, Some(MINUTE));
    assert_eq!(clockwork.tasks(), 1);
    assert_eq!(clockwork.db.kinds("tick"), ["schedule.fired"]);
}

#[test]
fn a_clock_that_goes_back_fires_nothing_twice() {
    let mut clockwork = Clockwork::new(Overlap::Allow, CatchUp::All);
    clockwork.later(MINUTE * 2);
    let before = clockwork.tasks();
    clockwork.db.now = Timestamp::from_micros(clockwork.db.now.as_micros() - 90_000_000);
    clockwork.look();
    clockwork.later(MINUTE);
    assert_eq!(clockwork.tasks(), before);
    clockwork.later(MINUTE * 2);
    assert_eq!(clockwork.tasks(), before + 1);
}

#[test]
fn what_falls_due_while_the_last_one_runs_is_left_out() {
    let mut clockwork = Clockwork::new(Overlap::Skip, CatchUp::Last);
    clockwork.later(MINUTE);
    clockwork.later(MINUTE);
    clockwork.finish_one();
    clockwork.later(MINUTE);
    assert_eq!(
        clockwork.outcomes(),
        ["fired due", "skipped overlap", "fired due"]
    );
    assert_eq!(clockwork.db.kinds("tick")[1], "schedule.skipped");
}

#[test]
fn what_falls_due_while_the_last_one_runs_waits_for_its_end() {
    let mut clockwork = Clockwork::new(Overlap::Queue, CatchUp::Last);
    clockwork.later(MINUTE);
    assert!(clockwork.later(MINUTE).waiting);
    assert_eq!(clockwork.outcomes(), ["fired due", "waiting overlap"]);
    clockwork.finish_one();
    assert!(!clockwork.look().waiting);
    assert_eq!(clockwork.outcomes(), ["fired due", "fired due"]);
    for _ in 0..20 {
        clockwork.later(MINUTE);
    }
    let waiting = clockwork
        .outcomes()
        .iter()
        .filter(|it| *it == "waiting overlap")
        .count();
    assert_eq!(i64::try_from(waiting), Ok(MAX_WAITING));
}

#[test]
fn what_falls_due_replaces_the_one_that_runs() {
    let mut clockwork = Clockwork::new(Overlap::Replace, CatchUp::Last);
    clockwork.later(MINUTE);
    let held = clockwork.db.claim(&[slots("x", 0, 1)]).remove(0);
    let fired = clockwork.later(MINUTE);
    assert_eq!(fired.cancel, [(held.id, held.lease_id)]);
    assert_eq!(clockwork.tasks(), 2);
}

#[test]
fn what_was_missed_is_made_up_for_as_configured() {
    for (catch_up, made_up) in [(CatchUp::None, 0), (CatchUp::Last, 1), (CatchUp::All, 5)] {
        let mut clockwork = Clockwork::new(Overlap::Allow, catch_up);
        let fired = clockwork.later(MINUTE * 5 + MINUTE / 2);
        assert_eq!(fired.count, made_up, "{catch_up:?}");
        assert_eq!(clockwork.later(MINUTE / 2).count, 1, "{catch_up:?}");
    }
}

#[test]
fn what_falls_due_in_a_pause_is_left_out_for_good() {
    let mut clockwork = Clockwork::new(Overlap::Allow, CatchUp::All);
    let until = clockwork.db.now.after(MINUTE * 3);
    let sql = "UPDATE schedules SET paused = 1, paused_until = ?1";
    clockwork.db.conn.execute(sql, [until]).unwrap();
    assert_eq!(clockwork.later(MINUTE * 2).count, 0);
    assert_eq!(clockwork.look().next, Some(MINUTE));
    assert_eq!(
        clockwork.later(MINUTE * 2).count,
        1,
        "the minute after the pause"
    );
}

#[test]
fn another_rule_begins_anew() {
    let mut clockwork = Clockwork::new(Overlap::Allow, CatchUp::All);
    clockwork.spec.rule = Rule::Every(MINUTE / 2);
    clockwork.spec.shown = "every 30s".into();
    assert_eq!(clockwork.later(MINUTE * 5).count, 0);
    assert_eq!(clockwork.later(MINUTE / 2).count, 1);
}

#[test]
fn what_falls_due_while_its_queue_is_full_is_left_out() {
    let mut clockwork = Clockwork::new(Overlap::Allow, CatchUp::Last);
    let full = QueueSpec {
        capacity: 2,
        ..QueueSpec::plain("default".parse().unwrap())
    };
    clockwork.db.rules.set([full].iter());
    for _ in 0..3 {
        clockwork.later(MINUTE);
    }
    clockwork.finish_one();
    clockwork.later(MINUTE);
    let outcomes = ["fired due", "fired due", "skipped queue_full", "fired due"];
    assert_eq!(clockwork.outcomes(), outcomes);
}

#[test]
fn a_nightly_schedule_fires_once_in_the_night_that_has_its_hour_twice_and_in_that_without_it() {
    let berlin = |text| Rule::cron(text, "Europe/Berlin").unwrap();
    for (begins, wanted) in [
        // 26 October 2025: 02:30 comes at 00:30 and at 01:30 UTC.
        (
            "2025-10-25T12:00:00Z",
            ["2025-10-26T00:30:00.000Z", "2025-10-27T01:30:00.000Z"],
        ),
        // 29 March 2026: there is no 02:30; the gap ends at 01:00 UTC.
        (
            "2026-03-28T12:00:00Z",
            ["2026-03-29T01:00:00.000Z", "2026-03-30T00:30:00.000Z"],
        ),
    ] {
        let mut clockwork = Clockwork::new(Overlap::Allow, CatchUp::Last);
        clockwork.spec.rule = berlin("30 2 * * *");
        clockwork.spec.shown = "30 2 * * *".into();
        clockwork.db.now = begins.parse().unwrap();
        clockwork.look();
        for _ in 0..48 * 2 {
            clockwork.later(MINUTE * 30);
        }
        let sql = "SELECT due_at FROM schedule_runs ORDER BY due_at";
        let due: Vec<Timestamp> = all(&clockwork.db.conn, sql, [], |row| row.get(0)).unwrap();
        let due: Vec<_> = due.iter().map(ToString::to_string).collect();
        assert_eq!(due, wanted);
    }
}

/// Two sessions on one file, as two daemons on one database would be.
#[test]
fn an_instant_fires_once_however_many_sessions_look_at_it_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shared.db");
    let spec = minutely(Overlap::Allow, CatchUp::All);
    let begins = Timestamp::from_micros(1_700_000_040_000_000);
    let look = |conn: &rusqlite::Connection, session, now| {
        let transaction =
            rusqlite::Transaction::new_unchecked(conn, rusqlite::TransactionBehavior::Immediate);
        let transaction = transaction.unwrap();
        let (rules, mut notes) = (Rules::default(), Notes::default());
        let mut tx = WriteTx::new(&transaction, now, &mut notes);
        let fired = fire_in(&mut tx, session, std::slice::from_ref(&spec), &rules);
        let count = fired
            .map_err(|fault| fault.into_error("fire"))
            .unwrap()
            .count;
        transaction.commit().unwrap();
        count
    };
    let open = || {
        let conn = rusqlite::Connection::open(&path).unwrap();
        conn.busy_timeout(Duration::from_secs(20)).unwrap();
        conn
    };
    let mut first = open();
    crate::persistence::sqlite::migrations::up(&mut first, None).unwrap();
    look(&first, SessionId::from_bytes([0; 16]), begins);
    let fired: u64 = std::thread::scope(|scope| {
        let daemon = |number: u8| {
            let (open, look) = (&open, &look);
            scope.spawn(move || {
                let (conn, session) = (open(), SessionId::from_bytes([number; 16]));
                let minutes = 1..=20_u32;
                let fired = minutes.map(|it| look(&conn, session, begins.after(MINUTE * it)));
                fired.sum::<u64>()
            })
        };
        let daemons: Vec<_> = (1..=3).map(daemon).collect();
        daemons.into_iter().map(|it| it.join().unwrap()).sum()
    });
    let rows: i64 = first
        .query_row("SELECT count(*) FROM tasks", [], |row| row.get(0))
        .unwrap();
    assert_eq!((fired, rows), (20, 20));
}

#[test]
fn a_trigger_fires_once_for_its_key_however_often_its_schedule_fires_that_day() {
    let mut clockwork = Clockwork::new(Overlap::Allow, CatchUp::Last);
    let key = IdempotencyKey {
        key: "k".into(),
        digest: [1; 32],
    };
    let trigger = |clockwork: &mut Clockwork| {
        let (session, spec) = (clockwork.db.session, clockwork.spec.clone());
        let rules = clockwork.db.rules.clone();
        let run = clockwork
            .db
            .write(|tx| trigger::trigger_in(tx, Pass::of(session, &rules), &spec, Some(&key)));
        run.unwrap().task_id
    };
    let first = trigger(&mut clockwork);
    for _ in 0..KEPT_RUNS + 1 {
        assert_eq!(clockwork.later(MINUTE).count, 1);
    }
    assert_eq!(trigger(&mut clockwork), first);
    clockwork.later(KEPT_BY_HAND);
    assert_ne!(trigger(&mut clockwork), first);
    assert!(clockwork.outcomes().len() as i64 <= KEPT_RUNS + 1);
}
