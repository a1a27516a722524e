//! Room kept back on the disk, so that what runs can still be settled when the disk is full.
//!
//! A file of [`BYTES`] (or a twentieth of a small disk) lies beside the database. When the disk is
//! found full, its room is given free: writes that only add work are refused from then on, the rest goes
//! on. When there is room for it again, it is taken again, and everything goes on.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::persistence::disk;

/// What is kept back, bytes.
pub(crate) const BYTES: u64 = 8 * 1024 * 1024;
/// No more than this part of the disk.
const PART_OF_DISK: u64 = 20;
/// Less than this is of no use.
const LEAST: u64 = 256 * 1024;
/// With less than this free a start gives the room free at once: the database could not even be
/// opened.
const TOO_LITTLE: u64 = 1024 * 1024;

/// Writes that are refused while the disk is full: they add work, or figures that nobody waits for.
const ADDING: &[&str] = &[
    "create task",
    "create a workflow",
    "claim tasks",
    "send message",
    "log message",
    "retry a task",
    "retry a workflow",
    "fire schedules",
    "trigger a schedule",
    "keep progress",
    "log agent metrics",
    "log system metrics",
];

/// Whether an operation adds what a full disk has no room for.
pub(super) fn adds(operation: &str) -> bool {
    ADDING.contains(&operation)
}

/// The words for what is refused meanwhile.
pub(super) const FULL: &str = "the disk is full: new work is refused until there is room; what runs \
     is stored in the room that was kept back";

/// The room kept back.
pub(super) struct Reserve {
    path: PathBuf,
    /// 0: none is wanted.
    bytes: u64,
    /// Whether the disk was found full, and has not had room since.
    full: watch::Sender<bool>,
    /// One at a time touches the file.
    file: Mutex<()>,
}

impl Reserve {
    /// For a database; `wanted` says whether there is one at all. Takes no room yet.
    pub(super) fn new(database: &Path, wanted: bool) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push(".reserve");
        let path = PathBuf::from(path);
        let total = disk::total_bytes(disk::directory_of(&path));
        let part = total.map_or(BYTES, |total| (total / PART_OF_DISK).max(LEAST));
        Self {
            path,
            bytes: if wanted { BYTES.min(part) } else { 0 },
            full: watch::Sender::new(false),
            file: Mutex::new(()),
        }
    }

    /// Before the database is opened: gives the room free if there is next to none beside it.
    pub(super) fn before_opening(&self) {
        let free = disk::free_bytes(disk::directory_of(&self.path));
        if self.path.exists() && free.is_some_and(|free| free < TOO_LITTLE) {
            self.give_free();
        }
    }

    /// Takes the room, if that is wanted and not so already; without room the disk counts as full.
    pub(super) fn lay(&self) {
        if self.bytes == 0 || *self.full.borrow() || self.held() == self.bytes {
            return;
        }
        match self.take() {
            Ok(()) => {}
            Err(error) if is_full(&error) => {
                self.give_free();
            }
            Err(error) => {
                tracing::warn!(%error, path = %self.path.display(), "no room is kept back for a full disk");
            }
        }
    }

    /// The disk is full: gives the room free. Says whether that made any.
    pub(super) fn give_free(&self) -> bool {
        if self.bytes == 0 {
            return false;
        }
        let _one_at_a_time = self.file.lock();
        let held = self.held();
        let freed = held > 0 && self.empty().is_ok();
        if !self.full.send_replace(true) {
            tracing::error!(freed = held, "{FULL}");
        }
        freed
    }

    /// Takes the room again if there is as much again beside it; says whether the disk is no longer
    /// full.
    pub(super) fn tend(&self) -> bool {
        if !self.is_full() {
            return true;
        }
        let free = disk::free_bytes(disk::directory_of(&self.path));
        if free.is_some_and(|free| free < self.bytes.saturating_mul(2)) || self.take().is_err() {
            return false;
        }
        self.full.send_replace(false);
        tracing::info!("there is room on the disk again");
        true
    }

    pub(super) fn is_full(&self) -> bool {
        *self.full.borrow()
    }

    pub(super) fn watch(&self) -> watch::Receiver<bool> {
        self.full.subscribe()
    }

    fn held(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    fn take(&self) -> io::Result<()> {
        let _one_at_a_time = self.file.lock();
        let mut file = self.empty()?;
        let taken = disk::take_room(&mut file, self.bytes);
        if taken.is_err() {
            // What was taken in part is of no use.
            file.set_len(0)?;
        }
        taken
    }

    fn empty(&self) -> io::Result<File> {
        File::create(&self.path)
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_is_taken_given_free_when_the_disk_is_full_and_taken_again() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::new(&dir.path().join("a.db"), true);
        reserve.lay();
        assert_eq!(reserve.held(), reserve.bytes);
        assert!(reserve.give_free(), "there was room to give");
        assert!(!reserve.give_free(), "and then there was none");
        assert!(reserve.is_full() && reserve.held() == 0);
        reserve.lay();
        assert_eq!(reserve.held(), 0, "not before there is room");
        assert!(reserve.tend() && !reserve.is_full());
        assert_eq!(reserve.held(), reserve.bytes);
    }

    #[test]
    fn without_a_reserve_the_disk_is_never_found_full_here() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::new(&dir.path().join("a.db"), false);
        reserve.lay();
        assert!(!reserve.give_free() && !reserve.is_full() && reserve.tend());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
