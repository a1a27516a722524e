//! What the handles, the writer thread and its keeper share.

use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::CommitListener;
use super::connection::Synchronous;
use super::fault::{Fault, SqlResult};
use super::queue::WriteQueue;
use super::writer::WriterExit;
use crate::domain::event::Event;
use crate::persistence::lock::Lock;

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
    size_bytes: AtomicU64,
    wal_bytes: AtomicU64,
    /// Commits since the store was opened.
    commits: AtomicU64,
    /// Of these, those before the log was last written back.
    written_back: AtomicU64,
    measured: Mutex<Instant>,
}

/// The file sizes are looked up at most this often.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

impl Shared {
    pub(super) fn new(
        path: PathBuf,
        synchronous: Synchronous,
        listener: CommitListener,
        lock: Lock,
        schema_version: u32,
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
            size_bytes: AtomicU64::new(0),
            wal_bytes: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            written_back: AtomicU64::new(0),
            measured: Mutex::new(Instant::now()),
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
        self.set_condition(Condition::Lost {
            message: fault.to_string(),
        });
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
        if self.measured.lock().elapsed() >= MEASURE_EVERY {
            self.measure();
        }
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
        self.measure();
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

    /// Looks the sizes of the files up.
    pub(super) fn measure(&self) {
        *self.measured.lock() = Instant::now();
        let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        self.size_bytes.store(bytes(&self.path), Relaxed);
        self.wal_bytes.store(bytes(&wal_of(&self.path)), Relaxed);
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes.load(Relaxed)
    }

    pub(super) fn wal_bytes(&self) -> u64 {
        self.wal_bytes.load(Relaxed)
    }
}

/// The write-ahead log beside a database file.
pub(super) fn wal_of(path: &Path) -> PathBuf {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}
