//! The agent that does nothing, and says when it was handed its task.

use std::sync::LazyLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::actors::agent::{Agent, Failure, Scope};

/// What all instants of one run are counted from.
static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Counts the commits so far.
pub(super) type Commits = fn() -> u64;

/// When something happened: microseconds into the run, and commits until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    pub(super) at_us: u64,
    pub(super) commits: u64,
}

impl Stamp {
    pub(super) fn now(commits: Commits) -> Self {
        let at_us = u64::try_from(BEGUN.elapsed().as_micros()).unwrap_or(u64::MAX);
        Self {
            at_us,
            commits: commits(),
        }
    }

    /// Time and commits since.
    pub(super) fn until(self, later: Self) -> (Duration, u64) {
        let span = later.at_us.saturating_sub(self.at_us);
        let commits = later.commits.saturating_sub(self.commits);
        (Duration::from_micros(span), commits)
    }
}

/// The agent.
pub(super) struct Noop {
    pub(super) commits: Commits,
}

impl Agent for Noop {
    type Input = Stamp;
    type Output = Stamp;

    fn task(
        &mut self,
        _: Stamp,
        _: Scope,
    ) -> impl Future<Output = Result<Stamp, Failure>> + 'static {
        std::future::ready(Ok(Stamp::now(self.commits)))
    }
}
