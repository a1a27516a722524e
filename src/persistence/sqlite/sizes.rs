//! How large everything is, looked up now and then and told from memory.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::time::Instant;

use super::fault::SqlResult;
use super::shared::wal_of;
use super::write::first;
use crate::persistence::disk;

/// Files and disk are looked at this often, at most.
const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// What stands for a disk that does not say.
const UNKNOWN: u64 = u64::MAX;

/// Figures of size.
#[derive(Debug)]
pub(super) struct Sizes {
    database: AtomicU64,
    log: AtomicU64,
    free: AtomicU64,
    disk_free: AtomicU64,
    longest_prune_us: AtomicU64,
    measured: Mutex<Instant>,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            database: AtomicU64::new(0),
            log: AtomicU64::new(0),
            free: AtomicU64::new(0),
            disk_free: AtomicU64::new(UNKNOWN),
            longest_prune_us: AtomicU64::new(0),
            measured: Mutex::new(Instant::now()),
        }
    }
}

impl Sizes {
    /// Looks, if the last look is some time ago.
    pub(super) fn measure_now_and_then(&self, path: &Path) {
        if self.measured.lock().elapsed() >= MEASURE_EVERY {
            self.measure(path);
        }
    }

    /// Looks at the files and the disk.
    pub(super) fn measure(&self, path: &Path) {
        *self.measured.lock() = Instant::now();
        let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        self.database.store(bytes(path), Relaxed);
        self.log.store(bytes(&wal_of(path)), Relaxed);
        let free = disk::free_bytes(disk::directory_of(path));
        self.disk_free.store(free.unwrap_or(UNKNOWN), Relaxed);
    }

    /// A turn of retention held the writer for so long.
    pub(super) fn pruned(&self, span: Duration) {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.longest_prune_us.fetch_max(micros, Relaxed);
    }

    /// So much of the database's file waits to be used again.
    pub(super) fn set_free(&self, bytes: u64) {
        self.free.store(bytes, Relaxed);
    }

    pub(super) fn database(&self) -> u64 {
        self.database.load(Relaxed)
    }

    pub(super) fn log(&self) -> u64 {
        self.log.load(Relaxed)
    }

    pub(super) fn free(&self) -> u64 {
        self.free.load(Relaxed)
    }

    pub(super) fn disk_free(&self) -> Option<u64> {
        Some(self.disk_free.load(Relaxed)).filter(|bytes| *bytes != UNKNOWN)
    }

    pub(super) fn longest_prune(&self) -> Duration {
        Duration::from_micros(self.longest_prune_us.load(Relaxed))
    }
}

/// Bytes of a database's file that wait to be used again.
pub(super) fn free_in(conn: &Connection) -> SqlResult<u64> {
    let free = "SELECT freelist_count * page_size FROM pragma_freelist_count(), pragma_page_size()";
    let bytes = first(conn, free, [], |row| row.get::<_, i64>(0))?;
    Ok(u64::try_from(bytes.unwrap_or(0)).unwrap_or(0))
}
