//! What the handles, the writer thread and its keeper share.

use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::CommitListener;
use super::connection::Synchronous;
use super::damage::Damage;
use super::fault::{Fault, SqlResult};
use super::kept_open::KeptOpen;
use super::queue::WriteQueue;
use super::reserve::Reserve;
use super::sizes::Sizes;
use super::writer::WriterExit;
use crate::domain::event::Event;
use crate::persistence::StoreError;
use crate::persistence::lock::Lock;

/// A log of so many commits is written back when nothing comes,
const LONG_LOG_COMMITS: u64 = 64;
/// and so is one of so many bytes.
const LONG_LOG_BYTES: u64 = 1024 * 1024;

/// Whether the database takes writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It does.
    Open,
    /// It does not.
    Lost {
        /// The database's words.
        message: String,
    },
    /// The store was closed.
    Closed,
}

/// Which file a path led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    pub(super) fn of(path: &Path) -> SqlResult<Self> {
        let metadata = std::fs::metadata(path).map_err(|_| vanished(path))?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    /// Whether the path still leads to this file. (SQLite would go on writing into a file that
    /// nobody will find again.)
    pub(super) fn check(self, path: &Path) -> SqlResult<()> {
        if Self::of(path)? == self {
            Ok(())
        } else {
            Err(vanished(path))
        }
    }
}

fn vanished(path: &Path) -> Fault {
    let file = path.display();
    Fault::Lost(format!(
        "{file} was removed or replaced while it was open; put it back"
    ))
}

/// What the handles, the writer thread and its keeper share.
pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) synchronous: Synchronous,
    pub(super) queue: WriteQueue,
    pub(super) schema_version: u32,
    /// Whether somebody starts the next writer when one ends.
    pub(super) kept: AtomicBool,
    /// Wakes the keeper from its rest between two tries.
    pub(super) asked: Notify,
    /// Writers that opened the database so far.
    openings: watch::Sender<u64>,
    condition: watch::Sender<Condition>,
    listener: CommitListener,
    /// Held for as long as anything may still write.
    lock: Mutex<Option<Lock>>,
    /// How large everything is.
    pub(super) sizes: Sizes,
    /// Room kept back on the disk.
    pub(super) reserve: Reserve,
    /// Whether the last connection ended since the disk was full.
    found_full: AtomicBool,
    /// Whether the disk failed, and the log has not been written back as a whole since.
    pub(super) disk_failed: AtomicBool,
    /// What is known of damage to the file.
    pub(super) damage: Damage,
    /// The database's file, for the thread that writes the log back.
    pub(super) kept_open: KeptOpen,
    /// Whether a backup is being taken.
    backing_up: AtomicBool,
    /// Commits since the store was opened.
    commits: AtomicU64,
    /// Of these, those before the log was last written back.
    written_back: AtomicU64,
}

impl Shared {
    pub(super) fn new(
        path: PathBuf,
        synchronous: Synchronous,
        listener: CommitListener,
        lock: Lock,
        schema_version: u32,
        reserve: Reserve,
    ) -> Self {
        Self {
            path,
            synchronous,
            queue: WriteQueue::new(),
            schema_version,
            kept: AtomicBool::new(false),
            asked: Notify::new(),
            openings: watch::Sender::new(0),
            condition: watch::Sender::new(Condition::Open),
            listener,
            lock: Mutex::new(Some(lock)),
            sizes: Sizes::default(),
            reserve,
            found_full: AtomicBool::new(false),
            disk_failed: AtomicBool::new(false),
            damage: Damage::default(),
            kept_open: KeptOpen::default(),
            backing_up: AtomicBool::new(false),
            commits: AtomicU64::new(0),
            written_back: AtomicU64::new(0),
        }
    }

    pub(super) fn condition(&self) -> Condition {
        self.condition.borrow().clone()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Condition> {
        self.condition.subscribe()
    }

    /// Tells the watchers, if this is news.
    pub(super) fn set_condition(&self, condition: Condition) {
        self.condition.send_if_modified(|current| {
            let news = *current != condition;
            *current = condition;
            news
        });
    }

    /// A writer has opened the database.
    pub(super) fn opened(&self) {
        self.found_full.store(false, Relaxed);
        self.openings.send_modify(|count| *count += 1);
    }

    /// Asks for another writer in the place of the present one, or at once if there is none; the
    /// answer changes when it has opened the database.
    pub(super) fn ask_for_another_writer(&self) -> watch::Receiver<u64> {
        let mut openings = self.openings.subscribe();
        openings.borrow_and_update();
        if self.condition() == Condition::Open {
            self.queue.relieve();
        } else {
            self.asked.notify_one();
        }
        openings
    }

    /// Refuses writes from now on; answers those that wait.
    pub(super) fn lose(&self, fault: &Fault) {
        let is_full = fault.is_full();
        // What was let go of on a full disk cannot be opened, for reasons in other words.
        let was_full = self.found_full.fetch_or(is_full, Relaxed) && !is_full;
        let message = match was_full {
            true => format!("the disk is full: {fault}"),
            false => fault.to_string(),
        };
        self.set_condition(Condition::Lost {
            message: message.clone(),
        });
        if was_full {
            let operation = "write";
            let full = StoreError::StorageFull { operation, message };
            return self.queue.lose(&full.into());
        }
        self.queue.lose(fault);
    }

    /// Called by a writer thread at its very end.
    pub(super) fn writer_ended(&self, exit: &WriterExit) {
        match exit {
            WriterExit::Closed => {
                self.release();
                self.set_condition(Condition::Closed);
            }
            WriterExit::Lost { message } if !self.kept.load(Relaxed) => {
                self.lose(&Fault::Lost(message.clone()));
            }
            WriterExit::Panicked if !self.kept.load(Relaxed) => {
                self.lose(&Fault::Lost("the writer panicked".into()));
            }
            WriterExit::Relieved if !self.kept.load(Relaxed) => {
                self.lose(&Fault::Lost("there is no next writer".into()));
            }
            WriterExit::Relieved | WriterExit::Lost { .. } | WriterExit::Panicked => {}
        }
    }

    /// Lets another process own the file.
    pub(super) fn release(&self) {
        self.lock.lock().take();
    }

    /// Tells of a commit.
    pub(super) fn committed(&self, events: Vec<Event>, took: Duration, writes: usize) {
        self.commits.fetch_add(1, Relaxed);
        self.sizes.measure_now_and_then(&self.path);
        let tell = || {
            (self.listener.commit)(took, writes);
            if !events.is_empty() {
                (self.listener.events)(events);
            }
        };
        if catch_unwind(AssertUnwindSafe(tell)).is_err() {
            tracing::error!(
                writes,
                "a listener of the store panicked; it missed a commit"
            );
        }
    }

    /// The log was written back.
    pub(super) fn checkpointed(&self) {
        self.written_back.store(self.commits(), Relaxed);
        self.sizes.measure(&self.path);
    }

    /// Commits since the store was opened.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Relaxed)
    }

    /// Commits since the log was last written back.
    pub(super) fn commits_in_log(&self) -> u64 {
        self.commits()
            .saturating_sub(self.written_back.load(Relaxed))
    }

    /// Whether the log is worth writing back when nothing comes.
    pub(super) fn log_is_long(&self) -> bool {
        let commits = self.commits_in_log();
        commits >= LONG_LOG_COMMITS || (commits > 0 && self.sizes.log() > LONG_LOG_BYTES)
    }

    /// Notes what the end of a connection means for the next one, and for what is refused before.
    pub(super) fn struck(&self, fault: &Fault) {
        self.found_full.store(fault.is_full(), Relaxed);
        if fault.is_io() {
            self.disk_failed.store(true, Relaxed);
        }
        if fault.is_damage() {
            self.damage.suspect();
        }
        self.makes_room(fault);
    }

    /// Whether the disk is full, or was when the database was let go of, which nobody has opened since.
    pub(super) fn without_room(&self) -> bool {
        self.reserve.is_full() || self.found_full.load(Relaxed)
    }

    /// Whether what went wrong is a full disk, and there was room kept back for that.
    pub(super) fn makes_room(&self, fault: &Fault) -> bool {
        fault.is_full() && self.reserve.give_free()
    }
}

/// The one backup at a time.
pub(crate) struct BackupTurn(Arc<Shared>);

impl BackupTurn {
    pub(super) fn take(shared: Arc<Shared>) -> Option<Self> {
        let free = !shared.backing_up.swap(true, Relaxed);
        free.then_some(Self(shared))
    }
}

impl Drop for BackupTurn {
    fn drop(&mut self) {
        self.0.backing_up.store(false, Relaxed);
    }
}

/// The write-ahead log beside a database file.
pub(super) fn wal_of(path: &Path) -> PathBuf {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}
