//! Claims about the writer and the readers that no other backend shares.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;

use super::*;
use crate::domain::event::{Event, NewEvent};
use crate::domain::timestamp::Timestamp;
use crate::persistence::StoreError;
use crate::persistence::{Store, conformance};

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

async fn fresh(dir: &tempfile::TempDir) -> Store {
    Store::open(SqliteOptions::new(dir.path().join("store.db")))
        .await
        .unwrap()
}

macro_rules! conformance {
    ($($case:ident),* $(,)?) => {$(
        #[tokio::test]
        async fn $case() {
            let dir = tempfile::tempdir().unwrap();
            conformance::$case(fresh(&dir).await).await;
        }
    )*};
}

conformance!(
    an_agents_overrides_last_until_its_part_of_the_file_changes,
    generations_and_restarts_never_fall,
    an_unknown_agent_is_named,
    processes_are_known_from_their_spawn_to_their_end,
    crashes_come_newest_first_and_fifty_of_each_agent_are_kept,
    a_restart_budget_replaces_its_predecessor,
    messages_are_paged_newest_first_and_delivered_once,
    a_health_row_is_written_when_a_level_changes,
    figures_come_newest_first,
    a_recovery_run_is_replaced_by_its_end,
    events_are_found_by_position_type_family_and_subject,
    a_ping_goes_there_and_back,
    retention_spares_what_is_young,
    after_close_writes_and_reads_are_refused,
);
