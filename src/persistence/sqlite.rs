//! SQLite: one file, one writer thread, a few readers.
//!
//! Operations are functions of the modules below; they run inside [`Sqlite::write`] or
//! [`Sqlite::read`] and speak SQL, which stands nowhere else.

mod batch;
mod connection;
mod fault;
mod keeper;
pub(crate) mod migrations;
pub(crate) mod offline;
mod queue;
mod readers;
mod shared;
pub(crate) mod tasks;
mod values;
pub(crate) mod workflows;
mod write;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;
use rusqlite::Connection;

pub use self::connection::Synchronous;
pub(crate) use self::fault::{Fault, SqlResult};
pub use self::keeper::WriterKeeper;
use self::readers::Readers;
pub use self::shared::Condition;
use self::shared::Shared;
pub(crate) use self::values::{Count, Json, Sealed};
use self::write::Write;
pub(crate) use self::write::{WriteTx, all, first};
pub use self::writer::WriterExit;
use super::lock::Lock;
use super::{EventSink, OpenError, Result};

/// The settings of an SQLite store.
#[derive(Clone)]
pub struct SqliteOptions {
    /// The database's file.
    pub path: PathBuf,
    /// What a commit waits for.
    pub synchronous: Synchronous,
    /// Connections that read, at most.
    pub readers: u32,
    /// Called with the journal rows of each commit, in order, after the commit, on the writer's
    /// thread: it must not block.
    pub sink: EventSink,
}

impl SqliteOptions {
    /// The defaults, with a sink that forgets.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            synchronous: Synchronous::default(),
            readers: readers::DEFAULT_READERS,
            sink: Arc::new(drop),
        }
    }
}

/// The SQLite backend. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sqlite {
    shared: Arc<Shared>,
    readers: Readers,
    keeper: Arc<Mutex<Option<WriterKeeper>>>,
    /// Held for as long as anything can still write.
    _lock: Arc<Lock>,
}

impl std::fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sqlite")
            .field("path", &self.shared.path)
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
            sink,
        } = options;
        let (lock, version) = prepare(path.clone(), synchronous).await?;
        let shared = Arc::new(Shared::new(path.clone(), synchronous, sink));
        shared.schema_version.store(version, Relaxed);
        let readers = Readers::new(path.clone(), readers);
        let mut keeper = WriterKeeper::new(Arc::clone(&shared), readers.clone());
        keeper
            .restart()
            .await
            .map_err(|error| OpenError::NotWritable {
                path,
                message: error.to_string(),
            })?;
        Ok(Self {
            shared,
            readers,
            keeper: Arc::new(Mutex::new(Some(keeper))),
            _lock: Arc::new(lock),
        })
    }

    /// Hands out the one keeper.
    pub(crate) fn keeper(&self) -> Option<WriterKeeper> {
        let keeper = self.keeper.lock().take();
        self.shared
            .kept
            .store(self.shared.kept.load(Relaxed) || keeper.is_some(), Relaxed);
        keeper
    }

    /// Puts a write onto the writer's queue and waits for its commit.
    pub(crate) async fn write<R, F>(&self, operation: &'static str, op: F) -> Result<R>
    where
        F: Fn(&mut WriteTx<'_>) -> SqlResult<R> + Send + 'static,
        R: Send + 'static,
    {
        let (write, answer) = Write::new(operation, op);
        self.shared.queue.push(operation, Box::new(write))?;
        answer
            .await
            .unwrap_or_else(|_| Err(write::unanswered(operation)))
    }

    /// Runs a read on one of the readers; all its statements see the same snapshot.
    pub(crate) async fn read<R, F>(&self, operation: &'static str, query: F) -> Result<R>
    where
        F: FnOnce(&Connection) -> SqlResult<R> + Send + 'static,
        R: Send + 'static,
    {
        self.readers.read(operation, query).await
    }
}

/// Locks the file and migrates it, off the runtime's threads; says which version it stands at.
async fn prepare(
    path: PathBuf,
    synchronous: Synchronous,
) -> std::result::Result<(Lock, u32), OpenError> {
    let file = path.clone();
    let prepared = tokio::task::spawn_blocking(move || offline::migrate(&file, synchronous));
    prepared.await.unwrap_or_else(|_| {
        Err(OpenError::NotWritable {
            path,
            message: "opening it panicked".into(),
        })
    })
}

#[cfg(test)]
mod tests;
