//! The guard before every recovery run: cooldown, runs an hour, runs of all actions together.
//!
//! Budgets are counted for each pair of action and calling check, so that one broken agent does
//! not use up another's. They are kept over restarts of the daemon: runs of earlier lives are
//! loaded with [`Guard::remember`].

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::{RecoveryActionSpec, RecoveryMode, RecoverySpec};
use crate::domain::timestamp::Timestamp;

/// The window of `max_per_hour`.
pub const HOUR: Duration = Duration::from_secs(3600);

/// What the guard says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Carry it out.
    Run,
    /// Only record it.
    Observe,
    /// Not now.
    Suppress(Suppression),
}

/// Why not now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Suppression {
    /// The last run for this check is too young.
    #[error("cooling down for another {} s", left.as_secs().max(1))]
    Cooldown {
        /// What is left of it.
        left: Duration,
    },
    /// As often as allowed for this check in the last hour.
    #[error("already ran {max} times within the hour")]
    Hourly {
        /// How often is allowed.
        max: u32,
    },
    /// All actions together ran as often as allowed.
    #[error("all recovery actions together already ran {max} times within {} s", within.as_secs())]
    Overall {
        /// How often is allowed.
        max: u32,
        /// The window.
        within: Duration,
    },
    /// A run for the same check is still under way.
    #[error("a run for this check is still under way")]
    UnderWay,
    /// Nothing that an action does would help.
    #[error("{why}")]
    Hopeless {
        /// Why it would not.
        why: String,
    },
}

/// The runs that count.
#[derive(Debug, Clone)]
pub struct Guard {
    max: u32,
    within: Duration,
    overall: VecDeque<Timestamp>,
    by_pair: BTreeMap<(String, String), VecDeque<Timestamp>>,
}

impl Guard {
    /// A guard that has seen nothing.
    #[must_use]
    pub const fn new(spec: &RecoverySpec) -> Self {
        Self {
            max: spec.max,
            within: spec.within,
            overall: VecDeque::new(),
            by_pair: BTreeMap::new(),
        }
    }

    /// Other limits of all actions together, from now on; what ran so far counts.
    pub const fn follow(&mut self, spec: &RecoverySpec) {
        (self.max, self.within) = (spec.max, spec.within);
    }

    /// Whether an action may run for a check now. Counts nothing.
    #[must_use]
    pub fn decide(&self, action: &RecoveryActionSpec, check: &str, now: Timestamp) -> Decision {
        let runs = self.by_pair.get(&pair(action, check));
        let runs = || runs.into_iter().flatten();
        if let Some(last) = runs().next_back() {
            let age = now.since(*last);
            if age < action.cooldown {
                let left = action.cooldown.saturating_sub(age);
                return Decision::Suppress(Suppression::Cooldown { left });
            }
        }
        if young(runs(), now, HOUR) >= action.max_per_hour {
            let max = action.max_per_hour;
            return Decision::Suppress(Suppression::Hourly { max });
        }
        if action.mode == RecoveryMode::Observe {
            return Decision::Observe;
        }
        let (max, within) = (self.max, self.within);
        if young(self.overall.iter(), now, within) >= max {
            return Decision::Suppress(Suppression::Overall { max, within });
        }
        Decision::Run
    }

    /// Counts a run. One that was only observed counts for its own check, not for the whole.
    pub fn count(&mut self, action: &RecoveryActionSpec, check: &str, now: Timestamp) {
        self.remember(&action.name, check, now, action.mode);
        self.forget(now);
    }

    /// Counts a run of an earlier life of the daemon. Loaded oldest first; an instant in the
    /// future (the clock was set back) must have been cut to now.
    pub fn remember(&mut self, action: &str, check: &str, at: Timestamp, mode: RecoveryMode) {
        self.by_pair
            .entry((action.to_owned(), check.to_owned()))
            .or_default()
            .push_back(at);
        if mode == RecoveryMode::Enforce {
            self.overall.push_back(at);
        }
    }

    /// Drops what no window holds any more, so that memory stays bounded by the limits.
    fn forget(&mut self, now: Timestamp) {
        let keep = HOUR.max(self.within);
        self.overall.retain(|at| now.since(*at) < keep);
        self.by_pair.retain(|_, runs| {
            runs.retain(|at| now.since(*at) < HOUR);
            !runs.is_empty()
        });
    }
}

fn pair(action: &RecoveryActionSpec, check: &str) -> (String, String) {
    (action.name.clone(), check.to_owned())
}

fn young<'a>(runs: impl Iterator<Item = &'a Timestamp>, now: Timestamp, within: Duration) -> u32 {
    u32::try_from(runs.filter(|at| now.since(**at) < within).count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::RecoveryStep;
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::default().after(Duration::from_secs(seconds))
    }

    fn restart() -> RecoveryActionSpec {
        RecoverySpec::default().actions.remove(0)
    }

    #[test]
    fn runs_are_sixty_seconds_apart_and_three_an_hour_for_each_check() {
        let action = restart();
        let mut guard = Guard::new(&RecoverySpec::default());
        let table = [
            (0, "run"),
            (59, "cooling down for another 1 s"),
            (60, "run"),
            (200, "run"),
            (300, "already ran 3 times within the hour"),
            (3599, "already ran 3 times within the hour"),
            (3600, "run"),
        ];
        for (second, expected) in table {
            let said = match guard.decide(&action, "agent.echo", at(second)) {
                Decision::Run => {
                    guard.count(&action, "agent.echo", at(second));
                    "run".to_owned()
                }
                Decision::Observe => "observe".to_owned(),
                Decision::Suppress(why) => why.to_string(),
            };
            assert_eq!(said, expected, "at {second} s");
        }
        assert_eq!(guard.decide(&action, "agent.sum", at(3600)), Decision::Run);
    }

    #[test]
    fn ten_runs_in_ten_minutes_are_enough_for_all_together() {
        let action = restart();
        let mut guard = Guard::new(&RecoverySpec::default());
        for n in 0..10 {
            let check = format!("agent.a{n}");
            assert_eq!(guard.decide(&action, &check, at(n)), Decision::Run);
            guard.count(&action, &check, at(n));
        }
        let eleventh = guard.decide(&action, "agent.b", at(10));
        assert!(matches!(
            eleventh,
            Decision::Suppress(Suppression::Overall { .. })
        ));
        assert_eq!(guard.decide(&action, "agent.b", at(600)), Decision::Run);
    }

    #[test]
    fn observed_runs_are_spaced_out_but_use_up_nobodys_budget() {
        let mut action = restart();
        action.mode = RecoveryMode::Observe;
        action.max_per_hour = 100;
        action.cooldown = Duration::ZERO;
        let mut guard = Guard::new(&RecoverySpec::default());
        for n in 0..50 {
            assert_eq!(guard.decide(&action, "agent.a", at(n)), Decision::Observe);
            guard.count(&action, "agent.a", at(n));
        }
        assert_eq!(guard.decide(&restart(), "agent.b", at(51)), Decision::Run);
    }

    #[test]
    fn runs_of_an_earlier_life_still_count() {
        let action = RecoveryActionSpec::new("r", "database", RecoveryStep::DatabaseReconnect);
        let mut guard = Guard::new(&RecoverySpec::default());
        for second in [0, 100, 200] {
            guard.remember("r", "database", at(second), RecoveryMode::Enforce);
        }
        assert_eq!(
            guard.decide(&action, "database", at(1000)),
            Decision::Suppress(Suppression::Hourly { max: 3 })
        );
    }

    proptest! {
        #[test]
        fn no_window_ever_holds_more_runs_than_allowed(
            steps in prop::collection::vec((0_u64..90, 0_usize..6), 1..300)
        ) {
            let action = restart();
            let mut guard = Guard::new(&RecoverySpec::default());
            let mut now = 0;
            let mut runs: Vec<(u64, usize)> = Vec::new();
            for (gap, agent) in steps {
                now += gap;
                let check = format!("agent.a{agent}");
                if guard.decide(&action, &check, at(now)) == Decision::Run {
                    guard.count(&action, &check, at(now));
                    runs.push((now, agent));
                }
            }
            for (index, (start, agent)) in runs.iter().enumerate() {
                let later = &runs[index..];
                prop_assert!(later.iter().filter(|(t, _)| t - start < 600).count() <= 10);
                prop_assert!(later.iter().filter(|(t, a)| a == agent && t - start < 3600).count() <= 3);
                prop_assert!(later.iter().filter(|(t, a)| a == agent && t - start < 60).count() <= 1);
            }
        }
    }
}
