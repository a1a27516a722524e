//! The bounded queue between callers and the writer. It outlives any one writer thread.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::fault::Fault;
use super::write::Job;
use crate::persistence::StoreError;

/// Writes that may wait for the writer; more are refused as overload.
pub(crate) const CAPACITY: usize = 8192;

/// Whether writes are let in.
#[derive(Debug, Clone)]
enum Gate {
    /// They wait here until a writer takes them.
    Open,
    /// The database is lost: they are refused with this.
    Lost { full: bool, message: String },
    /// The store is closed.
    Closed,
}

struct Inner {
    jobs: VecDeque<Box<dyn Job>>,
    gate: Gate,
    /// Whether the present writer is to make room for the next.
    relieved: bool,
}

/// What the writer got.
pub(super) enum Taken {
    /// Writes, oldest first, now in the given vector.
    Batch,
    /// Nothing came for the time given.
    Idle,
    /// Another writer takes over what waits.
    Relieved,
    /// Nothing will come any more.
    Closed,
}

/// Writes that wait for the writer.
pub(super) struct WriteQueue {
    inner: Mutex<Inner>,
    arrived: Condvar,
}

impl WriteQueue {
    pub(super) fn new() -> Self {
        let inner = Inner {
            jobs: VecDeque::new(),
            gate: Gate::Open,
            relieved: false,
        };
        Self {
            inner: Mutex::new(inner),
            arrived: Condvar::new(),
        }
    }

    /// Lets a write in, or declines it. Never blocks.
    pub(super) fn push(&self, operation: &'static str, job: Box<dyn Job>) {
        let error = {
            let mut inner = self.inner.lock();
            match &inner.gate {
                Gate::Open if inner.jobs.len() < CAPACITY => {
                    inner.jobs.push_back(job);
                    drop(inner);
                    self.arrived.notify_one();
                    return;
                }
                Gate::Open => StoreError::Overloaded { operation },
                Gate::Lost { full, message } => lost_error(operation, *full, message.clone()),
                Gate::Closed => lost_error(operation, false, "the store is closed".into()),
            }
        };
        job.decline(error);
    }

    /// Waits for writes and moves up to `most` of them into `batch`, or says that none came.
    pub(super) fn take(
        &self,
        batch: &mut Vec<Box<dyn Job>>,
        most: usize,
        idle: Option<Duration>,
    ) -> Taken {
        let mut inner = self.inner.lock();
        loop {
            let closed = matches!(inner.gate, Gate::Closed);
            match (closed, inner.relieved, inner.jobs.is_empty()) {
                (false, true, _) => return Taken::Relieved,
                (_, _, false) => break,
                (true, _, true) => return Taken::Closed,
                (false, false, true) => {}
            }
            match idle {
                None => self.arrived.wait(&mut inner),
                Some(span) => {
                    let late = self.arrived.wait_for(&mut inner, span).timed_out();
                    if late && inner.jobs.is_empty() && !inner.relieved {
                        return Taken::Idle;
                    }
                }
            }
        }
        let count = inner.jobs.len().min(most);
        batch.extend(inner.jobs.drain(..count));
        Taken::Batch
    }

    /// Moves what has come meanwhile into a batch, up to `most` writes in all. Never waits.
    pub(super) fn take_more(&self, batch: &mut Vec<Box<dyn Job>>, most: usize) {
        let mut inner = self.inner.lock();
        if !inner.relieved {
            let count = inner.jobs.len().min(most.saturating_sub(batch.len()));
            batch.extend(inner.jobs.drain(..count));
        }
    }

    /// Writes waiting now.
    pub(super) fn len(&self) -> usize {
        self.inner.lock().jobs.len()
    }

    /// The writer ends after its present batch; what waits is left for the next one.
    pub(super) fn relieve(&self) {
        self.inner.lock().relieved = true;
        self.arrived.notify_all();
    }

    /// Lets writes in again: a new writer takes them.
    pub(super) fn reopen(&self) {
        let mut inner = self.inner.lock();
        inner.relieved = false;
        if !matches!(inner.gate, Gate::Closed) {
            inner.gate = Gate::Open;
        }
    }

    /// Refuses what comes from now on and answers what waits, all with this fault.
    pub(super) fn lose(&self, fault: &Fault) {
        let full = matches!(fault.as_error(""), StoreError::StorageFull { .. });
        let parked = {
            let mut inner = self.inner.lock();
            if !matches!(inner.gate, Gate::Closed) {
                inner.gate = Gate::Lost {
                    full,
                    message: fault.to_string(),
                };
            }
            std::mem::take(&mut inner.jobs)
        };
        for job in parked {
            job.answer(Some(fault));
        }
    }

    /// Refuses what comes from now on; the writer ends after what waits.
    pub(super) fn close(&self) {
        self.inner.lock().gate = Gate::Closed;
        self.arrived.notify_all();
    }
}

fn lost_error(operation: &'static str, full: bool, message: String) -> StoreError {
    if full {
        StoreError::StorageFull { operation, message }
    } else {
        StoreError::Unavailable { operation, message }
    }
}
