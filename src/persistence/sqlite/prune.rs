//! Retention on SQLite: what is older than its span goes, a little at a time.
//!
//! Each rule removes rows in chunks; a write ends before it holds the writer for 50 ms, on a slow disk
//! too, and rests before the next, see [`Pace`]. Tables in order of time are looked at from their oldest
//! row only. What room the rows leave in the file is used again by what comes.
//!
//! Every table is in one of two lists: [`RULES`] and what follows them here, or `BOUNDED`.

mod artifacts;
mod means;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

pub(crate) use self::artifacts::{gone_owners, work_with_uploads};
use self::means::{AGENT_MEANS, SYSTEM_MEANS, condense};
use super::pace::{Pace, REST};
use super::{SqlResult, Sqlite, WriteTx};
use crate::domain::query::Pruned;
use crate::domain::timestamp::Timestamp;
use crate::persistence::Result;

/// This many of the newest events are kept whatever their age.
const KEPT_EVENTS: i64 = 1_000_000;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What one table loses.
struct Rule {
    table: &'static str,
    after: Duration,
    /// Removes up to `?2` rows that are older than `?1`.
    remove: &'static str,
}

const fn rule(table: &'static str, days: u32, remove: &'static str) -> Rule {
    Rule {
        table,
        after: DAY.saturating_mul(days),
        remove,
    }
}

/// Tasks that stand alone and ended in one of these states.
macro_rules! lone_tasks {
    ($states:literal) => {
        concat!(
            "DELETE FROM tasks WHERE key IN (SELECT key FROM tasks
                WHERE finished_at IS NOT NULL AND finished_at < ?1 AND workflow_key IS NULL
                AND state IN (",
            $states,
            ") LIMIT ?2)"
        )
    };
}

/// Tasks of workflows that ended so, then the workflows themselves.
macro_rules! tasks_of_workflows {
    ($states:literal) => {
        concat!(
            "DELETE FROM tasks WHERE key IN (SELECT tasks.key FROM workflows
                JOIN tasks ON tasks.workflow_key = workflows.key
                WHERE workflows.finished_at IS NOT NULL AND workflows.finished_at < ?1
                AND workflows.state IN (",
            $states,
            ") LIMIT ?2)"
        )
    };
}

macro_rules! workflows {
    ($states:literal) => {
        concat!(
            "DELETE FROM workflows WHERE key IN (SELECT key FROM workflows
                WHERE finished_at IS NOT NULL AND finished_at < ?1 AND state IN (",
            $states,
            ") AND NOT EXISTS (SELECT 1 FROM tasks WHERE workflow_key = workflows.key) LIMIT ?2)"
        )
    };
}

/// Rows of a table whose keys follow time.
macro_rules! oldest {
    ($table:literal) => {
        concat!(
            "DELETE FROM ",
            $table,
            " WHERE at < ?1 AND key IN
                (SELECT key FROM ",
            $table,
            " ORDER BY key LIMIT ?2)"
        )
    };
}

const RULES: &[Rule] = &[
    rule("tasks", 1, lone_tasks!("'succeeded'")),
    rule(
        "tasks",
        7,
        lone_tasks!("'failed', 'cancelled', 'timed_out'"),
    ),
    rule("tasks", 30, lone_tasks!("'dead'")),
    rule("tasks", 1, tasks_of_workflows!("'completed'")),
    rule("tasks", 7, tasks_of_workflows!("'failed', 'cancelled'")),
    rule("workflows", 1, workflows!("'completed'")),
    rule("workflows", 7, workflows!("'failed', 'cancelled'")),
    rule("health_records", 7, oldest!("health_records")),
    rule("health_rounds", 7, oldest!("health_rounds")),
    rule(
        "messages",
        7,
        "DELETE FROM messages WHERE created_at < ?1 AND key IN
            (SELECT key FROM messages ORDER BY key LIMIT ?2)",
    ),
    rule("crashes", 30, oldest!("crashes")),
    rule(
        "crash_signatures",
        30,
        "DELETE FROM crash_signatures WHERE (agent, signature) IN
            (SELECT agent, signature FROM crash_signatures WHERE last_at < ?1
             ORDER BY last_at LIMIT ?2)",
    ),
    rule(
        "recovery_runs",
        30,
        "DELETE FROM recovery_runs WHERE started_at < ?1 AND key IN
            (SELECT key FROM recovery_runs ORDER BY key LIMIT ?2)",
    ),
    rule(
        "idempotency_keys",
        1,
        "DELETE FROM idempotency_keys WHERE (scope, key) IN
            (SELECT scope, key FROM idempotency_keys WHERE created_at < ?1
             ORDER BY created_at LIMIT ?2)",
    ),
    rule(
        "agent_metrics",
        30,
        "DELETE FROM agent_metrics WHERE (agent, resolution_s, at) IN
            (SELECT agent, resolution_s, at FROM agent_metrics
             WHERE resolution_s = 60 AND at < ?1 ORDER BY at LIMIT ?2)",
    ),
    rule(
        "system_metrics",
        30,
        "DELETE FROM system_metrics WHERE (resolution_s, at) IN
            (SELECT resolution_s, at FROM system_metrics
             WHERE resolution_s = 60 AND at < ?1 ORDER BY at LIMIT ?2)",
    ),
    rule(
        "sessions",
        30,
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions
            WHERE ended_at < ?1 AND term < (SELECT max(term) FROM sessions)
            AND NOT EXISTS (SELECT 1 FROM tasks
                WHERE tasks.state = 'running' AND tasks.session_id = sessions.id) LIMIT ?2)",
    ),
    // Runs of schedules that are configured no more; of the others a thousand each are kept.
    rule(
        "schedule_runs",
        30,
        "DELETE FROM schedule_runs WHERE key IN (SELECT key FROM schedule_runs
            WHERE at < ?1 AND schedule NOT IN (SELECT name FROM schedules) LIMIT ?2)",
    ),
    // Agents that this life of the daemon, and 30 days, did not know.
    rule(
        "agents",
        30,
        "DELETE FROM agents WHERE name IN (SELECT name FROM agents WHERE updated_at < ?1
            AND updated_at < (SELECT started_at FROM sessions ORDER BY term DESC LIMIT 1) LIMIT ?2)",
    ),
    rule(
        "restart_budgets",
        30,
        "DELETE FROM restart_budgets WHERE owner IN (SELECT owner FROM restart_budgets
            WHERE updated_at < ?1 AND coalesce(quarantined_until, 0) < ?1 LIMIT ?2)",
    ),
];

/// Tables that no rule names, and what keeps them small.
#[cfg(test)]
const BOUNDED: &[(&str, &str)] = &[
    ("events", "removed here, beyond the newest million"),
    ("task_attempts", "go with their task"),
    ("workflow_steps", "go with their workflow"),
    ("task_dependencies", "go with their workflow"),
    ("workflow_waits", "go with their task"),
    ("workflow_signals", "go with their workflow"),
    ("spawned_processes", "go when the process has ended"),
    ("queue_pauses", "one a queue"),
    (
        "queue_starts",
        "kept for one period of their queue's rate limit",
    ),
    ("schedules", "those of the configuration"),
    ("schema_history", "one a migration"),
    ("refinery_schema_history", "one a migration"),
];

pub(crate) async fn prune(db: &Sqlite) -> Result<Pruned> {
    let mut pruned = Pruned::new();
    let mut count = |table: &str, rows: u64| {
        if rows > 0 {
            *pruned.entry(table.to_owned()).or_default() += rows;
        }
    };
    for rule in RULES {
        count(rule.table, remove(db, rule).await?);
    }
    count("events", remove_events(db).await?);
    count("agent_metrics", condense(db, &AGENT_MEANS).await?);
    count("system_metrics", condense(db, &SYSTEM_MEANS).await?);
    Ok(pruned)
}

async fn remove(db: &Sqlite, rule: &'static Rule) -> Result<u64> {
    in_turns(db, move |tx, pace| {
        let before = before(tx.now(), rule.after);
        pace.in_chunks(|rows| tx.execute(rule.remove, (before, rows)))
    })
    .await
}

async fn remove_events(db: &Sqlite) -> Result<u64> {
    in_turns(db, |tx, pace| {
        let before = before(tx.now(), DAY * 7);
        let newest: i64 = tx
            .first("SELECT coalesce(max(seq), 0) FROM events", [], |row| {
                row.get(0)
            })?
            .unwrap_or(0);
        pace.in_chunks(|rows| {
            tx.execute(
                "DELETE FROM events WHERE at < ?1 AND seq <= ?3 AND seq IN
                    (SELECT seq FROM events ORDER BY seq LIMIT ?2)",
                (before, rows, newest.saturating_sub(KEPT_EVENTS)),
            )
        })
    })
    .await
}

/// Runs a write until it has nothing left to do; between two turns others get theirs.
async fn in_turns<F>(db: &Sqlite, turn: F) -> Result<u64>
where
    F: Fn(&mut WriteTx<'_>, &Chunks) -> SqlResult<Turn> + Clone + Send + 'static,
{
    let chunks = Chunks::default();
    let mut removed = 0;
    loop {
        let (turn, chunks) = (turn.clone(), chunks.clone());
        let turn = db.write("prune", move |tx| turn(tx, &chunks)).await?;
        db.held(turn.took);
        removed += turn.removed;
        if turn.done {
            return Ok(removed);
        }
        tokio::time::sleep(turn.took * REST).await;
    }
}

/// What one turn did.
struct Turn {
    removed: u64,
    done: bool,
    took: Duration,
}

/// The chunks of one rule, over its turns.
#[derive(Clone, Default)]
struct Chunks(Arc<Mutex<Pace>>);

impl Chunks {
    /// Repeats a chunk until nothing is left or the turn has lasted for long enough.
    fn in_chunks(&self, mut chunk: impl FnMut(u32) -> SqlResult<usize>) -> SqlResult<Turn> {
        let began = Instant::now();
        let mut removed = 0;
        let mut pace = self.0.lock();
        loop {
            let before = began.elapsed();
            let rows = chunk(pace.rows())?;
            let took = began.elapsed();
            pace.took(took - before);
            removed += u64::try_from(rows).unwrap_or(0);
            let done = rows == 0;
            if done || !Pace::goes_on(took, took - before) {
                return Ok(Turn {
                    removed,
                    done,
                    took,
                });
            }
        }
    }
}

fn before(now: Timestamp, span: Duration) -> Timestamp {
    let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.as_micros().saturating_sub(micros))
}

/// All that is too old now, in one transaction.
#[cfg(test)]
pub(super) fn prune_in(tx: &WriteTx<'_>) -> SqlResult<()> {
    for rule in RULES {
        while tx.execute(rule.remove, (before(tx.now(), rule.after), 100))? > 0 {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
