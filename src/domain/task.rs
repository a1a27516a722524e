//! A task: one unit of durable work, from its submission to its final state.
//!
//! Who moves it where, and why, stands in the transition function of this room; the database
//! never holds an edge that the function does not know.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::{LeaseId, SessionId, TaskId, WorkflowId};
use super::name::Name;
use super::queue::Unique;
use super::spend::Usage;
use super::timestamp::Timestamp;
use super::trace::TraceParent;

/// The largest payload of a task, as JSON, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 256 * 1024;
/// The most attempts unless a task says otherwise.
pub const DEFAULT_MAX_ATTEMPTS: u32 = 3;
/// The longest attempt unless a task says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// The priority unless a task says otherwise.
pub const DEFAULT_PRIORITY: u8 = 5;
/// The queue of a task that names none.
pub const DEFAULT_QUEUE: &str = "default";

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Waits for the tasks it depends on.
    Blocked,
    /// Waits for its `run_at`.
    Scheduled,
    /// Waits for a free slot.
    Queued,
    /// Handed to an agent under a lease.
    Running,
    /// Waits for a signal or an approval.
    Waiting,
    /// Failed once; waits for its next attempt.
    Retrying,
    /// Final: done, with a result.
    Succeeded,
    /// Final: failed with an error that is not retryable.
    Failed,
    /// Final: cancelled by a person, or because a task it depends on failed.
    Cancelled,
    /// Final: out of time.
    TimedOut,
    /// Final: out of attempts, or a danger to agents.
    Dead,
}

impl TaskState {
    /// Every state, for tables and metrics.
    pub const ALL: [Self; 11] = [
        Self::Blocked,
        Self::Scheduled,
        Self::Queued,
        Self::Running,
        Self::Waiting,
        Self::Retrying,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::TimedOut,
        Self::Dead,
    ];

    /// Whether nothing follows but an explicit retry.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::Failed | Self::Cancelled | Self::TimedOut | Self::Dead
        )
    }

    /// The word used in the database, JSON, metrics and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Retrying => "retrying",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::Dead => "dead",
        }
    }

    /// The state of a word, if it is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// Who a task is for: exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// One agent, any of its replicas.
    Agent(Name),
    /// Any agent of a role.
    Role(Name),
    /// Whatever takes from a queue.
    Queue(Name),
}

impl Target {
    /// The queue that its tasks stand in.
    #[must_use]
    pub fn queue(&self) -> &str {
        match self {
            Self::Agent(_) | Self::Role(_) => DEFAULT_QUEUE,
            Self::Queue(queue) => queue.as_str(),
        }
    }
}

/// A task as asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTask {
    /// Its id, made by the caller.
    pub id: TaskId,
    /// The workflow it belongs to.
    pub workflow_id: Option<WorkflowId>,
    /// A word for people; for a task of a workflow its name there (`count`, or `count[3]` of a map).
    pub name: String,
    /// Who it is for.
    pub target: Target,
    /// What the agent gets. May hold references while the task is blocked.
    pub payload: serde_json::Value,
    /// 1 to 9, 9 first.
    pub priority: u8,
    /// Not before.
    pub run_at: Option<Timestamp>,
    /// Executions that are its own fault.
    pub max_attempts: u32,
    /// The longest one attempt may take.
    pub timeout: Duration,
    /// Names of tasks of the same workflow that must succeed first.
    pub depends_on: Vec<String>,
    /// Free words for filtering.
    pub labels: BTreeMap<String, String>,
    /// Makes a repeated submission answer with the first task.
    pub idempotency: Option<IdempotencyKey>,
    /// The longest it may wait for a slot, each time it waits.
    pub waiting_timeout: Option<Duration>,
    /// The longest from the instant it may first run to its end.
    pub total_timeout: Option<Duration>,
    /// Tasks of a queue with the same key share its limits of keys.
    pub concurrency_key: Option<String>,
    /// Makes a submission answer with an earlier task that has the same key.
    pub unique: Option<Unique>,
    /// The trace that asked for it.
    pub traceparent: Option<TraceParent>,
}

impl NewTask {
    /// A task with everything but who it is for and what it is about left at its default.
    #[must_use]
    pub fn plain(id: TaskId, name: String, target: Target, payload: serde_json::Value) -> Self {
        Self {
            id,
            workflow_id: None,
            name,
            target,
            payload,
            priority: DEFAULT_PRIORITY,
            run_at: None,
            max_attempts: DEFAULT_MAX_ATTEMPTS,
            timeout: DEFAULT_TIMEOUT,
            depends_on: Vec::new(),
            labels: BTreeMap::new(),
            idempotency: None,
            waiting_timeout: None,
            total_timeout: None,
            concurrency_key: None,
            unique: None,
            traceparent: None,
        }
    }
}

/// A caller's key for one request, with the digest of what it asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The key.
    pub key: String,
    /// SHA-256 of the request.
    pub digest: [u8; 32],
}

/// A task as stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Task {
    /// Its id.
    pub id: TaskId,
    /// The workflow it belongs to.
    pub workflow_id: Option<WorkflowId>,
    /// A word for people.
    pub name: String,
    /// The agent it is for, if it is for one.
    pub agent: Option<Name>,
    /// The role it is for, if it is for one.
    pub role: Option<Name>,
    /// The queue it waits in.
    pub queue: Name,
    /// Where it stands.
    pub state: TaskState,
    /// 1 to 9, 9 first.
    pub priority: u8,
    /// What the agent gets.
    pub payload: serde_json::Value,
    /// What the agent gave back.
    pub result: Option<serde_json::Value>,
    /// The last error.
    pub error: Option<TaskError>,
    /// Why it is dead or cancelled: `exhausted`, `poison`, `interrupted`, `upstream`.
    pub reason: Option<String>,
    /// Executions so far; counted when it is handed out.
    pub attempt: u32,
    /// Executions that may be its own fault.
    pub max_attempts: u32,
    /// Deaths of its agent while it ran alone.
    pub crash_attempts: u32,
    /// Executions that ended through no fault of its own.
    pub interruptions: u32,
    /// Under what it runs.
    pub lease: Option<Lease>,
    /// What the agent last said of its progress.
    pub progress: Option<Progress>,
    /// Names of tasks of the same workflow that must succeed first.
    pub depends_on: Vec<String>,
    /// Free words for filtering.
    pub labels: BTreeMap<String, String>,
    /// The longest one attempt may take.
    pub timeout_ms: u64,
    /// The longest it may wait for a slot, each time it waits.
    pub waiting_timeout_ms: Option<u64>,
    /// The longest from the instant it may first run to its end.
    pub total_timeout_ms: Option<u64>,
    /// When it times out where it stands now.
    pub expires_at: Option<Timestamp>,
    /// Tasks of the queue with the same key share its limits of keys.
    pub concurrency_key: Option<String>,
    /// What makes it unique.
    pub unique_key: Option<String>,
    /// The trace that asked for it.
    pub traceparent: Option<TraceParent>,
    /// Not before.
    pub run_at: Timestamp,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it became final.
    pub finished_at: Option<Timestamp>,
}

/// The hold of one daemon's life on a running task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lease {
    /// Fences the result.
    pub id: LeaseId,
    /// The daemon's node name.
    pub node: String,
    /// The replica it was handed to (`echo#0`).
    pub instance: Option<String>,
    /// The end of the session that holds it.
    pub expires_at: Timestamp,
}

/// What an agent last said of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// 0 to 100.
    pub percent: Option<f64>,
    /// A word for people.
    pub message: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskError {
    /// A bounded word a program may match on.
    pub code: String,
    /// For people.
    pub message: String,
    /// Whether another attempt may help.
    pub retryable: bool,
}

/// One execution of a task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskAttempt {
    /// The task.
    pub task_id: TaskId,
    /// Which execution, from 1.
    pub attempt: u32,
    /// Its lease.
    pub lease_id: LeaseId,
    /// The daemon's life that held it.
    pub session_id: SessionId,
    /// The replica that ran it.
    pub instance: Option<String>,
    /// `running`, `succeeded`, `failed`, `timed_out`, `interrupted`, `crashed`, `cancelled`.
    pub outcome: String,
    /// Why it failed.
    pub error: Option<TaskError>,
    /// What came after its end, and changed nothing.
    pub stale_result: Option<StaleResult>,
    /// What it said it has spent, if it said anything and somebody counts.
    pub usage: Option<Usage>,
    /// When it was handed out.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// What came under a lease that held no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StaleResult {
    /// The outcome it would have been.
    pub outcome: String,
    /// What the agent gave back; absent if it was too large to be kept.
    pub output: Option<serde_json::Value>,
    /// Why it failed.
    pub error: Option<TaskError>,
    /// When it came.
    pub at: Timestamp,
}

/// How an execution ended, as the dispatcher reports it to the store.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// With a result.
    Succeeded(serde_json::Value),
    /// With an error.
    Failed(TaskError),
    /// Longer than its attempt timeout.
    TimedOut,
    /// Through no fault of the task: drain, stop, kill by an operator, loss of the daemon.
    Interrupted {
        /// A bounded word.
        reason: String,
    },
    /// Its agent died; `alone` if it was the only task there.
    AgentDied {
        /// Whether it was the only task of that life.
        alone: bool,
        /// How the agent died.
        reason: String,
    },
    /// The agent obeyed a cancel, or was killed for not obeying it.
    Cancelled,
}
