//! The way to whoever takes one type of message, whatever actor that is.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix::{Handler, Message};
use futures_util::future::BoxFuture;

use super::address::{Address, AskError};
use super::mailbox::TellError;
use crate::actors::life::Hosted;

/// An [`Address`] of which only one type of message is known. Cheap to clone.
///
/// Bound, deadline and errors are the address's; a question costs one more allocation.
pub struct Recipient<M: Message>(Arc<dyn Takes<M>>)
where
    M::Result: Send;

/// What a recipient asks of the address inside.
trait Takes<M: Message>: Send + Sync {
    fn tell(&self, message: M) -> Result<(), TellError>;
    fn ask(&self, message: M, deadline: Duration) -> Answer<M::Result>;
}

type Answer<R> = BoxFuture<'static, Result<R, AskError>>;

impl<A, M> Takes<M> for Address<A>
where
    A: Hosted + Handler<M>,
    M: Message + Send + 'static,
    M::Result: Send,
{
    fn tell(&self, message: M) -> Result<(), TellError> {
        Self::tell(self, message)
    }

    fn ask(&self, message: M, deadline: Duration) -> Answer<M::Result> {
        let address = self.clone();
        Box::pin(async move { Self::ask(&address, message, deadline).await })
    }
}

impl<A: Hosted> Address<A> {
    /// This address for one type of message only.
    #[must_use]
    pub fn recipient<M>(&self) -> Recipient<M>
    where
        A: Handler<M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        Recipient(Arc::new(self.clone()))
    }
}

impl<M: Message> Recipient<M>
where
    M::Result: Send,
{
    /// Sends without waiting for an answer; see [`Address::tell`].
    ///
    /// # Errors
    /// [`TellError`] if the message was not taken in.
    pub fn tell(&self, message: M) -> Result<(), TellError> {
        self.0.tell(message)
    }

    /// Sends and waits for the answer until `deadline` is over; see [`Address::ask`].
    ///
    /// # Errors
    /// [`AskError`]; only [`AskError::Timeout`] and [`AskError::Died`] leave open what was done.
    pub async fn ask(&self, message: M, deadline: Duration) -> Result<M::Result, AskError> {
        self.0.ask(message, deadline).await
    }
}

impl<M: Message> Clone for Recipient<M>
where
    M::Result: Send,
{
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Message> fmt::Debug for Recipient<M>
where
    M::Result: Send,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Recipient")
            .field(&std::any::type_name::<M>())
            .finish()
    }
}
