//! What an agent written in Rust implements.

use std::fmt;
use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::scope::Scope;
use crate::domain::message::Message;
use crate::domain::task::TaskError;

/// An agent in Rust: state, typed tasks, hooks.
///
/// The state is made anew for each life by the factory that was registered, lives on one thread,
/// and need not be `Send`. A task's future owns what it needs, so several run at once; a panic in
/// any of them ends the life with that reason, and with it the other tasks, which are run again.
///
/// ```
/// use agent_system::actors::agent::{Agent, Failure, Scope};
///
/// struct Doubler;
///
/// impl Agent for Doubler {
///     type Input = u32;
///     type Output = u32;
///
///     fn task(&mut self, input: u32, _: Scope) -> impl Future<Output = Result<u32, Failure>> + 'static {
///         async move { input.checked_mul(2).ok_or_else(|| Failure::fatal("too large")) }
///     }
/// }
/// ```
pub trait Agent: Sized + Unpin + 'static {
    /// What a payload is read as; one that is something else fails the task for good.
    type Input: DeserializeOwned + 'static;
    /// What a result is written from.
    type Output: Serialize + 'static;

    /// Called at the begin of a life; tasks come when its future has resolved.
    fn start(&mut self) -> impl Future<Output = Result<(), Failure>> + 'static {
        async { Ok(()) }
    }

    /// Begins a task.
    fn task(
        &mut self,
        input: Self::Input,
        scope: Scope,
    ) -> impl Future<Output = Result<Self::Output, Failure>> + 'static;

    /// Takes a message from another agent or an operator.
    fn message(&mut self, message: Message) -> impl Future<Output = ()> + 'static {
        drop(message);
        async {}
    }

    /// Told that nothing new comes; the life ends when the open tasks are done.
    fn drain(&mut self) {}
}

/// Why a task, or a start, failed. Any error becomes one with `?`: retryable, code `failed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(TaskError);

impl Failure {
    /// Another attempt may help.
    pub fn retryable(message: impl fmt::Display) -> Self {
        Self::new(message, true)
    }

    /// Another attempt would fail the same way.
    pub fn fatal(message: impl fmt::Display) -> Self {
        Self::new(message, false)
    }

    fn new(message: impl fmt::Display, retryable: bool) -> Self {
        Self(TaskError {
            code: "failed".to_owned(),
            message: message.to_string(),
            retryable,
        })
    }

    /// With a word that a program may match on.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.0.code = code.into();
        self
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::retryable(error)
    }
}

impl From<Failure> for TaskError {
    fn from(failure: Failure) -> Self {
        failure.0
    }
}
