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
