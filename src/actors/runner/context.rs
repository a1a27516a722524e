//! The context of a supervised actor: actix's, with our mailbox.
//!
//! `run_later`, `run_interval`, `notify`, `wait`, streams and actor futures work as in actix. What
//! differs: messages come only through [`Address`] (`AsyncContext::address` compiles, but nothing
//! can be sent to it: it would have no bound), orders are seen between any two messages, and after
//! [`BUDGET`] messages in a row, or [`TURN`], others on the same thread have their turn.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use actix::dev::{AsyncContextParts, ContextFut, ContextParts};
use actix::fut::ActorFuture;
use actix::{Actor, ActorContext, ActorState, Addr, AsyncContext, SpawnHandle};
use tokio::time::Instant;

use super::Lives;
use super::address::Address;
use super::mailbox::{Mailbox, Next, SystemLetter};
use super::scope::{Order, Reins, Scope};
use crate::actors::life::{Hosted, Life};
use crate::domain::exit::ExitReason;

/// Messages handled in a row before others on the same thread have their turn.
pub const BUDGET: u32 = 128;

/// Time that messages may take in a row before others on the same thread have their turn. A handler
/// is never cut short, so a turn ends with the message that oversteps this, or soon after.
pub const TURN: Duration = Duration::from_micros(200);

/// The clock is read at every power of two of messages and at every multiple of this.
const CLOCK_EVERY: u32 = 8;

/// What a supervised actor is run in: `type Context = AgentContext<Self>`.
pub struct AgentContext<A: Hosted> {
    parts: ContextParts<A>,
    mailbox: Arc<Mailbox<A>>,
    reins: Arc<Reins>,
    scope: Arc<Scope>,
    life: Life,
    taken: u32,
    turn_ends: Option<Instant>,
    told_to_drain: bool,
    stops_when_idle: bool,
}

impl<A: Hosted> AgentContext<A> {
    /// The life this is: its replica, its generation, and where it reports to.
    #[must_use]
    pub fn life(&self) -> &Life {
        &self.life
    }

    /// The actor's own address; good over restarts.
    #[must_use]
    pub fn me(&self) -> Address<A> {
        Address::new(self.mailbox.clone(), None)
    }

    /// An address that reaches this life only and is closed with it: for what a later life must
    /// not get (a task leased to this one, a timer, an answer).
    #[must_use]
    pub fn me_in_this_life(&self) -> Address<A> {
        Address::new(self.mailbox.clone(), Some(self.life.generation))
    }

    /// Ends this life with a reason of its own, like [`super::exit_with`].
    pub fn exit_with(&mut self, reason: ExitReason) {
        self.scope.end_with(reason);
    }

    /// Ends this life when no message waits any more.
    pub fn stop_when_idle(&mut self) {
        self.stops_when_idle = true;
    }

    /// Makes what the runner polls: the actor in a context of its own.
    pub(super) fn future(lives: &Lives<A>, scope: Arc<Scope>, actor: A) -> ContextFut<A, Self> {
        // actix wants a mailbox; this one stays empty, since nothing can be sent to it.
        let unused = actix::dev::Mailbox::default();
        let mut ctx = Self {
            parts: ContextParts::new(unused.sender_producer()),
            mailbox: lives.mailbox.clone(),
            reins: lives.reins.clone(),
            scope,
            life: lives.life.clone(),
            taken: 0,
            turn_ends: None,
            told_to_drain: false,
            stops_when_idle: false,
        };
        ctx.spawn(Pump);
        ContextFut::new(ctx, actor, unused)
    }

    /// A new turn on the thread begins.
    pub(super) fn begin_turn(&mut self) {
        self.taken = 0;
        self.turn_ends = None;
    }

    /// Whether others on the thread are to have their turn. One message alone reads no clock: the
    /// time counts from the second on.
    fn turn_is_over(&mut self) -> bool {
        if self.taken >= BUDGET {
            return true;
        }
        let looks = self.taken.is_power_of_two()
            || self.taken > 0 && self.taken.is_multiple_of(CLOCK_EVERY);
        if !looks {
            return false;
        }
        let now = Instant::now();
        now >= *self.turn_ends.get_or_insert(now + TURN)
    }

    /// Whether the actor was told to finish what it holds.
    pub(super) const fn was_told_to_drain(&self) -> bool {
        self.told_to_drain
    }

    /// Whether messages may be handled now.
    fn is_taking(&self) -> bool {
        let told = matches!(self.reins.order(), Order::Run | Order::StopTold);
        told && !self.waiting() && !self.scope.is_ending()
    }

    fn obey(&mut self, actor: &mut A, letter: SystemLetter) {
        match letter {
            SystemLetter::Drain(at_most) => {
                self.told_to_drain = true;
                actor.drain(at_most, self);
            }
            SystemLetter::Probe(answer) => actor.probe(answer, self),
        }
    }
}

/// Takes messages out of the mailbox, as one of the actor's own futures: so it rests while the
/// actor waits, and ends with the life.
struct Pump;

impl<A: Hosted> ActorFuture<A> for Pump {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut A,
        ctx: &mut AgentContext<A>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        if ctx.reins.order() == Order::Stop && !ctx.waiting() {
            ctx.reins.give(Order::StopTold);
            actor.stop(ctx);
        }
        while ctx.is_taking() {
            if ctx.turn_is_over() {
                after_the_others(task);
                break;
            }
            ctx.taken += 1;
            match ctx.mailbox.next(ctx.life.generation) {
                Next::System(letter) => ctx.obey(actor, letter),
                Next::Letter(letter) => letter.deliver(actor, ctx),
                Next::LastLetter(letter) => {
                    letter.deliver(actor, ctx);
                    if !ctx.stops_when_idle {
                        break;
                    }
                }
                Next::Nothing if ctx.stops_when_idle => ctx.stop(),
                Next::Nothing => break,
                Next::Fenced => ctx.terminate(),
            }
        }
        Poll::Pending
    }
}

/// Wakes this task when all others on the thread have had their turn: those that wait for a timer or
/// were told something by another thread too. A plain wake goes ahead of these on an arbiter.
fn after_the_others(task: &mut TaskContext<'_>) {
    let turn = std::pin::pin!(tokio::task::yield_now());
    if turn.poll(task).is_ready() {
        task.waker().wake_by_ref();
    }
}

impl<A: Hosted> ActorContext for AgentContext<A> {
    fn stop(&mut self) {
        self.parts.stop();
    }

    fn terminate(&mut self) {
        self.parts.terminate();
    }

    fn state(&self) -> ActorState {
        self.parts.state()
    }
}

impl<A: Hosted> AsyncContext<A> for AgentContext<A> {
    fn address(&self) -> Addr<A> {
        self.parts.address()
    }

    fn spawn<F>(&mut self, future: F) -> SpawnHandle
    where
        F: ActorFuture<A, Output = ()> + 'static,
    {
        self.parts.spawn(future)
    }

    fn wait<F>(&mut self, future: F)
    where
        F: ActorFuture<A, Output = ()> + 'static,
    {
        self.parts.wait(future);
    }

    fn waiting(&self) -> bool {
        self.parts.waiting()
    }

    fn cancel_future(&mut self, handle: SpawnHandle) -> bool {
        self.parts.cancel_future(handle)
    }
}

impl<A: Hosted> AsyncContextParts<A> for AgentContext<A>
where
    A: Actor<Context = Self>,
{
    fn parts(&mut self) -> &mut ContextParts<A> {
        &mut self.parts
    }
}
