//! The deadline of a question. Most answers come long before it, so no timer is registered and taken
//! back for each: one that is set for an earlier instant serves as well, and is set anew if it rings.
//!
//! Not here: who asks, see [`super::Address::ask`].

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::{Handle, Id};
use tokio::time::{Instant, Sleep, sleep_until};

/// Timers that a thread keeps for its next questions; each rings at most once while nobody asks.
const KEPT: usize = 64;

thread_local! {
    static KEEPING: RefCell<Vec<Timer>> = const { RefCell::new(Vec::new()) };
}

/// A timer, and the runtime that drives it.
struct Timer {
    runtime: Id,
    sleep: Pin<Box<Sleep>>,
}

/// Rings at an instant, not before.
pub(super) struct Alarm {
    at: Instant,
    timer: Option<Timer>,
}

impl Alarm {
    /// Costs nothing until it is polled.
    pub(super) const fn at(at: Instant) -> Self {
        Self { at, timer: None }
    }

    /// Whether its instant has come; else the task is woken then.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let at = self.at;
        let timer = self.timer.get_or_insert_with(|| Timer::set(at));
        while timer.sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            // It was set for an earlier question.
            timer.sleep.as_mut().reset(at);
        }
        Poll::Pending
    }
}

impl Timer {
    /// One that rings at this instant, or before.
    fn set(at: Instant) -> Self {
        let runtime = Handle::current().id();
        let kept = KEEPING.with(|keeping| keeping.borrow_mut().pop());
        let Some(mut kept) = kept.filter(|kept| kept.runtime == runtime) else {
            let sleep = Box::pin(sleep_until(at));
            return Self { runtime, sleep };
        };
        if kept.sleep.deadline() > at || kept.sleep.is_elapsed() {
            kept.sleep.as_mut().reset(at);
        }
        kept
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let Some(timer) = self.timer.take() else {
            return;
        };
        // While the thread ends there is nobody left who could ask.
        let kept = KEEPING.try_with(|keeping| {
            let mut keeping = keeping.borrow_mut();
            if keeping.len() < KEPT {
                keeping.push(timer);
            }
        });
        kept.ok();
    }
}
