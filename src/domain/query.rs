//! Questions and answers of the store that more than one room uses: pages, filters, claims.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::agent::InstanceId;
use super::ids::{LeaseId, TaskId, WorkflowId};
use super::name::Name;
use super::queue::{QueuePause, QueueSpec};
use super::spend::{Amount, Reserve, SpendWrite};
use super::task::{Outcome, Task, TaskState};
use super::timestamp::Timestamp;
use super::trace::TraceParent;
use super::workflow::{Workflow, WorkflowState};

/// Items a page holds unless asked otherwise.
pub const DEFAULT_PAGE_LIMIT: u32 = 50;
/// The most items a page holds.
pub const MAX_PAGE_LIMIT: u32 = 500;

/// Which page of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// 1 to [`MAX_PAGE_LIMIT`].
    pub limit: u32,
    /// `next_cursor` of the page before; opaque.
    pub cursor: Option<String>,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self {
            limit: DEFAULT_PAGE_LIMIT,
            cursor: None,
        }
    }
}

/// One page of a list, newest first unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last.
    pub next_cursor: Option<String>,
    /// Whether there is a next page.
    pub has_more: bool,
}

/// Which tasks are wanted; all given conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskFilter {
    /// In one of these states; any if empty.
    pub states: Vec<TaskState>,
    /// For this agent.
    pub agent: Option<Name>,
    /// For this role.
    pub role: Option<Name>,
    /// In this queue.
    pub queue: Option<Name>,
    /// Of this workflow.
    pub workflow: Option<WorkflowId>,
    /// With this name.
    pub name: Option<String>,
    /// With these labels.
    pub labels: BTreeMap<String, String>,
}

/// Which workflows are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkflowFilter {
    /// In one of these states; any if empty.
    pub states: Vec<WorkflowState>,
    /// With this name.
    pub name: Option<String>,
}

/// Which journal entries are wanted, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventFilter {
    /// After this position.
    pub after: Option<i64>,
    /// Not before this instant.
    pub since: Option<Timestamp>,
    /// Of these types; a type ending in `.*` stands for its family. Any if empty.
    pub kinds: Vec<String>,
    /// About this.
    pub subject: Option<String>,
    /// The last ones instead of the first ones; still oldest first.
    pub latest: bool,
}

/// A replica with free slots, as the dispatcher offers it for claiming.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotOffer {
    /// The replica.
    pub instance: InstanceId,
    /// Its role beside its own name.
    pub role: Option<Name>,
    /// The queue it takes from.
    pub queue: Name,
    /// How many tasks it can take now.
    pub free: u32,
    /// What each of them is to hold of what its agent may spend.
    pub reserve: Option<Reserve>,
}

/// A task handed out: what the agent must be given.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedTask {
    /// The task.
    pub id: TaskId,
    /// The workflow it belongs to.
    pub workflow_id: Option<WorkflowId>,
    /// A word for people.
    pub name: String,
    /// What the agent gets, references resolved.
    pub payload: serde_json::Value,
    /// Which execution.
    pub attempt: u32,
    /// Fences the result.
    pub lease_id: LeaseId,
    /// The longest this attempt may take.
    pub timeout: Duration,
    /// The trace that asked for it.
    pub traceparent: Option<TraceParent>,
    /// The replica it was claimed for.
    pub instance: InstanceId,
    /// Whether it must run alone (a suspect after a death of its agent).
    pub alone: bool,
    /// What earlier executions of it have spent, where somebody counts.
    pub spent: Amount,
}

/// What a claim did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Claims {
    /// The tasks handed out.
    pub tasks: Vec<ClaimedTask>,
    /// The replicas for which no task is left that may be handed out.
    pub dry: Vec<InstanceId>,
    /// Tasks may wait behind a limit or a pause: the end of one may let another start.
    pub held_back: bool,
    /// When a rate limit gives way.
    pub next: Option<Duration>,
}

/// What keeps a queued task from starting now; only what binds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeldBack {
    /// As many of its queue run as may.
    pub queue_full: Option<Full>,
    /// As many with its key run as may.
    pub key_full: Option<Full>,
    /// As many of its queue have started as may in a window: the next may then.
    pub queue_opens: Option<Timestamp>,
    /// The same of its key.
    pub key_opens: Option<Timestamp>,
}

/// A limit of running tasks that is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    /// How many run.
    pub running: u64,
    /// Those that have run longest, ten at most.
    pub holders: Vec<TaskId>,
}

/// The end of one execution, as reported to the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// The task.
    pub task: TaskId,
    /// The execution's lease; if it is not the task's any more, the result is stale.
    pub lease_id: LeaseId,
    /// How it ended.
    pub outcome: Outcome,
    /// How long to wait before the next attempt, should one follow (jitter already drawn).
    pub backoff: Duration,
    /// What its agent has spent by now, where somebody counts: kept by the same commit.
    pub spend: Option<Box<SpendWrite>>,
}

/// What a settlement did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The task afterwards.
    pub state: TaskState,
    /// The result came under a lease that no longer holds; it was kept beside, not stored.
    pub stale: bool,
    /// Tasks of the same workflow may have become runnable.
    pub unblocked: bool,
    /// Running tasks of the same workflow, which has failed: their agents must be told.
    pub cancel: Vec<(TaskId, LeaseId)>,
}

/// What a submission did.
#[derive(Debug, Clone, PartialEq)]
pub struct Submitted {
    /// The task as stored.
    pub task: Task,
    /// The hand-over, if it was claimed in the same commit.
    pub claimed: Option<ClaimedTask>,
    /// The idempotency key had been seen, or a task with its key of uniqueness was there: this is
    /// the first submission's task.
    pub existing: bool,
    /// It is the task that holds the key of uniqueness.
    pub unique_conflict: bool,
}

impl Submitted {
    /// A task that was not there before and waits, or is told without its hand-over.
    #[must_use]
    pub const fn anew(task: Task) -> Self {
        Self {
            task,
            claimed: None,
            existing: false,
            unique_conflict: false,
        }
    }
}

/// What falls due did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DueWork {
    /// Tasks that were queued.
    pub queued: u64,
    /// Tasks that timed out where they stood.
    pub expired: u64,
    /// Those of them that ran: their agents must be told.
    pub stop: Vec<(TaskId, LeaseId)>,
    /// Queues whose pause was over.
    pub resumed: u64,
    /// Running tasks of workflows that failed by this: their agents must be told.
    pub cancel: Vec<(TaskId, LeaseId)>,
    /// How long until the next falls due.
    pub next: Option<Duration>,
}

/// What a cancellation did.
#[derive(Debug, Clone, PartialEq)]
pub struct Cancelled {
    /// The tasks it made final, as stored.
    pub tasks: Vec<TaskId>,
    /// Running tasks whose agents must be told; they become final when settled.
    pub running: Vec<(TaskId, LeaseId)>,
}

/// What a signal did.
#[derive(Debug, Clone, PartialEq)]
pub struct Signalled {
    /// The workflow afterwards.
    pub workflow: Workflow,
    /// Running tasks of the workflow, which has failed: their agents must be told.
    pub cancel: Vec<(TaskId, LeaseId)>,
}

/// What the end of waits did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expired {
    /// Running tasks of workflows that have failed: their agents must be told.
    pub cancel: Vec<(TaskId, LeaseId)>,
    /// When the next wait ends.
    pub next: Option<Duration>,
}

/// What a look at the schedules did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fired {
    /// Firings that began.
    pub count: u64,
    /// Running tasks that were replaced: their agents must be told.
    pub cancel: Vec<(TaskId, LeaseId)>,
    /// Firings wait for the end of the ones before.
    pub waiting: bool,
    /// When the next falls due.
    pub next: Option<Duration>,
}

/// What stands in a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueStats {
    /// The queue.
    pub queue: Name,
    /// Tasks by state.
    pub tasks: BTreeMap<String, u64>,
    /// When the oldest queued task was accepted.
    pub oldest_queued_at: Option<Timestamp>,
}

/// A queue: what is configured, what stands in it, and whether it is paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueState {
    /// What is configured.
    pub spec: QueueSpec,
    /// What stands in it.
    pub stats: QueueStats,
    /// Whether it hands nothing out.
    pub pause: Option<QueuePause>,
}

/// The state of the database.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatabaseStatus {
    /// `sqlite` or `postgres`.
    pub backend: String,
    /// Where it is, without credentials.
    pub location: String,
    /// The schema's version.
    pub schema_version: u32,
    /// Bytes of the database file.
    pub size_bytes: u64,
    /// Bytes of the write-ahead log.
    pub wal_bytes: u64,
    /// Bytes of the database file that wait to be used again, as last counted.
    pub free_bytes: u64,
    /// Bytes that are free on its disk, where that says so.
    pub disk_free_bytes: Option<u64>,
    /// The longest that one write of retention held the writer, milliseconds.
    pub longest_prune_ms: f64,
    /// Readers there are.
    pub readers: u32,
    /// Readers in use.
    pub readers_busy: u32,
    /// Writes waiting for the writer.
    pub writes_queued: u64,
    /// The most writes that may wait.
    pub writes_capacity: u64,
    /// Whether writes are accepted.
    pub writable: bool,
    /// Why not, if not.
    pub last_error: Option<String>,
}

/// How many rows retention removed, by table.
pub type Pruned = BTreeMap<String, u64>;
