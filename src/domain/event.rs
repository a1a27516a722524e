//! Journal entries: one for every edge that anything in the house passes.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::ids::{EventId, TaskId};
use super::task::{Target, TaskState};
use super::timestamp::Timestamp;

/// A fact, not yet in the journal.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// `agent.ready`, `task.succeeded`, … one of [`TYPES`].
    pub kind: &'static str,
    /// What it is about: an agent's name, `echo#0`, a task's or workflow's id, a check's name.
    pub subject: String,
    /// When.
    pub at: Timestamp,
    /// More, as a JSON object.
    pub data: serde_json::Value,
}

/// A journal entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Opaque and ordered; the position to replay from.
    pub seq: i64,
    /// Its id.
    pub id: EventId,
    /// `agent.ready`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// When.
    pub at: Timestamp,
    /// More.
    pub data: EventData,
    /// What the house itself looks at, if it is about a task and was committed just now.
    #[serde(skip)]
    pub task: Option<TaskFact>,
}

/// What an entry says more: a JSON object, kept as text until somebody looks into it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventData(Box<RawValue>);

impl EventData {
    /// The JSON of a value; `null` of one that has none.
    #[must_use]
    pub fn of(value: &impl Serialize) -> Self {
        Self(to_raw_value(value).unwrap_or_default())
    }

    /// As text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.get()
    }

    /// To be looked into.
    #[must_use]
    pub fn value(&self) -> serde_json::Value {
        serde_json::from_str(self.text()).unwrap_or_default()
    }
}

impl PartialEq for EventData {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

/// What the house itself looks at in a fact about a task; for everybody else it stands in the data.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskFact {
    /// The task.
    pub id: TaskId,
    /// Who it is for.
    pub target: Target,
    /// Where it stands now.
    pub state: TaskState,
    /// Executions so far.
    pub attempt: u32,
    /// How long it had waited when it was handed out.
    pub waited: Option<Duration>,
    /// How long the execution took that ended.
    pub took: Option<Duration>,
    /// It has timeouts of its own.
    pub times_out: bool,
}

/// Every type of event, one for every edge.
pub const TYPES: &[&str] = &[
    "agent.starting",
    "agent.ready",
    "agent.busy",
    "agent.idle",
    "agent.stalled",
    "agent.crashed",
    "agent.backoff",
    "agent.restarted",
    "agent.quarantined",
    "agent.draining",
    "agent.stopping",
    "agent.stopped",
    "agent.failed",
    "agent.paused",
    "agent.resumed",
    "agent.unreachable",
    "agent.scaled",
    "task.created",
    "task.queued",
    "task.started",
    "task.progress",
    "task.waiting",
    "task.retrying",
    "task.interrupted",
    "task.succeeded",
    "task.failed",
    "task.timed_out",
    "task.dead",
    "task.cancelled",
    "task.stale_result",
    "workflow.created",
    "workflow.started",
    "workflow.compensating",
    "workflow.completed",
    "workflow.failed",
    "workflow.cancelled",
    "queue.paused",
    "queue.resumed",
    "schedule.fired",
    "schedule.skipped",
    "spend.warning",
    "spend.exhausted",
    "spend.renewed",
    "health.changed",
    "health.flapping",
    "recovery.started",
    "recovery.succeeded",
    "recovery.failed",
    "recovery.suppressed",
    "node.joined",
    "node.lost",
    "leader.acquired",
    "leader.lost",
    "config.applied",
    "database.lost",
    "database.restored",
    "database.migrated",
];
