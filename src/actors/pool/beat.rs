//! What an arbiter shows of its work, without reading a clock.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

thread_local! {
    static BEAT: RefCell<Option<Arc<Beat>>> = const { RefCell::new(None) };
}

/// Counts the steps of one arbiter's thread. Odd: somebody's code is running.
#[derive(Debug, Default)]
pub struct Beat {
    steps: AtomicU64,
    runner: AtomicU64,
    pulses: AtomicU64,
}

/// A look at a beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    steps: u64,
    pulses: u64,
    runner: u64,
}

impl Seen {
    #[cfg(test)]
    pub(super) const fn of(steps: u64, pulses: u64, runner: u64) -> Self {
        Self {
            steps,
            pulses,
            runner,
        }
    }

    /// Whether the thread has done anything between two looks.
    pub(super) const fn moved_since(self, earlier: Self) -> bool {
        self.steps != earlier.steps || self.pulses != earlier.pulses
    }

    /// Whose code was running; `None` if nobody's that is supervised.
    pub(super) fn at_work(self) -> Option<u64> {
        (self.steps % 2 == 1).then_some(self.runner)
    }
}

impl Beat {
    /// Marks that a runner's code is about to run on this thread, until the value is dropped.
    pub(crate) fn enter(runner: u64) -> AtWork {
        let beat = BEAT.with(|beat| beat.borrow().clone());
        let outer = beat.as_deref().map_or(0, |beat| beat.begin(runner));
        AtWork {
            beat,
            outer,
            here: PhantomData,
        }
    }

    /// Shows the arbiter of this thread as alive, for ever.
    pub(super) async fn pulse(self: Arc<Self>, every: Duration) {
        BEAT.with(|beat| beat.replace(Some(self.clone())));
        loop {
            self.pulses.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(every).await;
        }
    }

    pub(super) fn look(&self) -> Seen {
        Seen {
            steps: self.steps.load(Ordering::Acquire),
            pulses: self.pulses.load(Ordering::Relaxed),
            runner: self.runner.load(Ordering::Relaxed),
        }
    }

    /// One runner may poll another's code (a linked future never does): only the outer one counts.
    fn begin(&self, runner: u64) -> u64 {
        let steps = self.steps.load(Ordering::Relaxed);
        if steps % 2 == 1 {
            return self.runner.load(Ordering::Relaxed);
        }
        self.runner.store(runner, Ordering::Relaxed);
        self.steps.store(steps + 1, Ordering::Release);
        0
    }
}

/// Somebody's code runs on this thread.
#[derive(Debug)]
pub(crate) struct AtWork {
    beat: Option<Arc<Beat>>,
    outer: u64,
    /// Belongs to its thread.
    here: PhantomData<*const ()>,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        if let (Some(beat), 0) = (&self.beat, self.outer) {
            let steps = beat.steps.load(Ordering::Relaxed);
            beat.steps.store(steps + 1, Ordering::Release);
        }
    }
}
