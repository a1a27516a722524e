//! Restart policy: which ends are followed by a new life, and how many are too many.

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
