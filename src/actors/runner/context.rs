//! The context of a supervised actor: what actix's own offers, with our mailbox.
//!
//! `run_later`, `run_interval`, `notify`, `wait`, streams and actor futures work as in actix. What
//! differs: messages come only through [`Address`] (`AsyncContext::address` compiles, but is closed:
//! what came through it would have no bound), orders are seen between any two messages, and after
//! [`BUDGET`] messages in a row, or [`TURN`], others on the same thread have their turn.
//!
//! Not here: in which order an actor's futures and messages go, see [`super::acting`].

use std::future::Future as _;
use std::sync::Arc;
use std::task::Context as TaskContext;
use std::time::Duration;

use actix::fut::ActorFuture;
use actix::{ActorContext, ActorState, Addr, AsyncContext, SpawnHandle};
use tokio::time::Instant;

use super::Lives;
use super::acting::Wishes;
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
    pub(super) wishes: Wishes<A>,
    mailbox: Arc<Mailbox<A>>,
    reins: Arc<Reins>,
    pub(super) scope: Arc<Scope>,
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
        // Asked for by a timer, nothing may wait already, and nothing else would have it looked at.
        self.reins.wake();
    }

    pub(super) fn new(lives: &Lives<A>, scope: Arc<Scope>) -> Self {
        Self {
            wishes: Wishes::default(),
            mailbox: lives.mailbox.clone(),
            reins: lives.reins.clone(),
            scope,
            life: lives.life.clone(),
            taken: 0,
            turn_ends: None,
            told_to_drain: false,
            stops_when_idle: false,
        }
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

    /// Passes a stop on, then takes messages out of the mailbox for as long as it may.
    pub(super) fn take_messages(&mut self, actor: &mut A, task: &mut TaskContext<'_>) {
        if self.reins.order() == Order::Stop && !self.waiting() {
            self.reins.give(Order::StopTold);
            actor.stop(self);
        }
        while self.is_taking() {
            if self.turn_is_over() {
                return after_the_others(task);
            }
            self.taken += 1;
            match self.mailbox.next(self.life.generation) {
                Next::System(letter) => self.obey(actor, letter),
                Next::Letter(letter) => letter.deliver(actor, self),
                Next::LastLetter(letter) => {
                    letter.deliver(actor, self);
                    if !self.stops_when_idle {
                        return;
                    }
                }
                Next::Nothing if self.stops_when_idle => self.stop(),
                Next::Nothing => return,
                Next::Fenced => self.terminate(),
            }
        }
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
        self.wishes.stop();
    }

    fn terminate(&mut self) {
        self.wishes.state = ActorState::Stopped;
    }

    fn state(&self) -> ActorState {
        self.wishes.state
    }
}

impl<A: Hosted> AsyncContext<A> for AgentContext<A> {
    fn address(&self) -> Addr<A> {
        actix::dev::Mailbox::default().address()
    }

    fn spawn<F>(&mut self, future: F) -> SpawnHandle
    where
        F: ActorFuture<A, Output = ()> + 'static,
    {
        self.wishes.spawn(future)
    }

    fn wait<F>(&mut self, future: F)
    where
        F: ActorFuture<A, Output = ()> + 'static,
    {
        self.wishes.wait(future);
    }

    fn waiting(&self) -> bool {
        self.wishes.is_deaf()
    }

    fn cancel_future(&mut self, handle: SpawnHandle) -> bool {
        self.wishes.cancel(handle);
        true
    }
}
