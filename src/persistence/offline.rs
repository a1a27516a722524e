//! What is done to a database without a store on it: behind `agent-system db`.
//!
//! Looking works beside a running daemon; changing takes the file's lock and is refused with the
//! daemon's pid while it runs. Calls block on the disk: run them off the runtime's threads, or in
//! a program that has nothing else to do.

use std::path::Path;

use serde::Serialize;

use super::artifacts::{Artifacts, SweepError, Swept};
use super::backup::{BackupError, BackupReport, BackupRequest, RestoreReport};
use super::migrate::{HistoryEntry, MigrationStatus, latest};
use super::sqlite::{SqliteOptions, offline};
use super::{OpenError, Store};
use crate::domain::query::Pruned;

/// What `db status` shows, and `GET /api/v1/database`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatabaseReport {
    /// `sqlite`.
    pub backend: String,
    /// The file.
    pub location: String,
    /// The schema's version.
    pub schema_version: u32,
    /// The latest version that this binary knows.
    pub latest_version: u32,
    /// Whether this binary can work on it as it is.
    pub current: bool,
    /// Bytes of the database file.
    pub size_bytes: u64,
    /// Bytes of the write-ahead log.
    pub wal_bytes: u64,
    /// Bytes of the file that wait to be used again.
    pub free_bytes: u64,
    /// Bytes that are free on its disk, where that says so.
    pub disk_free_bytes: Option<u64>,
    /// Rows of each table.
    pub rows: std::collections::BTreeMap<String, u64>,
}

/// What a migration did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MigrationReport {
    /// The version before.
    pub from: u32,
    /// The version after.
    pub to: u32,
    /// The migrations carried out, in order.
    pub steps: Vec<String>,
}

/// Looks at a database.
///
/// # Errors
/// If there is none, or it cannot be read.
pub fn status(path: &Path) -> Result<DatabaseReport, OpenError> {
    Ok(DatabaseReport::of(path, offline::look(path)?))
}

impl DatabaseReport {
    /// What stands in the database, and how large its files are now.
    pub(super) fn of(path: &Path, looked: offline::Look) -> Self {
        let sizes = offline::sizes(path);
        Self {
            backend: "sqlite".into(),
            location: path.display().to_string(),
            schema_version: looked.version,
            latest_version: latest(),
            current: looked.version == latest(),
            size_bytes: sizes.0,
            wal_bytes: sizes.1,
            free_bytes: looked.free_bytes,
            disk_free_bytes: super::disk::free_bytes(super::disk::directory_of(path)),
            rows: looked.rows,
        }
    }
}

/// What a quick look at every page finds damaged, the first few; nothing if the file is whole. Blocks.
///
/// # Errors
/// If there is no database, or it cannot be read.
pub fn faults(path: &Path) -> Result<Vec<String>, OpenError> {
    offline::faults(path)
}

/// Which migrations there are, and which of them the database has. One that does not exist yet has
/// none of them.
///
/// # Errors
/// If it cannot be read.
pub fn migration_status(path: &Path) -> Result<Vec<MigrationStatus>, OpenError> {
    offline::migration_status(path)
}

/// Every migration that was carried out, oldest first.
///
/// # Errors
/// If there is no database, or it cannot be read.
pub fn history(path: &Path) -> Result<Vec<HistoryEntry>, OpenError> {
    offline::history(path)
}

/// Goes up to a version, or to the latest; makes the database if there is none.
///
/// # Errors
/// If the daemon runs, the history does not go with this binary, or a script fails: then the
/// database stands at the last version that went through.
pub fn migrate_up(path: &Path, to: Option<u32>) -> Result<MigrationReport, OpenError> {
    offline::migrate_up(path, to)
}

/// Goes down to a version, by the scripts that came with the migrations.
///
/// # Errors
/// As [`migrate_up`].
pub fn migrate_down(path: &Path, to: u32) -> Result<MigrationReport, OpenError> {
    offline::migrate_down(path, to)
}

/// What `db prune` removed, or would remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PruneReport {
    /// Whether nothing was removed.
    pub dry_run: bool,
    /// Rows, by table.
    pub rows: Pruned,
    /// Files.
    pub artifacts: Swept,
}

/// Backs a database up that no daemon owns, or beside one, with its artifacts if they are to come along.
/// Blocks.
///
/// # Errors
/// [`BackupError`]; no file was left then.
pub fn backup(
    path: &Path,
    data_dir: Option<&Path>,
    request: &BackupRequest,
) -> Result<BackupReport, BackupError> {
    let artifacts = data_dir.map(|data_dir| data_dir.join("artifacts"));
    super::backup::take(path, request, artifacts.as_deref())
}

/// Makes a backup the database; what was the database is kept aside. Blocks.
///
/// # Errors
/// If the daemon runs, or the backup is none, damaged, or newer than this binary; nothing was
/// changed then.
pub fn restore(path: &Path, data_dir: &Path, backup: &Path) -> Result<RestoreReport, BackupError> {
    super::backup::restore(path, data_dir, backup)
}

impl PruneReport {
    /// Removes what retention says; `dry_run` only tells what would go.
    ///
    /// # Errors
    /// [`SweepError`]; what was removed is gone.
    pub async fn of(store: &Store, files: &Artifacts, dry_run: bool) -> Result<Self, SweepError> {
        let (rows, artifacts) = if dry_run {
            (store.would_prune().await?, files.would_sweep(store).await?)
        } else {
            (store.prune().await?, files.sweep(store).await?)
        };
        Ok(Self {
            dry_run,
            rows,
            artifacts,
        })
    }
}

/// Removes what retention says; `dry_run` only tells what would go.
///
/// # Errors
/// If the daemon runs, the schema is not the latest, or the database cannot be written.
pub async fn prune(path: &Path, data_dir: &Path, dry_run: bool) -> Result<PruneReport, OpenError> {
    let database = offline::look(path)?.version;
    if database < latest() {
        return Err(OpenError::Behind {
            path: path.into(),
            database,
            binary: latest(),
        });
    }
    let failed = |error: &dyn std::fmt::Display| OpenError::NotWritable {
        path: path.into(),
        message: error.to_string(),
    };
    let files = Artifacts::open(data_dir).map_err(|error| failed(&error))?;
    let store = Store::open(SqliteOptions::new(path)).await?;
    let pruned = PruneReport::of(&store, &files, dry_run).await;
    store.close().await.map_err(|error| failed(&error))?;
    pruned.map_err(|error| failed(&error))
}
