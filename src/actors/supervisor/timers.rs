//! Every instant the supervisor waits for, in one heap behind one timer.
//!
//! Timers are never cancelled: each carries what it was set for, and one that no longer fits
//! changes nothing. What every life and every stop sets is set once a replica at a time, so that
//! neither a crash loop nor a group that is restarted over and over fills the heap.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use tokio::time::Instant;

use super::tree::{Moves, Slot};
use crate::domain::probe::ProbeKind;

/// What is due. `u64` is the generation it was set for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// A backoff or quarantine is over.
    Rest(Slot),
    /// A life should be ready by now.
    StartTimeout(Slot),
    /// A drain should be over, or a told or killed life should have ended.
    Deadline(Slot),
    /// A life has been ready for as long as a stable one.
    Stable(Slot),
    /// A life is to show a sign.
    Sign(Slot),
    /// A probe of a life is to run.
    RunProbe(Slot, u64, ProbeKind),
    /// A service may have had the rest that it asked for.
    ServiceRested(Slot, u64),
    /// A group's restart goes on, or its quarantine is over.
    Group(usize),
    /// The clock is to be looked at: a pause may be over.
    Pause(usize),
    /// A critical agent has been down for its grace.
    Critical(usize),
    /// The daemon stops: whoever is next waits no longer for those before.
    NextToStop,
    /// The daemon stops: nothing may drain any longer.
    LastDrain,
    /// The daemon stops: nothing may live any longer.
    LastStop,
}

impl Due {
    fn moved(self, moves: &Moves) -> Option<Self> {
        Some(match self {
            Self::Rest(slot) => Self::Rest(moves.slot(slot)?),
            Self::StartTimeout(slot) => Self::StartTimeout(moves.slot(slot)?),
            Self::Deadline(slot) => Self::Deadline(moves.slot(slot)?),
            Self::Stable(slot) => Self::Stable(moves.slot(slot)?),
            Self::Sign(slot) => Self::Sign(moves.slot(slot)?),
            Self::RunProbe(slot, generation, kind) => {
                Self::RunProbe(moves.slot(slot)?, generation, kind)
            }
            Self::ServiceRested(slot, generation) => {
                Self::ServiceRested(moves.slot(slot)?, generation)
            }
            Self::Group(group) => Self::Group(moves.group(group)?),
            Self::Pause(agent) => Self::Pause(moves.agent(agent)?),
            Self::Critical(agent) => Self::Critical(moves.agent(agent)?),
            Self::NextToStop | Self::LastDrain | Self::LastStop => self,
        })
    }
}

/// The heap.
#[derive(Debug, Default)]
pub(super) struct Timers(BinaryHeap<Reverse<(Instant, Due)>>);

impl Timers {
    pub(super) fn set(&mut self, at: Instant, due: Due) {
        self.0.push(Reverse((at, due)));
    }

    /// The same in another tree; those of whom nothing is left are dropped.
    pub(super) fn follow(&mut self, moves: &Moves) {
        let moved = self
            .0
            .drain()
            .filter_map(|Reverse((at, due))| Some(Reverse((at, due.moved(moves)?))));
        self.0 = moved.collect::<Vec<_>>().into();
    }

    /// How many are set.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The earliest instant.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// The earliest that is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(Instant, Due)> {
        if self.next()? > now {
            return None;
        }
        self.0.pop().map(|Reverse(timer)| timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn timers_come_in_order_and_never_early() {
        let now = Instant::now();
        let mut timers = Timers::default();
        let later = now + Duration::from_secs(1);
        timers.set(later, Due::LastStop);
        timers.set(now, Due::LastDrain);
        assert_eq!(timers.pop(now), Some((now, Due::LastDrain)));
        assert_eq!(timers.pop(now), None);
        assert_eq!(timers.pop(later), Some((later, Due::LastStop)));
        assert_eq!(timers.next(), None);
    }
}
