//! The part of a task's row that decides its next step.

use rusqlite::{Params, Row};

use super::expiry::Timeouts;
use crate::domain::ids::{LeaseId, SessionId, TaskId, WorkflowId};
use crate::domain::task::{Target, TaskState};
use crate::domain::timestamp::Timestamp;
use crate::domain::trace::TraceParent;
use crate::domain::transition::{Cause, Command, Standing, WaitsFor, transition};
use crate::persistence::StoreError;
use crate::persistence::sqlite::{Fault, SqlResult, WriteTx};

/// A task as its next step sees it; payload and result stay in the database.
#[derive(Debug, Clone)]
pub(in crate::persistence::sqlite) struct TaskRow {
    pub(in crate::persistence::sqlite) key: i64,
    pub(in crate::persistence::sqlite) id: TaskId,
    pub(in crate::persistence::sqlite) name: String,
    pub(in crate::persistence::sqlite) workflow_key: Option<i64>,
    pub(in crate::persistence::sqlite) workflow_id: Option<WorkflowId>,
    pub(in crate::persistence::sqlite) step: Option<String>,
    pub(in crate::persistence::sqlite) item: Option<i64>,
    pub(in crate::persistence::sqlite) priority: u8,
    pub(in crate::persistence::sqlite) rank: i64,
    pub(in crate::persistence::sqlite) run_at: Timestamp,
    pub(in crate::persistence::sqlite) target: Target,
    pub(in crate::persistence::sqlite) started_at: Option<Timestamp>,
    pub(in crate::persistence::sqlite) lease_id: Option<LeaseId>,
    pub(in crate::persistence::sqlite) standing: Standing,
    pub(in crate::persistence::sqlite) timeouts: Timeouts,
    pub(in crate::persistence::sqlite) traceparent: Option<TraceParent>,
}

macro_rules! select {
    ($($rest:literal)*) => {
        concat!(
            "SELECT key, id, name, workflow_key, \
             (SELECT w.id FROM workflows w WHERE w.key = tasks.workflow_key), \
             step, item, priority, rank, run_at, lease_id, state, attempt, max_attempts, \
             crash_attempts, interruptions, alone, cancel_requested, reason, queue, started_at, \
             agent, role, waiting_timeout_ms, total_timeout_ms, total_until, traceparent \
             FROM tasks "
            $(, $rest)*
        )
    };
}

impl TaskRow {
    pub(super) fn by_id(tx: &WriteTx<'_>, id: TaskId) -> SqlResult<Self> {
        Self::one(tx, select!("WHERE id = ?1"), [id])?.ok_or_else(|| {
            Fault::Store(StoreError::NotFound {
                what: "task",
                name: id.to_string(),
            })
        })
    }

    pub(in crate::persistence::sqlite) fn by_key(
        tx: &WriteTx<'_>,
        key: i64,
    ) -> SqlResult<Option<Self>> {
        Self::one(tx, select!("WHERE key = ?1"), [key])
    }

    pub(super) fn due(tx: &WriteTx<'_>, now: Timestamp, limit: u32) -> SqlResult<Vec<Self>> {
        let sql = select!(
            "WHERE state IN ('scheduled', 'retrying') AND run_at <= ?1 ORDER BY run_at LIMIT ?2"
        );
        tx.all(sql, (now, limit), Self::read)
    }

    pub(super) fn not_held_by(tx: &WriteTx<'_>, session: SessionId) -> SqlResult<Vec<Self>> {
        let sql = select!("WHERE state = 'running' AND session_id <> ?1");
        tx.all(sql, [session], Self::read)
    }

    pub(super) fn expired(tx: &WriteTx<'_>, now: Timestamp, limit: u32) -> SqlResult<Vec<Self>> {
        let sql = select!(
            "WHERE expires_at IS NOT NULL AND expires_at <= ?1 ORDER BY expires_at LIMIT ?2"
        );
        tx.all(sql, (now, limit), Self::read)
    }

    fn one(tx: &WriteTx<'_>, sql: &str, params: impl Params) -> SqlResult<Option<Self>> {
        tx.first(sql, params, Self::read)
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let state: TaskState = row.get(11)?;
        let reason: Option<String> = row.get(18)?;
        Ok(Self {
            key: row.get(0)?,
            id: row.get(1)?,
            name: row.get(2)?,
            workflow_key: row.get(3)?,
            workflow_id: row.get(4)?,
            step: row.get(5)?,
            item: row.get(6)?,
            priority: row.get(7)?,
            rank: row.get(8)?,
            run_at: row.get(9)?,
            lease_id: row.get(10)?,
            target: match (row.get(21)?, row.get(22)?) {
                (Some(agent), _) => Target::Agent(agent),
                (None, Some(role)) => Target::Role(role),
                (None, None) => Target::Queue(row.get(19)?),
            },
            started_at: row.get(20)?,
            timeouts: Timeouts {
                waiting_ms: row.get(23)?,
                total_ms: row.get(24)?,
                total_until: row.get(25)?,
            },
            traceparent: row.get(26)?,
            standing: Standing {
                state,
                attempt: row.get(12)?,
                max_attempts: row.get(13)?,
                crash_attempts: row.get(14)?,
                interruptions: row.get(15)?,
                suspect: row.get(16)?,
                cancelling: row.get(17)?,
                waits_for: WaitsFor::Slot,
                cause: reason.as_deref().and_then(Cause::from_word),
            },
        })
    }

    /// Where a command takes this task; a conflict if its state does not know it.
    pub(in crate::persistence::sqlite) fn after(&self, command: Command) -> SqlResult<Standing> {
        transition(self.standing, command).map_err(|illegal| {
            Fault::Store(StoreError::Conflict(format!(
                "task '{}': {illegal}",
                self.id
            )))
        })
    }

    /// The same task, waiting for something before it may run.
    pub(in crate::persistence::sqlite) fn waiting_for(mut self, waits_for: WaitsFor) -> Self {
        self.standing.waits_for = waits_for;
        self
    }
}

/// The tasks of a workflow: of one step, or of all.
pub(in crate::persistence::sqlite) fn rows_of_workflow(
    tx: &WriteTx<'_>,
    workflow_key: i64,
    step: Option<&str>,
) -> SqlResult<Vec<TaskRow>> {
    match step {
        Some(step) => tx.all(
            select!("WHERE workflow_key = ?1 AND step = ?2 ORDER BY item"),
            (workflow_key, step),
            TaskRow::read,
        ),
        None => tx.all(
            select!("WHERE workflow_key = ?1"),
            [workflow_key],
            TaskRow::read,
        ),
    }
}
