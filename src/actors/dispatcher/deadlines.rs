//! Everything the dispatcher does at an instant: one set, one timer.

use std::collections::{BTreeMap, BTreeSet};

use std::time::Duration;

use tokio::time::Instant;

use crate::actors::awake::LATE;
use crate::domain::ids::LeaseId;

/// How long a process that slept reads what came before it blames anybody.
const READ_FIRST: Duration = Duration::from_secs(1);

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// An attempt has taken too long.
    Attempt(LeaseId),
    /// An agent has not given up what it was asked to.
    Grace(LeaseId),
    /// What was said of progress may be kept.
    Progress(LeaseId),
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

impl Due {
    /// Whether it is held against an agent whose answer may wait to be read.
    const fn blames(self) -> bool {
        matches!(self, Self::Attempt(_) | Self::Grace(_))
    }
}

/// What is due when. Each thing is due once; asked for twice, the earlier instant counts.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    set: BTreeSet<(Instant, Due)>,
    when: BTreeMap<Due, Instant>,
    /// What nobody was awake for, and was put off once.
    put_off: BTreeSet<Due>,
}

impl Deadlines {
    pub(super) fn add(&mut self, at: Instant, due: Due) {
        if self.when.get(&due).is_some_and(|known| *known <= at) {
            return;
        }
        self.forget(due);
        self.set.insert((at, due));
        self.when.insert(due, at);
    }

    pub(super) fn remove(&mut self, due: Due) {
        self.put_off.remove(&due);
        self.forget(due);
    }

    fn forget(&mut self, due: Due) {
        if let Some(at) = self.when.remove(&due) {
            self.set.remove(&(at, due));
        }
    }

    /// The next instant.
    pub(super) fn next(&self) -> Option<Instant> {
        self.set.first().map(|(at, _)| *at)
    }

    /// Takes what is due, if anything is. What would blame an agent for a time at which this process
    /// slept is put off once, by [`READ_FIRST`]: what came meanwhile is read first.
    pub(super) fn take(&mut self, now: Instant) -> Option<Due> {
        loop {
            let (at, due) = *self.set.first().filter(|(at, _)| *at <= now)?;
            self.forget(due);
            let slept = now.duration_since(at) >= LATE;
            if !(slept && due.blames() && self.put_off.insert(due)) {
                self.put_off.remove(&due);
                return Some(due);
            }
            self.add(now + READ_FIRST, due);
        }
    }
}

#[cfg(test)]
mod tests {
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
    #[test]
    fn what_blames_an_agent_for_a_time_that_the_daemon_slept_is_put_off_once() {
        let (now, mut deadlines) = (Instant::now(), Deadlines::default());
        let (second, lease) = (Duration::from_secs(1), LeaseId::from_bytes([7; 16]));
        let attempt = Due::Attempt(lease);
        deadlines.add(now, attempt);
        deadlines.add(now, Due::Drain);
        assert_eq!(deadlines.take(now + second * 30), Some(Due::Drain));
        assert_eq!(deadlines.take(now + second * 30), None);
        // Asleep once more: it has had its time.
        assert_eq!(deadlines.take(now + second * 60), Some(attempt));
        // The next one is put off anew, also after an end in between.
        for _ in 0..2 {
            deadlines.add(now, attempt);
            assert_eq!(deadlines.take(now + second * 30), None);
            deadlines.remove(attempt);
        }
        deadlines.add(now, attempt);
        assert_eq!(deadlines.take(now + LATE / 2), Some(attempt), "in time");
        assert!(deadlines.put_off.is_empty());
    }
}
