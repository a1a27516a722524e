//! What a changed configuration asks of a running daemon: which units change, how, and what of it
//! waits for the daemon's next start.
//!
//! Rely on: an unchanged unit is in no plan; what has one cause is told once; values of secrets never
//! stand here, who makes a [`KeyChange`] has redacted them. Pure.
//!
//! Not here: how the keys of two configurations are compared (`config`), and who carries it out
//! (`app`).

mod touch;

use serde::Serialize;
use serde_json::Value;

pub use touch::{keeps_budget, touch};

/// What a change does to the running daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Does {
    /// It is started.
    Start,
    /// It is drained and stopped.
    Stop,
    /// It is drained, stopped and started anew.
    Restart,
    /// It is taken over; nothing that runs is touched.
    InPlace,
    /// It is written otherwise and means the same.
    Nothing,
}

impl Does {
    /// The word for people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::InPlace => "in place",
            Self::Nothing => "nothing",
        }
    }
}

/// What kind of thing changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnitKind {
    /// `[agents.NAME]`.
    Agent,
    /// `[groups.NAME]`.
    Group,
    /// `[queues.NAME]`.
    Queue,
    /// `[schedules.NAME]`.
    Schedule,
    /// `[recovery.actions.NAME]`.
    RecoveryAction,
    /// The rest of `[recovery]`.
    Recovery,
    /// `[supervisor]`.
    Supervisor,
    /// What of `[logging]` is taken over.
    Logging,
    /// What of `[monitoring]` is taken over.
    Monitoring,
    /// In which order agents are declared.
    Order,
}

/// How a unit differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was not there before.
    Added,
    /// It is there no more.
    Removed,
    /// It is there, with other settings.
    Changed,
}

/// One key, with secrets redacted; `None`: it was not set, or is not any more.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KeyChange {
    /// Dotted.
    pub key: String,
    /// What it was.
    pub before: Option<Value>,
    /// What it is to be.
    pub after: Option<Value>,
}

/// One unit that changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnitChange {
    /// What it is.
    pub kind: UnitKind,
    /// Its name.
    pub name: String,
    /// How it differs.
    pub change: Change,
    /// What that does.
    pub does: Does,
    /// Its keys that differ.
    pub keys: Vec<KeyChange>,
}

/// How many units a reload touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Units added.
    pub added: usize,
    /// Units removed.
    pub removed: usize,
    /// Units changed.
    pub changed: usize,
    /// Agents started anew.
    pub restarted: usize,
    /// Keys that wait for the daemon's next start.
    pub pending: usize,
}

/// What a reload would do, or has done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReloadPlan {
    /// Over every value that was read; what `apply` may be held to.
    pub plan: String,
    /// Whether anything changes now.
    pub changes: bool,
    /// How many.
    pub counts: Counts,
    /// What changes now.
    pub units: Vec<UnitChange>,
    /// What only the daemon's next start takes over; untouched till then.
    pub pending: Vec<KeyChange>,
    /// What works, but not as somebody might expect.
    pub warnings: Vec<String>,
}

impl ReloadPlan {
    /// Of what differs, under a digest of what was read.
    #[must_use]
    pub fn new(
        plan: String,
        units: Vec<UnitChange>,
        pending: Vec<KeyChange>,
        warnings: Vec<String>,
    ) -> Self {
        let count = |change| units.iter().filter(|unit| unit.change == change).count();
        let restarts = units.iter().filter(|unit| unit.does == Does::Restart);
        Self {
            plan,
            changes: !units.is_empty(),
            counts: Counts {
                added: count(Change::Added),
                removed: count(Change::Removed),
                changed: count(Change::Changed),
                restarted: restarts.count(),
                pending: pending.len(),
            },
            units,
            pending,
            warnings,
        }
    }

    /// What changes of one agent, if anything does.
    #[must_use]
    pub fn agent(&self, name: &str) -> Option<&UnitChange> {
        let mut units = self.units.iter();
        units.find(|unit| unit.kind == UnitKind::Agent && unit.name == name)
    }
}
