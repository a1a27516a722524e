//! Claims about retention: nothing grows without a bound, and nobody waits long behind it.

use std::collections::BTreeSet;

use futures_util::FutureExt as _;

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
    let named: BTreeSet<_> = RULES.iter().map(|rule| rule.table).chain(bounded).collect();
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
    let rules = RULES.len() as u64 + 3;
    assert!(db.commits() - before > rules, "it was one write a rule");
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
    let without_rows = ["crashes"];
    for rule in RULES.iter().filter(|it| !without_rows.contains(&it.table)) {
        assert!(told.contains_key(rule.table), "{}: {told:?}", rule.table);
    }
    assert_eq!(
        (told["tasks"], told["workflows"], told["events"]),
        (8, 3, 1)
    );
    // Samples of minutes are made of old ones, and are old themselves: the next time's.
    assert_eq!(prune(&db).await.unwrap(), told);
}
