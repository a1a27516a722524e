//! Claims about the journal on a real store.

use serde_json::json;

use super::*;
use crate::actors::testing::start;
use crate::domain::event::NewEvent;
use crate::domain::query::EventFilter;
use crate::domain::timestamp::Timestamp;
use crate::persistence::SqliteOptions;

fn fact(n: i64) -> NewEvent {
    NewEvent {
        kind: "agent.ready",
        subject: format!("echo#{n}"),
        at: Timestamp::from_micros(n),
        data: json!({}),
    }
}

async fn store(dir: &tempfile::TempDir, journal: &JournalHandle) -> Store {
    let mut options = SqliteOptions::new(dir.path().join("journal.db"));
    options.listener.events = journal.event_sink();
    Store::open(options).await.unwrap()
}

#[actix_rt::test]
async fn recorded_facts_become_rows_and_reach_subscribers_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let journal = JournalHandle::new();
    let store = store(&dir, &journal).await;
    let mut entries = journal.subscribe();
    (0..3).for_each(|n| journal.record(fact(n)));
    let _life = start(journal.child(store.clone()).as_ref());
    for n in 0..3 {
        assert_eq!(entries.recv().await.unwrap().subject, format!("echo#{n}"));
    }
    journal.record(fact(3));
    let last = entries.recv().await.unwrap();
    let rows = store.events(EventFilter::default(), 10).await.unwrap();
    assert_eq!(rows.len(), 4);
    assert_eq!(rows.last(), Some(&*last));
}

#[actix_rt::test]
async fn facts_wait_while_the_store_refuses_and_a_flush_appends_them() {
    let dir = tempfile::tempdir().unwrap();
    let journal = JournalHandle::new();
    let closed = store(&dir, &journal).await;
    closed.close().await.unwrap();
    journal.record(fact(1));
    assert!(journal.flush(&closed).await.is_err());
    assert_eq!(journal.waiting(), 1);
    let open = store(&dir, &journal).await;
    journal.flush(&open).await.unwrap();
    assert_eq!(journal.waiting(), 0);
    assert_eq!(
        open.events(EventFilter::default(), 10).await.unwrap().len(),
        1
    );
}

#[actix_rt::test]
async fn a_panic_while_a_batch_is_on_its_way_publishes_no_fact_twice() {
    let dir = tempfile::tempdir().unwrap();
    let journal = JournalHandle::new();
    let store = store(&dir, &journal).await;
    let mut entries = journal.subscribe();
    // Somebody else writes: the batch is with the writer, and stays there.
    let other = rusqlite::Connection::open(dir.path().join("journal.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    journal.record(fact(1));
    let life = start(journal.child(store.clone()).as_ref());
    until(|| journal.shared.buffer.lock().is_on_its_way()).await;
    life.explode();
    journal.record(fact(2));
    until(|| life.mailbox_depth() == 0).await;
    // A probe is answered by the next life.
    life.probe().await.unwrap();
    other.execute_batch("COMMIT").unwrap();
    for n in 1..=2 {
        assert_eq!(entries.recv().await.unwrap().subject, format!("echo#{n}"));
    }
    until(|| journal.waiting() == 0).await;
    let rows = store.events(EventFilter::default(), 10).await.unwrap();
    assert_eq!(rows.len(), 2, "{rows:?}");
}

/// Waits, with a bound, for a condition.
async fn until(mut condition: impl FnMut() -> bool) {
    let holds = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), holds)
        .await
        .expect("in time");
}
