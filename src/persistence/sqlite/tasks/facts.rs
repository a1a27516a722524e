//! Moving a task: its row, the row of its execution, and its event, together.

use std::time::Duration;

use serde_json::{Value, json};

use super::row::TaskRow;
use crate::domain::event::NewEvent;
use crate::domain::task::{TaskError, TaskState};
use crate::domain::timestamp::Timestamp;
use crate::domain::transition::{Standing, event_of};
use crate::persistence::sqlite::{Sealed, SqlResult, WriteTx};

/// What comes with a step beside the standing.
#[derive(Default)]
pub(in crate::persistence::sqlite) struct Change<'a> {
    /// What the agent gave back.
    pub(in crate::persistence::sqlite) result: Option<&'a Value>,
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
            change.result.map(Sealed),
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
    let mut data = json!({"name": task.name, "state": to.state.as_str(), "attempt": to.attempt});
    if let Some(started_at) = task
        .started_at
        .filter(|_| task.standing.state == TaskState::Running)
    {
        data["took_ms"] = millis(tx.now().since(started_at));
    }
    if let Some(cause) = to.cause {
        data["reason"] = cause.as_str().into();
    }
    if let Some(Value::Object(told)) = &change.told {
        for (key, value) in told {
            data[key] = value.clone();
        }
    }
    if let Some(error) = change.error {
        data["code"] = error.code.as_str().into();
    }
    journal(tx, task, kind, data)
}

/// A span as it stands in an event.
pub(super) fn millis(span: Duration) -> Value {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX).into()
}

/// Puts a fact about a task into the journal.
pub(in crate::persistence::sqlite) fn journal(
    tx: &mut WriteTx<'_>,
    task: &TaskRow,
    kind: &'static str,
    mut data: Value,
) -> SqlResult<()> {
    data["queue"] = task.queue.as_str().into();
    for (key, word) in [("agent", &task.agent), ("role", &task.role)] {
        if let Some(word) = word {
            data[key] = word.as_str().into();
        }
    }
    if task.timeouts.any() {
        data["times_out"] = true.into();
    }
    if let Some(workflow) = task.workflow_id {
        data["workflow_id"] = workflow.to_string().into();
    }
    let at = tx.now();
    tx.event(NewEvent {
        kind,
        subject: task.id.to_string(),
        at,
        data,
    })
}
