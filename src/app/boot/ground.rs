//! The ground: the store, what an earlier life left behind, this life's session.

use std::sync::Arc;

use crate::actors::agent::{boot_id, end_leftovers, owner_of};
use crate::actors::dispatcher::{
    CommitFeed, Dispatcher, DispatcherHandle, DispatcherParts, QUEUE_CAPACITY, SESSION_LEASE,
};
use crate::actors::journal::JournalHandle;
use crate::actors::life::ChildFactory;
use crate::app::StartError;
use crate::config::Config;
use crate::domain::record::Session;
use crate::persistence::{CommitListener, EventSink, SqliteOptions, Store, Synchronous};
use crate::telemetry::metrics::record;

/// What everything else stands on.
pub(super) struct Ground {
    pub(super) store: Store,
    pub(super) journal: JournalHandle,
    pub(super) feed: Arc<CommitFeed>,
    pub(super) session: Session,
    /// Marks the processes of this data directory.
    pub(super) owner: String,
}

/// The dispatcher, not yet started.
pub(super) struct Unstarted {
    pub(super) handle: DispatcherHandle,
    pub(super) child: Arc<dyn ChildFactory>,
}

/// Opens the store, ends what is left of an earlier life, begins the session: in this order, so
/// that no task is handed out while an old process may still work on it.
pub(super) async fn lay(config: &Config) -> Result<Ground, StartError> {
    let journal = JournalHandle::new();
    let feed = Arc::new(CommitFeed::default());
    let store = open(config, &journal, &feed).await?;
    let owner = owner_of(config.data_dir());
    end_earlier(&store, &owner).await?;
    let begun = store
        .begin_session(&node(), std::process::id(), SESSION_LEASE)
        .await?;
    if begun.rescued > 0 || begun.dead > 0 {
        record::tasks_rescued("daemon_lost", begun.rescued);
        tracing::info!(
            rescued = begun.rescued,
            dead = begun.dead,
            "took back what an earlier life held"
        );
    }
    Ok(Ground {
        store,
        journal,
        feed,
        session: begun.session,
        owner,
    })
}

impl Ground {
    pub(super) fn dispatcher(&self, config: &Config) -> Unstarted {
        let (handle, child) = Dispatcher::new(DispatcherParts {
            store: self.store.clone(),
            session: self.session.id,
            feed: self.feed.clone(),
            chance: rand::random,
            queue_capacity: QUEUE_CAPACITY,
        });
        handle.set_known_agents(config.agents().values());
        handle.set_queues(config.queues());
        handle.set_schedules(config.schedules());
        Unstarted { handle, child }
    }
}

async fn open(
    config: &Config,
    journal: &JournalHandle,
    feed: &Arc<CommitFeed>,
) -> Result<Store, StartError> {
    let database = config.database();
    let (publish, feed) = (journal.event_sink(), feed.clone());
    let events: EventSink = Arc::new(move |events| {
        feed.committed(&events);
        publish(events);
    });
    let options = SqliteOptions {
        synchronous: match database.synchronous_full {
            true => Synchronous::Full,
            false => Synchronous::Normal,
        },
        readers: database.readers,
        read_timeout: database.statement_timeout,
        reserve: true,
        listener: CommitListener {
            events,
            commit: Arc::new(record::database_commit),
        },
        ..SqliteOptions::new(&database.path)
    };
    Ok(Store::open(options).await?)
}

async fn end_earlier(store: &Store, owner: &str) -> Result<(), StartError> {
    let recorded = store.spawned_processes().await?;
    let ended = end_leftovers(owner, &recorded).await;
    if ended.killed > 0 {
        tracing::warn!(killed = ended.killed, "ended processes of an earlier life");
    }
    if !ended.surviving.is_empty() {
        tracing::error!(pids = ?ended.surviving, "processes of an earlier life do not end");
    }
    for process in recorded {
        let instance = crate::domain::agent::InstanceId {
            agent: process.agent,
            index: process.index,
        };
        store.process_ended(&instance, process.generation).await?;
    }
    tracing::debug!(boot = boot_id(), "nothing is left of an earlier life");
    Ok(())
}

/// The name of this machine or container.
pub(super) fn node() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    if name.is_empty() {
        "localhost".to_owned()
    } else {
        name
    }
}
