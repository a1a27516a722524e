//! The only handle of a supervised actor.
//!
//! Rely on: a full mailbox refuses at once; an answer that does not come is told apart from a
//! message that was never handled; the address stays good over restarts.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use actix::dev::{MessageResponse, OneshotSender};
use actix::{Handler, Message};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::alarm::{Alarm, Begun};
use super::context::AgentContext;
use super::mailbox::{Letter, Mailbox, Posted, TellError};
use crate::actors::life::Hosted;

/// The way to a supervised actor. Cheap to clone; holds nothing alive.
pub struct Address<A: Hosted> {
    mailbox: Arc<Mailbox<A>>,
    only: Option<u64>,
}

/// Why a question has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The mailbox is full; the message was not taken in.
    #[error("the mailbox is full")]
    Full,
    /// The actor ended before it came to the message; it was not handled.
    #[error("the actor has ended")]
    Closed,
    /// No answer in time; whether the message was, or will be, handled is unknown.
    #[error("no answer in time")]
    Timeout,
    /// The actor died, or gave up, while it handled the message.
    #[error("the actor died while it handled the message")]
    Died,
}

impl From<TellError> for AskError {
    fn from(refused: TellError) -> Self {
        match refused {
            TellError::Full => Self::Full,
            TellError::Closed => Self::Closed,
        }
    }
}

impl<A: Hosted> Address<A> {
    pub(crate) fn new(mailbox: Arc<Mailbox<A>>, only: Option<u64>) -> Self {
        Self { mailbox, only }
    }

    /// Sends without waiting for an answer.
    ///
    /// # Errors
    /// [`TellError`] if the message was not taken in.
    pub fn tell<M>(&self, message: M) -> Result<(), TellError>
    where
        A: Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        self.mailbox.post(self.posted(Told(message), None), true)
    }

    /// Sends a message that is worthless after `within`: then it is skipped.
    ///
    /// # Errors
    /// [`TellError`] if the message was not taken in.
    pub fn tell_within<M>(&self, message: M, within: Duration) -> Result<(), TellError>
    where
        A: Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        let expires = Instant::now() + within;
        self.mailbox
            .post(self.posted(Told(message), Some(expires)), true)
    }

    /// Sends past the bound. Only for reports whose number something else bounds (one exit a
    /// life, one result a lease), since such a report must never be dropped.
    ///
    /// # Errors
    /// [`TellError::Closed`] if the message was not taken in.
    pub fn report<M>(&self, message: M) -> Result<(), TellError>
    where
        A: Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        self.mailbox.post(self.posted(Told(message), None), false)
    }

    /// Sends and waits for the answer until `deadline` is over.
    ///
    /// # Errors
    /// [`AskError`]; only [`AskError::Timeout`] and [`AskError::Died`] leave open what was done.
    pub async fn ask<M>(&self, message: M, deadline: Duration) -> Result<M::Result, AskError>
    where
        A: Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        let (answer, mut waiting) = oneshot::channel();
        let mut alarm = Alarm::at(Instant::now() + deadline);
        let asked = Asked {
            message,
            answer,
            begun: alarm.begun(),
        };
        // It expires with its caller, who goes when the time is over.
        if let Err(refused) = self.mailbox.post(self.posted(asked, None), true) {
            alarm.leave();
            return Err(refused.into());
        }
        let answering = poll_fn(|cx| match Pin::new(&mut waiting).poll(cx) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => alarm.poll(cx).map(|()| None),
        });
        match answering.await {
            Some(Ok(answer)) => {
                alarm.leave();
                Ok(answer)
            }
            Some(Err(_)) if alarm.has_begun() => Err(AskError::Died),
            Some(Err(_)) if !alarm.is_over() => Err(AskError::Closed),
            Some(Err(_)) | None => Err(AskError::Timeout),
        }
    }

    /// Messages that wait, exactly.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.mailbox.depth()
    }

    /// No life is coming: whoever waits is told.
    pub(crate) fn close(&self) {
        self.mailbox.close();
    }

    fn posted(&self, letter: impl Letter<A> + 'static, expires: Option<Instant>) -> Posted<A> {
        Posted {
            letter: Box::new(letter),
            only: self.only,
            expires,
        }
    }
}

impl<A: Hosted> Clone for Address<A> {
    fn clone(&self) -> Self {
        Self::new(self.mailbox.clone(), self.only)
    }
}

impl<A: Hosted> fmt::Debug for Address<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("of", &std::any::type_name::<A>())
            .field("only", &self.only)
            .finish()
    }
}

/// A message nobody waits for.
struct Told<M>(M);

impl<A, M> Letter<A> for Told<M>
where
    A: Hosted + Handler<M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    fn is_wanted(&self) -> bool {
        true
    }

    fn deliver(self: Box<Self>, actor: &mut A, ctx: &mut AgentContext<A>) {
        actor.handle(self.0, ctx).handle(ctx, None);
    }
}

/// A message with its caller.
struct Asked<M: Message> {
    message: M,
    answer: OneshotSender<M::Result>,
    begun: Begun,
}

impl<A, M> Letter<A> for Asked<M>
where
    A: Hosted + Handler<M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    fn is_wanted(&self) -> bool {
        !self.answer.is_closed()
    }

    fn deliver(self: Box<Self>, actor: &mut A, ctx: &mut AgentContext<A>) {
        self.begun.store(true, Ordering::Release);
        let Self {
            message, answer, ..
        } = *self;
        actor.handle(message, ctx).handle(ctx, Some(answer));
    }
}

/// For claims about what a panic costs: a letter that panics in whoever it is delivered to.
#[cfg(test)]
struct Bomb;

#[cfg(test)]
impl<A: Hosted> Letter<A> for Bomb {
    fn is_wanted(&self) -> bool {
        true
    }

    fn deliver(self: Box<Self>, _: &mut A, _: &mut AgentContext<A>) {
        panic!("as told");
    }
}

#[cfg(test)]
impl<A: Hosted> Address<A> {
    /// Lets the life panic when it comes to this message.
    pub(crate) fn explode(&self) {
        self.mailbox.post(self.posted(Bomb, None), true).unwrap();
    }
}
