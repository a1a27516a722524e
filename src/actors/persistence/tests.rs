//! Claims about a database that goes away and comes back.

use std::path::Path;

use tokio::sync::mpsc;

use super::*;
use crate::actors::testing::start;
use crate::domain::name::Name;
use crate::persistence::{SqliteOptions, Store, StoreError};

/// A store in a folder of its own below `dir`.
async fn store_in(dir: &Path) -> Store {
    let folder = dir.join("kept");
    std::fs::create_dir(&folder).unwrap();
    let options = SqliteOptions::new(folder.join("kept.db"));
    Store::open(options).await.unwrap()
}

async fn kept(dir: &Path) -> (Store, mpsc::UnboundedReceiver<NewEvent>) {
    let store = store_in(dir).await;
    let (tell, facts) = mpsc::unbounded_channel();
    let sink: FactSink = Arc::new(move |fact| drop(tell.send(fact)));
    start(child(&store, sink).unwrap().as_ref());
    (store, facts)
}

/// Moves the database and what belongs to it in one step: whoever looks for it meanwhile, on a thread of
/// its own, finds all of it or nothing.
fn move_files(from: &Path, to: &Path) {
    std::fs::rename(from.join("kept"), to.join("kept")).unwrap();
}

#[actix_rt::test]
async fn a_database_that_is_moved_away_is_lost_and_restored_when_it_is_back() {
    let (dir, aside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, mut facts) = kept(dir.path()).await;
    let budget = |owner: &str| crate::domain::record::RestartBudget {
        owner: owner.into(),
        deaths: Vec::new(),
        quarantined_until: None,
        quarantines: 0,
        on_trial: false,
        slow_loop: None,
        updated_at: clock::now(),
    };
    store.save_restart_budget(budget("before")).await.unwrap();
    move_files(dir.path(), aside.path());
    let refused = store
        .save_restart_budget(budget("while"))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, StoreError::Unavailable { .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("kept.db"), "{refused}");
    assert_eq!(facts.recv().await.unwrap().kind, "database.lost");

    move_files(aside.path(), dir.path());
    assert_eq!(facts.recv().await.unwrap().kind, "database.restored");
    assert!(store.status().writable);
    store.save_restart_budget(budget("later")).await.unwrap();
    let owners: Vec<_> = store
        .restart_budgets()
        .await
        .unwrap()
        .into_iter()
        .map(|it| it.owner)
        .collect();
    assert_eq!(owners, ["before", "later"]);
}

#[actix_rt::test]
async fn a_store_has_one_persistence_actor() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _facts) = kept(dir.path()).await;
    assert!(child(&store, Arc::new(drop)).is_none());
    assert!(store.agents().await.unwrap().is_empty());
    let ghost: Name = "ghost".parse().unwrap();
    assert!(
        store
            .set_overrides(&ghost, Default::default())
            .await
            .is_err()
    );
}

#[actix_rt::test]
async fn who_reconnects_waits_for_no_backoff() {
    let (dir, aside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, mut facts) = kept(dir.path()).await;
    store.reconnect().await.unwrap();
    move_files(dir.path(), aside.path());
    store.ping().await.unwrap_err();
    assert_eq!(facts.recv().await.unwrap().kind, "database.lost");
    move_files(aside.path(), dir.path());
    let began = Instant::now();
    store.reconnect().await.unwrap();
    assert!(began.elapsed() < MAX_BACKOFF, "{:?}", began.elapsed());
    assert_eq!(facts.recv().await.unwrap().kind, "database.restored");
    assert!(store.status().writable);
}

#[actix_rt::test]
async fn a_panic_of_the_actor_while_the_database_is_lost_is_no_other_loss_and_it_is_restored() {
    let (dir, aside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = store_in(dir.path()).await;
    let (tell, mut facts) = mpsc::unbounded_channel();
    let sink: FactSink = Arc::new(move |fact| drop(tell.send(fact)));
    let life = start(child(&store, sink).unwrap().as_ref());
    move_files(dir.path(), aside.path());
    store.ping().await.unwrap_err();
    assert_eq!(facts.recv().await.unwrap().kind, "database.lost");
    for _ in 0..3 {
        life.explode();
        // Answered by the life after that.
        life.probe().await.ok();
        assert!(!store.status().writable);
    }
    move_files(aside.path(), dir.path());
    let restored = facts.recv().await.unwrap();
    assert_eq!(restored.kind, "database.restored");
    assert!(store.status().writable);
    store.ping().await.unwrap();
    assert!(facts.try_recv().is_err(), "one loss, one return");
}
