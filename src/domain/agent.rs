//! What an agent is: its kind, states, verdict, and the settings it is supervised under.
//!
//! `agents.NAME` is the agent; its lives run as replicas `NAME#0`, `NAME#1`, …
//! `desired` is what the operator asked for, `state` what is; only the reconciler acts on the
//! difference. `state` says where a life stands, the *verdict* what the evidence says it does.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::name::Name;
use super::probe::Probes;
use super::restart::RestartPolicy;
use super::spend::SpendSpec;

mod program;
mod verdict;

pub use program::AgentProgram;
pub use verdict::Verdict;

/// Where an agent's code runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentKind {
    /// Rust code in this process, on a worker arbiter.
    Actor,
    /// A child process in any language.
    Process,
    /// A remote service.
    Http,
}

/// What the operator asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    /// Run, and be restarted by policy.
    Running,
    /// Stay down until started.
    Stopped,
    /// Run, but take no new task.
    Paused,
}

/// Where a life of an agent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentState {
    /// Waiting for its turn or for what it depends on.
    Pending,
    /// Spawned, not yet ready.
    Starting,
    /// Ready for work.
    Ready,
    /// Finishing what it holds, taking nothing new.
    Draining,
    /// Told to end.
    Stopping,
    /// Ended and not to be restarted.
    Stopped,
    /// Ended; restarts when its delay is over.
    Backoff,
    /// Gave up; tried again when the breaker half-opens.
    Quarantined,
    /// Gave up for good.
    Failed,
    /// Ready, but the operator paused it.
    Paused,
    /// A remote service that does not answer.
    Unreachable,
}

impl AgentState {
    /// Every state, for tables and metrics.
    pub const ALL: [Self; 11] = [
        Self::Pending,
        Self::Starting,
        Self::Ready,
        Self::Draining,
        Self::Stopping,
        Self::Stopped,
        Self::Backoff,
        Self::Quarantined,
        Self::Failed,
        Self::Paused,
        Self::Unreachable,
    ];

    /// The word used in JSON, metrics and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Backoff => "backoff",
            Self::Quarantined => "quarantined",
            Self::Failed => "failed",
            Self::Paused => "paused",
            Self::Unreachable => "unreachable",
        }
    }
}

/// One replica of an agent: `NAME#INDEX`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId {
    /// The agent.
    pub agent: Name,
    /// Which replica, from 0.
    pub index: u32,
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.agent, self.index)
    }
}

impl Serialize for InstanceId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An agent or one of its replicas, as an operator names it: `echo` or `echo#1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentTarget {
    /// The agent.
    pub agent: Name,
    /// One replica, or all.
    pub index: Option<u32>,
}

impl FromStr for AgentTarget {
    type Err = InvalidTarget;
    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let invalid = || InvalidTarget(text.chars().take(80).collect());
        let (agent, index) = match text.split_once('#') {
            None => (text, None),
            Some((agent, index)) => (agent, Some(index.parse().map_err(|_| invalid())?)),
        };
        Ok(Self {
            agent: agent.parse().map_err(|_| invalid())?,
            index,
        })
    }
}

/// Why a text names no agent and no replica.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is neither an agent's name nor a replica such as echo#1")]
pub struct InvalidTarget(String);

/// The settings of one agent, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentSpec {
    /// Its name.
    pub name: Name,
    /// What runs, and how it is reached.
    pub runs: AgentProgram,
    /// The role by which tasks may address it; its name is always one.
    pub role: Option<Name>,
    /// The group it belongs to; without one it stands alone under the root (`one_for_one`).
    pub group: Option<Name>,
    /// How many lives run side by side.
    pub replicas: u32,
    /// Whether the daemon is not ready, and in the end exits, without it.
    pub critical: bool,
    /// When and how it is restarted.
    pub restart: RestartPolicy,
    /// What must stand before it starts.
    pub depends_on: BTreeMap<Name, DependsOn>,
    /// Open tasks a life takes at once, unless it says otherwise in `ready`.
    pub concurrency: u32,
    /// The queue it takes tasks from beside its own.
    pub queue: Name,
    /// Silence with a task open after which the verdict is `stalled`.
    pub stall_timeout: Duration,
    /// Whether a stalled life is only reported, or restarted.
    pub on_stall: OnStall,
    /// How it is ended.
    pub stop: StopPolicy,
    /// How long a life may take from its start to ready.
    pub start_timeout: Duration,
    /// How often a life is asked for a sign by its own protocol, and how it counts.
    pub liveness: ProbePolicy,
    /// What else is asked of a life.
    pub probes: Probes,
    /// Free words for filtering.
    pub labels: BTreeMap<String, String>,
    /// What it may spend; `None`: nobody counts.
    pub spend: Option<SpendSpec>,
}

/// A child process: its command and surroundings.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessSpec {
    /// Program and arguments; never empty. A first word of `agent-system` means this very binary.
    pub command: Vec<String>,
    /// Its working directory; the daemon's if absent.
    pub directory: Option<std::path::PathBuf>,
    /// How it gets work.
    pub protocol: ProcessProtocol,
    /// What the child sees of the environment: nothing but this, `PATH`, `HOME`, `LANG`, `TZ`, `TMPDIR`.
    pub env: EnvSpec,
    /// Resource limits.
    pub limits: ProcessLimits,
    /// A file for its log lines, below the data directory; `None`: the ring and the daemon's log.
    pub log: Option<LogFileSpec>,
    /// Passed in `hello` as `config`.
    pub settings: serde_json::Value,
    /// Exit codes that are a success; a life that ends with one ended normally.
    pub success_exit_codes: Vec<i32>,
    /// Exit codes after which it is never restarted.
    pub fatal_exit_codes: Vec<i32>,
}

/// A remote service: where it is, and what every request to it carries.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HttpSpec {
    /// Where tasks are posted to; `{index}` stands for the replica's number.
    pub url: String,
    /// Headers of every request.
    pub headers: HeaderSpec,
}

/// Headers of requests. Its `Debug` shows names, never values.
#[derive(Clone, PartialEq, Default)]
pub struct HeaderSpec {
    /// Headers set here.
    pub set: BTreeMap<String, String>,
    /// Headers whose values are read from files at each start.
    pub secrets: BTreeMap<String, std::path::PathBuf>,
}

impl fmt::Debug for HeaderSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderSpec")
            .field("set", &self.set.keys())
            .field("secrets", &self.secrets)
            .finish()
    }
}

/// How a child process gets work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProcessProtocol {
    /// JSON lines on stdin and stdout.
    Stdio,
    /// None: only kept alive.
    None,
    /// One process a task: payload on stdin, result on stdout, exit code decides.
    Exec,
}

/// The environment of a child. Its `Debug` shows names, never values.
#[derive(Clone, PartialEq, Default)]
pub struct EnvSpec {
    /// Variables handed through from the daemon, where set.
    pub pass: Vec<String>,
    /// Variables set here.
    pub set: BTreeMap<String, String>,
    /// Variables read from files at each start.
    pub secrets: BTreeMap<String, std::path::PathBuf>,
}

impl fmt::Debug for EnvSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvSpec")
            .field("pass", &self.pass)
            .field("set", &self.set.keys())
            .field("secrets", &self.secrets)
            .finish()
    }
}

/// Resource limits of a child; absent means the daemon's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessLimits {
    /// Address space, bytes.
    pub memory_bytes: Option<u64>,
    /// Open files.
    pub open_files: Option<u64>,
    /// Processes of its user.
    pub processes: Option<u64>,
}

/// A log file with its rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFileSpec {
    /// The file's name below `<data-dir>/logs/`.
    pub file: String,
    /// Rotated at this size, bytes.
    pub max_size: u64,
    /// Rotated files older than this are removed.
    pub max_age: Duration,
    /// Rotated files kept.
    pub keep: u32,
}

/// What another agent must have reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DependsOn {
    /// Its process or actor exists.
    Started,
    /// It is ready.
    Healthy,
    /// It has ended successfully.
    Completed,
}

impl DependsOn {
    /// The word in a configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Healthy => "healthy",
            Self::Completed => "completed",
        }
    }
}

/// What happens to a stalled life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnStall {
    /// Verdict, event and warning only.
    Report,
    /// The life is ended and restarted.
    Restart,
}

/// How a life is ended: drain, then signal, then kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopPolicy {
    /// For finishing open tasks.
    pub drain_timeout: Duration,
    /// The signal's number sent after the drain.
    pub signal: i32,
    /// From the signal to the kill.
    pub timeout: Duration,
}

/// How a life is asked for a sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbePolicy {
    /// Whether it is asked at all (`protocol = false` switches it off).
    pub enabled: bool,
    /// How often.
    pub period: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Failures in a row that count; 0: none ever does, it is asked for its evidence alone.
    pub failure_threshold: u32,
    /// Successes in a row that count.
    pub success_threshold: u32,
}
