//! Which statements ran in this process, and how SQLite finds their rows: for tests.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use rusqlite::Connection;

use super::{SqliteOptions, model_tests};
use crate::persistence::Store;
use crate::persistence::conformance::{self, every_case};

static RAN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Called with each statement.
pub(super) fn ran(sql: &str) {
    let mut ran = RAN.lock();
    if !ran.contains(sql) {
        ran.insert(sql.to_owned());
    }
}

/// Tables that grow with what was done.
const GROWING: [&str; 8] = [
    "tasks",
    "task_attempts",
    "task_dependencies",
    "events",
    "messages",
    "workflows",
    "workflow_steps",
    "schedule_runs",
];
/// Indexes of what is going on, which hold nothing of what was.
const OF_THE_PRESENT: [&str; 8] = [
    "tasks_running",
    "tasks_due",
    "tasks_queued_by_agent",
    "tasks_queued_by_role",
    "tasks_queued_by_queue",
    "tasks_expiring",
    "workflows_unfinished",
    "messages_waiting",
];

/// Every word by which a statement calls a table.
fn names(sql: &str, table: &str) -> Vec<String> {
    let words: Vec<&str> = sql
        .split_whitespace()
        .map(|word| word.trim_matches(&['(', ')', ','][..]))
        .collect();
    let mut names = vec![table.to_owned()];
    for at in words.windows(3) {
        if at[0] == table {
            names.push(
                if at[1].eq_ignore_ascii_case("as") {
                    at[2]
                } else {
                    at[1]
                }
                .to_owned(),
            );
        }
    }
    names
}

/// The steps of a statement that walk through a whole table, or a whole index of it.
fn walks(conn: &Connection, sql: &str) -> Vec<String> {
    let mut steps = Vec::new();
    match conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")) {
        Ok(mut plan) => {
            let mut rows = plan.raw_query();
            while let Some(row) = rows.next().unwrap() {
                steps.push(row.get::<_, String>(3).unwrap());
            }
        }
        Err(error) => steps.push(format!("ERR {error}")),
    }
    let walk = |step: &String| {
        step.starts_with("ERR")
            || GROWING.iter().any(|table| {
                names(sql, table).iter().any(|name| {
                    *step == format!("SCAN {name}") || step.starts_with(&format!("SCAN {name} "))
                })
            })
    };
    let past = |step: &String| !OF_THE_PRESENT.iter().any(|index| step.ends_with(index));
    steps.into_iter().filter(walk).filter(past).collect()
}

/// Statements that walk, and why they may.
const ALLOWED: [(&str, &str); 2] = [
    (
        "SELECT queue, state, count(*), NULL FROM tasks WHERE +finished_at",
        "used again for as long as it costs",
    ),
    (
        "SELECT key, id, sender, recipient, type, content,",
        "of the model's test",
    ),
];

macro_rules! cases {
    ($dir:expr; $($case:ident),* $(,)?) => {$(
        let path = $dir.path().join(concat!(stringify!($case), ".db"));
        let store = Store::open(SqliteOptions::new(path)).await.unwrap();
        conformance::$case(store).await;
    )*};
}

/// Does all that the tests of every backend do, and much at random.
async fn do_everything(dir: &tempfile::TempDir) {
    every_case!(cases dir);
    let mut runner = TestRunner::deterministic();
    for _ in 0..10 {
        let ops = model_tests::ops().new_tree(&mut runner).unwrap().current();
        model_tests::run(Default::default(), &ops);
    }
}

#[tokio::test]
async fn no_statement_walks_through_a_table_that_grows_with_what_was_done() {
    let dir = tempfile::tempdir().unwrap();
    do_everything(&dir).await;
    let path = dir.path().join("a_ping_goes_there_and_back.db");
    let conn = Connection::open(path).unwrap();
    let ran = RAN.lock().clone();
    let may = |sql: &str| ALLOWED.iter().any(|(begins, _)| sql.starts_with(begins));
    let walking: Vec<_> = ran
        .iter()
        .filter(|sql| !may(sql))
        .flat_map(|sql| walks(&conn, sql).into_iter().map(move |step| (step, sql)))
        .collect();
    assert!(walking.is_empty(), "{walking:#?}");
    assert!(ran.len() > 150, "only {} statements ran", ran.len());
    for (begins, why) in ALLOWED {
        let walks_still = |sql: &&String| sql.starts_with(begins) && !walks(&conn, sql).is_empty();
        assert!(ran.iter().any(|sql| walks_still(&sql)), "{begins}: {why}");
    }
}
