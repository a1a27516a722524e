//! What one life does from its start to its end: its actor's hooks, its messages and its own futures,
//! in the order that actix gives them.
//!
//! Rely on: while the actor waits (`ctx.wait`), nothing else of it runs, and the newest wait goes
//! first; messages go before the actor's own futures; a future that was cancelled is never polled
//! again; `stopping` may refuse a stop, nothing refuses a termination.
//!
//! Not here: which messages (see [`super::context`]), and panics (see [`super::scope`]).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use actix::fut::ActorFuture;
use actix::{ActorState, Running, SpawnHandle};

use super::Lives;
use super::context::AgentContext;
use super::scope::Scope;
use crate::actors::life::Hosted;

/// One of the actor's own futures.
type Own<A> = Pin<Box<dyn ActorFuture<A, Output = ()>>>;

/// A future that comes or goes.
enum Change<A: Hosted> {
    Spawned(SpawnHandle, Own<A>),
    Cancelled(SpawnHandle),
}

/// What the actor's code wishes of its context: seen to between two polls.
pub(super) struct Wishes<A: Hosted> {
    pub(super) state: ActorState,
    last: SpawnHandle,
    changes: Vec<Change<A>>,
    /// What it waits for, the newest last.
    waits: Vec<Own<A>>,
}

impl<A: Hosted> Default for Wishes<A> {
    fn default() -> Self {
        Self {
            state: ActorState::Running,
            last: SpawnHandle::default(),
            changes: Vec::new(),
            waits: Vec::new(),
        }
    }
}

impl<A: Hosted> Wishes<A> {
    pub(super) fn spawn(
        &mut self,
        future: impl ActorFuture<A, Output = ()> + 'static,
    ) -> SpawnHandle {
        self.last = self.last.next();
        self.changes
            .push(Change::Spawned(self.last, Box::pin(future)));
        self.last
    }

    pub(super) fn cancel(&mut self, handle: SpawnHandle) {
        self.changes.push(Change::Cancelled(handle));
    }

    pub(super) fn wait(&mut self, future: impl ActorFuture<A, Output = ()> + 'static) {
        self.waits.push(Box::pin(future));
    }

    /// Whether the actor takes no messages: it waits, or ends.
    pub(super) fn is_deaf(&self) -> bool {
        !self.waits.is_empty() || !self.is_running()
    }

    pub(super) fn stop(&mut self) {
        if self.is_running() {
            self.state = ActorState::Stopping;
        }
    }

    fn is_running(&self) -> bool {
        self.state == ActorState::Running
    }

    fn has_to_wait(&self) -> bool {
        self.is_running() && !self.waits.is_empty()
    }
}

/// An actor in a context of its own, as the runner polls it.
pub(super) struct Acting<A: Hosted> {
    pub(super) ctx: AgentContext<A>,
    actor: A,
    futures: Vec<(SpawnHandle, Own<A>)>,
    started: bool,
}

impl<A: Hosted> Acting<A> {
    pub(super) fn new(lives: &Lives<A>, scope: Arc<Scope>, actor: A) -> Self {
        Self {
            ctx: AgentContext::new(lives, scope),
            actor,
            futures: Vec::new(),
            started: false,
        }
    }

    /// Goes on as far as possible; ready when the actor has stopped.
    pub(super) fn poll(&mut self, task: &mut TaskContext<'_>) -> Poll<()> {
        if !std::mem::replace(&mut self.started, true) {
            self.actor.started(&mut self.ctx);
        }
        loop {
            if self.still_waits(task) {
                return Poll::Pending;
            }
            self.ctx.take_messages(&mut self.actor, task);
            // What they asked for comes first: a wait, then all futures again.
            if self.ctx.wishes.has_to_wait() || !self.poll_futures(task) {
                continue;
            }
            if self.ctx.wishes.is_running() {
                return Poll::Pending;
            }
            if self.has_stopped() {
                return Poll::Ready(());
            }
        }
    }

    /// Polls what the actor waits for, the newest first; whether any of it is left.
    fn still_waits(&mut self, task: &mut TaskContext<'_>) -> bool {
        while self.ctx.wishes.is_running() {
            let Some(mut newest) = self.ctx.wishes.waits.pop() else {
                return false;
            };
            let place = self.ctx.wishes.waits.len();
            let polled = newest.as_mut().poll(&mut self.actor, &mut self.ctx, task);
            if polled.is_ready() {
                continue;
            }
            let waits = &mut self.ctx.wishes.waits;
            let is_newest = waits.len() == place;
            waits.insert(place, newest);
            if is_newest && self.ctx.wishes.is_running() {
                return true;
            }
        }
        false
    }

    /// Polls the actor's own futures, new ones too; false if it was cut short and is to begin again.
    fn poll_futures(&mut self, task: &mut TaskContext<'_>) -> bool {
        self.apply_changes();
        let mut nth = 0;
        while nth < self.futures.len() && self.ctx.wishes.is_running() {
            let (_, future) = &mut self.futures[nth];
            let polled = future.as_mut().poll(&mut self.actor, &mut self.ctx, task);
            let waits = self.ctx.wishes.has_to_wait();
            if polled.is_ready() {
                drop(self.futures.swap_remove(nth));
            } else if waits {
                // It may wait time after time: the others go before it then.
                let future = self.futures.remove(nth);
                self.futures.push(future);
            } else {
                nth += 1;
            }
            if self.apply_changes() || waits {
                return false;
            }
        }
        true
    }

    /// Whether futures were cancelled, so that the rest may stand elsewhere.
    fn apply_changes(&mut self) -> bool {
        let mut moved = false;
        for change in self.ctx.wishes.changes.drain(..) {
            match change {
                Change::Spawned(handle, future) => self.futures.push((handle, future)),
                Change::Cancelled(gone) => {
                    moved = true;
                    self.futures.retain(|(handle, _)| *handle != gone);
                }
            }
        }
        moved
    }

    /// Asks the actor whether it stops, unless it has to, and tells it if so.
    fn has_stopped(&mut self) -> bool {
        let asked = self.ctx.wishes.state == ActorState::Stopping;
        if asked && self.actor.stopping(&mut self.ctx) == Running::Continue {
            if self.ctx.wishes.state == ActorState::Stopping {
                self.ctx.wishes.state = ActorState::Running;
            }
            return false;
        }
        self.ctx.wishes.state = ActorState::Stopped;
        self.actor.stopped(&mut self.ctx);
        true
    }
}
