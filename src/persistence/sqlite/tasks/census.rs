//! What stands in each queue.
//!
//! What has not ended is counted each time, by indexes that hold nothing else. What has ended is most of a
//! table that grows with what was done: where counting it takes long the count is used again, so that
//! asking costs a twentieth of one reader at most, however often it is done.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, Row};
use tokio::time::Instant;

use crate::domain::name::Name;
use crate::domain::query::QueueStats;
use crate::domain::task::TaskState;
use crate::domain::timestamp::Timestamp;
use crate::persistence::Result;
use crate::persistence::sqlite::{SqlResult, Sqlite, all};

/// A count that took less is made anew each time.
const SLOW: Duration = Duration::from_millis(50);
/// One that took longer is used for so many times as long.
const USED_FOR: u32 = 20;

/// So many tasks of a queue in a state, and when the oldest of them was accepted.
type Counted = (Name, TaskState, u64, Option<Timestamp>);

/// The last count of what has ended, if it took long.
#[derive(Debug, Default)]
pub(in crate::persistence::sqlite) struct Ended {
    last: Mutex<Option<Last>>,
    /// Held by who counts, so that others wait for what is found instead of counting too.
    counts: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
struct Last {
    at: Instant,
    took: Duration,
    found: Vec<Counted>,
}

impl Ended {
    fn usable(&self) -> Option<Vec<Counted>> {
        let last = self.last.lock();
        let last = last.as_ref()?;
        let usable = last.took >= SLOW && last.at.elapsed() < last.took * USED_FOR;
        usable.then(|| last.found.clone())
    }
}

/// Counts what stands in each queue.
pub(crate) async fn queues(db: &Sqlite) -> Result<Vec<QueueStats>> {
    let known = db.ended();
    let turn = match known.usable() {
        Some(_) => None,
        None => Some(known.counts.lock().await),
    };
    let usable = known.usable();
    let counting = db.read("count queues", move |conn| {
        let open = open(conn)?;
        let began = Instant::now();
        let (found, took) = match usable {
            Some(found) => (found, None),
            None => (ended(conn)?, Some(began.elapsed())),
        };
        Ok((open, found, took))
    });
    let (open, found, took) = counting.await?;
    if let Some(took) = took {
        let (at, found) = (Instant::now(), found.clone());
        *known.last.lock() = Some(Last { at, took, found });
    }
    drop(turn);
    Ok(by_queue(open.into_iter().chain(found)))
}

/// What has not ended. What is blocked or waits for somebody belongs to a workflow that has not either.
fn open(conn: &Connection) -> SqlResult<Vec<Counted>> {
    let mut found = Vec::new();
    for sql in [
        "SELECT queue, state, count(*), min(created_at) FROM tasks WHERE state = 'queued' \
         AND agent IS NOT NULL GROUP BY queue",
        "SELECT queue, state, count(*), min(created_at) FROM tasks WHERE state = 'queued' \
         AND role IS NOT NULL GROUP BY queue",
        "SELECT queue, state, count(*), min(created_at) FROM tasks WHERE state = 'queued' \
         AND agent IS NULL AND role IS NULL GROUP BY queue",
        "SELECT queue, state, count(*), min(created_at) FROM tasks WHERE state = 'running' \
         GROUP BY queue",
        "SELECT queue, state, count(*), min(created_at) FROM tasks \
         WHERE state IN ('scheduled', 'retrying') GROUP BY queue, state",
        "SELECT t.queue, t.state, count(*), min(t.created_at) FROM workflows AS w \
         JOIN tasks AS t ON t.workflow_key = w.key AND t.workflow_key IS NOT NULL \
         WHERE w.finished_at IS NULL AND t.state IN ('blocked', 'waiting') \
         GROUP BY t.queue, t.state",
    ] {
        found.extend(all(conn, sql, [], counted)?);
    }
    Ok(found)
}

/// What has ended.
fn ended(conn: &Connection) -> SqlResult<Vec<Counted>> {
    let sql = "SELECT queue, state, count(*), NULL FROM tasks WHERE +finished_at IS NOT NULL \
               GROUP BY queue, state";
    all(conn, sql, [], counted)
}

fn counted(row: &Row<'_>) -> rusqlite::Result<Counted> {
    let count = row.get::<_, i64>(2)?.unsigned_abs();
    Ok((row.get(0)?, row.get(1)?, count, row.get(3)?))
}

fn by_queue(counts: impl Iterator<Item = Counted>) -> Vec<QueueStats> {
    let mut queues: BTreeMap<Name, QueueStats> = BTreeMap::new();
    for (queue, state, count, oldest) in counts {
        let stats = queues.entry(queue.clone()).or_insert_with(|| QueueStats {
            queue,
            tasks: BTreeMap::new(),
            oldest_queued_at: None,
        });
        *stats.tasks.entry(state.as_str().to_owned()).or_default() += count;
        if state == TaskState::Queued {
            let known = stats.oldest_queued_at.into_iter();
            stats.oldest_queued_at = known.chain(oldest).min();
        }
    }
    queues.into_values().collect()
}

/// All of it, counted now.
#[cfg(test)]
pub(in crate::persistence::sqlite) fn now(conn: &Connection) -> Vec<QueueStats> {
    by_queue(open(conn).unwrap().into_iter().chain(ended(conn).unwrap()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_count_of_what_has_ended_that_took_long_is_used_for_twenty_times_as_long() {
        let known = Ended::default();
        for (took, after, usable) in [
            (49, 0, false),
            (50, 999, true),
            (50, 1_000, false),
            (900, 17_999, true),
        ] {
            let last = Last {
                at: Instant::now(),
                took: Duration::from_millis(took),
                found: Vec::new(),
            };
            *known.last.lock() = Some(last);
            tokio::time::advance(Duration::from_millis(after)).await;
            assert_eq!(
                known.usable().is_some(),
                usable,
                "{took} ms, {after} ms ago"
            );
        }
    }
}
