//! Journal entries: one for every edge that anything in the house passes.

use serde::{Deserialize, Serialize};

use super::ids::EventId;
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
    pub data: serde_json::Value,
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
