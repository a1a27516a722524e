//! Retention on SQLite: what is older than its span goes, a little at a time.
//!
//! Each rule removes rows in chunks; one write stops after [`HOLD`] so that others get their turn.
//! Tables in order of time are looked at from their oldest row only.

use std::time::Duration;

use tokio::time::Instant;

use super::{SqlResult, Sqlite, WriteTx};
use crate::domain::query::Pruned;
use crate::domain::timestamp::Timestamp;
use crate::persistence::Result;

/// One write of retention holds the writer this long, and one chunk more at most.
const HOLD: Duration = Duration::from_millis(20);
/// Rows a statement removes at most.
const CHUNK: u32 = 100;
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
    in_turns(db, move |tx| {
        let before = before(tx.now(), rule.after);
        in_chunks(|| tx.execute(rule.remove, (before, CHUNK)))
    })
    .await
}

async fn remove_events(db: &Sqlite) -> Result<u64> {
    in_turns(db, |tx| {
        let before = before(tx.now(), DAY * 7);
        let newest: i64 = tx
            .first("SELECT coalesce(max(seq), 0) FROM events", [], |row| {
                row.get(0)
            })?
            .unwrap_or(0);
        in_chunks(|| {
            tx.execute(
                "DELETE FROM events WHERE at < ?1 AND seq <= ?3 AND seq IN
                    (SELECT seq FROM events ORDER BY seq LIMIT ?2)",
                (before, CHUNK, newest.saturating_sub(KEPT_EVENTS)),
            )
        })
    })
    .await
}

/// How samples older than a day become means of minutes.
struct Means {
    /// The oldest sample before `?1`.
    oldest: &'static str,
    /// Means of the samples from `?1` to before `?2`.
    insert: &'static str,
    /// Those samples.
    remove: &'static str,
}

const AGENT_MEANS: Means = Means {
    oldest: "SELECT min(at) FROM agent_metrics WHERE resolution_s = 0 AND at < ?1",
    insert: "INSERT OR REPLACE INTO agent_metrics (agent, resolution_s, at, cpu_seconds,
            memory_bytes, queue_depth, running, errors_total, restarts_total)
        SELECT agent, 60, ?1, max(cpu_seconds), CAST(avg(memory_bytes) AS INTEGER),
            CAST(round(avg(queue_depth)) AS INTEGER), CAST(round(avg(running)) AS INTEGER),
            max(errors_total), max(restarts_total)
        FROM agent_metrics WHERE resolution_s = 0 AND at >= ?1 AND at < ?2 GROUP BY agent",
    remove: "DELETE FROM agent_metrics WHERE (agent, resolution_s, at) IN
        (SELECT agent, resolution_s, at FROM agent_metrics
         WHERE resolution_s = 0 AND at >= ?1 AND at < ?2)",
};

const SYSTEM_MEANS: Means = Means {
    oldest: "SELECT min(at) FROM system_metrics WHERE resolution_s = 0 AND at < ?1",
    insert: "INSERT OR REPLACE INTO system_metrics (resolution_s, at, cpu_ratio,
            memory_used_bytes, memory_limit_bytes, disk_used_ratio, process_memory_bytes)
        SELECT 60, ?1, avg(cpu_ratio), CAST(avg(memory_used_bytes) AS INTEGER),
            max(memory_limit_bytes), avg(disk_used_ratio),
            CAST(avg(process_memory_bytes) AS INTEGER)
        FROM system_metrics WHERE resolution_s = 0 AND at >= ?1 AND at < ?2 HAVING count(*) > 0",
    remove: "DELETE FROM system_metrics WHERE resolution_s = 0 AND at >= ?1 AND at < ?2",
};

const MINUTE: Duration = Duration::from_secs(60);

/// Turns samples into means, one whole minute after the other.
async fn condense(db: &Sqlite, means: &'static Means) -> Result<u64> {
    in_turns(db, move |tx| {
        let before = minute_of(before(tx.now(), DAY));
        in_chunks(|| {
            let oldest = tx.first(means.oldest, [before], |row| {
                row.get::<_, Option<Timestamp>>(0)
            })?;
            let Some(from) = oldest.flatten().map(minute_of) else {
                return Ok(0);
            };
            let until = from.after(MINUTE);
            tx.execute(means.insert, (from, until))?;
            tx.execute(means.remove, (from, until))
        })
    })
    .await
}

/// Runs a write until it has nothing left to do; between two turns others get theirs.
async fn in_turns<F>(db: &Sqlite, turn: F) -> Result<u64>
where
    F: Fn(&mut WriteTx<'_>) -> SqlResult<Turn> + Clone + Send + 'static,
{
    let mut removed = 0;
    loop {
        let turn = db.write("prune", turn.clone()).await?;
        removed += turn.removed;
        if turn.done {
            return Ok(removed);
        }
    }
}

/// What one turn did.
struct Turn {
    removed: u64,
    done: bool,
}

/// Repeats a chunk until nothing is left or the writer has been held for long enough.
fn in_chunks(mut chunk: impl FnMut() -> SqlResult<usize>) -> SqlResult<Turn> {
    let began = Instant::now();
    let mut removed = 0;
    loop {
        let rows = chunk()?;
        removed += u64::try_from(rows).unwrap_or(0);
        let done = rows == 0;
        if done || began.elapsed() > HOLD {
            return Ok(Turn { removed, done });
        }
    }
}

fn before(now: Timestamp, span: Duration) -> Timestamp {
    let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.as_micros().saturating_sub(micros))
}

fn minute_of(at: Timestamp) -> Timestamp {
    let minute = 60_000_000;
    Timestamp::from_micros(at.as_micros().div_euclid(minute) * minute)
}
