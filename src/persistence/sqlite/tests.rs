//! Claims about the writer and the readers that no other backend shares.

mod damage;
mod log;
mod room;

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;

use super::*;
use crate::domain::event::{Event, NewEvent};
use crate::domain::timestamp::Timestamp;
use crate::persistence::Store;
use crate::persistence::StoreError;
use crate::persistence::conformance::{self, every_case};

fn fact(subject: &str) -> NewEvent {
    NewEvent {
        kind: "agent.ready",
        subject: subject.into(),
        at: Timestamp::from_micros(1),
        data: json!({}),
    }
}

async fn open(dir: &tempfile::TempDir) -> (Sqlite, Arc<Mutex<Vec<Event>>>) {
    let published = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&published);
    let mut options = SqliteOptions::new(dir.path().join("test.db"));
    options.listener.events = Arc::new(move |events| sink.lock().extend(events));
    (Sqlite::open(options).await.unwrap(), published)
}

async fn subjects(db: &Sqlite) -> Vec<String> {
    db.read("read", |conn| {
        all(conn, "SELECT subject FROM events ORDER BY seq", [], |row| {
            row.get(0)
        })
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_write_is_read_back_and_its_facts_are_published_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (db, published) = open(&dir).await;
    db.write("write", |tx| {
        tx.event(fact("a"))?;
        tx.event(fact("b"))
    })
    .await
    .unwrap();
    assert_eq!(subjects(&db).await, ["a", "b"]);
    let seqs: Vec<i64> = published.lock().iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [1, 2]);
}

#[tokio::test]
async fn a_refused_write_fails_alone_even_after_it_changed_something() {
    let dir = tempfile::tempdir().unwrap();
    let (db, published) = open(&dir).await;
    let good = |n: u32| db.write("good", move |tx| tx.event(fact(&format!("good {n}"))));
    let bad = db.write("bad", |tx| {
        tx.event(fact("bad"))?;
        Err::<(), _>(StoreError::Conflict("no".into()).into())
    });
    let panicking = db.write("panics", |tx| {
        tx.event(fact("panics"))?;
        #[allow(clippy::panic, reason = "the claim is about panics")]
        {
            panic!("on purpose") as SqlResult<()>
        }
    });
    let (first, bad, second, panicked, third) =
        tokio::join!(good(1), bad, good(2), panicking, good(3));
    first.unwrap();
    second.unwrap();
    third.unwrap();
    assert!(matches!(bad, Err(StoreError::Conflict(_))), "{bad:?}");
    assert!(
        matches!(panicked, Err(StoreError::Rejected { .. })),
        "{panicked:?}"
    );
    let mut stored = subjects(&db).await;
    stored.sort();
    assert_eq!(stored, ["good 1", "good 2", "good 3"]);
    assert_eq!(published.lock().len(), 3);
}

/// Takes the writer down with it when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

#[tokio::test]
async fn the_queue_outlives_a_writer_that_panics() {
    let dir = tempfile::tempdir().unwrap();
    let (db, _) = open(&dir).await;
    let mut keeper = db.keeper().unwrap();
    let bomb = Bomb;
    let bombed = db.write("bomb", move |_| {
        let _held = &bomb;
        Ok(())
    });
    bombed.await.unwrap();
    assert_eq!(keeper.ended().await, WriterExit::Panicked);
    let parked = tokio::spawn({
        let db = db.clone();
        async move { db.write("parked", |tx| tx.event(fact("parked"))).await }
    });
    while db.status().writes_queued == 0 {
        tokio::task::yield_now().await;
    }
    keeper.restart().await.unwrap();
    parked.await.unwrap().unwrap();
    assert_eq!(subjects(&db).await, ["parked"]);
}

#[tokio::test]
async fn a_full_disk_is_told_apart_and_writing_goes_on_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let (db, _) = open(&dir).await;
    let mut keeper = db.keeper().unwrap();
    db.write("limit", |tx| {
        let pages: i64 = tx
            .conn()
            .pragma_query_value(None, "page_count", |row| row.get(0))?;
        Ok(tx.conn().pragma_update(None, "max_page_count", pages + 2)?)
    })
    .await
    .unwrap();
    let large = NewEvent {
        data: json!("x".repeat(100_000)),
        ..fact("large")
    };
    let event = large.clone();
    let full = db
        .write("large", move |tx| tx.event(event.clone()))
        .await
        .unwrap_err();
    assert!(matches!(full, StoreError::StorageFull { .. }), "{full}");
    let WriterExit::Lost { message } = keeper.ended().await else {
        panic!("it ends as lost")
    };
    assert!(message.contains("full"), "{message}");
    keeper.refuse();
    let refused = db
        .write("small", |tx| tx.event(fact("small")))
        .await
        .unwrap_err();
    assert!(refused.is_temporary(), "{refused}");
    assert!(!db.status().writable);
    keeper.restart().await.unwrap();
    db.write("large", move |tx| tx.event(large.clone()))
        .await
        .unwrap();
    assert_eq!(subjects(&db).await, ["large"]);
    assert!(db.status().writable);
}

/// Keeps the writer as the actor does, until it is lost.
fn kept(db: &Sqlite) -> tokio::task::JoinHandle<WriterExit> {
    let mut keeper = db.keeper().unwrap();
    tokio::spawn(async move {
        loop {
            match keeper.ended().await {
                WriterExit::Relieved => keeper.restart().await.unwrap(),
                end => return end,
            }
        }
    })
}

async fn temporary_tables(db: &Sqlite) -> i64 {
    db.write("count", |tx| {
        let count = "SELECT count(*) FROM sqlite_temp_master";
        Ok(tx.conn().query_row(count, [], |row| row.get(0))?)
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn to_reconnect_is_to_write_through_another_connection_and_loses_no_write() {
    let dir = tempfile::tempdir().unwrap();
    let (db, _) = open(&dir).await;
    let keeping = kept(&db);
    db.write("mark", |tx| {
        Ok(tx.conn().execute_batch("CREATE TEMP TABLE mark (x)")?)
    })
    .await
    .unwrap();
    assert_eq!(temporary_tables(&db).await, 1);
    let writes = (0..200).map(|n| db.write("write", move |tx| tx.event(fact(&n.to_string()))));
    let writes = futures_util::future::try_join_all(writes);
    let (written, reconnected) = tokio::join!(writes, db.reconnect(Duration::from_secs(15)));
    written.unwrap();
    reconnected.unwrap();
    assert_eq!(temporary_tables(&db).await, 0, "the old connection is gone");
    assert_eq!(subjects(&db).await.len(), 200);
    assert!(db.status().writable);
    db.close().await.unwrap();
    assert_eq!(keeping.await.unwrap(), WriterExit::Closed);
}

#[tokio::test]
async fn a_reconnect_that_cannot_be_had_says_why_in_time() {
    let dir = tempfile::tempdir().unwrap();
    let (db, _) = open(&dir).await;
    let soon = Duration::from_millis(50);
    let refused = db.reconnect(soon).await.unwrap_err().to_string();
    assert!(refused.contains("nobody keeps"), "{refused}");
    let _keeper_who_sleeps = db.keeper().unwrap();
    let refused = db.reconnect(soon).await.unwrap_err();
    assert!(refused.is_temporary(), "{refused}");
    assert!(refused.to_string().contains("reconnect"), "{refused}");
}

#[tokio::test]
async fn without_a_keeper_the_end_of_the_writer_is_told_to_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let (db, _) = open(&dir).await;
    std::fs::rename(dir.path().join("test.db"), dir.path().join("aside.db")).unwrap();
    for _ in 0..2 {
        let refused = db
            .write("write", |tx| tx.event(fact("a")))
            .await
            .unwrap_err();
        assert!(
            matches!(refused, StoreError::Unavailable { .. }),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_when_the_store_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let (db, _) = open(&dir).await;
    let writes = (0..50).map(|n| db.write("write", move |tx| tx.event(fact(&n.to_string()))));
    futures_util::future::try_join_all(writes).await.unwrap();
    db.close().await.unwrap();
    let (db, _) = open(&dir).await;
    assert_eq!(subjects(&db).await.len(), 50);
}

#[tokio::test]
async fn what_a_row_may_hold_is_checked_without_building_a_table_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let (db, _) = open(&dir).await;
    for write in [
        "UPDATE tasks SET state = 'running' WHERE key = 1",
        "UPDATE task_attempts SET outcome = 'failed' WHERE task_key = 1 AND attempt = 1",
        "UPDATE messages SET state = 'delivered' WHERE key = 1",
    ] {
        let steps = db.read("explain", move |conn| {
            all(conn, &format!("EXPLAIN {write}"), [], |row| {
                row.get::<_, String>(1)
            })
        });
        let steps = steps.await.unwrap();
        assert!(!steps.contains(&"OpenEphemeral".to_owned()), "{write}");
    }
}

#[tokio::test]
async fn a_write_that_is_not_taken_is_answered_at_once_and_one_that_is_after_its_commit() {
    let dir = tempfile::tempdir().unwrap();
    let (db, published) = open(&dir).await;
    let (told, mut answers) = tokio::sync::mpsc::unbounded_channel();
    let write = || {
        let (told, published) = (told.clone(), Arc::clone(&published));
        let then = move |reply: Result<()>| {
            told.send((reply.is_ok(), published.lock().len())).unwrap();
        };
        db.write_then("write", |tx| tx.event(fact("a")), then);
    };
    write();
    assert_eq!(answers.recv().await, Some((true, 1)));
    db.close().await.unwrap();
    write();
    assert_eq!(answers.try_recv(), Ok((false, 1)));
}

#[tokio::test]
async fn what_comes_while_a_batch_is_carried_out_joins_its_commit() {
    let dir = tempfile::tempdir().unwrap();
    let (db, _) = open(&dir).await;
    let (told, mut answers) = tokio::sync::mpsc::unbounded_channel();
    let (before, again) = (db.commits(), db.clone());
    let first = db.write("first", move |tx| {
        let told = told.clone();
        let then = move |reply: Result<()>| told.send(reply.is_ok()).unwrap();
        again.write_then("second", |tx| tx.event(fact("b")), then);
        tx.event(fact("a"))
    });
    first.await.unwrap();
    assert_eq!(answers.recv().await, Some(true));
    assert_eq!(subjects(&db).await, ["a", "b"]);
    assert_eq!(db.commits() - before, 1);
}

async fn fresh(dir: &tempfile::TempDir) -> Store {
    Store::open(SqliteOptions::new(dir.path().join("store.db")))
        .await
        .unwrap()
}

macro_rules! conformance {
    (; $($case:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $case() {
            let dir = tempfile::tempdir().unwrap();
            conformance::$case(fresh(&dir).await).await;
        }
    )*};
}

every_case!(conformance);
