//! The context of a supervised actor: actix's, with our mailbox.
//!
//! `run_later`, `run_interval`, `notify`, `wait`, streams and actor futures work as in actix. What
//! differs: messages come only through [`Address`] (`AsyncContext::address` compiles, but nothing
//! can be sent to it: it would have no bound), orders are seen between any two messages, and after
//! [`BUDGET`] messages in a row others on the same thread have their turn.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use actix::dev::{AsyncContextParts, ContextFut, ContextParts};
use actix::fut::ActorFuture;
use actix::{Actor, ActorContext, ActorState, Addr, AsyncContext, SpawnHandle};

use super::Lives;
use super::address::Address;
use super::mailbox::{Mailbox, Next, SystemLetter};
use super::scope::{Order, Reins, Scope};
use crate::actors::life::{Hosted, Life};
use crate::domain::exit::ExitReason;

/// Messages handled in a row before others on the same thread have their turn.
pub const BUDGET: u32 = 128;

/// What a supervised actor is run in: `type Context = AgentContext<Self>`.
pub struct AgentContext<A: Hosted> {
    parts: ContextParts<A>,
    mailbox: Arc<Mailbox<A>>,
    reins: Arc<Reins>,
    scope: Arc<Scope>,
    life: Life,
    budget: u32,
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
            budget: BUDGET,
            told_to_drain: false,
            stops_when_idle: false,
        };
        ctx.spawn(Pump);
        ContextFut::new(ctx, actor, unused)
    }

    /// A new turn on the thread begins.
    pub(super) fn refresh_budget(&mut self) {
        self.budget = BUDGET;
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
            if ctx.budget == 0 {
                task.waker().wake_by_ref();
                break;
            }
            ctx.budget -= 1;
            match ctx.mailbox.next(ctx.life.generation) {
                Next::System(letter) => ctx.obey(actor, letter),
                Next::Letter(letter) => letter.deliver(actor, ctx),
                Next::Nothing if ctx.stops_when_idle => ctx.stop(),
                Next::Nothing => break,
                Next::Fenced => ctx.terminate(),
            }
        }
        Poll::Pending
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
