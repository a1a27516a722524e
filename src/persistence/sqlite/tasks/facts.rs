//! Moving a task: its row, the row of its execution, and its event, together.

use std::time::Duration;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::row::TaskRow;
use crate::domain::event::{EventData, TaskFact};
use crate::domain::ids::WorkflowId;
use crate::domain::name::Name;
use crate::domain::task::{Target, TaskError, TaskState};
use crate::domain::timestamp::Timestamp;
use crate::domain::trace::TraceParent;
use crate::domain::transition::{Standing, event_of};
use crate::persistence::sqlite::{Sealed, SqlResult, WriteTx};

/// What comes with a step beside the standing.
#[derive(Default)]
pub(in crate::persistence::sqlite) struct Change<'a> {
    /// What the agent gave back, sealed.
    pub(in crate::persistence::sqlite) result: Option<&'a [u8]>,
    /// Why it stands there; the last error stays if absent.
    pub(in crate::persistence::sqlite) error: Option<&'a TaskError>,
    /// More for its event: an object.
    pub(in crate::persistence::sqlite) told: Option<Value>,
    /// Its new place in the queue.
    pub(in crate::persistence::sqlite) rank: Option<i64>,
    /// Its new instant.
    pub(in crate::persistence::sqlite) run_at: Option<Timestamp>,
}

/// Stores a step that is no claim, and its event. Ends the lease unless the task still runs.
pub(in crate::persistence::sqlite) fn move_to(
    tx: &mut WriteTx<'_>,
    task: &TaskRow,
    to: Standing,
    change: &Change<'_>,
) -> SqlResult<()> {
    let finished = to.state.is_final().then(|| tx.now());
    tx.execute(
        "UPDATE tasks SET state = ?2, reason = ?3, attempt = ?4, max_attempts = ?5, \
         crash_attempts = ?6, interruptions = ?7, alone = ?8, cancel_requested = ?9, \
         rank = ?10, run_at = ?11, result = ?12, error = iif(?2 = 'succeeded', NULL, coalesce(?13, error)), finished_at = ?14, \
         session_id = iif(?15, session_id, NULL), lease_id = iif(?15, lease_id, NULL), \
         instance = iif(?15, instance, NULL) WHERE key = ?1",
        rusqlite::params![
            task.key,
            to.state,
            to.cause.map(|cause| cause.as_str()),
            to.attempt,
            to.max_attempts,
            to.crash_attempts,
            to.interruptions,
            to.suspect,
            to.cancelling,
            change.rank.unwrap_or(task.rank),
            change.run_at.unwrap_or(task.run_at),
            change.result,
            change.error.map(Sealed),
            finished,
            to.state == TaskState::Running,
        ],
    )?;
    if task.timeouts.any() {
        let ready_at = change.run_at.unwrap_or_else(|| tx.now());
        task.timeouts.arm(tx, task, to.state, ready_at)?;
    }
    let Some(kind) = event_of(&task.standing, &to) else {
        return Ok(());
    };
    let took = task
        .started_at
        .filter(|_| task.standing.state == TaskState::Running)
        .map(|started_at| tx.now().since(started_at));
    let told = Told {
        state: Some(to.state),
        attempt: Some(to.attempt),
        took,
        reason: to.cause.map(|cause| cause.as_str()),
        code: change.error.map(|error| error.code.as_str()),
        more: change.told.as_ref(),
        ..Told::default()
    };
    journal(tx, task, kind, &told)
}

/// What an event says of a task, beside its name and who it is for.
#[derive(Default, Serialize)]
pub(in crate::persistence::sqlite) struct Told<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<TaskState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) instance: Option<&'a str>,
    #[serde(
        rename = "waited_ms",
        skip_serializing_if = "Option::is_none",
        serialize_with = "millis"
    )]
    pub(super) waited: Option<Duration>,
    #[serde(
        rename = "took_ms",
        skip_serializing_if = "Option::is_none",
        serialize_with = "millis"
    )]
    pub(super) took: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<&'a str>,
    /// An object.
    #[serde(flatten)]
    pub(super) more: Option<&'a Value>,
}

/// The data of an event about a task.
#[derive(Serialize)]
struct Data<'a> {
    name: &'a str,
    queue: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<&'a Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a Name>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    times_out: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_id: Option<WorkflowId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<TraceParent>,
    #[serde(flatten)]
    told: &'a Told<'a>,
}

/// A span as it stands in an event.
fn millis<S: Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    let millis = span.unwrap_or_default().as_millis();
    serializer.serialize_u64(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// Puts a fact about a task into the journal.
pub(in crate::persistence::sqlite) fn journal(
    tx: &mut WriteTx<'_>,
    task: &TaskRow,
    kind: &'static str,
    told: &Told<'_>,
) -> SqlResult<()> {
    let (agent, role) = match &task.target {
        Target::Agent(agent) => (Some(agent), None),
        Target::Role(role) => (None, Some(role)),
        Target::Queue(_) => (None, None),
    };
    let data = EventData::of(&Data {
        name: &task.name,
        queue: task.target.queue(),
        agent,
        role,
        times_out: task.timeouts.any(),
        workflow_id: task.workflow_id,
        traceparent: task.traceparent,
        told,
    });
    let fact = TaskFact {
        id: task.id,
        target: task.target.clone(),
        state: told.state.unwrap_or(task.standing.state),
        attempt: told.attempt.unwrap_or(task.standing.attempt),
        waited: told.waited,
        took: told.took,
        times_out: task.timeouts.any(),
    };
    tx.task_event(kind, data, fact)
}
