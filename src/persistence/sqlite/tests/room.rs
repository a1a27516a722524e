//! Claims about room: on a full disk, in the log, and what is known of it.

use std::time::Duration;

use super::*;

/// A write that finds the disk full.
async fn fill_up(db: &Sqlite) {
    let filled = db.write("fill up", |tx| {
        let conn = tx.conn();
        let pages: i64 = conn.pragma_query_value(None, "page_count", |row| row.get(0))?;
        conn.pragma_update(None, "max_page_count", pages)?;
        let mut large = fact("large");
        large.data = json!("x".repeat(100_000));
        tx.event(large)
    });
    let full = filled.await.unwrap_err();
    assert!(matches!(full, StoreError::StorageFull { .. }), "{full}");
}

#[tokio::test]
async fn on_a_full_disk_new_work_is_refused_and_what_ends_work_is_stored_in_the_room_kept_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = SqliteOptions::new(dir.path().join("test.db"));
    options.reserve = true;
    let db = Sqlite::open(options).await.unwrap();
    let mut keeper = db.keeper().unwrap();
    let room = keeper.room();
    let held = || std::fs::metadata(dir.path().join("test.db.reserve")).map_or(0, |it| it.len());
    assert!(held() > 0 && !room.is_full());
    fill_up(&db).await;
    keeper.ended().await;
    keeper.restart().await.unwrap();
    room.is_gone().await;
    assert_eq!(held(), 0, "the room is given free");
    for operation in ["create task", "claim tasks", "send message"] {
        let refused = db.write(operation, |tx| tx.event(fact("new"))).await;
        let refused = refused.unwrap_err();
        assert!(
            matches!(refused, StoreError::StorageFull { .. }),
            "{refused}"
        );
    }
    db.write("settle a task", |tx| tx.event(fact("ended")))
        .await
        .unwrap();
    let status = db.status();
    assert!(!status.writable && status.last_error.unwrap().contains("full"));
    room.is_back(Duration::from_millis(10)).await;
    assert!(held() > 0 && db.status().writable);
    db.write("create task", |tx| tx.event(fact("new")))
        .await
        .unwrap();
    assert_eq!(subjects(&db).await, ["ended", "new"]);
}

/// Waits until the log of a database is cut to nothing.
async fn log_is_cut(dir: &tempfile::TempDir) {
    let log = dir.path().join("test.db-wal");
    let cut = async {
        while std::fs::metadata(&log).unwrap().len() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(90), cut).await.unwrap();
}

async fn write_much(db: &Sqlite) {
    for _ in 0..70 {
        let mut large = fact("large");
        large.data = json!("x".repeat(20_000));
        db.write("large", move |tx| tx.event(large.clone()))
            .await
            .unwrap();
    }
}

/// Reads without an end.
fn endless(conn: &Connection) -> SqlResult<i64> {
    let endless = "WITH RECURSIVE c (x) AS
        (SELECT count(*) FROM events UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
    Ok(conn.query_row(endless, [], |row| row.get(0))?)
}

#[tokio::test]
async fn a_read_without_end_is_broken_off_and_the_log_is_cut_when_nothing_comes() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = SqliteOptions::new(dir.path().join("test.db"));
    options.read_timeout = Duration::from_millis(500);
    let db = Sqlite::open(options).await.unwrap();
    let reading = tokio::spawn({
        let db = db.clone();
        async move { db.read("endless", endless).await }
    });
    while db.status().readers_busy == 0 && !reading.is_finished() {
        tokio::task::yield_now().await;
    }
    write_much(&db).await;
    let broken = reading.await.unwrap().unwrap_err();
    assert!(broken.to_string().contains("broken off"), "{broken}");
    log_is_cut(&dir).await;
    // Half a second is not for those who only look.
    db.close().await.unwrap();
    let (db, _) = open(&dir).await;
    assert_eq!(subjects(&db).await.len(), 70);
}

#[tokio::test]
async fn a_read_that_nobody_waits_for_any_more_makes_room_for_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = SqliteOptions::new(dir.path().join("test.db"));
    (options.readers, options.read_timeout) = (1, Duration::from_secs(3600));
    let db = Sqlite::open(options).await.unwrap();
    let given_up = timeout(Duration::from_millis(50), db.read("endless", endless));
    given_up.await.unwrap_err();
    assert!(subjects(&db).await.is_empty());
}

#[tokio::test]
async fn what_is_large_is_known_without_asking_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    let (db, _) = open(&dir).await;
    write_much(&db).await;
    let rows = db.census().await.unwrap();
    assert_eq!(rows["events"], 70);
    let status = db.status();
    assert!(status.size_bytes > 0 && status.disk_free_bytes > Some(0));
}
