//! A task that was just stored, put together from what was written instead of read back.
//!
//! Debug builds compare it with the row. A task with extras (limits, uniqueness, timeouts of its
//! own) is read.

use super::Extras;
use crate::domain::ids::SessionId;
use crate::domain::query::ClaimedTask;
use crate::domain::task::{Lease, NewTask, Target, Task, TaskState};
use crate::persistence::sqlite::tasks::list;
use crate::persistence::sqlite::tasks::row::TaskRow;
use crate::persistence::sqlite::{SqlResult, WriteTx};

/// The task as it stands in the database now, without reading it back.
pub(super) fn as_stored(
    tx: &mut WriteTx<'_>,
    session: SessionId,
    task: &NewTask,
    row: &TaskRow,
    claimed: Option<&ClaimedTask>,
) -> SqlResult<Task> {
    let plain = Extras::of(task) == Extras::default();
    let Some(queue) = row.target.queue().parse().ok().filter(|_| plain) else {
        return list::task(tx.conn(), task.id);
    };
    let (agent, role) = match &task.target {
        Target::Agent(agent) => (Some(agent.clone()), None),
        Target::Role(role) => (None, Some(role.clone())),
        Target::Queue(_) => (None, None),
    };
    let state = claimed.map_or(row.standing.state, |_| TaskState::Running);
    let lease = match claimed {
        Some(claimed) => lease(tx, session, claimed)?,
        None => None,
    };
    Ok(Task {
        id: task.id,
        workflow_id: None,
        name: task.name.clone(),
        agent,
        role,
        queue,
        state,
        priority: row.priority,
        payload: task.payload.clone(),
        result: None,
        error: None,
        reason: None,
        attempt: claimed.map_or(0, |claimed| claimed.attempt),
        max_attempts: row.standing.max_attempts,
        crash_attempts: 0,
        interruptions: 0,
        lease,
        progress: None,
        depends_on: Vec::new(),
        labels: task.labels.clone(),
        timeout_ms: u64::try_from(task.timeout.as_millis()).unwrap_or(u64::MAX),
        waiting_timeout_ms: None,
        total_timeout_ms: None,
        expires_at: None,
        concurrency_key: None,
        unique_key: None,
        traceparent: task.traceparent,
        run_at: row.run_at,
        created_at: tx.now(),
        started_at: claimed.map(|_| tx.now()),
        finished_at: None,
    })
}

/// Under what a task runs that was just handed over.
fn lease(
    tx: &mut WriteTx<'_>,
    session: SessionId,
    claimed: &ClaimedTask,
) -> SqlResult<Option<Lease>> {
    Ok(tx.holder(session)?.map(|holder| Lease {
        id: claimed.lease_id,
        node: holder.node.clone(),
        instance: Some(claimed.instance.to_string()),
        expires_at: holder.expires_at,
    }))
}
