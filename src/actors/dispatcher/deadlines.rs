//! Everything the dispatcher does at an instant: one set, one timer.

use std::collections::BTreeSet;

use tokio::time::Instant;

use crate::domain::ids::LeaseId;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// An attempt has taken too long.
    Attempt(LeaseId),
    /// An agent has not given up what it was asked to.
    Grace(LeaseId),
    /// Tasks that waited for an instant may be queued.
    Queue,
    /// A claim may be tried again.
    Claim,
    /// The drain is over.
    Drain,
    /// Time to renew, rescue and sweep.
    Upkeep,
}

/// What is due when.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    set: BTreeSet<(Instant, Due)>,
}

impl Deadlines {
    pub(super) fn add(&mut self, at: Instant, due: Due) {
        self.set.insert((at, due));
    }

    pub(super) fn remove(&mut self, at: Instant, due: Due) {
        self.set.remove(&(at, due));
    }

    /// The next instant.
    pub(super) fn next(&self) -> Option<Instant> {
        self.set.first().map(|(at, _)| *at)
    }

    /// Takes what is due, if anything is.
    pub(super) fn take(&mut self, now: Instant) -> Option<Due> {
        let first = *self.set.first().filter(|(at, _)| *at <= now)?;
        self.set.remove(&first);
        Some(first.1)
    }
}
