//! The rows of a workflow and of its steps, as the next step sees them.

use rusqlite::Row;

use crate::domain::ids::WorkflowId;
use crate::domain::trace::TraceParent;
use crate::domain::workflow::{TaskDefinition, WorkflowState};
use crate::persistence::StoreError;
use crate::persistence::sqlite::{Fault, Sealed, SqlResult, WriteTx};

/// A workflow's row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) key: i64,
    pub(super) id: WorkflowId,
    pub(super) state: WorkflowState,
    pub(super) steps_left: i64,
    pub(super) traceparent: Option<TraceParent>,
}

impl Run {
    pub(super) fn by_id(tx: &WriteTx<'_>, id: WorkflowId) -> SqlResult<Self> {
        let sql = "SELECT key, id, state, steps_left, traceparent FROM workflows WHERE id = ?1";
        tx.first(sql, [id], Self::read)?.ok_or_else(|| {
            Fault::Store(StoreError::NotFound {
                what: "workflow",
                name: id.to_string(),
            })
        })
    }

    pub(super) fn by_key(tx: &WriteTx<'_>, key: i64) -> SqlResult<Self> {
        let sql = "SELECT key, id, state, steps_left, traceparent FROM workflows WHERE key = ?1";
        tx.first(sql, [key], Self::read)?
            .ok_or(Fault::Sql(rusqlite::Error::QueryReturnedNoRows))
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            key: row.get(0)?,
            id: row.get(1)?,
            state: row.get(2)?,
            steps_left: row.get(3)?,
            traceparent: row.get(4)?,
        })
    }
}

/// A step's row.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) definition: TaskDefinition,
    /// The step that this one undoes, for which alone it runs.
    pub(super) undoes: Option<String>,
    /// `waiting`, `open`, `succeeded`, `failed`, `cancelled`.
    pub(super) state: String,
    /// Steps that must still succeed before it opens.
    pub(super) waiting_on: i64,
    /// Its tasks that have not ended.
    pub(super) items_left: i64,
    /// Its tasks that ended without success.
    pub(super) items_failed: i64,
}

impl Step {
    pub(super) fn of(tx: &WriteTx<'_>, run: &Run, name: &str) -> SqlResult<Self> {
        let sql = "SELECT definition, state, waiting_on, items_left, items_failed, undoes \
                   FROM workflow_steps WHERE workflow_key = ?1 AND name = ?2";
        tx.first(sql, (run.key, name), Self::read)?
            .ok_or(Fault::Sql(rusqlite::Error::QueryReturnedNoRows))
    }

    pub(super) fn all(tx: &WriteTx<'_>, run: &Run) -> SqlResult<Vec<Self>> {
        let sql = "SELECT definition, state, waiting_on, items_left, items_failed, undoes \
                   FROM workflow_steps WHERE workflow_key = ?1 ORDER BY position";
        tx.all(sql, [run.key], Self::read)
    }

    /// Whether none of its tasks was ever made ready.
    pub(super) fn never_opened(&self) -> bool {
        matches!(self.state.as_str(), "waiting" | "cancelled")
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let Sealed(definition) = row.get(0)?;
        Ok(Self {
            definition,
            state: row.get(1)?,
            waiting_on: row.get(2)?,
            items_left: row.get(3)?,
            items_failed: row.get(4)?,
            undoes: row.get(5)?,
        })
    }

    /// Stores all that changes.
    pub(super) fn save(&self, tx: &WriteTx<'_>, run: &Run) -> SqlResult<()> {
        tx.execute(
            "UPDATE workflow_steps SET state = ?3, waiting_on = ?4, items_left = ?5, \
             items_failed = ?6 WHERE workflow_key = ?1 AND name = ?2",
            (
                run.key,
                &self.definition.name,
                &self.state,
                self.waiting_on,
                self.items_left,
                self.items_failed,
            ),
        )?;
        Ok(())
    }
}

/// The steps that wait for a step.
pub(super) fn dependents(tx: &WriteTx<'_>, run: &Run, name: &str) -> SqlResult<Vec<String>> {
    tx.all(
        "SELECT step FROM task_dependencies WHERE workflow_key = ?1 AND depends_on = ?2",
        (run.key, name),
        |row| row.get(0),
    )
}
