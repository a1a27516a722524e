//! Runs one life after another of any actor: catches its panics, reports its ends, restarts it in
//! place under the supervisor's [`Grant`].
//!
//! Rely on:
//! - a panic in a handler, a hook, a timer, a stream, an actor's future or a [`link()`]ed future ends
//!   that life alone, never the process;
//! - each life ends with exactly one notice, after its future is gone;
//! - each life has fresh state from the factory; messages that waited are kept, the caller of the
//!   message that killed it is told;
//! - stop and kill are seen between two messages and while the actor waits.
//!
//! Not here: what follows an end when the grant gives no leave (see `supervisor`), and handlers
//! that block their thread (see `pool`).

#[cfg(panic = "abort")]
compile_error!("supervision catches panics: build agent-system with panic = \"unwind\"");

mod acting;
mod address;
mod alarm;
mod context;
mod grant;
mod host;
mod link;
mod mailbox;
mod recipient;
pub(crate) mod scope;
mod wakes;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use actix::ActorContext;

pub use address::{Address, AskError};
pub use context::{AgentContext, BUDGET, TURN};
pub use grant::Grant;
pub use host::HostedChild;
pub(crate) use link::Bond;
pub use link::link;
pub use mailbox::TellError;
pub use recipient::Recipient;
pub use scope::exit_with;

use crate::actors::life::{Hosted, Life, Ready};
use crate::domain::exit::ExitReason;
use acting::Acting;
use mailbox::Mailbox;
use scope::{Order, Reins, Scope, Seat};
use wakes::Held;

/// Makes the state of one life.
pub(crate) type Factory<A> = Arc<dyn Fn(&Life) -> Result<A, String> + Send + Sync>;

/// What the lives of one runner share. Made before the task is spawned, so that whatever loses the
/// task on the way still reports its end.
pub(crate) struct Lives<A: Hosted> {
    pub(crate) life: Life,
    pub(crate) grant: Grant,
    pub(crate) factory: Factory<A>,
    pub(crate) mailbox: Arc<Mailbox<A>>,
    pub(crate) reins: Arc<Reins>,
    /// Every life has ended and has been reported.
    pub(crate) over: bool,
}

impl<A: Hosted> Lives<A> {
    /// Reports the end of the present life; whether another one begins at once.
    fn end(&mut self, reason: ExitReason) -> bool {
        let ended = self.life.generation;
        let next = self.grant.take(&reason);
        match next {
            Some(next) => {
                self.mailbox.next_life(ended, next);
                self.life.generation = next;
            }
            None => {
                self.mailbox.detach(ended);
                self.over = true;
            }
        }
        self.life.sink.exited(&self.life.instance, ended, reason);
        next.is_some()
    }
}

/// The task was lost with a life in it: its arbiter, or the whole runtime, goes down.
impl<A: Hosted> Drop for Lives<A> {
    fn drop(&mut self) {
        if !self.over {
            self.grant.revoke();
            let killed = self.reins.order() == Order::Kill;
            self.end(if killed {
                ExitReason::Killed
            } else {
                ExitReason::ArbiterGone
            });
        }
    }
}

/// One life after another, as a task.
pub(crate) struct Runner<A: Hosted> {
    stage: Option<Alive<A>>,
    /// Where whoever posts or orders something wakes this task.
    known: Option<Waker>,
    lives: Lives<A>,
}

/// The life that runs now.
struct Alive<A: Hosted> {
    seat: Seat,
    acting: Acting<A>,
    ready: bool,
}

impl<A: Hosted> Runner<A> {
    pub(crate) fn new(lives: Lives<A>) -> Self {
        Self {
            stage: None,
            known: None,
            lives,
        }
    }

    /// Drops what the life holds, without running its hooks if it has not run them itself.
    fn bury(&mut self) {
        if let Some(mut alive) = self.stage.take() {
            alive.acting.ctx.scope.close();
            let acting = alive.acting;
            // A panic while dropping changes nothing any more; the life has ended already.
            drop(alive.seat.run(move || drop(acting)));
        }
    }

    /// Makes known where this task is woken; it stays so until the task gets another waker.
    fn be_known(&mut self, waker: &Waker) {
        if !self
            .known
            .as_ref()
            .is_some_and(|known| known.will_wake(waker))
        {
            self.known = Some(waker.clone());
            self.lives.reins.wake_by(waker);
            self.lives
                .mailbox
                .wake_by(self.lives.life.generation, waker);
        }
    }
}

impl<A: Hosted> Future for Runner<A> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.be_known(cx.waker());
        if this.lives.over {
            return Poll::Ready(());
        }
        let Some(reason) = this.poll_life(cx) else {
            return Poll::Pending;
        };
        let (goes_on, _told) = this.end_life(reason);
        if !goes_on {
            return Poll::Ready(());
        }
        // The next life begins at once; if it ends as well, others on this thread have their turn.
        let Some(reason) = this.poll_life(cx) else {
            return Poll::Pending;
        };
        if !this.end_life(reason).0 {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<A: Hosted> Drop for Runner<A> {
    fn drop(&mut self) {
        self.bury();
    }
}

impl<A: Hosted> Runner<A> {
    /// Reports the end of the life; whether another one follows. Who was told is woken when the
    /// second value is dropped.
    fn end_life(&mut self, reason: ExitReason) -> (bool, Held) {
        self.bury();
        wakes::held(|| self.lives.end(reason))
    }

    /// Polls the life, begins it if need be; `Some` is why it has ended.
    fn poll_life(&mut self, cx: &mut Context<'_>) -> Option<ExitReason> {
        if self.stage.is_none() {
            match Alive::begin(&self.lives) {
                Ok(alive) => self.stage = Some(alive),
                Err(reason) => return Some(reason),
            }
        }
        self.stage.as_mut()?.poll(&self.lives, cx)
    }
}

impl<A: Hosted> Alive<A> {
    /// Makes fresh state and its context.
    fn begin(lives: &Lives<A>) -> Result<Self, ExitReason> {
        let scope = Scope::new(lives.reins.clone(), lives.grant.runner());
        let mut seat = Seat::of(scope.clone());
        let made = seat.run(|| (lives.factory)(&lives.life));
        let actor = made
            .map_err(as_start_failure)?
            .map_err(|message| ExitReason::StartFailed { message })?;
        Ok(Self {
            seat,
            acting: Acting::new(lives, scope, actor),
            ready: false,
        })
    }

    fn poll(&mut self, lives: &Lives<A>, cx: &mut Context<'_>) -> Option<ExitReason> {
        self.acting.ctx.begin_turn();
        loop {
            let order = lives.reins.order();
            if order == Order::Kill {
                return Some(self.take_reason().unwrap_or(ExitReason::Killed));
            }
            let acting = &mut self.acting;
            match self.seat.run(|| acting.poll(cx)) {
                Err(panic) => return Some(panic),
                Ok(Poll::Ready(())) => return Some(self.why_ended(&lives.reins)),
                Ok(Poll::Pending) => {}
            }
            // The pump passes a stop on; if it could not run, the actor waits for something.
            let deaf = order == Order::Stop && lives.reins.order() == Order::Stop;
            if deaf {
                lives.reins.give(Order::StopTold);
            }
            if self.acting.ctx.scope.take_ending() || deaf {
                self.acting.ctx.stop();
                continue;
            }
            if A::READY_AT_START && !std::mem::replace(&mut self.ready, true) {
                lives.life.ready(Ready::default());
            }
            return None;
        }
    }

    /// The reason of a life whose future has resolved.
    fn why_ended(&mut self, reins: &Reins) -> ExitReason {
        let ordered = reins.order() != Order::Run || self.acting.ctx.was_told_to_drain();
        let default = if ordered {
            ExitReason::Shutdown
        } else {
            ExitReason::Normal
        };
        self.take_reason().unwrap_or(default)
    }

    fn take_reason(&self) -> Option<ExitReason> {
        self.acting.ctx.scope.take_reason()
    }
}

/// A panic in the factory is a failed start, with its place.
fn as_start_failure(reason: ExitReason) -> ExitReason {
    match reason {
        ExitReason::Panic { message, place } => ExitReason::StartFailed {
            message: format!("{message} (panic at {place})"),
        },
        other => other,
    }
}

/// What one runner of a life of `A` takes from the heap, in bytes, if nothing waits for it: its task,
/// its mailbox, and what is shared about its lives.
#[cfg(test)]
pub(crate) fn weight<A: Hosted>() -> usize {
    /// Two counters in front of what is shared.
    const SHARED: usize = 16;
    /// tokio's own part of a task, which is laid out in lines of the cache.
    const TASK: usize = 100;
    const LINES: usize = 128;
    let task = (size_of::<Runner<A>>() + TASK).next_multiple_of(LINES);
    let shared = [
        size_of::<Mailbox<A>>(),
        size_of::<Scope>(),
        size_of::<Reins>(),
        grant::WEIGHT,
        host::weight::<A>(),
    ];
    task + shared.map(|size| SHARED + size).iter().sum::<usize>()
}
