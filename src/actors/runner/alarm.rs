//! What a question waits with: its deadline, and the mark that its handling has begun. Most answers
//! come long before the deadline, so neither is made for each question: who was answered leaves both
//! to the next who asks on its thread.
//!
//! Rely on: a timer set for an earlier instant serves as well, and is set anew if it rings; one that
//! is set already, and wakes this very task, costs a question nothing but a look.
//!
//! Not here: who asks, see [`super::Address::ask`].

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use tokio::runtime::{Handle, Id};
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep, sleep_until};

/// Alarms that a thread keeps for its next questions; each rings at most once while nobody asks.
const KEPT: usize = 64;

thread_local! {
    static KEEPING: RefCell<Vec<Handed>> = const { RefCell::new(Vec::new()) };
}

/// Whether the handling of a question has begun; shared with the letter.
pub(super) type Begun = Arc<AtomicBool>;

/// A timer, the runtime that drives it, and whom it wakes: nobody that is known if `None`.
struct Timer {
    runtime: Id,
    sleep: Pin<Box<Sleep>>,
    wakes: Option<Waker>,
}

/// What goes from one question to the next: as one piece, so that handing it on moves a pointer.
type Handed = Box<Kept>;

/// What a question waits with.
#[derive(Default)]
struct Kept {
    begun: Begun,
    timer: Option<Timer>,
}

/// Rings at an instant, not before.
pub(super) struct Alarm {
    at: Instant,
    kept: Handed,
}

impl Alarm {
    /// Sets no timer until it is polled.
    pub(super) fn at(at: Instant) -> Self {
        let kept = KEEPING.with(|keeping| keeping.borrow_mut().pop());
        Self {
            at,
            kept: kept.unwrap_or_default(),
        }
    }

    /// The mark for the letter.
    pub(super) fn begun(&self) -> Begun {
        self.kept.begun.clone()
    }

    /// Whether the handling has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.kept.begun.load(Ordering::Acquire)
    }

    /// Whether its instant has come.
    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.at
    }

    /// Whether its instant has come; else the task is woken then.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let at = self.at;
        match &mut self.kept.timer {
            Some(timer) if timer.is_set(at, cx.waker()) => Poll::Pending,
            Some(timer) => timer.poll(at, cx),
            none => none.insert(Timer::new(at)).poll(at, cx),
        }
    }

    /// Its letter is answered, or was refused: nobody marks it any more, and the next question may
    /// have it.
    pub(super) fn leave(self) {
        self.kept.begun.store(false, Ordering::Relaxed);
        // While the thread ends there is nobody left who could ask.
        let kept = KEEPING.try_with(|keeping| {
            let mut keeping = keeping.borrow_mut();
            if keeping.len() < KEPT {
                keeping.push(self.kept);
            }
        });
        kept.ok();
    }
}

impl Timer {
    fn new(at: Instant) -> Self {
        Self {
            runtime: Handle::current().id(),
            sleep: Box::pin(sleep_until(at)),
            wakes: None,
        }
    }

    /// Whether it rings at this instant or before, and wakes this task then. A task stays with its
    /// runtime, so the timer's is the right one.
    fn is_set(&self, at: Instant, waker: &Waker) -> bool {
        let known = self
            .wakes
            .as_ref()
            .is_some_and(|known| known.will_wake(waker));
        known && self.sleep.deadline() <= at && !self.sleep.is_elapsed()
    }

    fn poll(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        self.wakes = None;
        if self.runtime != Handle::current().id() {
            *self = Self::new(at);
        } else if self.sleep.deadline() > at {
            self.sleep.as_mut().reset(at);
        }
        // Without budget the timer sends the task round once more and does not know it yet.
        let is_told = has_budget_remaining();
        while self.sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            // It was set for an earlier question.
            self.sleep.as_mut().reset(at);
        }
        self.wakes = is_told.then(|| cx.waker().clone());
        Poll::Pending
    }
}
