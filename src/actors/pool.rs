//! The arbiters that agents run on, and the thread that watches them.
//!
//! A handler that blocks its thread cannot be killed. What can be done: notice it (each arbiter
//! shows a [`Beat`], read by a watchdog on a thread of its own), write the arbiter off, and start
//! its children elsewhere.
//!
//! Rely on: [`Pool::pick`] never gives an arbiter that was written off; the number of those that
//! still hold a thread is bounded ([`Pool::abandon`] says when the bound is reached).

mod beat;
mod watchdog;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use actix_rt::{Arbiter, ArbiterHandle};
use parking_lot::Mutex;

pub use beat::Beat;
pub use watchdog::{Blocked, Sighting, WATCHDOG_LIMIT, WATCHDOG_PERIOD, watch};

/// How often an arbiter shows that it turns, whatever its children do.
pub const PULSE: Duration = Duration::from_millis(500);

/// Arbiters of a pool unless configured.
pub const DEFAULT_ARBITERS: usize = 2;

/// Written-off arbiters that still hold their thread, for each arbiter of the pool; one more and
/// the process is better restarted.
pub const ABANDONED_PER_ARBITER: usize = 2;

/// Threads that one replica's handlers may hold for ever before it is quarantined rather than
/// started once more.
pub const HELD_PER_REPLICA: usize = 2;

/// Where a life runs.
#[derive(Debug, Clone)]
pub enum Place {
    /// On the caller's own thread (which needs a `LocalSet`, as every arbiter has).
    Here,
    /// On an arbiter of a pool.
    On(Arc<PoolArbiter>),
}

impl Place {
    /// Runs `work` there. If the arbiter is gone, `work` is dropped.
    pub(crate) fn run(&self, work: impl FnOnce() + Send + 'static) {
        match self {
            Self::Here => work(),
            Self::On(arbiter) => {
                // A dead arbiter drops the work; what the work holds reports that.
                let _ = arbiter.handle.spawn_fn(work);
            }
        }
    }

    /// The arbiter's number; `None` for the caller's own thread.
    #[must_use]
    pub fn arbiter(&self) -> Option<u64> {
        match self {
            Self::Here => None,
            Self::On(arbiter) => Some(arbiter.id),
        }
    }
}

/// One arbiter of a pool.
#[derive(Debug)]
pub struct PoolArbiter {
    id: u64,
    handle: ArbiterHandle,
    beat: Arc<Beat>,
    thread: Mutex<Option<Arbiter>>,
}

impl PoolArbiter {
    fn start(id: u64) -> Arc<Self> {
        let arbiter = Arbiter::new();
        let beat = Arc::new(Beat::default());
        let shown = beat.clone();
        arbiter.spawn(async move { shown.pulse(PULSE).await });
        Arc::new(Self {
            id,
            handle: arbiter.handle(),
            beat,
            thread: Mutex::new(Some(arbiter)),
        })
    }
}

#[cfg(test)]
impl PoolArbiter {
    fn here(id: u64) -> Arc<Self> {
        Arc::new(Self {
            id,
            handle: Arbiter::current(),
            beat: Arc::default(),
            thread: Mutex::new(None),
        })
    }
}

/// Whether a pool can go on after an arbiter was written off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abandoned {
    /// A fresh one has taken its place.
    Replaced,
    /// Too many threads are blocked: only a new process helps.
    TooMany,
    /// It was not one of the pool's, or not any more.
    Unknown,
}

/// The arbiters that agents run on.
#[derive(Debug)]
pub struct Pool {
    arbiters: Mutex<Vec<Arc<PoolArbiter>>>,
    turn: AtomicUsize,
    ids: AtomicU64,
    /// Written off, with the thread they still hold.
    zombies: Mutex<Vec<(u64, Arbiter)>>,
    bound: usize,
    make: fn(u64) -> Arc<PoolArbiter>,
}

impl Pool {
    /// Starts `size` arbiters, one at least. Needs a running actix system.
    #[must_use]
    pub fn start(size: usize) -> Arc<Self> {
        Self::of(size, PoolArbiter::start)
    }

    /// Places on the caller's own thread, which is an arbiter: for claims under paused time.
    #[cfg(test)]
    pub(crate) fn here(size: usize) -> Arc<Self> {
        Self::of(size, PoolArbiter::here)
    }

    fn of(size: usize, make: fn(u64) -> Arc<PoolArbiter>) -> Arc<Self> {
        let size = size.max(1);
        let arbiters = (0..size as u64).map(make).collect();
        Arc::new(Self {
            arbiters: Mutex::new(arbiters),
            turn: AtomicUsize::new(0),
            ids: AtomicU64::new(size as u64),
            zombies: Mutex::new(Vec::new()),
            bound: size * ABANDONED_PER_ARBITER,
            make,
        })
    }

    /// The next arbiter in turn.
    #[must_use]
    pub fn pick(&self) -> Place {
        let arbiters = self.arbiters.lock();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % arbiters.len();
        Place::On(arbiters[turn].clone())
    }

    /// Writes an arbiter off. It is told to stop, and does if it ever comes back; a fresh one
    /// takes its place.
    pub fn abandon(&self, id: u64) -> Abandoned {
        let mut arbiters = self.arbiters.lock();
        let Some(place) = arbiters.iter_mut().find(|arbiter| arbiter.id == id) else {
            return Abandoned::Unknown;
        };
        let fresh = (self.make)(self.ids.fetch_add(1, Ordering::Relaxed));
        let gone = std::mem::replace(place, fresh);
        drop(arbiters);
        let thread = gone.thread.lock().take();
        let mut zombies = self.zombies.lock();
        if let Some(thread) = thread {
            thread.stop();
            zombies.push((id, thread));
        }
        zombies.retain(|(_, zombie)| zombie.handle().alive());
        if zombies.len() > self.bound {
            Abandoned::TooMany
        } else {
            Abandoned::Replaced
        }
    }

    /// Whether an arbiter that was written off still holds its thread.
    #[must_use]
    pub fn holds_thread(&self, id: u64) -> bool {
        let zombies = self.zombies.lock();
        let mut all = zombies.iter();
        all.any(|(zombie, thread)| *zombie == id && thread.handle().alive())
    }

    /// Arbiters written off since the start.
    #[must_use]
    pub fn abandoned(&self) -> u64 {
        let started = self.ids.load(Ordering::Relaxed);
        started - self.arbiters.lock().len() as u64
    }

    /// Ends the arbiters and waits for their threads. Those written off are not waited for.
    pub fn stop(&self) {
        let arbiters = self.arbiters.lock().clone();
        for arbiter in &arbiters {
            arbiter.handle.stop();
        }
        for thread in arbiters
            .iter()
            .filter_map(|arbiter| arbiter.thread.lock().take())
        {
            // A thread that panicked has ended as well.
            thread.join().ok();
        }
    }

    /// Those with a thread of their own, which may be blocked.
    fn arbiters(&self) -> Vec<Arc<PoolArbiter>> {
        let threaded = |arbiter: &&Arc<PoolArbiter>| arbiter.thread.lock().is_some();
        let arbiters = self.arbiters.lock();
        arbiters.iter().filter(threaded).cloned().collect()
    }
}
