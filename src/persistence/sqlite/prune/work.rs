//! Tasks and workflows that have ended, the first that did first.
//!
//! Tasks of a workflow go with it, however long ago they ended; a walk over the others passes them, once.

use std::time::Duration;

use rusqlite::{Connection, Row};

use super::rules::{DEAD, DONE, ENDED};
use super::turns::{Chunk, Job, Position};
use super::{DAY, add, before, count};
use crate::domain::query::Pruned;
use crate::domain::task::TaskState;
use crate::domain::timestamp::Timestamp;
use crate::domain::workflow::WorkflowState;
use crate::persistence::sqlite::{SqlResult, WriteTx};

/// Tasks that stand alone and ended so.
pub(super) struct Lone {
    state: TaskState,
    days: u32,
}

const fn lone(state: TaskState, days: u32) -> Lone {
    Lone { state, days }
}

pub(super) const LONE: &[Lone] = &[
    lone(TaskState::Succeeded, DONE),
    lone(TaskState::Failed, ENDED),
    lone(TaskState::Cancelled, ENDED),
    lone(TaskState::TimedOut, ENDED),
    lone(TaskState::Dead, DEAD),
];

/// Behind a position: those of its instant,
pub(super) const ENDED_THEN: &str = "SELECT key, finished_at, workflow_key IS NULL FROM tasks
    WHERE state = ?1 AND finished_at = ?2 AND key > ?3 ORDER BY key LIMIT ?4";
/// of which there may be thousands, and those of later ones.
pub(super) const ENDED_LATER: &str = "SELECT key, finished_at, workflow_key IS NULL FROM tasks
    WHERE state = ?1 AND finished_at < ?2 AND finished_at > ?3
    ORDER BY finished_at, key LIMIT ?4";
const OLD_TASKS: &str = "SELECT count(*) FROM tasks
    WHERE finished_at < ?1 AND state = ?2 AND workflow_key IS NULL";

/// Where a task stands, and whether it stands alone.
fn ended(row: &Row<'_>) -> rusqlite::Result<(Position, bool)> {
    let (key, at) = (row.get(0)?, row.get(1)?);
    Ok((Position { at, key }, row.get(2)?))
}

impl Job for Lone {
    fn chunk(&self, tx: &mut WriteTx<'_>, from: Position, rows: u32) -> SqlResult<Chunk> {
        let old = before(tx.now(), DAY * self.days);
        let asked = (self.state, from.at, from.key, rows);
        let mut found: Vec<(Position, bool)> = tx.all(ENDED_THEN, asked, ended)?;
        let left = rows.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
        found.extend(tx.all(ENDED_LATER, (self.state, old, from.at, left), ended)?);
        let mut removed = 0;
        for (Position { key, .. }, _) in found.iter().filter(|(_, alone)| *alone) {
            removed += tx.execute("DELETE FROM tasks WHERE key = ?1", [key])?;
        }
        let next = found.last().map(|(position, _)| *position);
        Ok(Chunk::of("tasks", removed, next))
    }

    fn count(&self, conn: &Connection, now: Timestamp, old: &mut Pruned) -> SqlResult<()> {
        let asked = (before(now, DAY * self.days), self.state);
        count(conn, "tasks", OLD_TASKS, asked, old)
    }
}

/// Workflows that ended so, with their tasks.
pub(super) struct Flows {
    state: WorkflowState,
    after: Duration,
}

const fn flows(state: WorkflowState, days: u32) -> Flows {
    Flows {
        state,
        after: DAY.saturating_mul(days),
    }
}

pub(super) const FLOWS: &[Flows] = &[
    flows(WorkflowState::Completed, DONE),
    flows(WorkflowState::Failed, ENDED),
    flows(WorkflowState::Cancelled, ENDED),
];

const OLDEST: &str = "SELECT key FROM workflows WHERE state = ?1 AND finished_at < ?2
    ORDER BY finished_at LIMIT 1";
/// What there may be thousands of in one workflow, and how it is told: it goes before it, so many at a time.
const PARTS: [(Option<&str>, &str); 3] = [
    (
        Some("tasks"),
        "DELETE FROM tasks WHERE key IN
            (SELECT key FROM tasks WHERE workflow_key = ?1 LIMIT ?2)",
    ),
    (
        None,
        "DELETE FROM task_dependencies WHERE workflow_key = ?1 AND (step, depends_on) IN
            (SELECT step, depends_on FROM task_dependencies WHERE workflow_key = ?1 LIMIT ?2)",
    ),
    (
        None,
        "DELETE FROM workflow_steps WHERE workflow_key = ?1 AND name IN
            (SELECT name FROM workflow_steps WHERE workflow_key = ?1 LIMIT ?2)",
    ),
];
const OLD_FLOWS: &str = "SELECT count(*) FROM workflows WHERE finished_at < ?1 AND state = ?2";
const TASKS_OF_OLD: &str = "SELECT count(*) FROM workflows
    JOIN tasks ON tasks.workflow_key = workflows.key
    WHERE workflows.finished_at < ?1 AND workflows.state = ?2";

impl Job for Flows {
    fn chunk(&self, tx: &mut WriteTx<'_>, from: Position, rows: u32) -> SqlResult<Chunk> {
        let mut chunk = Chunk::of("workflows", 0, Some(from));
        let mut left = rows;
        while left > 0 {
            let asked = (self.state, before(tx.now(), self.after));
            let Some(key) = tx.first(OLDEST, asked, |row| row.get::<_, i64>(0))? else {
                chunk.next = None;
                break;
            };
            for (table, remove) in PARTS {
                let removed = tx.execute(remove, (key, left))?;
                left = left.saturating_sub(u32::try_from(removed).unwrap_or(u32::MAX));
                if let Some(table) = table {
                    add(&mut chunk.removed, table, removed as u64);
                }
            }
            if left > 0 {
                tx.execute("DELETE FROM workflows WHERE key = ?1", [key])?;
                add(&mut chunk.removed, "workflows", 1);
                left -= 1;
            }
        }
        Ok(chunk)
    }

    fn count(&self, conn: &Connection, now: Timestamp, old: &mut Pruned) -> SqlResult<()> {
        let asked = || (before(now, self.after), self.state);
        count(conn, "workflows", OLD_FLOWS, asked(), old)?;
        count(conn, "tasks", TASKS_OF_OLD, asked(), old)
    }
}
