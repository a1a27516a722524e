//! A backup becomes the database. What was the database is kept aside, and nothing is touched before
//! the backup was read through and lies on the same disk.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::files::{Aside, beside, remove, room_for, same, stamp, sync_directory};
use super::{BackupError, Result};
use crate::persistence::artifacts::{Carried, carry};
use crate::persistence::disk::directory_of;
use crate::persistence::lock::Lock;
use crate::persistence::sqlite::copy;

/// What was restored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RestoreReport {
    /// The backup.
    pub file: PathBuf,
    /// The database that it became.
    pub database: PathBuf,
    /// The schema's version in it; the next start brings it to the latest.
    pub schema_version: u32,
    /// Where the database before lies now, if there was one.
    pub kept: Option<PathBuf>,
    /// The artifacts that came with it; none if the backup has none.
    pub artifacts: Option<Carried>,
    /// Where the artifacts before lie now, if they were replaced.
    pub kept_artifacts: Option<PathBuf>,
}

/// Restores; blocks on the disk. Refused while anybody else owns the data directory or the database.
pub(crate) fn restore(database: &Path, data_dir: &Path, backup: &Path) -> Result<RestoreReport> {
    if !backup.is_file() {
        return Err(BackupError::Missing(backup.into()));
    }
    let _directory = Lock::directory(data_dir)?;
    let folder = directory_of(database);
    fs::create_dir_all(folder).map_err(|error| BackupError::io(folder, &error))?;
    let _database = Lock::database(database)?;
    if same(database, backup) {
        return Err(BackupError::Itself(backup.into()));
    }
    copy::check(backup).map_err(|why| BackupError::unfit(backup, why))?;
    let size = copy::bytes(backup).map_err(|fault| BackupError::fault(backup, &fault))?;
    room_for(database, size)?;
    let staged = Aside::new(database)?;
    copy::copy(backup, staged.path()).map_err(|fault| BackupError::fault(database, &fault))?;
    let schema_version =
        copy::check(staged.path()).map_err(|why| BackupError::unfit(backup, why))?;
    let large = stage_artifacts(data_dir, backup)?;
    let stamp = stamp();
    let kept = keep(database, &stamp)?;
    let (artifacts, kept_artifacts) = match large {
        None => (None, None),
        Some((staged, carried)) => (Some(carried), swap(staged, data_dir, &stamp)?),
    };
    staged.appear()?;
    Ok(RestoreReport {
        file: backup.into(),
        database: database.into(),
        schema_version,
        kept,
        artifacts,
        kept_artifacts,
    })
}

/// Brings the backup's artifacts beside those of the data directory.
fn stage_artifacts(data_dir: &Path, backup: &Path) -> Result<Option<(Aside, Carried)>> {
    let source = beside(backup, ".artifacts");
    if !source.is_dir() {
        return Ok(None);
    }
    let staged = Aside::new(&data_dir.join("artifacts"))?;
    let carried = carry(&source, staged.path());
    let carried = carried.map_err(|error| BackupError::io(staged.path(), &error))?;
    Ok(Some((staged, carried)))
}

/// Puts the staged artifacts into their place; says where the earlier ones are.
fn swap(staged: Aside, data_dir: &Path, stamp: &str) -> Result<Option<PathBuf>> {
    let place = data_dir.join("artifacts");
    let kept = beside(&place, &format!(".before-restore-{stamp}"));
    let moved = place.exists();
    if moved {
        fs::rename(&place, &kept).map_err(|error| BackupError::io(&place, &error))?;
    }
    staged.appear()?;
    Ok(moved.then_some(kept))
}

/// Gives the present database a second name, and takes its log away: the log of one database must
/// never be found beside another.
fn keep(database: &Path, stamp: &str) -> Result<Option<PathBuf>> {
    let more = format!(".before-restore-{stamp}");
    let kept = database.exists().then(|| beside(database, &more));
    if let Some(kept) = &kept {
        copy::write_back(database);
        second_name(database, kept)?;
    }
    for part in ["-wal", "-shm", "-journal"] {
        let file = beside(database, part);
        if let Some(kept) = kept.as_ref().filter(|_| part != "-shm" && file.exists()) {
            second_name(&file, &beside(kept, part))?;
        }
        remove(&file).map_err(|error| BackupError::io(&file, &error))?;
    }
    sync_directory(database)?;
    Ok(kept)
}

/// A second name for a file, or a copy where files have one name only.
fn second_name(file: &Path, name: &Path) -> Result<()> {
    fs::hard_link(file, name)
        .or_else(|_| fs::copy(file, name).map(|_| ()))
        .map_err(|error| BackupError::io(name, &error))
}
