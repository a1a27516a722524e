//! Files that appear whole or not at all, and what is asked of a disk before.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{BackupError, Result};
use crate::clock;
use crate::persistence::disk::{directory_of, free_bytes};

/// What must be left on the disk beside a copy, bytes.
const MARGIN: u64 = 1024 * 1024;

/// A file or a directory that is being made; dropped before [`Aside::appear`], it leaves nothing.
#[derive(Debug)]
pub(super) struct Aside {
    path: PathBuf,
    target: PathBuf,
    appeared: bool,
}

impl Aside {
    /// Makes room for it, where an earlier one that broke off with its process may still lie.
    pub(super) fn new(target: &Path) -> Result<Self> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.unfinished"));
        // A journal that was left would be played back into the new file.
        for left in [&path, &beside(&path, "-journal")] {
            remove(left).map_err(|error| BackupError::io(left, &error))?;
        }
        Ok(Self {
            path,
            target: target.into(),
            appeared: false,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name, and brings that to the disk. What had the name is gone.
    pub(super) fn appear(mut self) -> Result<()> {
        let failed = |error: &io::Error| BackupError::io(&self.target, error);
        if self.path.is_dir() && self.target.exists() {
            let old = beside(&self.target, ".old");
            remove(&old)
                .and_then(|()| fs::rename(&self.target, &old))
                .map_err(|error| failed(&error))?;
            fs::rename(&self.path, &self.target).map_err(|error| failed(&error))?;
            remove(&old).map_err(|error| failed(&error))?;
        } else {
            fs::rename(&self.path, &self.target).map_err(|error| failed(&error))?;
        }
        sync_directory(&self.target)?;
        self.appeared = true;
        Ok(())
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.appeared
            && let Err(error) = remove(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "not removed");
        }
    }
}

/// Removes a file or a directory, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The path with more behind its name.
pub(super) fn beside(path: &Path, more: &str) -> PathBuf {
    let mut text = path.as_os_str().to_owned();
    text.push(more);
    text.into()
}

/// Brings the names in a file's directory to the disk.
pub(super) fn sync_directory(file: &Path) -> Result<()> {
    let directory = directory_of(file);
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| BackupError::io(directory, &error))
}

/// Whether two paths lead to one file.
pub(super) fn same(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| fs::metadata(path).map(|it| (it.dev(), it.ino())).ok();
    id(one).is_some() && id(one) == id(other)
}

/// Refuses what certainly does not fit on the disk.
pub(super) fn room_for(target: &Path, bytes: u64) -> Result<()> {
    let needed = bytes.saturating_add(MARGIN);
    match free_bytes(directory_of(target)) {
        Some(free) if free < needed => Err(BackupError::NoRoom {
            path: target.into(),
            message: format!("it needs {needed} bytes, {free} are free"),
        }),
        _ => Ok(()),
    }
}

/// This instant as a part of a file's name.
pub(super) fn stamp() -> String {
    let text = clock::now().to_string();
    text.chars().filter(|c| c.is_ascii_alphanumeric()).collect()
}
