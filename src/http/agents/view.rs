//! An agent as its JSON shows it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::agent::{AgentKind, AgentState, Desired, Verdict};
use crate::domain::health::HealthStatus;
use crate::domain::name::Name;
use crate::domain::spend::SpendView;
use crate::domain::timestamp::Timestamp;

/// One agent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgentView {
    /// Its name, which is its id.
    pub name: Name,
    /// Where its code runs.
    pub kind: AgentKind,
    /// The role by which tasks may address it beside its name.
    pub role: Option<Name>,
    /// The group it belongs to.
    pub group: Option<Name>,
    /// Whether the daemon is not ready without it.
    pub critical: bool,
    /// What the operator asked for.
    pub desired: Desired,
    /// Until when it is paused, if it is and that has an end.
    pub paused_until: Option<Timestamp>,
    /// What is: the worst of its replicas.
    pub state: AgentState,
    /// How many lives.
    pub replicas: Replicas,
    /// Each life.
    pub instances: Vec<InstanceView>,
    /// How it is doing.
    pub health: AgentHealth,
    /// Which life replica 0 is in.
    pub generation: u64,
    /// The process of replica 0.
    pub pid: Option<u32>,
    /// When the life of replica 0 began.
    pub started_at: Option<Timestamp>,
    /// For how long replica 0 has lived.
    pub uptime_ms: Option<u64>,
    /// Its deaths.
    pub restarts: Restarts,
    /// Its work.
    pub queue: QueueView,
    /// What it costs.
    pub usage: Usage,
    /// What it has spent and may; absent without ceilings.
    pub spend: Option<SpendView>,
    /// Free words for filtering.
    pub labels: BTreeMap<String, String>,
}

/// Lives wanted and lives ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Replicas {
    /// Wanted.
    pub desired: u32,
    /// Ready for work.
    pub ready: u32,
}

/// One life.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstanceView {
    /// Which replica, from 0.
    pub index: u32,
    /// Its process.
    pub pid: Option<u32>,
    /// Which life; grows with each one.
    pub generation: u64,
    /// Where it stands.
    pub state: AgentState,
    /// What the evidence says it does.
    pub verdict: Verdict,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// For how long it has lived.
    pub uptime_ms: Option<u64>,
    /// Restarts of this replica since the daemon's start.
    pub restarts: u64,
    /// Errors in this life.
    pub errors: u64,
    /// Tasks it held when it last showed a sign.
    pub running: u64,
    /// What its probes say: `{probe, by, passes, in_a_row, last}` each.
    pub probes: Vec<serde_json::Value>,
    /// When its next life begins, if it waits for that.
    pub next_at: Option<Timestamp>,
    /// How its last life ended.
    pub last_reason: Option<String>,
}

/// How an agent is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgentHealth {
    /// The level of its check.
    pub status: HealthStatus,
    /// What the evidence says it does: the worst of its replicas.
    pub verdict: Verdict,
    /// The names of its checks.
    pub checks: Vec<String>,
}

/// An agent's deaths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restarts {
    /// Since it was first registered.
    pub total: u64,
    /// Inside the window of its intensity.
    pub window: u64,
    /// How its last life ended.
    pub last_reason: Option<String>,
    /// When the next restart is due.
    pub next_at: Option<Timestamp>,
    /// `closed`, `open` (quarantined) or `half_open`.
    pub breaker: String,
}

/// An agent's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QueueView {
    /// Tasks waiting for it.
    pub depth: u64,
    /// Tasks it holds.
    pub running: u64,
    /// Tasks it can hold at once.
    pub capacity: u64,
}

/// What an agent costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Usage {
    /// Processor share of its process tree, 100 a core; absent for actors.
    pub cpu_percent: Option<f64>,
    /// Processor time of its process tree since its start, seconds.
    pub cpu_seconds: Option<f64>,
    /// Resident memory of its process tree.
    pub memory_bytes: Option<u64>,
}
