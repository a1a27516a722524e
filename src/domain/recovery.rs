//! Recovery: which check calls for which action, and how often it may run.
//!
//! An action answers a check that is critical. It runs at most once per cooldown and a few times
//! an hour for each check that calls it, and all actions together have one limit: see [`guard`].
//! What the guard refuses is recorded as suppressed; in `observe` mode an action is only recorded.
//!
//! Not here: carrying anything out.

pub mod guard;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::health::{AGENT_CHECK_PREFIX, DATABASE_CHECK};
use super::name::Name;

/// The longest wait between two tries of one run.
pub const MAX_RETRY_BACKOFF: Duration = Duration::from_secs(30);

/// All recovery settings, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct RecoverySpec {
    /// Runs of all actions together allowed …
    pub max: u32,
    /// … inside any window of this length.
    pub within: Duration,
    /// The actions. One check is answered by one action: see [`action_for`].
    pub actions: Vec<RecoveryActionSpec>,
}

impl Default for RecoverySpec {
    /// What holds when nothing is configured: a critical agent is restarted, a critical database
    /// reconnected.
    fn default() -> Self {
        Self {
            max: 10,
            within: Duration::from_secs(600),
            actions: vec![
                RecoveryActionSpec::new(
                    "restart-agent",
                    "agent.*",
                    RecoveryStep::AgentRestart(None),
                ),
                RecoveryActionSpec::new(
                    "reconnect-database",
                    DATABASE_CHECK,
                    RecoveryStep::DatabaseReconnect,
                ),
            ],
        }
    }
}

/// One recovery action, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct RecoveryActionSpec {
    /// Its name: `[a-z][a-z0-9_-]{0,62}`.
    pub name: String,
    /// The check whose turn to critical calls for it: `agent.writer`, `database`, `system`; or
    /// `agent.*` for every agent's.
    pub when: String,
    /// What is done.
    pub step: RecoveryStep,
    /// The shortest time from one run to the next for the same check.
    pub cooldown: Duration,
    /// Runs allowed inside any hour for the same check.
    pub max_per_hour: u32,
    /// Tries of one run, 1 or more.
    pub attempts: u32,
    /// Delay before the second try; doubles, at most to [`MAX_RETRY_BACKOFF`], with full jitter.
    pub min_backoff: Duration,
    /// The check that must be well again for a run to count as a success; carried out is success
    /// if absent.
    pub verify: Option<RecoveryVerify>,
    /// Whether it acts, or only says that it would.
    pub mode: RecoveryMode,
}

/// What a recovery action does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecoveryStep {
    /// Restarts all replicas of an agent; without a name, of the one whose check called.
    AgentRestart(Option<Name>),
    /// Takes an agent out of service until its quarantine ends.
    AgentQuarantine(Option<Name>),
    /// Restarts a group.
    GroupRestart(Name),
    /// Opens the database anew.
    DatabaseReconnect,
    /// Stops handing out tasks of a queue.
    QueuePause(Name),
    /// Runs a program.
    Exec(Vec<String>),
    /// Posts to a URL.
    Webhook(String),
    /// Ends the daemon.
    Exit,
}

impl RecoveryStep {
    /// Every word that `do` knows.
    pub const WORDS: [&'static str; 8] = [
        "agent.restart",
        "agent.quarantine",
        "group.restart",
        "database.reconnect",
        "queue.pause",
        "exec",
        "webhook",
        "exit",
    ];
    /// The words that this version carries out; the others are refused as "not in this version".
    pub const BUILT_WORDS: [&'static str; 2] = ["agent.restart", "database.reconnect"];

    /// The word used in configuration, records and tables.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::AgentRestart(_) => "agent.restart",
            Self::AgentQuarantine(_) => "agent.quarantine",
            Self::GroupRestart(_) => "group.restart",
            Self::DatabaseReconnect => "database.reconnect",
            Self::QueuePause(_) => "queue.pause",
            Self::Exec(_) => "exec",
            Self::Webhook(_) => "webhook",
            Self::Exit => "exit",
        }
    }
}

/// How the success of a run is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryVerify {
    /// The check that must be well again; the one that called if absent.
    pub check: Option<String>,
    /// For how long it is waited for.
    pub within: Duration,
}

/// Whether a recovery action acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecoveryMode {
    /// Records what it would have done.
    Observe,
    /// Does it.
    Enforce,
}

impl RecoveryActionSpec {
    /// An action with the defaults: 60 s apart, 3 an hour, 3 tries from 1 s, verified within 30 s
    /// by the check that called, enforced.
    #[must_use]
    pub fn new(name: &str, when: &str, step: RecoveryStep) -> Self {
        Self {
            name: name.to_owned(),
            when: when.to_owned(),
            step,
            cooldown: Duration::from_secs(60),
            max_per_hour: 3,
            attempts: 3,
            min_backoff: Duration::from_secs(1),
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

    /// The wait before try `attempt` (2 or more); `chance` is drawn evenly from 0 to 1.
    #[must_use]
    pub fn backoff(&self, attempt: u32, chance: f64) -> Duration {
        let doublings = attempt.saturating_sub(2).min(16);
        self.min_backoff
            .saturating_mul(1 << doublings)
            .min(MAX_RETRY_BACKOFF)
            .mul_f64(chance.clamp(0.0, 1.0))
    }
}

/// The action that answers a check: the first that names it, else the first whose pattern fits.
#[must_use]
pub fn action_for<'a>(
    actions: &'a [RecoveryActionSpec],
    check: &str,
) -> Option<&'a RecoveryActionSpec> {
    let named = actions.iter().find(|action| action.when == check);
    named.or_else(|| actions.iter().find(|action| action.answers(check)))
}

/// The agent that an agent's check is about.
#[must_use]
pub fn agent_of(check: &str) -> Option<&str> {
    check.strip_prefix(AGENT_CHECK_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_built_is_a_word_of_the_configuration() {
        for word in RecoveryStep::BUILT_WORDS {
            assert!(RecoveryStep::WORDS.contains(&word));
        }
    }

    #[test]
    fn by_default_agents_are_restarted_the_database_reconnected_and_the_host_is_left_alone() {
        let actions = RecoverySpec::default().actions;
        let step = |check: &str| action_for(&actions, check).map(|a| a.step.as_str());
        assert_eq!(step("agent.echo"), Some("agent.restart"));
        assert_eq!(step("database"), Some("database.reconnect"));
        assert_eq!(step("system"), None);
        let mut own = actions.clone();
        let mine = RecoveryActionSpec::new("mine", "agent.echo", RecoveryStep::AgentRestart(None));
        own.push(mine);
        let name = |check: &str| action_for(&own, check).map(|a| a.name.as_str());
        assert_eq!(
            name("agent.echo"),
            Some("mine"),
            "the one that names it goes first"
        );
        assert_eq!(name("agent.sum"), Some("restart-agent"));
        assert_eq!(agent_of("agent.echo"), Some("echo"));
        assert_eq!(agent_of("database"), None);
    }

    proptest! {
        #[test]
        fn a_retry_never_waits_longer_than_the_cap(attempt in 0_u32..2_000, chance in -1.0_f64..2.0, min in 0_u64..100_000) {
            let mut action = RecoverySpec::default().actions.remove(0);
            action.min_backoff = Duration::from_millis(min);
            prop_assert!(action.backoff(attempt, chance) <= MAX_RETRY_BACKOFF);
        }
    }
}
