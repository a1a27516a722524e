//! SQLite: one file, one writer thread, a few readers.
//!
//! Operations are functions of the modules below; they run inside [`Sqlite::write`] or
//! [`Sqlite::read`] and speak SQL, which stands nowhere else.

pub(crate) mod agents;
mod batch;
mod checkpoint;
mod connection;
pub(crate) mod copy;
pub(crate) mod crashes;
mod damage;
pub(crate) mod events;
mod fault;
pub(crate) mod health;
mod keeper;
mod kept_open;
pub(crate) mod messages;
pub(crate) mod metrics;
pub(crate) mod migrations;
pub(crate) mod offline;
mod pace;
pub(crate) mod processes;
pub(crate) mod prune;
mod queue;
mod readers;
pub(crate) mod recovery;
mod report;
mod reserve;
pub(crate) mod schedules;
pub(crate) mod sessions;
mod shared;
mod sizes;
pub(crate) mod spend;
pub(crate) mod tasks;
mod values;
pub(crate) mod workflows;
mod write;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

pub use self::connection::Synchronous;
pub(crate) use self::fault::{Fault, SqlResult};
pub use self::keeper::{Room, WriterKeeper};
use self::readers::Readers;
use self::reserve::Reserve;
pub use self::shared::Condition;
use self::shared::Shared;
use self::tasks::census::Ended;
use self::tasks::limits::Rules;
pub(crate) use self::values::{Count, Json, Sealed};
use self::write::Write;
pub(crate) use self::write::{WriteTx, all, first};
pub use self::writer::WriterExit;
use super::lock::Lock;
use super::offline::MigrationReport;
use super::{EventSink, OpenError, Result, StoreError};
use crate::domain::event::NewEvent;
use crate::domain::queue::QueueSpec;

/// The settings of an SQLite store.
#[derive(Clone)]
pub struct SqliteOptions {
    /// The database's file.
    pub path: PathBuf,
    /// What a commit waits for.
    pub synchronous: Synchronous,
    /// Connections that read, at most.
    pub readers: u32,
    /// How long one read may take.
    pub read_timeout: Duration,
    /// Whether room is kept back on the disk for what runs when it is full.
    pub reserve: bool,
    /// Hears of each commit.
    pub listener: CommitListener,
}

impl SqliteOptions {
    /// The defaults, with nobody who listens.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            synchronous: Synchronous::default(),
            readers: readers::DEFAULT_READERS,
            read_timeout: readers::DEFAULT_TIMEOUT,
            reserve: false,
            listener: CommitListener::default(),
        }
    }
}

/// Who hears of each commit, after it, on the writer's thread: neither call may block.
#[derive(Clone)]
pub struct CommitListener {
    /// Called with the journal rows, in order, if there are any.
    pub events: EventSink,
    /// Called with the time a commit took, its writes included, and their number.
    pub commit: Arc<dyn Fn(Duration, usize) + Send + Sync>,
}

impl Default for CommitListener {
    fn default() -> Self {
        Self {
            events: Arc::new(drop),
            commit: Arc::new(|_, _| ()),
        }
    }
}

/// The SQLite backend. Cheap to clone; the last clone to go lets the writer end.
#[derive(Clone)]
pub(crate) struct Sqlite {
    owner: Arc<Owner>,
}

struct Owner {
    shared: Arc<Shared>,
    readers: Readers,
    keeper: Mutex<Option<WriterKeeper>>,
    rules: Arc<Rules>,
    ended: Arc<Ended>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

impl std::fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sqlite")
            .field("path", &self.owner.shared.path)
            .finish_non_exhaustive()
    }
}

impl Sqlite {
    /// Opens the file, brings its schema up to date and starts the writer.
    pub(crate) async fn open(options: SqliteOptions) -> std::result::Result<Self, OpenError> {
        let SqliteOptions {
            path,
            synchronous,
            readers,
            read_timeout,
            reserve,
            listener,
        } = options;
        let reserve = Reserve::new(&path, reserve);
        reserve.before_opening();
        let (lock, migrated) = prepare(path.clone(), synchronous).await?;
        let shared = Arc::new(Shared::new(
            path.clone(),
            synchronous,
            listener,
            lock,
            migrated.to,
            reserve,
        ));
        let readers = Readers::new(path.clone(), readers, read_timeout);
        let mut keeper = WriterKeeper::new(Arc::clone(&shared), readers.clone());
        keeper
            .restart()
            .await
            .map_err(|error| OpenError::NotWritable {
                path,
                message: error.to_string(),
            })?;
        let owner = Owner {
            shared,
            readers,
            keeper: Mutex::new(Some(keeper)),
            rules: Arc::default(),
            ended: Arc::default(),
        };
        let opened = Self {
            owner: Arc::new(owner),
        };
        opened.tell_of(migrated).await?;
        Ok(opened)
    }

    /// Puts an upgrade into the journal; a database that was just made has no news.
    async fn tell_of(&self, migrated: MigrationReport) -> std::result::Result<(), OpenError> {
        if migrated.from == 0 || migrated.from == migrated.to {
            return Ok(());
        }
        let told = self.write("record migration", move |tx| {
            let at = tx.now();
            tx.event(NewEvent {
                kind: "database.migrated",
                subject: "database".to_owned(),
                at,
                data: json!({ "from": migrated.from, "to": migrated.to }),
            })
        });
        told.await.map_err(|error| OpenError::NotWritable {
            path: self.owner.shared.path.clone(),
            message: error.to_string(),
        })
    }

    /// What limits queues.
    pub(crate) fn set_queues<'a>(&self, specs: impl Iterator<Item = &'a QueueSpec>) {
        self.owner.rules.set(specs);
    }

    fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.owner.rules)
    }

    /// What was counted last of the tasks that have ended.
    fn ended(&self) -> Arc<Ended> {
        Arc::clone(&self.owner.ended)
    }

    /// Hands out the one keeper.
    pub(crate) fn keeper(&self) -> Option<WriterKeeper> {
        let keeper = self.owner.keeper.lock().take();
        if keeper.is_some() {
            self.owner.shared.kept.store(true, Relaxed);
        }
        keeper
    }

    /// Puts a write onto the writer's queue and waits for its commit.
    pub(crate) async fn write<R, F>(&self, operation: &'static str, op: F) -> Result<R>
    where
        F: Fn(&mut WriteTx<'_>) -> SqlResult<R> + Send + 'static,
        R: Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        // A caller who has gone away does not want the answer.
        self.write_then(operation, op, |reply| drop(caller.send(reply)));
        answer.await.unwrap_or(Err(StoreError::Unavailable {
            operation,
            message: "nobody answered".to_owned(),
        }))
    }

    /// Puts a write onto the writer's queue. `then` is called once, whatever becomes of it: after
    /// the commit on the writer's thread, or at once if it is not taken; it must not block.
    pub(crate) fn write_then<R, F, T>(&self, operation: &'static str, op: F, then: T)
    where
        F: Fn(&mut WriteTx<'_>) -> SqlResult<R> + Send + 'static,
        R: Send + 'static,
        T: FnOnce(Result<R>) + Send + 'static,
    {
        if reserve::adds(operation)
            && let Some(full) = self.full(operation)
        {
            return then(Err(full));
        }
        let write = Write::new(operation, op, then);
        self.owner.shared.queue.push(operation, Box::new(write));
    }

    /// Why what adds work is refused, while the disk is full.
    pub(crate) fn full(&self, operation: &'static str) -> Option<StoreError> {
        let full = self.owner.shared.reserve.is_full();
        full.then(|| StoreError::StorageFull {
            operation,
            message: reserve::FULL.to_owned(),
        })
    }

    /// Whether the disk is full, or was when the database was let go of, which nobody has opened since.
    pub(crate) fn without_room(&self) -> bool {
        self.owner.shared.without_room()
    }

    /// Runs a read on one of the readers; all its statements see the same snapshot.
    pub(crate) async fn read<R, F>(&self, operation: &'static str, query: F) -> Result<R>
    where
        F: FnOnce(&Connection) -> SqlResult<R> + Send + 'static,
        R: Send + 'static,
    {
        self.owner.readers.read(operation, query).await
    }
}

impl Sqlite {
    /// Commits since it was opened.
    pub(crate) fn commits(&self) -> u64 {
        self.owner.shared.commits()
    }

    /// One tiny write and one tiny read, there and back.
    pub(crate) async fn ping(&self) -> Result<Duration> {
        let began = Instant::now();
        self.write("ping", |tx| Ok(connection::touch(tx.conn())?))
            .await?;
        let read = "SELECT count(*) FROM sqlite_master";
        self.read("ping", move |conn| first(conn, read, [], |_| Ok(())))
            .await?;
        Ok(began.elapsed())
    }

    /// Has the writer's connection, and free readers, closed and opened anew, and pings. What waits
    /// to be written is not refused: the next writer takes it.
    pub(crate) async fn reconnect(&self, within: Duration) -> Result<Duration> {
        let shared = &self.owner.shared;
        let unavailable = |message: String| StoreError::Unavailable {
            operation: "reconnect",
            message,
        };
        if !shared.kept.load(Relaxed) {
            return Err(unavailable("nobody keeps its writer alive".into()));
        }
        let mut openings = shared.ask_for_another_writer();
        match timeout(within, openings.changed()).await {
            Ok(Ok(())) => self.ping().await,
            Ok(Err(_)) => Err(unavailable("the store is closed".into())),
            Err(_) => Err(unavailable(match shared.condition() {
                Condition::Lost { message } => message,
                Condition::Closed => "the store is closed".into(),
                Condition::Open => format!("the writer did not end its batch in {within:?}"),
            })),
        }
    }

    /// Commits what is queued, refuses what comes later, and waits for the writer's end.
    pub(crate) async fn close(&self) -> Result<()> {
        let Owner {
            shared, readers, ..
        } = &*self.owner;
        let mut condition = shared.watch();
        shared.queue.close();
        readers.close();
        // A writer that is gone already leaves nobody to wait for.
        let ended = condition
            .wait_for(|condition| *condition != Condition::Open)
            .await;
        match ended.map(|condition| condition.clone()) {
            Ok(Condition::Lost { message }) => {
                shared.release();
                Err(StoreError::Unavailable {
                    operation: "close",
                    message,
                })
            }
            Ok(Condition::Open | Condition::Closed) | Err(_) => Ok(()),
        }
    }
}

/// Locks the file and migrates it, off the runtime's threads; says what was done.
async fn prepare(
    path: PathBuf,
    synchronous: Synchronous,
) -> std::result::Result<(Lock, MigrationReport), OpenError> {
    let file = path.clone();
    let prepared = tokio::task::spawn_blocking(move || offline::prepare(&file, synchronous));
    prepared.await.unwrap_or_else(|_| {
        Err(OpenError::NotWritable {
            path,
            message: "opening it panicked".into(),
        })
    })
}

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod plans;
#[cfg(test)]
mod tests;
