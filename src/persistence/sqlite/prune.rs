//! Retention on SQLite: what is older than its span goes, a little at a time.
//!
//! Each job removes rows in chunks; a write ends before it holds the writer for 50 ms, on a slow disk
//! too, and rests before the next, see [`turns`] and [`super::pace`]. What room the rows leave in the file
//! is used again by what comes.
//!
//! Every table is in one of two lists: those of the [`jobs`], or `BOUNDED`. What a job
//! removes it can also count, so that a look beforehand says what would go.

mod aged;
mod artifacts;
mod means;
mod rules;
mod turns;
mod work;

use std::time::Duration;

use rusqlite::{Connection, Params};

use self::aged::AGED;
pub(crate) use self::artifacts::{Sight, gone_owners, work_with_uploads};
use self::means::MEANS;
use self::rules::RULES;
#[cfg(test)]
use self::turns::Position;
use self::turns::{Job, in_turns};
use self::work::{FLOWS, LONE};
#[cfg(test)]
use super::WriteTx;
use super::{Count, SqlResult, Sqlite, first};
use crate::clock;
use crate::domain::query::Pruned;
use crate::domain::timestamp::Timestamp;
use crate::persistence::Result;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Tables that no rule names, and what keeps them small.
#[cfg(test)]
const BOUNDED: &[(&str, &str)] = &[
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

/// All that retention does, in order.
fn jobs() -> Vec<&'static dyn Job> {
    fn each<T: Job>(jobs: &'static [T]) -> impl Iterator<Item = &'static dyn Job> {
        jobs.iter().map(|job| -> &dyn Job { job })
    }
    let work = each(LONE).chain(each(FLOWS));
    let rest = each(AGED).chain(each(RULES)).chain(each(MEANS));
    work.chain(rest).collect()
}

pub(crate) async fn prune(db: &Sqlite) -> Result<Pruned> {
    let mut pruned = Pruned::new();
    for job in jobs() {
        in_turns(db, job, &mut pruned).await?;
    }
    Ok(pruned)
}

/// What [`prune`] would remove now; removes nothing.
pub(crate) async fn would_prune(db: &Sqlite) -> Result<Pruned> {
    db.read("count what is old", |conn| {
        let (now, mut old) = (clock::now(), Pruned::new());
        for job in jobs() {
            job.count(conn, now, &mut old)?;
        }
        Ok(old)
    })
    .await
}

/// Adds what a query counts of a table.
fn count(
    conn: &Connection,
    table: &str,
    sql: &str,
    params: impl Params,
    old: &mut Pruned,
) -> SqlResult<()> {
    let rows = first(conn, sql, params, |row| row.get(0))?;
    add(old, table, rows.map_or(0, |Count(rows)| rows));
    Ok(())
}

fn add(pruned: &mut Pruned, table: &str, rows: u64) {
    if rows > 0 {
        *pruned.entry(table.to_owned()).or_default() += rows;
    }
}

fn before(now: Timestamp, span: Duration) -> Timestamp {
    let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.as_micros().saturating_sub(micros))
}

/// All that is too old now, in one transaction.
#[cfg(test)]
pub(super) fn prune_in(tx: &mut WriteTx<'_>) -> SqlResult<()> {
    for job in jobs() {
        let mut from = Some(Position::START);
        while let Some(position) = from {
            from = job.chunk(tx, position, 3)?.next;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
