//! Records that are kept for people to read: sessions, processes, metrics, recovery runs, restart
//! budgets.
//!
//! Not here: crashes ([`super::crash`]), tasks ([`super::task`]), workflows ([`super::workflow`]), messages
//! ([`super::message`]), health ([`super::health`]).

use serde::{Deserialize, Serialize};

use super::agent::Desired;
use super::health::HealthStatus;
use super::ids::{RecoveryRunId, SessionId};
use super::name::Name;
use super::timestamp::Timestamp;

/// One life of a daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The node's name (host name unless configured).
    pub node: String,
    /// Grows by one with every session of the database; fences writes where several daemons run.
    pub term: i64,
    /// The daemon's process.
    pub pid: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// Until when its leases hold.
    pub expires_at: Timestamp,
    /// When it ended, if it has.
    pub ended_at: Option<Timestamp>,
}

/// What an operator set of an agent. It wins over the file until it is reset (a start resets a
/// stop, a resume a pause, scaling to the file's number a scale), and the number of replicas until
/// it changes in the file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Overrides {
    /// Stopped or paused; `None`: it runs, as the file says.
    pub desired: Option<Desired>,
    /// Until when it is paused; `None`: until it is resumed, or it is not paused.
    pub paused_until: Option<Timestamp>,
    /// How many replicas; `None`: as many as the file says.
    pub replicas: Option<u32>,
    /// Replicas that are stopped by index, in order.
    pub stopped_replicas: Vec<u32>,
    /// When it was last changed; `None` if nothing is set.
    pub set_at: Option<Timestamp>,
}

/// What is kept of an agent over restarts of the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgentRecord {
    /// Its name.
    pub name: Name,
    /// `actor`, `process` or `http`.
    pub kind: String,
    /// What an operator set.
    pub overrides: Overrides,
    /// SHA-256 of the part of the configuration that overrides depend on, in hex.
    pub config_hash: String,
    /// The highest generation of any life so far.
    pub generation: u64,
    /// Restarts so far.
    pub restarts_total: u64,
    /// When it was first registered.
    pub created_at: Timestamp,
    /// When this record last changed.
    pub updated_at: Timestamp,
}

/// The settings that an agent runs with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettingsInForce {
    /// Their digest, in hex.
    pub hash: String,
    /// Since when it has had them.
    pub since: Timestamp,
}

/// A process that the daemon spawned, so that its next life can end what was left behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpawnedProcess {
    /// The agent.
    pub agent: Name,
    /// Which replica.
    pub index: u32,
    /// Which life.
    pub generation: u64,
    /// The process, also the leader of its group.
    pub pid: u32,
    /// Its start time in clock ticks since boot (field 22 of `/proc/PID/stat`): tells a reused pid.
    pub start_ticks: u64,
    /// The boot it belongs to (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
}

/// The deaths that count against a replica's or group's intensity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartBudget {
    /// `echo#0`, or a group's name with a leading `@`.
    pub owner: String,
    /// When it died, oldest first; bounded by the intensity.
    pub deaths: Vec<Timestamp>,
    /// Until when it rests in quarantine.
    pub quarantined_until: Option<Timestamp>,
    /// Quarantines in a row.
    pub quarantines: u32,
    /// Whether the present life is a trial out of quarantine.
    pub on_trial: bool,
    /// Deaths of one fault, too slow for the window.
    pub slow_loop: Option<SlowLoop>,
    /// When this record last changed.
    pub updated_at: Timestamp,
}

/// Deaths of one fault in a row, each soon after the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlowLoop {
    /// What they share.
    pub signature: String,
    /// How many.
    pub deaths: u32,
    /// The last one.
    pub last: Timestamp,
}

/// Figures of one agent at one instant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgentMetrics {
    /// The agent.
    pub agent: Name,
    /// When.
    pub at: Timestamp,
    /// Processor time of its process tree since its start, seconds; 0 for actors.
    pub cpu_seconds: f64,
    /// Resident memory of its process tree, bytes; 0 for actors.
    pub memory_bytes: u64,
    /// Tasks waiting for it.
    pub queue_depth: u64,
    /// Tasks it holds.
    pub running: u64,
    /// Errors since the daemon's start.
    pub errors_total: u64,
    /// Restarts since the daemon's start.
    pub restarts_total: u64,
}

/// Figures of the host at one instant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SystemMetrics {
    /// When.
    pub at: Timestamp,
    /// Share of all processors in use, 0 to 1.
    pub cpu_ratio: f64,
    /// Memory in use, bytes.
    pub memory_used_bytes: u64,
    /// Memory there is: the container's limit, else the host's, bytes.
    pub memory_limit_bytes: u64,
    /// Share of the data directory's disk in use, 0 to 1.
    pub disk_used_ratio: f64,
    /// The daemon's own resident memory, bytes.
    pub process_memory_bytes: u64,
}

/// One stored result of one check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HealthRecord {
    /// The check.
    pub check: String,
    /// What it looks at.
    pub component: String,
    /// The level.
    pub status: HealthStatus,
    /// One line for people.
    pub message: String,
    /// The figure it was judged by.
    pub value: Option<f64>,
    /// The limit it was judged against.
    pub threshold: Option<f64>,
    /// When.
    pub at: Timestamp,
    /// How long the check took.
    pub duration_ms: u64,
    /// More figures.
    pub details: serde_json::Value,
}

/// One run of a recovery action.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecoveryRun {
    /// Its id.
    pub id: RecoveryRunId,
    /// The action's name.
    pub action: String,
    /// The check that called for it, or `operator`.
    pub cause: String,
    /// `running`, `succeeded`, `failed`, `suppressed` or `observed`.
    pub outcome: String,
    /// What it did, or why it did nothing.
    pub message: String,
    /// Which try, from 1.
    pub attempt: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}
