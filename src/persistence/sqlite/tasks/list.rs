//! Reading tasks: one, attempts, counts.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row};

use crate::domain::ids::{LeaseId, SessionId, TaskId};
use crate::domain::name::Name;
use crate::domain::spend::Usage;
use crate::domain::task::{Lease, Progress, Target, Task, TaskAttempt};
use crate::domain::timestamp::Timestamp;
use crate::persistence::StoreError;
use crate::persistence::sqlite::{Count, Fault, Json, Sealed, SqlResult, all, first};

pub(super) const COLUMNS: &str = "SELECT t.key, t.id, w.id, t.name, t.agent, t.role, t.queue, t.state, \
    t.priority, t.payload, t.result, t.error, t.reason, t.attempt, t.max_attempts, \
    t.crash_attempts, t.interruptions, t.lease_id, s.node, t.instance, s.expires_at, \
    t.progress_percent, t.progress_message, t.progress_at, t.labels, t.timeout_ms, t.run_at, \
    t.created_at, t.started_at, t.finished_at, \
    (SELECT json_group_array(d.depends_on) FROM task_dependencies d \
     WHERE d.workflow_key = t.workflow_key AND d.step = t.step), \
    t.waiting_timeout_ms, t.total_timeout_ms, t.expires_at, t.concurrency_key, t.unique_key, \
    t.traceparent FROM tasks t ";
pub(super) const JOINS: &str = "LEFT JOIN workflows w ON w.key = t.workflow_key \
    LEFT JOIN sessions s ON s.id = t.session_id ";

/// One task.
pub(super) fn task(conn: &Connection, id: TaskId) -> SqlResult<Task> {
    let sql = [COLUMNS, JOINS, "WHERE t.id = ?1"].concat();
    first(conn, &sql, [id], |row| read(row).map(|(_, task)| task))?.ok_or_else(|| {
        Fault::Store(StoreError::NotFound {
            what: "task",
            name: id.to_string(),
        })
    })
}

/// A row of [`COLUMNS`].
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<(i64, Task)> {
    let lease: Option<(_, String, Timestamp)> = match (row.get(17)?, row.get(18)?, row.get(20)?) {
        (Some(id), Some(node), Some(expires_at)) => Some((id, node, expires_at)),
        _ => None,
    };
    let instance = row.get(19)?;
    let progress_at: Option<Timestamp> = row.get(23)?;
    let (percent, message) = (row.get(21)?, row.get(22)?);
    let Sealed(payload) = row.get(9)?;
    let Json(labels) = row.get(24)?;
    let Json(depends_on) = row.get(30)?;
    let task = Task {
        id: row.get(1)?,
        workflow_id: row.get(2)?,
        name: row.get(3)?,
        agent: row.get(4)?,
        role: row.get(5)?,
        queue: row.get(6)?,
        state: row.get(7)?,
        priority: row.get(8)?,
        payload,
        result: row
            .get::<_, Option<Sealed<_>>>(10)?
            .map(|Sealed(result)| result),
        error: row
            .get::<_, Option<Sealed<_>>>(11)?
            .map(|Sealed(error)| error),
        reason: row.get(12)?,
        attempt: row.get(13)?,
        max_attempts: row.get(14)?,
        crash_attempts: row.get(15)?,
        interruptions: row.get(16)?,
        lease: lease.map(|(id, node, expires_at)| Lease {
            id,
            node,
            instance,
            expires_at,
        }),
        progress: progress_at.map(|at| Progress {
            percent,
            message,
            at,
        }),
        depends_on,
        labels,
        timeout_ms: row.get::<_, i64>(25)?.unsigned_abs(),
        waiting_timeout_ms: row.get::<_, Option<i64>>(31)?.map(i64::unsigned_abs),
        total_timeout_ms: row.get::<_, Option<i64>>(32)?.map(i64::unsigned_abs),
        expires_at: row.get(33)?,
        concurrency_key: row.get(34)?,
        unique_key: row.get(35)?,
        traceparent: row.get(36)?,
        run_at: row.get(26)?,
        created_at: row.get(27)?,
        started_at: row.get(28)?,
        finished_at: row.get(29)?,
    };
    Ok((row.get(0)?, task))
}

/// The executions of a task, in order.
pub(super) fn attempts(conn: &Connection, id: TaskId) -> SqlResult<Vec<TaskAttempt>> {
    let key: i64 = first(conn, "SELECT key FROM tasks WHERE id = ?1", [id], |row| {
        row.get(0)
    })?
    .ok_or_else(|| {
        Fault::Store(StoreError::NotFound {
            what: "task",
            name: id.to_string(),
        })
    })?;
    all(
        conn,
        "SELECT attempt, lease_id, session_id, instance, outcome, error, started_at, finished_at, \
         stale_result, cost_micros, input_tokens, output_tokens FROM task_attempts WHERE task_key = ?1 ORDER BY attempt",
        [key],
        |row| {
            Ok(TaskAttempt {
                task_id: id,
                attempt: row.get(0)?,
                lease_id: row.get(1)?,
                session_id: row.get(2)?,
                instance: row.get(3)?,
                outcome: row.get(4)?,
                error: row
                    .get::<_, Option<Sealed<_>>>(5)?
                    .map(|Sealed(error)| error),
                started_at: row.get(6)?,
                finished_at: row.get(7)?,
                stale_result: row.get::<_, Option<Sealed<_>>>(8)?.map(|Sealed(late)| late),
                usage: usage(row)?,
            })
        },
    )
}

/// What an execution said it has spent, if it said anything.
fn usage(row: &Row<'_>) -> rusqlite::Result<Option<Usage>> {
    let at = |column: usize| -> rusqlite::Result<Option<u64>> {
        let said: Option<Count> = row.get(column)?;
        Ok(said.map(|Count(said)| said))
    };
    let usage = Usage {
        cost_micros: at(9)?,
        input_tokens: at(10)?,
        output_tokens: at(11)?,
    };
    Ok((usage != Usage::default()).then_some(usage))
}

/// Queued tasks by the agent or role that they are for.
pub(super) fn queued_by_target(conn: &Connection) -> SqlResult<Vec<(String, u64)>> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for sql in [
        "SELECT agent, count(*) FROM tasks WHERE state = 'queued' AND agent IS NOT NULL GROUP BY agent",
        "SELECT role, count(*) FROM tasks WHERE state = 'queued' AND role IS NOT NULL GROUP BY role",
    ] {
        let found: Vec<(String, i64)> = all(conn, sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for (target, count) in found {
            *counts.entry(target).or_default() += count.unsigned_abs();
        }
    }
    Ok(counts.into_iter().collect())
}

/// Queued tasks by who they are for.
pub(super) fn queue_depths(conn: &Connection) -> SqlResult<Vec<(Target, u64)>> {
    let mut depths = Vec::new();
    let mut count = |kind: fn(Name) -> Target, sql: &str| -> SqlResult<()> {
        let found: Vec<(Name, i64)> = all(conn, sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        depths.extend(
            found
                .into_iter()
                .map(|(name, count)| (kind(name), count.unsigned_abs())),
        );
        Ok(())
    };
    count(
        Target::Agent,
        "SELECT agent, count(*) FROM tasks WHERE state = 'queued' AND agent IS NOT NULL \
         GROUP BY agent",
    )?;
    count(
        Target::Role,
        "SELECT role, count(*) FROM tasks WHERE state = 'queued' AND role IS NOT NULL \
         GROUP BY role",
    )?;
    count(
        Target::Queue,
        "SELECT queue, count(*) FROM tasks WHERE state = 'queued' AND agent IS NULL \
         AND role IS NULL GROUP BY queue",
    )?;
    Ok(depths)
}

/// What a session holds.
pub(super) fn held_by(conn: &Connection, session: SessionId) -> SqlResult<Vec<(TaskId, LeaseId)>> {
    all(
        conn,
        "SELECT id, lease_id FROM tasks WHERE state = 'running' AND session_id = ?1",
        [session],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}
