//! A few connections that only read, off the runtime's threads. They are opened when first needed.
//!
//! A read that takes too long, or that nobody waits for any more, is broken off: while it lasts the log
//! of the database can only grow.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, InterruptHandle};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::connection;
use super::fault::{Fault, Reach, SqlResult};
use crate::persistence::{Result, StoreError};

/// Readers unless configured otherwise.
pub(crate) const DEFAULT_READERS: u32 = 4;
/// Reads that may wait for a reader; more are refused as overload.
const MAX_WAITING: u32 = 1024;

/// How long one read may take unless configured otherwise.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// How much longer than it may take a read is waited for.
const GRACE: Duration = Duration::from_secs(5);
/// From one try to break a read off to the next: between two statements there is nothing to break.
const BREAK_AGAIN: Duration = Duration::from_millis(100);

/// The pool of readers. Cheap to clone.
#[derive(Clone)]
pub(super) struct Readers {
    pool: Arc<Pool>,
}

struct Pool {
    path: PathBuf,
    size: u32,
    timeout: Duration,
    slots: Arc<Semaphore>,
    waiting: AtomicU32,
    free: Mutex<Vec<Connection>>,
}

/// Counts a read as waiting for as long as it lives.
struct Waiting<'p>(&'p AtomicU32);

impl<'p> Waiting<'p> {
    fn new(count: &'p AtomicU32) -> Option<Self> {
        let entered = Self(count);
        (count.fetch_add(1, Relaxed) < MAX_WAITING).then_some(entered)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Readers {
    pub(super) fn new(path: PathBuf, size: u32, timeout: Duration) -> Self {
        let size = size.max(1);
        let pool = Pool {
            path,
            size,
            timeout,
            slots: Arc::new(Semaphore::new(size as usize)),
            waiting: AtomicU32::new(0),
            free: Mutex::new(Vec::new()),
        };
        Self {
            pool: Arc::new(pool),
        }
    }

    /// Runs a read beside the writer.
    pub(super) async fn read<R, F>(&self, operation: &'static str, query: F) -> Result<R>
    where
        F: FnOnce(&Connection) -> SqlResult<R> + Send + 'static,
        R: Send + 'static,
    {
        let slot = {
            let _waiting =
                Waiting::new(&self.pool.waiting).ok_or(StoreError::Overloaded { operation })?;
            Arc::clone(&self.pool.slots).acquire_owned().await
        };
        let slot = slot.map_err(|_| unavailable(operation, "the store is closed"))?;
        let pool = Arc::clone(&self.pool);
        let brake = Brake::default();
        let running = brake.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let answer = pool.run(query, &running);
            drop(slot);
            answer
        });
        self.watch(operation, reading, brake).await
    }

    /// Waits for a read, and breaks it off when its time is over.
    async fn watch<R>(
        &self,
        operation: &'static str,
        mut reading: JoinHandle<SqlResult<R>>,
        brake: Brake,
    ) -> Result<R> {
        let mut patience = self.pool.timeout;
        let mut late = false;
        let ended = loop {
            if let Ok(ended) = timeout(patience, &mut reading).await {
                break ended;
            }
            (late, patience) = (true, BREAK_AGAIN);
            brake.apply();
        };
        match ended {
            Err(_) => Err(unavailable(
                operation,
                "the read panicked or the daemon is ending",
            )),
            Ok(Err(_)) if late => Err(unavailable(
                operation,
                "the read took too long and was broken off; ask for less",
            )),
            Ok(answer) => answer.map_err(|fault| fault.into_error(operation)),
        }
    }

    pub(super) fn size(&self) -> u32 {
        self.pool.size
    }

    pub(super) fn busy(&self) -> u32 {
        let free = u32::try_from(self.pool.slots.available_permits()).unwrap_or(u32::MAX);
        self.pool.size.saturating_sub(free)
    }

    /// Closes what is free; connections opened before a file was replaced read the old one.
    pub(super) fn forget(&self) {
        self.pool.free.lock().clear();
    }

    /// Waits for the reads that go on and closes every connection; none is opened while the answer
    /// lives. Nothing if they do not end in their time.
    pub(super) async fn rest(&self) -> Option<OwnedSemaphorePermit> {
        let all = Arc::clone(&self.pool.slots).acquire_many_owned(self.pool.size);
        let rest = timeout(self.pool.timeout + GRACE, all).await;
        self.forget();
        rest.ok()?.ok()
    }

    /// Refuses what comes from now on and closes what is free.
    pub(super) fn close(&self) {
        self.pool.slots.close();
        self.forget();
    }
}

impl Pool {
    fn run<R>(
        &self,
        query: impl FnOnce(&Connection) -> SqlResult<R>,
        brake: &Brake,
    ) -> SqlResult<R> {
        let kept = self.free.lock().pop();
        let conn = match kept {
            Some(conn) => conn,
            None => connection::open_reader(&self.path)?,
        };
        let answer = if brake.hold(conn.get_interrupt_handle()) {
            let answer = snapshot(&conn, query);
            brake.let_go();
            answer
        } else {
            Err(Fault::Lost("nobody waits for this read any more".into()))
        };
        let broken = matches!(&answer, Err(fault) if fault.reach() == Reach::Connection);
        if !broken && !self.slots.is_closed() {
            self.free.lock().push(conn);
        }
        answer
    }
}

/// Breaks a read off, at the latest when nobody waits for it any more.
#[derive(Clone, Default)]
struct Brake(Arc<Mutex<Braked>>);

#[derive(Default)]
struct Braked {
    running: Option<InterruptHandle>,
    given_up: bool,
}

impl Brake {
    /// From now on this is what runs; false if it need not run any more.
    fn hold(&self, running: InterruptHandle) -> bool {
        let mut braked = self.0.lock();
        braked.running = Some(running);
        !braked.given_up
    }

    fn let_go(&self) {
        self.0.lock().running = None;
    }

    fn apply(&self) {
        // Under the lock: the connection may serve somebody else the moment after.
        if let Some(running) = &self.0.lock().running {
            running.interrupt();
        }
    }
}

impl Drop for Brake {
    fn drop(&mut self) {
        self.0.lock().given_up = true;
        self.apply();
    }
}

fn unavailable(operation: &'static str, message: &str) -> StoreError {
    StoreError::Unavailable {
        operation,
        message: message.into(),
    }
}

/// Runs a query in a transaction, so that all its statements see one state.
fn snapshot<R>(conn: &Connection, query: impl FnOnce(&Connection) -> SqlResult<R>) -> SqlResult<R> {
    let transaction = conn.unchecked_transaction()?;
    let answer = query(&transaction)?;
    transaction.commit()?;
    Ok(answer)
}
