//! Retention on SQLite: what is older than its span goes, a little at a time.
//!
//! Each rule removes rows in chunks; a write ends before it holds the writer for 50 ms, on a slow disk
//! too, and rests before the next, see [`Pace`]. Tables in order of time are looked at from their oldest
//! row only. What room the rows leave in the file is used again by what comes.
//!
//! Every table is in one of two lists: [`RULES`] and what follows them here, or `BOUNDED`. What a rule
//! removes it can also count, so that a look beforehand says what would go.

mod artifacts;
mod means;
mod rules;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

pub(crate) use self::artifacts::{Sight, gone_owners, work_with_uploads};
use self::means::{AGENT_MEANS, SYSTEM_MEANS, condense, would_condense};
use self::rules::{RULES, Rule};
use super::pace::{Pace, REST};
use super::{Count, SqlResult, Sqlite, WriteTx, first};
use crate::clock;
use crate::domain::query::Pruned;
use crate::domain::timestamp::Timestamp;
use crate::persistence::Result;

/// This many of the newest events are kept whatever their age.
const KEPT_EVENTS: i64 = 1_000_000;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

const NEWEST_EVENT: &str = "SELECT coalesce(max(seq), 0) FROM events";
/// Counts events older than `?1` among all but the newest.
const OLD_EVENTS: &str = "SELECT count(*) FROM events WHERE seq <= ?2 AND seq <
    coalesce((SELECT seq FROM events WHERE at >= ?1 ORDER BY seq LIMIT 1), 9223372036854775807)";

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
    for rule in RULES {
        add(&mut pruned, rule.table, remove(db, rule).await?);
    }
    add(&mut pruned, "events", remove_events(db).await?);
    for means in [&AGENT_MEANS, &SYSTEM_MEANS] {
        add(&mut pruned, means.table, condense(db, means).await?);
    }
    Ok(pruned)
}

/// What [`prune`] would remove now; removes nothing.
pub(crate) async fn would_prune(db: &Sqlite) -> Result<Pruned> {
    db.read("count what is old", |conn| {
        let (now, mut old) = (clock::now(), Pruned::new());
        let count = |sql: &str, params: &[i64]| -> SqlResult<u64> {
            let params = rusqlite::params_from_iter(params);
            let rows = first(conn, sql, params, |row| row.get(0))?;
            Ok(rows.map_or(0, |Count(rows)| rows))
        };
        for rule in RULES {
            let before = before(now, rule.after).as_micros();
            add(&mut old, rule.table, count(rule.count, &[before])?);
        }
        let newest = first(conn, NEWEST_EVENT, [], |row| row.get::<_, i64>(0))?;
        let kept_from = newest.unwrap_or(0).saturating_sub(KEPT_EVENTS);
        let before = before(now, DAY * 7).as_micros();
        add(&mut old, "events", count(OLD_EVENTS, &[before, kept_from])?);
        for means in [&AGENT_MEANS, &SYSTEM_MEANS] {
            let rows = count(means.count, &[would_condense(now).as_micros()])?;
            add(&mut old, means.table, rows);
        }
        Ok(old)
    })
    .await
}

fn add(pruned: &mut Pruned, table: &str, rows: u64) {
    if rows > 0 {
        *pruned.entry(table.to_owned()).or_default() += rows;
    }
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
        let newest: i64 = tx.first(NEWEST_EVENT, [], |row| row.get(0))?.unwrap_or(0);
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
