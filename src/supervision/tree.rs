//! A running tree: asking it, steering it, hearing of ends, stopping it.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::actors::pool::Pool;
use crate::actors::supervisor::{
    AgentStatus, Escalated, Exit, ShutdownReport, ShutdownSpans, SupervisorError, SupervisorHandle,
};
use crate::domain::agent::AgentTarget;

/// Ends that are kept for a subscriber that is slow; older ones are counted only.
pub const EXITS_KEPT: usize = 1_024;

/// How long the threads of the arbiters may take to end when all children have.
const THREADS_END: Duration = Duration::from_secs(1);

type Result<T> = std::result::Result<T, SupervisorError>;

/// A running tree. Cheap to clone; dropping it stops nothing, [`Tree::shutdown`] does.
///
/// Children are named as declared, a replica as `NAME#1`. Each call is answered within 5 s, or
/// fails; commands may be repeated.
#[derive(Clone)]
pub struct Tree {
    handle: SupervisorHandle,
    exits: broadcast::WeakSender<Exit>,
    pool: Option<Weak<Pool>>,
}

impl Tree {
    pub(super) fn new(
        handle: SupervisorHandle,
        exits: &broadcast::Sender<Exit>,
        pool: Option<&Arc<Pool>>,
    ) -> Self {
        Self {
            handle,
            exits: exits.downgrade(),
            pool: pool.map(Arc::downgrade),
        }
    }

    /// How a child stands: state, restarts, last exit, each replica.
    ///
    /// # Errors
    /// If there is none of that name, or the supervisor does not answer.
    pub async fn status(&self, child: &str) -> Result<AgentStatus> {
        self.handle.agent(&target(child)?.agent).await
    }

    /// How every child stands, in the order declared.
    ///
    /// # Errors
    /// If the supervisor does not answer.
    pub async fn statuses(&self) -> Result<Vec<AgentStatus>> {
        self.handle.agents().await
    }

    /// Runs a child that was stopped or gave up; its deaths are forgotten.
    ///
    /// # Errors
    /// If there is none of that name, or the supervisor does not answer.
    pub async fn start(&self, child: &str) -> Result<AgentStatus> {
        self.handle.start(target(child)?).await
    }

    /// Ends a child and keeps it down until it is started: no restart brings it back.
    ///
    /// # Errors
    /// If there is none of that name, or the supervisor does not answer.
    pub async fn stop(&self, child: &str) -> Result<AgentStatus> {
        self.handle.stop(target(child)?).await
    }

    /// Ends a child and runs it again.
    ///
    /// # Errors
    /// If there is none of that name, or the supervisor does not answer.
    pub async fn restart(&self, child: &str) -> Result<AgentStatus> {
        self.handle.restart(target(child)?).await
    }

    /// Runs so many replicas, 1,000 at most; those that go are the last.
    ///
    /// # Errors
    /// If there is none of that name, they are too many, or the supervisor does not answer.
    pub async fn scale(&self, child: &str, replicas: u32) -> Result<AgentStatus> {
        self.handle.scale(&target(child)?.agent, replicas).await
    }

    /// From now on, the end of every life, each once.
    #[must_use]
    pub fn exits(&self) -> Exits {
        let exits = self.exits.upgrade();
        Exits(exits.map_or_else(|| broadcast::channel(1).1, |exits| exits.subscribe()))
    }

    /// Resolves when the supervisor gives up: a group with nobody to escalate to, or a critical
    /// child that was down for half a minute; then the program should end. Also after a shutdown.
    pub async fn gave_up(&self) -> Escalated {
        self.handle.escalated().await
    }

    /// Ends every child in the reverse of the order of their start, first by draining, then by
    /// stopping, then by force; then their arbiters, and the supervisor itself. Names those that
    /// had to be killed.
    ///
    /// # Errors
    /// If the supervisor has ended, or does not come to an end in time.
    pub async fn shutdown(&self, spans: ShutdownSpans) -> Result<ShutdownReport> {
        let report = self.handle.shutdown(spans).await?;
        let pool = self.pool.as_ref().and_then(Weak::upgrade);
        self.handle.end();
        if let Some(pool) = pool {
            let ended = tokio::task::spawn_blocking(move || pool.stop());
            // A thread that a handler still blocks is left to itself.
            tokio::time::timeout(THREADS_END, ended).await.ok();
        }
        Ok(report)
    }
}

fn target(child: &str) -> Result<AgentTarget> {
    child.parse().map_err(|_| SupervisorError::NotFound {
        name: child.chars().take(80).collect(),
        nearest: None,
    })
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").finish_non_exhaustive()
    }
}

/// The ends of lives, in the order in which the supervisor heard of them.
#[derive(Debug)]
pub struct Exits(broadcast::Receiver<Exit>);

/// Why there is no next end to tell of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExitsError {
    /// This subscriber was too slow: so many ends are lost for it. The next call goes on.
    #[error(
        "{0} ends were missed; read faster than lives end, or keep up by asking for the status"
    )]
    Missed(u64),
    /// The tree was shut down; none will follow.
    #[error("the supervisor has ended")]
    Ended,
}

impl Exits {
    /// The next end.
    ///
    /// # Errors
    /// [`ExitsError`].
    pub async fn next(&mut self) -> std::result::Result<Exit, ExitsError> {
        self.0.recv().await.map_err(|error| match error {
            RecvError::Lagged(count) => ExitsError::Missed(count),
            RecvError::Closed => ExitsError::Ended,
        })
    }
}
