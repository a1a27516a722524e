//! Recovery: which check calls for which action, and how often it may run.
//!
//! An action answers a check that is critical. It runs at most once per cooldown and a few times
//! an hour for each check that calls it, and all actions together have one limit: see [`guard`].
//! What the guard refuses is recorded as suppressed; in `observe` mode an action is only recorded.
//!
//! Not here: carrying anything out.

pub mod guard;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::health::{AGENT_CHECK_PREFIX, DATABASE_CHECK};

/// What an action does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RecoveryDo {
    /// Restarts the agent whose check called, or that of `when`.
    #[serde(rename = "agent.restart")]
    AgentRestart,
    /// Puts that agent into quarantine.
    #[serde(rename = "agent.quarantine")]
    AgentQuarantine,
    /// Restarts that agent's group.
    #[serde(rename = "group.restart")]
    GroupRestart,
    /// Opens the database's connections anew.
    #[serde(rename = "database.reconnect")]
    DatabaseReconnect,
    /// Hands out no more tasks of a queue.
    #[serde(rename = "queue.pause")]
    QueuePause,
    /// Runs a command.
    #[serde(rename = "exec")]
    Exec,
    /// Calls a URL.
    #[serde(rename = "webhook")]
    Webhook,
    /// Ends the daemon.
    #[serde(rename = "exit")]
    Exit,
}

/// Why a text names no action that can be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownAction {
    /// No such kind.
    #[error("'{text}' is no recovery action: expected one of {known}", known = built())]
    Unknown {
        /// What was written.
        text: String,
    },
    /// A kind that a later version has.
    #[error("'{kind}' is not in this version: expected one of {known}", known = built())]
    NotInThisVersion {
        /// What was written.
        kind: RecoveryDo,
    },
}

fn built() -> String {
    RecoveryDo::BUILT.map(RecoveryDo::as_str).join(", ")
}

impl RecoveryDo {
    /// Every kind that the configuration's words know.
    pub const ALL: [Self; 8] = [
        Self::AgentRestart,
        Self::AgentQuarantine,
        Self::GroupRestart,
        Self::DatabaseReconnect,
        Self::QueuePause,
        Self::Exec,
        Self::Webhook,
        Self::Exit,
    ];
    /// The kinds that this version carries out.
    pub const BUILT: [Self; 2] = [Self::AgentRestart, Self::DatabaseReconnect];

    /// The word used in configuration, records and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AgentRestart => "agent.restart",
            Self::AgentQuarantine => "agent.quarantine",
            Self::GroupRestart => "group.restart",
            Self::DatabaseReconnect => "database.reconnect",
            Self::QueuePause => "queue.pause",
            Self::Exec => "exec",
            Self::Webhook => "webhook",
            Self::Exit => "exit",
        }
    }
}

impl fmt::Display for RecoveryDo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for RecoveryDo {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        let kind = Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownAction::Unknown {
                text: text.chars().take(80).collect(),
            })?;
        if Self::BUILT.contains(&kind) {
            Ok(kind)
        } else {
            Err(UnknownAction::NotInThisVersion { kind })
        }
    }
}

/// Whether an action is carried out or only recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecoveryMode {
    /// Recorded as what would have been done.
    Observe,
    /// Carried out.
    Enforce,
}

/// How often a run is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RecoveryRetries {
    /// Tries in all, 1 or more.
    pub attempts: u32,
    /// The wait after the first try; it doubles, at most to [`MAX_RETRY_BACKOFF`], with full jitter.
    #[serde(rename = "min_backoff_ms", serialize_with = "ms")]
    pub min_backoff: Duration,
}

/// The longest wait between two tries.
pub const MAX_RETRY_BACKOFF: Duration = Duration::from_secs(30);

/// How success is told: a check must be well again within some time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecoveryVerify {
    /// The check; the one that called if absent.
    pub check: Option<String>,
    /// How long it may take.
    #[serde(rename = "within_ms", serialize_with = "ms")]
    pub within: Duration,
}

/// One recovery action, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecoveryActionSpec {
    /// Its name, as in `[recovery.actions.NAME]`.
    pub name: String,
    /// A check's name, or `agent.*` for every agent's.
    pub when: String,
    /// What it does.
    #[serde(rename = "do")]
    pub kind: RecoveryDo,
    /// From one run to the next for the same check.
    #[serde(rename = "cooldown_ms", serialize_with = "ms")]
    pub cooldown: Duration,
    /// Runs an hour for the same check.
    pub max_per_hour: u32,
    /// How often a run is tried.
    pub retries: RecoveryRetries,
    /// How success is told; carried out means succeeded if absent.
    pub verify: Option<RecoveryVerify>,
    /// Whether it is carried out.
    pub mode: RecoveryMode,
}

impl RecoveryActionSpec {
    /// An action with the defaults: 60 s apart, 3 an hour, 3 tries from 1 s, verified within 30 s
    /// by the check that called, enforced.
    #[must_use]
    pub fn new(name: &str, when: &str, kind: RecoveryDo) -> Self {
        Self {
            name: name.to_owned(),
            when: when.to_owned(),
            kind,
            cooldown: Duration::from_secs(60),
            max_per_hour: 3,
            retries: RecoveryRetries {
                attempts: 3,
                min_backoff: Duration::from_secs(1),
            },
            verify: Some(RecoveryVerify {
                check: None,
                within: Duration::from_secs(30),
            }),
            mode: RecoveryMode::Enforce,
        }
    }

    /// Whether a check of that name calls for it.
    #[must_use]
    pub fn answers(&self, check: &str) -> bool {
        match self.when.strip_suffix('*') {
            Some(prefix) => check.starts_with(prefix),
            None => self.when == check,
        }
    }

    /// The check to act on when nobody called: the one of `when`, unless that is a pattern.
    #[must_use]
    pub fn own_check(&self) -> Option<&str> {
        (!self.when.ends_with('*')).then_some(self.when.as_str())
    }
}

/// The limit of all actions together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoveryLimits {
    /// Runs allowed …
    pub max: u32,
    /// … inside any window of this length.
    pub within: Duration,
}

impl Default for RecoveryLimits {
    fn default() -> Self {
        Self {
            max: 10,
            within: Duration::from_secs(600),
        }
    }
}

/// All of `[recovery]`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoverySettings {
    /// The actions; those named first answer first. One check is answered by one action.
    pub actions: Vec<RecoveryActionSpec>,
    /// The limit of all together.
    pub limits: RecoveryLimits,
}

impl Default for RecoverySettings {
    /// What holds when nothing is configured: a critical agent is restarted, a critical database
    /// reconnected.
    fn default() -> Self {
        Self {
            actions: default_actions(),
            limits: RecoveryLimits::default(),
        }
    }
}

/// The actions when none is configured.
#[must_use]
pub fn default_actions() -> Vec<RecoveryActionSpec> {
    vec![
        RecoveryActionSpec::new("restart-agent", "agent.*", RecoveryDo::AgentRestart),
        RecoveryActionSpec::new(
            "reconnect-database",
            DATABASE_CHECK,
            RecoveryDo::DatabaseReconnect,
        ),
    ]
}

/// The first action that answers a check.
#[must_use]
pub fn action_for<'a>(
    actions: &'a [RecoveryActionSpec],
    check: &str,
) -> Option<&'a RecoveryActionSpec> {
    actions.iter().find(|action| action.answers(check))
}

/// The agent that an agent's check is about.
#[must_use]
pub fn agent_of(check: &str) -> Option<&str> {
    check.strip_prefix(AGENT_CHECK_PREFIX)
}

/// The wait before try `attempt` (2 or more); `chance` is drawn evenly from 0 to 1.
#[must_use]
pub fn retry_backoff(retries: RecoveryRetries, attempt: u32, chance: f64) -> Duration {
    let doublings = attempt.saturating_sub(2).min(16);
    retries
        .min_backoff
        .saturating_mul(1 << doublings)
        .min(MAX_RETRY_BACKOFF)
        .mul_f64(chance.clamp(0.0, 1.0))
}

fn ms<S: serde::Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_kind_is_read_back_refused_as_unknown_or_as_not_in_this_version() {
        for kind in RecoveryDo::BUILT {
            assert_eq!(kind.as_str().parse(), Ok(kind));
        }
        let refusal = |text: &str| text.parse::<RecoveryDo>().map_err(|e| e.to_string());
        assert_eq!(
            refusal("exec"),
            Err(
                "'exec' is not in this version: expected one of agent.restart, database.reconnect"
                    .to_owned()
            )
        );
        assert_eq!(
            refusal("reboot"),
            Err(
                "'reboot' is no recovery action: expected one of agent.restart, database.reconnect"
                    .to_owned()
            )
        );
    }

    #[test]
    fn by_default_agents_are_restarted_the_database_reconnected_and_the_host_is_left_alone() {
        let actions = default_actions();
        let kind = |check: &str| action_for(&actions, check).map(|a| a.kind);
        assert_eq!(kind("agent.echo"), Some(RecoveryDo::AgentRestart));
        assert_eq!(kind("database"), Some(RecoveryDo::DatabaseReconnect));
        assert_eq!(kind("system"), None);
        assert_eq!(agent_of("agent.echo"), Some("echo"));
        assert_eq!(agent_of("database"), None);
    }

    proptest! {
        #[test]
        fn a_retry_never_waits_longer_than_the_cap(attempt in 0_u32..2_000, chance in -1.0_f64..2.0, min in 0_u64..100_000) {
            let retries = RecoveryRetries { attempts: 3, min_backoff: Duration::from_millis(min) };
            prop_assert!(retry_backoff(retries, attempt, chance) <= MAX_RETRY_BACKOFF);
        }
    }
}
