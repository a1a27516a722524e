//! Wakes that are held back for a moment: a runner reports the end of a life, begins the next one, and
//! only then spends the system call that wakes the supervisor on another thread.
//!
//! Rely on: what was posted is in the mailbox at once; whatever else is posted there meanwhile wakes its
//! owner as ever, so nobody sleeps longer than until the guard is dropped.

use std::cell::RefCell;
use std::task::Waker;

thread_local! {
    static HELD: RefCell<Option<Vec<Waker>>> = const { RefCell::new(None) };
}

/// Wakes those whose wakes were held back when it is dropped.
#[derive(Debug, Default)]
pub(super) struct Held(Vec<Waker>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
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
struct Holding(Option<Vec<Waker>>);

impl Drop for Holding {
    fn drop(&mut self) {
        let inner = HELD.with(|held| held.replace(self.0.take()));
        drop(Held(inner.unwrap_or_default()));
    }
}

/// Wakes a task, unless wakes are held back: true then.
pub(super) fn hold_back(waker: &Waker) -> bool {
    let held = HELD.with(|held| {
        let mut held = held.borrow_mut();
        held.as_mut().map(|held| held.push(waker.clone())).is_some()
    });
    if !held {
        waker.wake_by_ref();
    }
    held
}
