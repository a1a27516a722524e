//! Claims about a database that is damaged.

use std::os::unix::fs::FileExt;

use super::*;

/// Overwrites the first page of a table or index.
fn damage(path: &std::path::Path, what: &str) {
    let conn = rusqlite::Connection::open(path).unwrap();
    let root = "SELECT rootpage FROM sqlite_master WHERE name = ?1";
    let root: i64 = conn.query_row(root, [what], |row| row.get(0)).unwrap();
    drop(conn);
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(&[0xde; 4096], (root.unsigned_abs() - 1) * 4096)
        .unwrap();
}

async fn send(db: &Sqlite) -> Result<usize> {
    let sql = "INSERT INTO messages (id, recipient, type, content, created_at) \
               VALUES (randomblob(16), 'echo', 'custom', zeroblob(9), 1)";
    db.write("send", move |tx| tx.execute(sql, [])).await
}

#[tokio::test]
async fn a_damaged_database_is_lost_until_another_file_stands_in_its_place_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test.db");
    let (db, _) = open(&dir).await;
    send(&db).await.unwrap();
    db.close().await.unwrap();
    drop(db);
    let whole = dir.path().join("whole.db");
    std::fs::copy(&path, &whole).unwrap();
    damage(&path, "messages");

    let (db, _) = open(&dir).await;
    let mut keeper = db.keeper().unwrap();
    send(&db).await.unwrap_err();
    assert!(matches!(keeper.ended().await, WriterExit::Lost { .. }));
    // Other tables take writes: that is no reason to call it well.
    for _ in 0..3 {
        let refused = keeper.restart().await.unwrap_err().to_string();
        assert!(
            refused.contains("is damaged") && refused.contains("restore a backup"),
            "{refused}"
        );
        let refused = db.ping().await.unwrap_err().to_string();
        assert!(refused.contains("is damaged"), "{refused}");
    }
    std::fs::rename(&whole, &path).unwrap();
    for log in ["test.db-wal", "test.db-shm"] {
        std::fs::remove_file(dir.path().join(log)).ok();
    }
    keeper.restart().await.unwrap();
    send(&db).await.unwrap();
}
