//! Claims about retention: nothing grows without a bound, and nobody waits long behind it.

use std::collections::BTreeSet;

use futures_util::FutureExt as _;

use super::work::{ENDED_LATER, ENDED_THEN};
use super::*;
use crate::persistence::SqliteOptions;
use crate::persistence::sqlite::all;

async fn open(dir: &tempfile::TempDir) -> Sqlite {
    Sqlite::open(SqliteOptions::new(dir.path().join("test.db")))
        .await
        .unwrap()
}

async fn run(db: &Sqlite, sql: &'static str) {
    db.write("set up", move |tx| Ok(tx.conn().execute_batch(sql)?))
        .await
        .unwrap();
}

#[tokio::test]
async fn every_table_is_pruned_or_is_kept_small_by_something_that_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir).await;
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let tables: Vec<String> = db
        .read("list", |conn| all(conn, tables, [], |row| row.get(0)))
        .await
        .unwrap();
    let bounded = BOUNDED.iter().map(|(table, _)| *table);
    let aged = AGED.iter().map(|job| job.table);
    let rules = RULES.iter().map(|rule| rule.table);
    let work = ["tasks", "workflows"].into_iter();
    let named: BTreeSet<_> = work.chain(aged).chain(rules).chain(bounded).collect();
    let forgotten: Vec<_> = tables
        .iter()
        .filter(|table| !named.contains(table.as_str()))
        .collect();
    assert!(forgotten.is_empty(), "they grow for ever: {forgotten:?}");
}

/// A thousand old messages, each of which takes a moment to remove, as on a slow disk.
const SLOW: &str = "
    CREATE TABLE stones (x INTEGER);
    INSERT INTO stones WITH RECURSIVE c (x) AS
        (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 2000) SELECT x FROM c;
    CREATE TRIGGER slow BEFORE DELETE ON messages BEGIN SELECT sum(x * x) FROM stones; END;
    INSERT INTO messages (id, recipient, type, content, created_at)
        WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1000)
        SELECT randomblob(16), 'echo', 'custom', x'0031', 1 FROM c;";

#[tokio::test]
async fn on_a_slow_disk_others_get_their_turns_between_those_of_retention() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir).await;
    run(&db, SLOW).await;
    let before = db.commits();
    let pruning = prune(&db);
    tokio::pin!(pruning);
    let mut others = 0;
    let pruned = loop {
        tokio::select! {
            pruned = &mut pruning => break pruned.unwrap(),
            written = db.write("other", |_| Ok(())) => { written.unwrap(); others += 1; }
        }
    };
    assert_eq!(pruned["messages"], 1000);
    let jobs = jobs().len() as u64;
    assert!(db.commits() - before > jobs, "it was one write a job");
    assert!(others > 0);
    assert!(db.status().longest_prune_ms > 0.0);
}

#[tokio::test]
async fn agents_and_budgets_that_nobody_knew_for_a_month_go_and_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir).await;
    run(
        &db,
        "INSERT INTO sessions VALUES (randomblob(16), 'n', 1, 2, unixepoch() * 1000000, 4, NULL);
         INSERT INTO agents (name, kind, config_hash, created_at, updated_at)
             VALUES ('gone', 'actor', 'h', 1, 1), ('here', 'actor', 'h', 1, unixepoch() * 1000000);
         INSERT INTO restart_budgets (owner, updated_at, quarantined_until)
             VALUES ('gone', 1, 2), ('rests', 1, unixepoch() * 1000000), ('here', unixepoch() * 1000000, NULL);",
    )
    .await;
    let pruned = prune(&db).await.unwrap();
    assert_eq!((pruned["agents"], pruned["restart_budgets"]), (1, 1));
}

#[tokio::test]
async fn room_that_retention_leaves_is_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir).await;
    let fill = "INSERT INTO messages (id, recipient, type, content, created_at)
        WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 200)
        SELECT randomblob(16), 'echo', 'custom', zeroblob(10000), 1 FROM c;";
    let pages = || {
        let pages = |conn: &rusqlite::Connection| {
            let pages = "SELECT page_count FROM pragma_page_count()";
            Ok(conn.query_row(pages, [], |row| row.get::<_, i64>(0))?)
        };
        db.read("pages", pages).map(Result::unwrap)
    };
    run(&db, fill).await;
    let filled = pages().await;
    for _ in 0..3 {
        assert_eq!(prune(&db).await.unwrap()["messages"], 200);
        run(&db, fill).await;
    }
    assert!(pages().await <= filled + filled / 10, "{filled}");
}

/// Of every table that a rule names one row that is too old and one that is not: ended tasks and
/// workflows of each kind, samples, and what belongs to them.
const OLD_AND_YOUNG: &str = "
    CREATE TEMP TABLE ages (at INTEGER);
    INSERT INTO ages VALUES (unixepoch() * 1000000 - 40 * 86400000000), (unixepoch() * 1000000);
    INSERT INTO sessions SELECT randomblob(16), 'n', row_number() OVER (ORDER BY at), 2, at, at, at FROM ages;
    INSERT INTO workflows (id, name, state, definition, definition_hash, input, steps_left, created_at, finished_at)
        SELECT randomblob(16), 'w', state, x'007b7d', 'h', x'007b7d', 0, at, at
        FROM ages, (SELECT 'completed' AS state UNION SELECT 'failed' UNION SELECT 'cancelled');
    INSERT INTO tasks (id, name, workflow_key, queue, state, priority, rank, payload, max_attempts,
            timeout_ms, run_at, created_at, finished_at)
        SELECT randomblob(16), 't', key, 'q', 'cancelled', 5, 6, x'0031', 3, 9, 10, created_at, finished_at
        FROM workflows
        UNION ALL SELECT randomblob(16), 't', NULL, 'q', state, 5, 6, x'0031', 3, 9, 10, at, at
        FROM ages, (SELECT 'succeeded' AS state UNION SELECT 'failed' UNION SELECT 'cancelled'
            UNION SELECT 'timed_out' UNION SELECT 'dead');
    INSERT INTO health_records (name, component, status, message, at, duration_ms)
        SELECT 'c', 'c', 'healthy', '', at, 1 FROM ages;
    INSERT INTO health_rounds (at, status, statuses) SELECT at, 'healthy', '{}' FROM ages;
    INSERT INTO messages (id, recipient, type, content, created_at)
        SELECT randomblob(16), 'echo', 'custom', x'0031', at FROM ages;
    INSERT INTO crash_signatures (agent, signature, first_at, last_at, count)
        SELECT 'echo', 's' || at, at, at, 1 FROM ages;
    INSERT INTO spend (agent, window_start) SELECT 'echo', at - 370 * 86400000000 FROM ages;
    INSERT INTO recovery_runs (id, action, cause, outcome, message, started_at)
        SELECT randomblob(16), 'a', 'c', 'succeeded', '', at FROM ages;
    INSERT INTO idempotency_keys SELECT 'task', 'k' || at, zeroblob(32), zeroblob(16), at FROM ages;
    INSERT INTO agent_metrics SELECT 'echo', r, at + r, 1, 1, 1, 1, 1, 1 FROM ages, (SELECT 0 AS r UNION SELECT 60);
    INSERT INTO system_metrics SELECT r, at + r, 1, 1, 1, 1, 1 FROM ages, (SELECT 0 AS r UNION SELECT 60);
    INSERT INTO schedule_runs (schedule, due_at, outcome, reason, at) SELECT 's', at, 'fired', 'due', at FROM ages;
    INSERT INTO agents (name, kind, config_hash, created_at, updated_at) SELECT 'a' || at, 'actor', 'h', at, at FROM ages;
    INSERT INTO restart_budgets (owner, updated_at) SELECT 'o' || at, at FROM ages;
    INSERT INTO events (seq, id, type, subject, at, data)
        SELECT iif(at < unixepoch() * 1000000, 1, 2000000), randomblob(16), 'task.queued', 's', at, '{}' FROM ages;
    DROP TABLE ages;";

#[tokio::test]
async fn a_look_beforehand_tells_what_retention_then_removes_and_removes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir).await;
    run(&db, OLD_AND_YOUNG).await;
    let before = db.census().await.unwrap();
    let told = would_prune(&db).await.unwrap();
    assert_eq!(db.census().await.unwrap(), before, "it removed something");
    let tables = RULES.iter().map(|rule| rule.table);
    let tables = tables.chain(AGED.iter().map(|job| job.table));
    for table in tables.filter(|table| *table != "crashes") {
        assert!(told.contains_key(table), "{table}: {told:?}");
    }
    assert_eq!(
        (told["tasks"], told["workflows"], told["events"]),
        (8, 3, 1)
    );
    // Samples of minutes are made of old ones, and are old themselves: the next time's.
    assert_eq!(prune(&db).await.unwrap(), told);
}

/// Two hundred tasks of a workflow that is kept for longer, and one behind them that stands alone; beside
/// them 60 old workflows of two tasks each, two of which ended at one instant.
const OF_WORKFLOWS: &str = "
    INSERT INTO workflows (id, name, state, definition, definition_hash, input, steps_left, created_at, finished_at)
        SELECT randomblob(16), 'kept', 'failed', x'007b7d', 'h', x'007b7d', 0, 1, unixepoch() * 1000000
        UNION ALL SELECT randomblob(16), 'old', 'completed', x'007b7d', 'h', x'007b7d', 0, 1, x / 2
        FROM (WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 60) SELECT x FROM c);
    INSERT INTO workflow_steps (workflow_key, name, position, definition, state, waiting_on)
        SELECT key, 's' || x, x, x'007b7d', 'succeeded', 0 FROM workflows, (SELECT 1 AS x UNION SELECT 2);
    INSERT INTO tasks (id, name, workflow_key, queue, state, priority, rank, payload, max_attempts,
            timeout_ms, run_at, created_at, finished_at)
        SELECT randomblob(16), 't', workflows.key, 'q', 'succeeded', 5, 6, x'0031', 3, 9, 10, 1, 2
        FROM workflows, (WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 200) SELECT x FROM c)
        WHERE x < iif(workflows.name = 'kept', 201, 3)
        UNION ALL SELECT randomblob(16), 't', NULL, 'q', 'succeeded', 5, 6, x'0031', 3, 9, 10, 1, 3;";

#[tokio::test]
async fn no_chunk_of_retention_looks_again_at_what_it_has_passed() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir).await;
    run(&db, OF_WORKFLOWS).await;
    let mut pruned = Pruned::new();
    for job in jobs() {
        let mut from = Some(Position::START);
        while let Some(position) = from {
            let chunk = move |tx: &mut WriteTx<'_>| job.chunk(tx, position, 5);
            let chunk = db.write("chunk", chunk).await.unwrap();
            let rows: u64 = chunk.removed.values().sum();
            assert!(rows <= 5, "{rows}");
            assert_ne!(chunk.next, from.filter(|_| rows == 0), "it stands still");
            for (table, rows) in chunk.removed {
                add(&mut pruned, &table, rows);
            }
            from = chunk.next;
        }
    }
    let rows = |table: &str| pruned.get(table).copied();
    assert_eq!((rows("tasks"), rows("workflows")), (Some(121), Some(60)));
    let left = db.census().await.unwrap();
    assert_eq!((left["tasks"], left["workflow_steps"]), (200, 2));
}

#[tokio::test]
async fn a_walk_over_what_ended_sorts_nothing_however_much_ended_at_one_instant() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir).await;
    for sql in [ENDED_THEN, ENDED_LATER] {
        let plan = format!("EXPLAIN QUERY PLAN {sql}");
        let steps = db
            .read("plan", move |conn| {
                all(conn, &plan, [1, 2, 3, 4], |row| row.get(3))
            })
            .await;
        let steps: Vec<String> = steps.unwrap();
        assert_eq!(steps.len(), 1, "{steps:?}");
        assert!(
            steps[0].contains("INDEX tasks_finished (state=?"),
            "{steps:?}"
        );
        assert_eq!(steps[0].contains("rowid>?"), sql == ENDED_THEN, "{steps:?}");
    }
}

#[tokio::test]
async fn rows_of_a_clock_that_was_ahead_hold_back_nothing_behind_them() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(&dir).await;
    run(
        &db,
        "INSERT INTO messages (id, recipient, type, content, created_at)
            SELECT randomblob(16), 'echo', 'custom', x'0031', at FROM
            (SELECT 1 AS at UNION ALL SELECT unixepoch('now', '+10 years') * 1000000
                UNION ALL SELECT 2 UNION ALL SELECT unixepoch() * 1000000 UNION ALL SELECT 3);",
    )
    .await;
    assert_eq!(would_prune(&db).await.unwrap()["messages"], 2);
    assert_eq!(prune(&db).await.unwrap()["messages"], 2);
    let left = db.census().await.unwrap()["messages"];
    assert_eq!(
        left, 3,
        "from the future, from now, and what came after that"
    );
}
