//! Samples older than a day become means of minutes.

use std::time::Duration;

use super::{DAY, before, in_turns};
use crate::domain::timestamp::Timestamp;
use crate::persistence::Result;
use crate::persistence::sqlite::Sqlite;

/// How samples older than a day become means of minutes.
pub(super) struct Means {
    pub(super) table: &'static str,
    /// Counts the samples before `?1`.
    pub(super) count: &'static str,
    /// Whose the oldest sample before `?1` is, and when it was taken.
    oldest: &'static str,
    /// The mean of its samples from `?2` to before `?3`.
    insert: &'static str,
    /// Those samples.
    remove: &'static str,
}

pub(super) const AGENT_MEANS: Means = Means {
    table: "agent_metrics",
    count: "SELECT count(*) FROM agent_metrics WHERE resolution_s = 0 AND at < ?1",
    oldest: "SELECT agent, at FROM agent_metrics WHERE resolution_s = 0 AND at < ?1
        ORDER BY at LIMIT 1",
    insert: "INSERT OR REPLACE INTO agent_metrics (agent, resolution_s, at, cpu_seconds,
            memory_bytes, queue_depth, running, errors_total, restarts_total)
        SELECT ?1, 60, ?2, max(cpu_seconds), CAST(avg(memory_bytes) AS INTEGER),
            CAST(round(avg(queue_depth)) AS INTEGER), CAST(round(avg(running)) AS INTEGER),
            max(errors_total), max(restarts_total)
        FROM agent_metrics WHERE agent = ?1 AND resolution_s = 0 AND at >= ?2 AND at < ?3
        HAVING count(*) > 0",
    remove: "DELETE FROM agent_metrics
        WHERE agent = ?1 AND resolution_s = 0 AND at >= ?2 AND at < ?3",
};

pub(super) const SYSTEM_MEANS: Means = Means {
    table: "system_metrics",
    count: "SELECT count(*) FROM system_metrics WHERE resolution_s = 0 AND at < ?1",
    oldest: "SELECT '', at FROM system_metrics WHERE resolution_s = 0 AND at < ?1
        ORDER BY at LIMIT 1",
    insert: "INSERT OR REPLACE INTO system_metrics (resolution_s, at, cpu_ratio,
            memory_used_bytes, memory_limit_bytes, disk_used_ratio, process_memory_bytes)
        SELECT 60, ?2, avg(cpu_ratio), CAST(avg(memory_used_bytes) AS INTEGER),
            max(memory_limit_bytes), avg(disk_used_ratio),
            CAST(avg(process_memory_bytes) AS INTEGER)
        FROM system_metrics WHERE ?1 = '' AND resolution_s = 0 AND at >= ?2 AND at < ?3
        HAVING count(*) > 0",
    remove: "DELETE FROM system_metrics
        WHERE ?1 = '' AND resolution_s = 0 AND at >= ?2 AND at < ?3",
};

const MINUTE: Duration = Duration::from_secs(60);

/// Turns samples into means, one whole minute of one agent after the other.
pub(super) async fn condense(db: &Sqlite, means: &'static Means) -> Result<u64> {
    in_turns(db, move |tx, pace| {
        let before = would_condense(tx.now());
        // One minute is a few samples: its own chunk, however many rows a chunk might have.
        pace.in_chunks(|_| {
            let oldest = tx.first(means.oldest, [before], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, Timestamp>(1)?))
            })?;
            let Some((whose, at)) = oldest else {
                return Ok(0);
            };
            let from = minute_of(at);
            let minute = (whose, from, from.after(MINUTE));
            tx.execute(means.insert, minute.clone())?;
            tx.execute(means.remove, minute)
        })
    })
    .await
}

/// Samples before this become means now.
pub(super) fn would_condense(now: Timestamp) -> Timestamp {
    minute_of(before(now, DAY))
}

fn minute_of(at: Timestamp) -> Timestamp {
    let minute = 60_000_000;
    Timestamp::from_micros(at.as_micros().div_euclid(minute) * minute)
}
