//! A workflow: tasks that form a directed acyclic graph, its definition and its run.
//!
//! References: a JSON object with the single key `$ref` stands for a value that is known later:
//! `input.KEY…` or `tasks.NAME.result.KEY…`; inside a `for_each` also `item` and `index`.
//! The result of a task with `for_each` is the list of its items' results, in the items' order.
//!
//! A task with `signal` or `approval` runs on no agent: it waits for what somebody outside says. A
//! task that another names by `compensate` runs only to undo that one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::WorkflowId;
use super::name::Name;
use super::task::TaskError;
use super::timestamp::Timestamp;
use super::trace::TraceParent;

pub mod check;
pub mod graph;
mod lines;
pub mod reference;
pub mod text;
pub mod wait;

pub use self::wait::{OnTimeout, OpenWait};

/// Where a workflow stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkflowState {
    /// Accepted; no task has been handed out.
    Pending,
    /// Under way.
    Running,
    /// Undoing what was done.
    Compensating,
    /// Final: every task succeeded (or may fail by its policy).
    Completed,
    /// Final: a task failed.
    Failed,
    /// Final: cancelled.
    Cancelled,
}

impl WorkflowState {
    /// Every state, for tables and metrics.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Running,
        Self::Compensating,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// Whether nothing follows but an explicit retry.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }

    /// The word used in the database, JSON, metrics and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Compensating => "compensating",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of a word, if it is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// A workflow as written by a user, in JSON or TOML.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkflowDefinition {
    /// A name for people, unique or not.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Values that tasks refer to as `input.KEY`; a run may override them.
    #[serde(default)]
    pub input: serde_json::Map<String, serde_json::Value>,
    /// Its tasks.
    pub tasks: Vec<TaskDefinition>,
    /// Its result, with references; the last tasks' results by name if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<serde_json::Value>,
}

/// One task of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskDefinition {
    /// Unique in the workflow: `[a-z][a-z0-9_-]{0,62}`.
    pub name: String,
    /// The agent it is for …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Name>,
    /// … or the role …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Name>,
    /// … or the signal that it waits for; what comes with the signal is its result …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// … or the signal by which a person says yes (`{"approved": true}`) or no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// What the agent gets, or what is shown to whoever is waited for; may hold references.
    #[serde(default)]
    pub payload: serde_json::Value,
    /// Tasks that must succeed first. Tasks it refers to are added by themselves.
    #[serde(default)]
    pub depends_on: Vec<String>,
    /// A list, or a reference to one: the task runs once for each item, in parallel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<serde_json::Value>,
    /// Executions that are its own fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    /// The longest one attempt, or the wait for a signal, may take, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// What it means when the signal does not come in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_timeout: Option<OnTimeout>,
    /// What its failure means for the workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// The task that undoes it, if it succeeded and the workflow is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compensate: Option<String>,
}

/// What a task's failure means for its workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Cancel what has not run, fail the workflow.
    Fail,
    /// Go on with what does not depend on it.
    Continue,
    /// Run the compensations of what succeeded, then fail.
    Compensate,
}

/// A workflow as asked for: a checked definition and the input of this run.
#[derive(Debug, Clone, PartialEq)]
pub struct NewWorkflow {
    /// Its id, made by the caller.
    pub id: WorkflowId,
    /// What to run. Its `input` already holds this run's overrides.
    pub definition: WorkflowDefinition,
    /// Free words for filtering.
    pub labels: BTreeMap<String, String>,
    /// Makes a repeated submission answer with the first run.
    pub idempotency: Option<super::task::IdempotencyKey>,
    /// The trace that asked for it; its tasks go on in it.
    pub traceparent: Option<TraceParent>,
}

/// A workflow as stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Workflow {
    /// Its id.
    pub id: WorkflowId,
    /// The definition's name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Where it stands.
    pub state: WorkflowState,
    /// This run's input.
    pub input: serde_json::Value,
    /// Its result.
    pub output: Option<serde_json::Value>,
    /// Why it failed.
    pub error: Option<TaskError>,
    /// SHA-256 of the definition, in hex: which version of it ran.
    pub definition_hash: String,
    /// Free words for filtering.
    pub labels: BTreeMap<String, String>,
    /// The trace that asked for it.
    pub traceparent: Option<TraceParent>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When its first task was handed out.
    pub started_at: Option<Timestamp>,
    /// When it became final.
    pub finished_at: Option<Timestamp>,
    /// How many of its tasks stand in which state.
    pub tasks: BTreeMap<String, u64>,
    /// The signals that it waits for now.
    pub waits: Vec<OpenWait>,
}
