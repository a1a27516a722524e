//! What can go wrong inside a statement, and what it means for the write, the batch, the database.
//!
//! A [`Fault`] carries no name of an operation; it gets one where it leaves this room.

use rusqlite::ErrorCode;

use crate::persistence::StoreError;
use crate::persistence::codec::CodecError;

/// Result of a statement.
pub(crate) type SqlResult<T> = Result<T, Fault>;

/// Why a statement, or the rule around it, did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The database's own error.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// A sealed column could not be read or written.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The file is not what was opened.
    #[error("{0}")]
    Lost(String),
    /// The disk failed beside a statement.
    #[error("the disk failed: {0}")]
    Disk(String),
    /// A rule of ours: what was named does not exist, the state forbids it, …
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How far a fault reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// This write alone.
    Write,
    /// The whole batch; the next one may succeed.
    Batch,
    /// The connection: it must be opened anew.
    Connection,
}

impl Fault {
    /// How far this fault reaches.
    pub(crate) fn reach(&self) -> Reach {
        if matches!(self, Self::Lost(_) | Self::Disk(_)) {
            return Reach::Connection;
        }
        match self.code() {
            None => Reach::Write,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Reach::Batch,
            Some(
                ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::OutOfMemory
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::PermissionDenied,
            ) => Reach::Connection,
            Some(_) => Reach::Write,
        }
    }

    /// The error a caller gets.
    pub(crate) fn into_error(self, operation: &'static str) -> StoreError {
        match self {
            Self::Store(error) => error,
            other => other.as_error(operation),
        }
    }

    /// The error for one of several callers who share this fault.
    pub(crate) fn as_error(&self, operation: &'static str) -> StoreError {
        if let Self::Store(error) = self {
            return error.clone();
        }
        let message = self.to_string();
        match (self.code(), self.reach()) {
            (Some(ErrorCode::DiskFull), _) => StoreError::StorageFull { operation, message },
            (_, Reach::Batch | Reach::Connection) => StoreError::Unavailable { operation, message },
            (_, Reach::Write) => StoreError::Rejected { operation, message },
        }
    }

    /// Whether the disk is full.
    pub(crate) fn is_full(&self) -> bool {
        self.code() == Some(ErrorCode::DiskFull)
    }

    /// Whether the file is damaged.
    pub(crate) fn is_damage(&self) -> bool {
        self.code() == Some(ErrorCode::DatabaseCorrupt)
    }

    /// Whether the disk did not do what it was told: what was written since is not to be trusted.
    pub(crate) fn is_io(&self) -> bool {
        matches!(self, Self::Disk(_)) || self.code() == Some(ErrorCode::SystemIoFailure)
    }

    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sql(error) => error.sqlite_error_code(),
            Self::Codec(_) | Self::Lost(_) | Self::Disk(_) | Self::Store(_) => None,
        }
    }
}
