//! What the database tells when the storm is over.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use super::load::{Acknowledged, What};
use crate::daemon::{Daemon, eventually};

/// Waits until nothing is left to do.
pub(super) fn everything_ends(daemon: &Daemon) {
    let open = [
        "/api/v1/tasks?state=queued&limit=1",
        "/api/v1/tasks?state=running&limit=1",
        "/api/v1/tasks?state=retrying&limit=1",
        "/api/v1/tasks?state=blocked&limit=1",
        "/api/v1/messages?state=waiting&limit=1",
    ];
    let is_empty = |path: &str| {
        let (status, page) = daemon.get(path);
        let page: Option<Value> = serde_json::from_str(&page).ok();
        let items = page.and_then(|page| Some(page["items"].as_array()?.is_empty()));
        status == 200 && items == Some(true)
    };
    // A look is no instant: what moves while it is looked at is seen by the second one.
    eventually("nothing is left to do", || {
        let twice = open.iter().chain(&open);
        twice.copied().all(is_empty).then_some(())
    });
}

/// What was found.
pub(super) struct Told {
    tasks: usize,
    workflows: usize,
    messages: usize,
    executions: u64,
    interrupted: u64,
    fired: u64,
    first_again: Vec<Duration>,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let median = self.first_again.get(self.first_again.len() / 2);
        let slowest = self.first_again.last();
        write!(
            f,
            "{} tasks, {} workflows, {} messages acknowledged and done once; {} executions, {} cut \
             by a kill; {} schedule firings; first execution after a kill: median {:?}, slowest {:?}",
            self.tasks,
            self.workflows,
            self.messages,
            self.executions,
            self.interrupted,
            self.fired,
            median.copied().unwrap_or_default(),
            slowest.copied().unwrap_or_default(),
        )
    }
}

/// A task as its rows tell.
struct Row {
    state: String,
    attempt: u32,
    crash_attempts: u32,
    interruptions: u32,
    result: Option<Value>,
    outcomes: Vec<String>,
}

struct Database(Connection);

fn id_bytes(id: &str) -> Vec<u8> {
    let hex = id.split_once('_').unwrap().1;
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// The first byte is the format, 0 for plain JSON.
fn unseal(bytes: Option<Vec<u8>>) -> Option<Value> {
    bytes.map(|bytes| serde_json::from_slice(&bytes[1..]).unwrap())
}

impl Database {
    fn count(&self, sql: &str) -> u64 {
        let count: i64 = self.0.query_row(sql, [], |row| row.get(0)).unwrap();
        count.unsigned_abs()
    }

    fn task(&self, id: &str) -> Row {
        let sql = "SELECT state, attempt, crash_attempts, interruptions, result, key FROM tasks \
                   WHERE id = ?1";
        let read = |row: &rusqlite::Row<'_>| {
            let outcomes = self.outcomes(row.get(5)?);
            Ok(Row {
                state: row.get(0)?,
                attempt: row.get(1)?,
                crash_attempts: row.get(2)?,
                interruptions: row.get(3)?,
                result: unseal(row.get(4)?),
                outcomes,
            })
        };
        let found = self.0.query_row(sql, [id_bytes(id)], read);
        assert!(found.is_ok(), "acknowledged task {id} is not there");
        found.unwrap()
    }

    /// How the executions of a task ended; each has its own number, from 1.
    fn outcomes(&self, key: i64) -> Vec<String> {
        let sql = "SELECT attempt, outcome FROM task_attempts WHERE task_key = ?1 ORDER BY attempt";
        let mut statement = self.0.prepare_cached(sql).unwrap();
        let rows = statement.query_map([key], |row| Ok((row.get::<_, u32>(0)?, row.get(1)?)));
        let rows: Vec<(u32, String)> = rows.unwrap().map(Result::unwrap).collect();
        for (place, (attempt, _)) in rows.iter().enumerate() {
            assert_eq!(*attempt as usize, place + 1, "executions are numbered");
        }
        rows.into_iter().map(|(_, outcome)| outcome).collect()
    }
}

impl Row {
    fn count(&self, outcome: &str) -> u32 {
        let count = self.outcomes.iter().filter(|it| *it == outcome).count();
        u32::try_from(count).unwrap()
    }

    /// Executed once, after so many failures at most, and once more for each that a kill has cut.
    fn was_executed(&self, id: &str, failures: u32) {
        let cut = self.count("interrupted") + self.count("crashed");
        let Self {
            attempt, outcomes, ..
        } = self;
        assert_eq!(
            outcomes.len(),
            *attempt as usize,
            "{id}: one row an execution"
        );
        assert_eq!(
            (self.interruptions, self.crash_attempts),
            (cut, 0),
            "{id}: no kill is a fault of the task: {outcomes:?}"
        );
        let (failed, done) = (self.count("failed"), self.count("succeeded"));
        assert!(failed <= failures && done <= 1, "{id}: {outcomes:?}");
        assert_eq!(*attempt, cut + failed + done, "{id}: {outcomes:?}");
    }
}

/// Holds what is stored against what was promised.
pub(super) fn read(path: &Path, promised: &[Acknowledged], kills: &[SystemTime]) -> Told {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = Database(Connection::open_with_flags(path, flags).unwrap());
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for Acknowledged { id, what } in promised {
        let kind = match what {
            What::Workflow { output } => workflow(&database, id, output),
            What::Message => message(&database, id),
            _ => task(&database, id, what),
        };
        *kinds.entry(kind).or_default() += 1;
    }
    whole(&database);
    let of = |kind| kinds.get(kind).copied().unwrap_or(0);
    Told {
        tasks: of("task"),
        workflows: of("workflow"),
        messages: of("message"),
        executions: database.count("SELECT count(*) FROM task_attempts"),
        interrupted: database
            .count("SELECT count(*) FROM task_attempts WHERE outcome = 'interrupted'"),
        fired: database.count("SELECT count(*) FROM schedule_runs WHERE outcome = 'fired'"),
        first_again: first_again(&database, kills),
    }
}

fn task(database: &Database, id: &str, what: &What) -> &'static str {
    let row = database.task(id);
    match what {
        What::Task { result, failures } => {
            assert_eq!(row.state, "succeeded", "{id}");
            assert_eq!(row.result.as_ref(), Some(result), "{id}");
            assert_eq!(row.count("succeeded"), 1, "{id}: {:?}", row.outcomes);
            row.was_executed(id, *failures);
        }
        What::Failing => {
            assert_eq!(
                (row.state.as_str(), row.count("failed")),
                ("failed", 1),
                "{id}"
            );
            row.was_executed(id, 1);
        }
        _ => assert_eq!((row.state.as_str(), row.attempt), ("cancelled", 0), "{id}"),
    }
    "task"
}

fn workflow(database: &Database, id: &str, output: &Value) -> &'static str {
    let sql = "SELECT state, output FROM workflows WHERE id = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, unseal(row.get(1)?)));
    let found = database.0.query_row(sql, [id_bytes(id)], read);
    assert!(found.is_ok(), "acknowledged workflow {id} is not there");
    let (state, found) = found.unwrap();
    assert_eq!(
        (state.as_str(), found.as_ref()),
        ("completed", Some(output)),
        "{id}"
    );
    "workflow"
}

fn message(database: &Database, id: &str) -> &'static str {
    let sql = "SELECT state FROM messages WHERE id = ?1";
    let state: Result<String, _> = database.0.query_row(sql, [id_bytes(id)], |row| row.get(0));
    assert_eq!(state.as_deref(), Ok("delivered"), "{id}");
    "message"
}

/// What must hold of all rows together.
fn whole(database: &Database) {
    let none = |what, sql: &str| assert_eq!(database.count(sql), 0, "{what}: {sql}");
    none(
        "a key of idempotency made two tasks",
        "SELECT count(*) FROM (SELECT name, payload, count(*) AS n FROM tasks \
         WHERE json_extract(CAST(substr(payload, 2) AS TEXT), '$.number') IS NOT NULL \
         AND workflow_key IS NULL GROUP BY payload HAVING n > 1)",
    );
    none(
        "a task succeeded twice",
        "SELECT count(*) FROM (SELECT task_key FROM task_attempts WHERE outcome = 'succeeded' \
         GROUP BY task_key HAVING count(*) > 1)",
    );
    none(
        "an end was told twice",
        "SELECT count(*) FROM (SELECT subject FROM events WHERE type IN ('task.succeeded', \
         'workflow.completed') GROUP BY subject, type HAVING count(*) > 1)",
    );
    none(
        "an execution is open whose task is not running",
        "SELECT count(*) FROM task_attempts JOIN tasks ON tasks.key = task_key \
         WHERE outcome = 'running' AND tasks.state <> 'running'",
    );
    none(
        "an instant of a schedule made no task, or two made one",
        "SELECT count(*) FROM schedule_runs LEFT JOIN tasks ON tasks.id = task_id \
         WHERE outcome = 'fired' AND tasks.key IS NULL",
    );
    none(
        "an item of a map stands twice",
        "SELECT count(*) FROM (SELECT 1 FROM tasks WHERE workflow_key IS NOT NULL \
         GROUP BY workflow_key, step, item HAVING count(*) > 1)",
    );
}

/// From each kill to the first execution after it, the shortest first.
fn first_again(database: &Database, kills: &[SystemTime]) -> Vec<Duration> {
    let sql = "SELECT min(started_at) FROM task_attempts WHERE started_at > ?1";
    let mut spans: Vec<_> = kills
        .iter()
        .filter_map(|killed| {
            let killed = killed.duration_since(UNIX_EPOCH).unwrap();
            let micros = i64::try_from(killed.as_micros()).unwrap();
            let first: Option<i64> = database
                .0
                .query_row(sql, [micros], |row| row.get(0))
                .unwrap();
            first.map(|first| Duration::from_micros((first - micros).unsigned_abs()))
        })
        .collect();
    spans.sort();
    spans
}
