//! The actor: its state, its timer, what was submitted.
//!
//! A handler takes its message apart, asks the desk, and starts what must go to the store; the
//! store's answer comes back as a message. So nothing here waits.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use actix::prelude::*;
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::deadlines::{Deadlines, Due};
use super::desk::{Desk, Reserved};
use super::handle::DispatcherHandle;
use super::{CANCEL_GRACE, DispatchError, RESCUE_PERIOD, Result};
use crate::actors::life::Hosted;
use crate::actors::runner::AgentContext;
use crate::domain::ids::{LeaseId, TaskId};
use crate::domain::query::Submitted;
use crate::persistence::{Store, StoreError};

/// Messages that may wait, reports apart.
const MAILBOX: usize = 10_000;

/// What the lives of the dispatcher share: it goes on where an earlier life broke off.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) desk: Desk,
    pub(super) deadlines: Deadlines,
    /// A claim is on its way.
    pub(super) claiming: bool,
    /// Tasks wait behind a limit: the next end of an execution may let one start.
    pub(super) held_back: bool,
    /// Executions have ended since the claim on its way was made.
    pub(super) ended_meanwhile: bool,
    /// Claims rest, the store refused one.
    pub(super) claims_rest: bool,
    /// Who waits for the desk to be empty, and how much was taken back so far.
    pub(super) drains: Vec<oneshot::Sender<u64>>,
    pub(super) leftovers: u64,
    /// A sweep has not been answered yet.
    pub(super) sweeping: bool,
    /// Leases that nobody here knew at the last sweep.
    pub(super) strangers: Vec<LeaseId>,
}

impl Memory {
    /// An execution has come to its end although its agent works on: he is asked to give it up, and has
    /// [`CANCEL_GRACE`] for that. Its task and number; `None` if nobody holds it.
    pub(super) fn end_early(&mut self, lease: LeaseId, why: &str) -> Option<(TaskId, u32)> {
        let (_, _, port, held) = self.desk.held(lease)?;
        held.ended = true;
        port.cancel(held.task, why);
        let it = (held.task, held.attempt);
        self.deadlines.remove(Due::Attempt(lease));
        self.deadlines
            .add(Instant::now() + CANCEL_GRACE, Due::Grace(lease));
        Some(it)
    }
}

/// The dispatcher.
pub struct Dispatcher {
    pub(super) handle: DispatcherHandle,
    pub(super) memory: Arc<Mutex<Memory>>,
    pub(super) timer: Option<(Instant, SpawnHandle)>,
}

/// Shorthand of this room.
pub(super) type Ctx = AgentContext<Dispatcher>;

impl Actor for Dispatcher {
    type Context = AgentContext<Self>;

    fn started(&mut self, ctx: &mut Ctx) {
        {
            let mut memory = self.memory.lock();
            // What was on its way answers this life; a claim that does not is made again.
            memory.claiming = false;
            memory.sweeping = false;
            memory.desk.news_for_all();
            memory.desk.spends.begin_anew();
            memory
                .deadlines
                .add(Instant::now() + RESCUE_PERIOD, Due::Upkeep);
        }
        self.look_for_due(ctx);
        self.look_at_waits(ctx);
        self.look_at_schedules(ctx);
        self.look_at_spend(ctx);
        self.claim(ctx);
        self.arm(ctx);
    }
}

impl Hosted for Dispatcher {
    const MAILBOX: usize = MAILBOX;
}

/// The store has answered a submission.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct TaskStored {
    pub(super) reserved: Option<Reserved>,
    pub(super) stored: std::result::Result<Submitted, StoreError>,
    pub(super) answer: oneshot::Sender<Result<Submitted>>,
}

impl Handler<TaskStored> for Dispatcher {
    type Result = ();

    fn handle(&mut self, mut done: TaskStored, ctx: &mut Ctx) {
        let stored = done.stored.as_mut().ok();
        let claimed = stored.and_then(|stored| stored.claimed.take());
        // The caller first: it is told of the commit, not of the hand-over. One who has gone away
        // does not want the answer.
        let answer = done.stored.map_err(DispatchError::from);
        done.answer.send(answer).ok();
        let placed = claimed.is_some();
        if let Some(task) = claimed {
            self.place(task, ctx);
        }
        let Some(reserved) = &done.reserved else {
            return;
        };
        // After the task has its place: nobody else is offered the slot in between.
        self.memory.lock().desk.release(reserved, false);
        if !placed {
            self.claim(ctx);
        }
    }
}

impl Dispatcher {
    pub(super) fn store(&self) -> Store {
        self.handle.store().clone()
    }

    /// Sets the timer for what is due next.
    pub(super) fn arm(&mut self, ctx: &mut Ctx) {
        let Some(next) = self.memory.lock().deadlines.next() else {
            return;
        };
        if self.timer.as_ref().is_some_and(|(at, _)| *at <= next) {
            return;
        }
        if let Some((_, timer)) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let span = next.saturating_duration_since(Instant::now());
        let timer = ctx.run_later(span, |this, ctx| {
            this.timer = None;
            this.time_is_up(ctx);
            this.arm(ctx);
        });
        self.timer = Some((next, timer));
    }

    fn time_is_up(&mut self, ctx: &mut Ctx) {
        let now = Instant::now();
        loop {
            let Some(due) = self.memory.lock().deadlines.take(now) else {
                return;
            };
            match due {
                Due::Attempt(lease) => self.attempt_timed_out(lease),
                Due::Grace(lease) => self.not_given_up(lease),
                Due::Progress(lease) => self.progress_is_due(lease),
                Due::Queue => self.look_for_due(ctx),
                Due::Schedules => self.look_at_schedules(ctx),
                Due::Waits => self.look_at_waits(ctx),
                Due::Limit => self.claim_for_all(ctx),
                Due::Spend => self.spend_is_due(ctx),
                Due::Drain => self.drain_is_over(),
                Due::Upkeep => self.upkeep(ctx),
                Due::Claim => {
                    self.memory.lock().claims_rest = false;
                    self.claim(ctx);
                }
            }
        }
    }
}

/// Starts work whose end comes back as a message: past the mailbox' bound, since every such work
/// stands for one message or lease that was let in. A panic of it is one of the dispatcher: who waits
/// for its end would wait for ever.
pub(super) fn later<M>(ctx: &Ctx, work: impl Future<Output = M> + 'static)
where
    M: Message<Result = ()> + Send + 'static,
    Dispatcher: Handler<M>,
{
    let me = ctx.me();
    actix_rt::spawn(async move {
        // Without a dispatcher the sweep of the next life finds what was left.
        let told = match AssertUnwindSafe(work).catch_unwind().await {
            Ok(done) => me.report(done),
            Err(panic) => me.report::<WorkPanicked>(WorkPanicked(panic)),
        };
        told.ok();
    });
}

/// What was started panicked, with this.
#[derive(Message)]
#[rtype(result = "()")]
struct WorkPanicked(Box<dyn Any + Send>);

impl Handler<WorkPanicked> for Dispatcher {
    type Result = ();

    fn handle(&mut self, panicked: WorkPanicked, _: &mut Ctx) {
        std::panic::resume_unwind(panicked.0);
    }
}
