//! Everything the dispatcher does at an instant: one set, one timer.

use std::collections::{BTreeMap, BTreeSet};

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
    /// Waits of workflows may be over.
    Waits,
    /// A rate limit gives way.
    Limit,
    /// A schedule may fall due.
    Schedules,
    /// A claim may be tried again.
    Claim,
    /// A window of spend ends, or what was spent may be kept.
    Spend,
    /// The drain is over.
    Drain,
    /// Time to renew, rescue and sweep.
    Upkeep,
}

/// What is due when. Each thing is due once; asked for twice, the earlier instant counts.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    set: BTreeSet<(Instant, Due)>,
    when: BTreeMap<Due, Instant>,
}

impl Deadlines {
    pub(super) fn add(&mut self, at: Instant, due: Due) {
        if self.when.get(&due).is_some_and(|known| *known <= at) {
            return;
        }
        self.remove(due);
        self.set.insert((at, due));
        self.when.insert(due, at);
    }

    pub(super) fn remove(&mut self, due: Due) {
        if let Some(at) = self.when.remove(&due) {
            self.set.remove(&(at, due));
        }
    }

    /// The next instant.
    pub(super) fn next(&self) -> Option<Instant> {
        self.set.first().map(|(at, _)| *at)
    }

    /// Takes what is due, if anything is.
    pub(super) fn take(&mut self, now: Instant) -> Option<Due> {
        let (_, due) = *self.set.first().filter(|(at, _)| *at <= now)?;
        self.remove(due);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_thing_is_due_once_and_at_the_earlier_of_two_instants() {
        let (now, mut deadlines) = (Instant::now(), Deadlines::default());
        let second = Duration::from_secs(1);
        for at in [now + second * 2, now + second, now + second * 3] {
            deadlines.add(at, Due::Queue);
        }
        assert_eq!(deadlines.next(), Some(now + second));
        assert_eq!(deadlines.take(now), None);
        assert_eq!(deadlines.take(now + second), Some(Due::Queue));
        assert_eq!(deadlines.next(), None);
    }
}
