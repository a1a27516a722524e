//! Backups: a copy of the database, taken while it is written, with the artifacts beside it.
//!
//! `FILE` is one SQLite file, as of the moment at which the backup began; `FILE.artifacts/` holds the
//! artifacts. On the same file system these are hard links (they never change, so they cost nothing),
//! else copies. A backup appears whole, under its name, after it was read through and synced; one that
//! breaks off leaves nothing. It replaces another backup if told so, and nothing else ever.
//!
//! A restore reads the backup through first, and keeps what it replaces aside.
//!
//! Not here: SQL, see `sqlite::copy`.

mod files;
mod restore;

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use self::files::{Aside, beside, room_for};
use super::artifacts::{Artifacts, Carried, carry};
use super::disk::directory_of;
use super::lock::LockError;
use super::migrate::MigrateError;
use super::sqlite::copy::{self, Unfit};
use super::sqlite::{Fault, Sqlite};
use super::{Store, StoreError};
pub use restore::RestoreReport;
pub(crate) use restore::restore;

/// The folder beside the database for backups that are given no path.
const FOLDER: &str = "backups";

/// What is wanted of a backup.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupRequest {
    /// Its file; a relative one, or none, is put into `backups/` beside the database.
    pub file: Option<PathBuf>,
    /// Whether it may replace an earlier backup.
    pub force: bool,
}

/// What was backed up.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BackupReport {
    /// The file.
    pub file: PathBuf,
    /// Its bytes.
    pub bytes: u64,
    /// The schema's version in it.
    pub schema_version: u32,
    /// The artifacts beside it; none if they were not asked for.
    pub artifacts: Option<Carried>,
    /// How long it took.
    pub duration_ms: u64,
}

/// Why there is no backup, or none was restored. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Something is there.
    #[error("{} exists; choose another name, or replace it (--force; \"force\": true)", .0.display())]
    Exists(PathBuf),
    /// Something is there that is no backup.
    #[error("{} is no backup of agent-system; a backup replaces nothing but a backup", .0.display())]
    NotReplaced(PathBuf),
    /// The database would be overwritten by its own copy.
    #[error("{} is the database itself", .0.display())]
    Itself(PathBuf),
    /// The path can hold no file.
    #[error("{} names no file in a directory that exists", .0.display())]
    BadPath(PathBuf),
    /// There is no such file.
    #[error("there is no file {}", .0.display())]
    Missing(PathBuf),
    /// It is not one of ours.
    #[error("{} is not a backup of agent-system", .0.display())]
    Foreign(PathBuf),
    /// It is not whole.
    #[error("{} is damaged: {message}; use another backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first of what is wrong.
        message: String,
    },
    /// Its schema and this binary do not go together.
    #[error("{}: {error}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// What is wrong, and the way out.
        error: MigrateError,
    },
    /// No room on the disk.
    #[error("no room left for {}: {message}", path.display())]
    NoRoom {
        /// The file.
        path: PathBuf,
        /// How much is missing, or the system's words.
        message: String,
    },
    /// One at a time.
    #[error("another backup is under way; wait for its end")]
    Busy,
    /// A daemon, or another command, owns what would be replaced.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// The system's own words.
    #[error("{}: {message}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
}

impl BackupError {
    fn io(path: &Path, error: &std::io::Error) -> Self {
        let (path, message) = (path.to_owned(), error.to_string());
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::NoRoom { path, message }
            }
            _ => Self::Io { path, message },
        }
    }

    fn fault(path: &Path, fault: &Fault) -> Self {
        let path = path.to_owned();
        match fault.as_error("backup") {
            StoreError::StorageFull { message, .. } => Self::NoRoom { path, message },
            _ if fault.is_damage() => Self::Damaged {
                path,
                message: fault.to_string(),
            },
            error => Self::Io {
                path,
                message: error.to_string(),
            },
        }
    }

    fn unfit(path: &Path, unfit: Unfit) -> Self {
        let path = path.to_owned();
        match unfit {
            Unfit::Foreign => Self::Foreign(path),
            Unfit::Damaged(message) => Self::Damaged { path, message },
            Unfit::Schema(error) => Self::Schema { path, error },
            Unfit::Unreadable(fault) => Self::fault(&path, &fault),
        }
    }
}

type Result<T> = std::result::Result<T, BackupError>;

impl Store {
    /// Backs up while everything goes on.
    ///
    /// # Errors
    /// [`BackupError`]; no file was left then.
    pub async fn backup(
        &self,
        request: BackupRequest,
        artifacts: Option<&Artifacts>,
    ) -> Result<BackupReport> {
        let database = self.sqlite().path().to_owned();
        let turn = Sqlite::backup_turn(self.sqlite()).ok_or(BackupError::Busy)?;
        let artifacts = artifacts.map(|artifacts| artifacts.root().to_owned());
        let path = database.clone();
        let taken = tokio::task::spawn_blocking(move || {
            let taken = take(&database, &request, artifacts.as_deref());
            drop(turn);
            taken
        });
        let taken = taken.await.unwrap_or_else(|_| {
            Err(BackupError::Io {
                path,
                message: "the backup panicked, or the daemon is ending".into(),
            })
        });
        // On a full disk a database that was let go of cannot be opened, for reasons in other words.
        match taken {
            Err(BackupError::Io { path, message }) if self.sqlite().without_room() => {
                Err(BackupError::NoRoom { path, message })
            }
            taken => taken,
        }
    }
}

/// Takes a backup; blocks on the disk.
pub(crate) fn take(
    database: &Path,
    request: &BackupRequest,
    artifacts: Option<&Path>,
) -> Result<BackupReport> {
    let began = Instant::now();
    if !database.exists() {
        return Err(BackupError::Missing(database.into()));
    }
    let target = target(database, request)?;
    let large = beside(&target, ".artifacts");
    refuse_to_replace(database, &target, request.force)?;
    if artifacts.is_some() && !request.force && large.exists() {
        return Err(BackupError::Exists(large));
    }
    let size = copy::bytes(database).map_err(|fault| BackupError::fault(database, &fault))?;
    room_for(&target, size)?;
    let aside = Aside::new(&target)?;
    copy::copy(database, aside.path()).map_err(|fault| BackupError::fault(&target, &fault))?;
    let schema_version =
        copy::check(aside.path()).map_err(|why| BackupError::unfit(&target, why))?;
    let carried = match artifacts {
        None => None,
        Some(root) => {
            let aside = Aside::new(&large)?;
            let carried = carry(root, aside.path());
            let carried = carried.map_err(|error| BackupError::io(&large, &error))?;
            aside.appear()?;
            Some(carried)
        }
    };
    aside.appear()?;
    let metadata = target.metadata();
    Ok(BackupReport {
        bytes: metadata.map_or(0, |metadata| metadata.len()),
        file: target,
        schema_version,
        artifacts: carried,
        duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// Where the backup goes: absolute, in a directory that exists.
fn target(database: &Path, request: &BackupRequest) -> Result<PathBuf> {
    let folder = directory_of(database).join(FOLDER);
    let target = match &request.file {
        Some(file) if file.is_absolute() => file.clone(),
        other => {
            std::fs::create_dir_all(&folder).map_err(|error| BackupError::io(&folder, &error))?;
            match other {
                Some(file) => folder.join(file),
                None => folder.join(format!("agent-system-{}.db", files::stamp())),
            }
        }
    };
    match (directory_of(&target).canonicalize(), target.file_name()) {
        (Ok(directory), Some(name)) if directory.is_dir() => Ok(directory.join(name)),
        _ => Err(BackupError::BadPath(target)),
    }
}

fn refuse_to_replace(database: &Path, target: &Path, force: bool) -> Result<()> {
    if !target.exists() {
        return Ok(());
    }
    if files::same(database, target) {
        return Err(BackupError::Itself(target.into()));
    }
    match (force, is_backup(target)) {
        (false, _) => Err(BackupError::Exists(target.into())),
        (true, false) => Err(BackupError::NotReplaced(target.into())),
        (true, true) => Ok(()),
    }
}

/// Whether a file is a database of ours that nobody works with: those that somebody does, or did, have a lock
/// or a log beside them.
fn is_backup(file: &Path) -> bool {
    let in_place = |part| beside(file, part).exists();
    !in_place(".lock") && !in_place("-wal") && copy::is_ours(file)
}

#[cfg(test)]
mod tests;
