//! Restart policy: which ends are followed by a new life, when, and how many are too many.
//!
//! [`Ledger::judge`] is the one decision; everything else is what it reads.
//! Time is a span since any fixed instant on the monotonic clock, chance a number from 0 to 1.
//!
//! Not here: who carries it out, see `actors::supervisor`; who shares a restart, see its groups.

mod ledger;

pub use ledger::{Death, DeathWindow, GapChain, GiveUp, Ledger, Rules, Sequel};

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::exit::ExitReason;

/// Which ends are followed by a new life (OTP's restart types).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartType {
    /// Always.
    Permanent,
    /// Only after an abnormal end.
    Transient,
    /// Never.
    Temporary,
}

impl RestartType {
    /// The word in a configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Permanent => "permanent",
            Self::Transient => "transient",
            Self::Temporary => "temporary",
        }
    }
}

/// Which ends are followed by a new life, exit codes included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestartRule {
    /// The restart type.
    pub kind: RestartType,
    /// Exit codes after which there is never a new life.
    pub fatal_exit_codes: Vec<i32>,
}

impl RestartRule {
    /// Whether a new life follows an end for `reason`.
    #[must_use]
    pub fn restarts_after(&self, reason: &ExitReason) -> bool {
        if self.is_fatal(reason) {
            return false;
        }
        match self.kind {
            RestartType::Permanent => true,
            RestartType::Transient => !reason.is_normal(),
            RestartType::Temporary => false,
        }
    }

    /// Whether the end says that trying again is of no use.
    #[must_use]
    pub fn is_fatal(&self, reason: &ExitReason) -> bool {
        matches!(reason, ExitReason::ExitCode { code } if self.fatal_exit_codes.contains(code))
    }
}

/// Which siblings share a restart (OTP's strategies).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Only the one that ended.
    OneForOne,
    /// All of the group.
    OneForAll,
    /// The one that ended and those started after it.
    RestForOne,
}

/// How many deaths within which window are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intensity {
    /// `max` are allowed inside any window of `within`; the next one gives up.
    Limited {
        /// Deaths allowed.
        max: u32,
        /// The sliding window.
        within: Duration,
    },
    /// Never gives up.
    Unlimited,
}

/// What a group does when its intensity is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExhausted {
    /// Rest, then try again half-open.
    Quarantine,
    /// Stop the whole group.
    StopGroup,
    /// Fail the parent group.
    Escalate,
    /// End the daemon.
    Exit,
}

/// The restart settings of one agent.
#[derive(Debug, Clone, PartialEq)]
pub struct RestartPolicy {
    /// Which ends are followed by a new life.
    pub kind: RestartType,
    /// Delay before the second restart in a row; the first is immediate.
    pub min_backoff: Duration,
    /// The longest delay.
    pub max_backoff: Duration,
    /// Growth from one delay to the next.
    pub factor: f64,
    /// Whether a delay is drawn evenly from zero to its full length.
    pub full_jitter: bool,
    /// A life this long starts the count of restarts anew.
    pub stable_after: Duration,
}

/// The settings of one group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSpec {
    /// Its name.
    pub name: super::name::Name,
    /// The group above it; the root if absent.
    pub parent: Option<super::name::Name>,
    /// Who shares a restart.
    pub strategy: Strategy,
    /// How many deaths are too many.
    pub intensity: Intensity,
    /// What follows then.
    pub on_exhausted: OnExhausted,
    /// Slow loops: this many deaths of one signature, each within `loop_max_gap` of the last.
    pub loop_deaths: u32,
    /// The longest gap between two deaths of a slow loop.
    pub loop_max_gap: Duration,
    /// The first rest in quarantine; doubles up to `quarantine_max`.
    pub quarantine_min: Duration,
    /// The longest rest in quarantine.
    pub quarantine_max: Duration,
}

/// Deaths allowed, and the window, where nothing else is said.
pub const DEFAULT_INTENSITY: Intensity = Intensity::Limited {
    max: 5,
    within: Duration::from_secs(60),
};

impl GroupSpec {
    /// The rules of an agent that stands alone: one_for_one, five deaths in a minute, quarantine.
    #[must_use]
    pub fn alone(name: super::name::Name) -> Self {
        Self {
            name,
            parent: None,
            strategy: Strategy::OneForOne,
            intensity: DEFAULT_INTENSITY,
            on_exhausted: OnExhausted::Quarantine,
            loop_deaths: 10,
            loop_max_gap: Duration::from_secs(300),
            quarantine_min: Duration::from_secs(300),
            quarantine_max: Duration::from_secs(3_600),
        }
    }

    /// How long the `nth` quarantine in a row lasts, from 0.
    #[must_use]
    pub fn rest(&self, nth: u32) -> Duration {
        let doubled = self.quarantine_min.saturating_mul(1 << nth.min(20));
        doubled.min(self.quarantine_max)
    }
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            kind: RestartType::Permanent,
            min_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(60),
            factor: 2.0,
            full_jitter: true,
            stable_after: Duration::from_secs(60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_restart_type_and_the_exit_code_decide_together() {
        use RestartType::{Permanent, Temporary, Transient};
        let crash = ExitReason::ExitCode { code: 1 };
        let fatal = ExitReason::ExitCode { code: 78 };
        let table = [
            (Permanent, ExitReason::Normal, true),
            (Permanent, crash.clone(), true),
            (Permanent, fatal.clone(), false),
            (Transient, ExitReason::Normal, false),
            (Transient, ExitReason::Shutdown, false),
            (Transient, crash.clone(), true),
            (Transient, fatal, false),
            (Temporary, ExitReason::Normal, false),
            (Temporary, crash, false),
        ];
        for (kind, reason, again) in table {
            let rule = RestartRule {
                kind,
                fatal_exit_codes: vec![78],
            };
            assert_eq!(rule.restarts_after(&reason), again, "{kind:?} {reason}");
        }
    }

    #[test]
    fn quarantine_doubles_up_to_its_cap() {
        let alone = GroupSpec::alone("echo".parse().unwrap());
        let rests = (0..6).map(|nth| alone.rest(nth).as_secs() / 60);
        assert_eq!(rests.collect::<Vec<_>>(), [5, 10, 20, 40, 60, 60]);
        assert_eq!(alone.rest(u32::MAX), alone.quarantine_max);
    }
}
