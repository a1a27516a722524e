//! Claims about the write-ahead log under load.

use super::*;

#[tokio::test]
async fn under_load_the_log_is_written_back_beside_the_writer_and_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (db, _) = open(&dir).await;
    let beside = rusqlite::Connection::open(dir.path().join("test.db")).unwrap();
    let pages = || -> i64 {
        let look = "PRAGMA wal_checkpoint(NOOP)";
        beside.query_row(look, [], |row| row.get(1)).unwrap()
    };
    let (mut longest, mut writes) = (0, 0_i64);
    loop {
        let written = db.write("load", |tx| {
            tx.execute(
                "INSERT INTO messages (id, recipient, type, content, created_at)
                 VALUES (randomblob(16), 'echo', 'custom', zeroblob(200000), 1)",
                [],
            )
        });
        written.await.unwrap();
        writes += 1;
        let now = pages();
        if now < longest {
            break;
        }
        longest = now;
        assert!(longest < 60_000, "it grows and grows");
    }
    assert!(longest >= 3_000, "it was never long: {longest}");
    let [database, log] = ["test.db", "test.db-wal"]
        .map(|name| std::fs::metadata(dir.path().join(name)).unwrap().len());
    assert!(database > 8 << 20 && log > 0, "{database} beside {log}");
    db.close().await.unwrap();
    let rows = "SELECT count(*) FROM messages WHERE length(content) = 200000";
    let rows: i64 = beside.query_row(rows, [], |row| row.get(0)).unwrap();
    assert_eq!(rows, writes, "all of it is there");
}
