//! The supervisor's leave to restart in place.
//!
//! A runner that sees its life end asks the grant, not the supervisor: one atomic step decides
//! whether a new life may begin at once. The supervisor refills and revokes it at any time.
//!
//! Rely on: after [`Grant::revoke`] has returned, no further life begins under this grant, and
//! [`Grant::generation`] is final. A generation is never used twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::domain::exit::ExitReason;
use crate::domain::restart::RestartRule;

/// No further life, ever.
const REVOKED: u32 = u32::MAX;
/// As many lives as it takes.
const UNLIMITED: u32 = u32::MAX - 1;

/// Leave to restart in place; shared by the supervisor and one runner.
#[derive(Debug, Clone)]
pub struct Grant(Arc<Cell>);

#[derive(Debug)]
struct Cell {
    runner: u64,
    rule: Arc<RestartRule>,
    restarts: AtomicU32,
    generation: AtomicU64,
}

/// What a grant takes from the heap, in bytes.
#[cfg(test)]
pub(super) const WEIGHT: usize = size_of::<Cell>();

impl Grant {
    /// Leave for `restarts` restarts in place, beginning with life `generation`.
    #[must_use]
    pub fn new(rule: Arc<RestartRule>, generation: u64, restarts: u32) -> Self {
        static RUNNERS: AtomicU64 = AtomicU64::new(1);
        Self(Arc::new(Cell {
            runner: RUNNERS.fetch_add(1, Ordering::Relaxed),
            rule,
            restarts: AtomicU32::new(restarts.min(UNLIMITED)),
            generation: AtomicU64::new(generation),
        }))
    }

    /// Leave without end.
    #[must_use]
    pub fn unlimited(rule: Arc<RestartRule>, generation: u64) -> Self {
        Self::new(rule, generation, UNLIMITED)
    }

    /// Which runner this grant was made for; unique in the process.
    #[must_use]
    pub fn runner(&self) -> u64 {
        self.0.runner
    }

    /// The life that runs now, or ran last.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// Sets the restarts that are left; a revoked grant stays revoked.
    pub fn refill(&self, restarts: u32) {
        let refilled = restarts.min(UNLIMITED);
        self.change(|left| (left != REVOKED).then_some(refilled));
    }

    /// Ends the leave for good.
    pub fn revoke(&self) {
        self.change(|_| Some(REVOKED));
    }

    /// Whether the leave has ended for good.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        self.0.restarts.load(Ordering::Acquire) == REVOKED
    }

    /// Takes one restart after a life that ended for `reason`: the new life's generation, or
    /// `None` if the supervisor has to decide.
    #[must_use]
    pub fn take(&self, reason: &ExitReason) -> Option<u64> {
        if !self.0.rule.restarts_after(reason) {
            return None;
        }
        let taken = self.change(|left| match left {
            REVOKED | 0 => None,
            UNLIMITED => Some(UNLIMITED),
            left => Some(left - 1),
        });
        taken.then(|| self.0.generation.fetch_add(1, Ordering::AcqRel) + 1)
    }

    fn change(&self, step: impl FnMut(u32) -> Option<u32>) -> bool {
        self.0
            .restarts
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, step)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::restart::RestartType;
    use proptest::prelude::*;

    fn grant(restarts: u32) -> Grant {
        let rule = RestartRule {
            kind: RestartType::Permanent,
            fatal_exit_codes: vec![78],
        };
        Grant::new(Arc::new(rule), 7, restarts)
    }

    #[test]
    fn each_restart_taken_makes_a_new_generation_until_none_is_left() {
        let grant = grant(2);
        assert_eq!(grant.take(&ExitReason::Killed), Some(8));
        assert_eq!(grant.take(&ExitReason::Killed), Some(9));
        assert_eq!(grant.take(&ExitReason::Killed), None);
        assert_eq!(grant.generation(), 9);
    }

    #[test]
    fn nothing_is_taken_after_a_revocation_not_even_after_a_refill() {
        let grant = grant(u32::MAX);
        assert_eq!(grant.take(&ExitReason::Killed), Some(8));
        grant.revoke();
        grant.refill(5);
        assert_eq!(grant.take(&ExitReason::Killed), None);
    }

    proptest! {
        #[test]
        fn nothing_restarts_what_was_stopped(
            before in prop::collection::vec(0_u32..6, 0..20),
            after in prop::collection::vec(0_u32..6, 1..20),
        ) {
            let grant = grant(1);
            let step = |what: u32| match what {
                0 => { grant.refill(u32::MAX); None }
                1 => { grant.refill(what); None }
                _ => grant.take(&ExitReason::Killed),
            };
            let mut last = 7;
            for what in before {
                if let Some(generation) = step(what) {
                    prop_assert_eq!(generation, last + 1, "no number is used twice");
                    last = generation;
                }
            }
            grant.revoke();
            for what in after {
                prop_assert_eq!(step(what), None);
            }
            prop_assert_eq!(grant.generation(), last);
        }
    }

    #[test]
    fn a_fatal_exit_code_is_never_restarted_in_place() {
        assert_eq!(grant(5).take(&ExitReason::ExitCode { code: 78 }), None);
    }
}
