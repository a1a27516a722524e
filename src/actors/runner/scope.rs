//! Which life the code on this thread belongs to, and what its panic says.
//!
//! Every poll of a life, and of a future linked to one, runs inside [`Seat::run`]: panics are
//! caught and turned into an [`ExitReason`] with text and place, [`exit_with`] finds its life, and
//! the arbiter's beat shows that somebody is at work.
//!
//! Rely on: a panic inside a life writes nothing to stderr (the exit notice tells it); one outside
//! goes to the hook that was there before.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Once};
use std::task::Waker;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::actors::pool::Beat;
use crate::domain::exit::ExitReason;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Scope>>> = const { RefCell::new(None) };
    static LAST_PANIC: RefCell<Option<Caught>> = const { RefCell::new(None) };
}

/// What the hook saw of a panic.
struct Caught {
    message: Option<String>,
    place: String,
}

/// What was ordered from outside; later orders only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Order {
    /// Go on.
    Run,
    /// End; not yet passed to the actor.
    Stop,
    /// End; the actor knows.
    StopTold,
    /// End without asking.
    Kill,
}

/// The reins of one runner: orders from outside and the way to wake it.
#[derive(Debug, Default)]
pub(crate) struct Reins {
    order: AtomicU8,
    /// Set once a task: waking does not take it away, so no turn of the task has to set it again.
    waker: Mutex<Option<Waker>>,
}

impl Reins {
    /// Gives an order; a greater one given before stands.
    pub(crate) fn give(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::AcqRel);
        self.wake();
    }

    /// From now on, this wakes the runner.
    pub(crate) fn wake_by(&self, waker: &Waker) {
        *self.waker.lock() = Some(waker.clone());
    }

    /// Gives the runner another turn.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &*self.waker.lock() {
            waker.wake_by_ref();
        }
    }

    /// What has been ordered.
    pub(crate) fn order(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            0 => Order::Run,
            1 => Order::Stop,
            2 => Order::StopTold,
            _ => Order::Kill,
        }
    }
}

/// One life, as seen by the code that runs in it.
#[derive(Debug)]
pub(crate) struct Scope {
    reins: Arc<Reins>,
    runner: u64,
    exit: Mutex<Option<Box<ExitReason>>>,
    ending: AtomicBool,
    over: AtomicBool,
    links: Notify,
}

impl Scope {
    pub(crate) fn new(reins: Arc<Reins>, runner: u64) -> Arc<Self> {
        Arc::new(Self {
            reins,
            runner,
            exit: Mutex::new(None),
            ending: AtomicBool::new(false),
            over: AtomicBool::new(false),
            links: Notify::new(),
        })
    }

    /// Runs `work` as part of this life; a panic comes back as the reason of its end.
    pub(crate) fn run<R>(self: &Arc<Self>, work: impl FnOnce() -> R) -> Result<R, ExitReason> {
        Seat::of(self.clone()).run(work)
    }

    /// Ends the life with this reason, unless one was given before.
    pub(crate) fn end_with(&self, reason: ExitReason) {
        self.exit.lock().get_or_insert_with(|| Box::new(reason));
        self.ending.store(true, Ordering::Release);
        self.reins.wake();
    }

    /// Whether the life is to end and its context does not know yet; asked once an end.
    pub(crate) fn take_ending(&self) -> bool {
        self.ending.swap(false, Ordering::AcqRel)
    }

    /// Whether the life is to end and its context does not know yet.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// The reason given by [`exit_with`] or by a linked future, if any.
    pub(crate) fn take_reason(&self) -> Option<ExitReason> {
        self.exit.lock().take().map(|reason| *reason)
    }

    /// The life has ended: what is linked to it is dropped.
    pub(crate) fn close(&self) {
        self.over.store(true, Ordering::Release);
        self.links.notify_waiters();
    }

    /// Whether the life has ended.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Resolves when the life has ended.
    pub(crate) async fn over(self: Arc<Self>) {
        loop {
            let told = self.links.notified();
            let mut told = std::pin::pin!(told);
            told.as_mut().enable();
            if self.is_over() {
                return;
            }
            told.await;
        }
    }
}

/// A hold on a scope for one who runs its code time after time: it moves to the thread and back,
/// so that running costs no count of holders.
#[derive(Debug)]
pub(crate) struct Seat(Option<Arc<Scope>>);

impl Seat {
    pub(crate) const fn of(scope: Arc<Scope>) -> Self {
        Self(Some(scope))
    }

    /// Runs `work` as part of this life; a panic comes back as the reason of its end.
    pub(crate) fn run<R>(&mut self, work: impl FnOnce() -> R) -> Result<R, ExitReason> {
        install_hook();
        let runner = self.0.as_ref().map_or(0, |scope| scope.runner);
        let outer = CURRENT.with(|current| current.replace(self.0.take()));
        let at_work = Beat::enter(runner);
        let result = catch_unwind(AssertUnwindSafe(work));
        drop(at_work);
        self.0 = CURRENT.with(|current| current.replace(outer));
        result.map_err(reason_of)
    }
}

/// The life that the running code belongs to.
pub(crate) fn current() -> Option<Arc<Scope>> {
    CURRENT.with(|current| current.borrow().clone())
}

/// Ends the current life with a reason of its own: `stopping` and `stopped` still run, and no
/// further message is handled. Does nothing outside a life.
pub fn exit_with(reason: ExitReason) {
    if let Some(scope) = current() {
        scope.end_with(reason);
    }
}

/// The end that a caught panic means.
fn reason_of(payload: Box<dyn Any + Send>) -> ExitReason {
    let caught = LAST_PANIC.with(|last| last.borrow_mut().take());
    let said = text_of(&*payload);
    // A payload may panic when it is dropped.
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
    let place = caught.filter(|caught| caught.message == said);
    ExitReason::Panic {
        message: said.unwrap_or_else(|| "a panic without a text".to_owned()),
        place: place.map(|caught| caught.place).unwrap_or_default(),
    }
}

/// What a panic said, if it was a text.
pub(crate) fn text_of(payload: &(dyn Any + Send)) -> Option<String> {
    let literal = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    literal.or_else(|| payload.downcast_ref::<String>().cloned())
}

/// Puts our hook in front of the one that is there: once.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if CURRENT.with(|current| current.try_borrow().is_ok_and(|c| c.is_some())) {
                LAST_PANIC.with(|last| last.replace(Some(caught(info))));
            } else {
                previous(info);
            }
        }));
    });
}

fn caught(info: &PanicHookInfo<'_>) -> Caught {
    let literal = info.payload().downcast_ref::<&str>();
    let message = literal.map(|text| (*text).to_owned());
    Caught {
        message: message.or_else(|| info.payload().downcast_ref::<String>().cloned()),
        place: info.location().map(ToString::to_string).unwrap_or_default(),
    }
}
