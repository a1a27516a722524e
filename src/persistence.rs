//! The store seam: everything that is kept, in domain words.
//!
//! A [`Store`] is a cheap handle. Writes go onto the bounded queue of one writer; what is queued
//! is committed together and each write is acknowledged after its own commit. A write that the
//! database refuses fails alone. Reads run beside the writer.
//!
//! Journal rows are inserted in the transaction of the change they report and handed to the event
//! sink after the commit.
//!
//! Invariants: an acknowledged write survives `kill -9`; nothing here knows actix.

pub mod artifacts;
pub mod backup;
mod codec;
#[cfg(test)]
mod conformance;
mod cursor;
pub(crate) mod disk;
pub mod lock;
pub mod migrate;
pub mod offline;
mod operations;
mod sqlite;

use std::path::PathBuf;

use self::sqlite::Sqlite;
pub use self::sqlite::{
    CommitListener, Condition, Room, SqliteOptions, Synchronous, WriterExit, WriterKeeper,
};
use crate::domain::event::Event;
use crate::domain::record::Session;

/// Why the store did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached now; trying again later may help.
    #[error("{operation}: database unavailable: {message}")]
    Unavailable {
        /// What was asked.
        operation: &'static str,
        /// The database's words.
        message: String,
    },
    /// No room on the disk.
    #[error("{operation}: no room left for the database: {message}")]
    StorageFull {
        /// What was asked.
        operation: &'static str,
        /// The database's words.
        message: String,
    },
    /// The writer's queue is full.
    #[error("{operation}: too many writes are waiting")]
    Overloaded {
        /// What was asked.
        operation: &'static str,
    },
    /// As many wait as may; what and how many, in words.
    #[error("{0}; try again later")]
    Full(String),
    /// What was named does not exist.
    #[error("{what} '{name}' does not exist")]
    NotFound {
        /// `task`, `workflow`, …
        what: &'static str,
        /// Its name or id.
        name: String,
    },
    /// What was asked is impossible in the present state.
    #[error("{0}")]
    Conflict(String),
    /// The same idempotency key came with another request.
    #[error("idempotency key '{0}' was used for another request")]
    IdempotencyMismatch(String),
    /// What was sent is over its cap.
    #[error("{0}")]
    TooLarge(String),
    /// The page that was asked for is none of the list.
    #[error("'{0}' is no cursor of this list; start without one")]
    Cursor(String),
    /// The request can never be stored (too large, a broken reference).
    #[error("{0}")]
    Invalid(String),
    /// The database refused the data, or holds what it should not.
    #[error("{operation}: {message}")]
    Rejected {
        /// What was asked.
        operation: &'static str,
        /// The database's words.
        message: String,
    },
}

impl StoreError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Unavailable { .. } | Self::StorageFull { .. } | Self::Overloaded { .. }
        )
    }
}

/// Shorthand of this room.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Called with the journal rows of each commit, in order, after the commit.
pub type EventSink = std::sync::Arc<dyn Fn(Vec<Event>) + Send + Sync>;

/// What the start of a session found and did.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionStart {
    /// The new session.
    pub session: Session,
    /// Sessions that ended without saying so.
    pub lost_sessions: u64,
    /// Tasks that went back to their queues.
    pub rescued: u64,
    /// Tasks that had been interrupted too often.
    pub dead: u64,
}

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process owns it.
    #[error(transparent)]
    Locked(#[from] lock::LockError),
    /// The file holds something else.
    #[error("{} is not an SQLite database; move it away, or set database.url to another file", .0.display())]
    NotADatabase(PathBuf),
    /// The file belongs to another program.
    #[error("{} is an SQLite database of another program; set database.url to another file", .0.display())]
    Foreign(PathBuf),
    /// There is no file.
    #[error("there is no database at {}; `agent-system serve` or `agent-system db migrate up` makes one", .0.display())]
    Missing(PathBuf),
    /// The schema must go up first.
    #[error("{} is at schema version {database}, this binary works with {binary}; run `agent-system db migrate up` first", path.display())]
    Behind {
        /// The database.
        path: PathBuf,
        /// Its version.
        database: u32,
        /// The version wanted.
        binary: u32,
    },
    /// The schema and this binary do not go together.
    #[error("{}: {error}", path.display())]
    Schema {
        /// The database.
        path: PathBuf,
        /// What is wrong, and the way out.
        error: migrate::MigrateError,
    },
    /// It cannot be made, read or written.
    #[error("the database {} cannot be written: {message}; make it and its directory writable for this user, or choose another --data-dir", path.display())]
    NotWritable {
        /// The database.
        path: PathBuf,
        /// The system's words.
        message: String,
    },
}

/// The handle of the store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    backend: Backend,
}

/// The databases behind the seam. A second one becomes a second variant.
#[derive(Clone, Debug)]
enum Backend {
    Sqlite(Sqlite),
}

impl Store {
    /// Opens an SQLite database: takes its lock, brings its schema up to date, starts the writer.
    ///
    /// # Errors
    /// If the file belongs to another process, is no database, is newer than this binary, or
    /// cannot be written; each names the file and the way out.
    pub async fn open(options: SqliteOptions) -> std::result::Result<Self, OpenError> {
        let backend = Backend::Sqlite(Sqlite::open(options).await?);
        Ok(Self { backend })
    }

    /// Who starts the next writer when one ends; there is one keeper a store. Until it is taken,
    /// the end of the writer is the end of writing.
    #[must_use]
    pub fn keeper(&self) -> Option<WriterKeeper> {
        self.sqlite().keeper()
    }

    const fn sqlite(&self) -> &Sqlite {
        let Backend::Sqlite(sqlite) = &self.backend;
        sqlite
    }
}
