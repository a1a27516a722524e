//! Wakes that are held back for a moment: a runner reports the end of a life, begins the next one, and
//! only then spends the system call that wakes the supervisor on another thread.
//!
//! Rely on: what was posted is in the mailbox at once; whatever else is posted there meanwhile wakes its
//! owner as ever, so nobody sleeps longer than until the guard is dropped.

use std::cell::RefCell;
use std::sync::Arc;

use super::scope::Reins;

thread_local! {
    static HELD: RefCell<Option<Vec<Arc<Reins>>>> = const { RefCell::new(None) };
}

/// Wakes those whose wakes were held back when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Held(Vec<Arc<Reins>>);

impl Drop for Held {
    fn drop(&mut self) {
        for reins in self.0.drain(..) {
            reins.waker.wake();
        }
    }
}

/// Runs `work`, holding back the wakes of those it posts to.
pub(super) fn held<R>(work: impl FnOnce() -> R) -> (R, Held) {
    let holding = Holding(HELD.with(|held| held.replace(Some(Vec::new()))));
    let done = work();
    let inner = HELD.with(|held| held.borrow_mut().as_mut().map(std::mem::take));
    drop(holding);
    (done, Held(inner.unwrap_or_default()))
}

/// While it lives, wakes of this thread are held back. Even a panic ends that.
struct Holding(Option<Vec<Arc<Reins>>>);

impl Drop for Holding {
    fn drop(&mut self) {
        let inner = HELD.with(|held| held.replace(self.0.take()));
        drop(Held(inner.unwrap_or_default()));
    }
}

/// Wakes a runner, unless wakes are held back: true then.
pub(super) fn hold_back(reins: &Arc<Reins>) -> bool {
    let held = HELD.with(|held| {
        let mut held = held.borrow_mut();
        held.as_mut().map(|held| held.push(reins.clone())).is_some()
    });
    if !held {
        reins.waker.wake();
    }
    held
}
