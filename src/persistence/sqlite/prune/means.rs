//! Samples older than a day become means of minutes.

use std::time::Duration;

use rusqlite::Connection;

use super::turns::{Chunk, Job, Position};
use super::{DAY, before, count};
use crate::domain::query::Pruned;
use crate::domain::timestamp::Timestamp;
use crate::persistence::sqlite::{SqlResult, WriteTx};

/// How samples older than a day become means of minutes.
pub(super) struct Means {
    table: &'static str,
    /// Counts the samples before `?1`.
    count: &'static str,
    /// Whose the oldest sample before `?1` is, and when it was taken.
    oldest: &'static str,
    /// The mean of its samples from `?2` to before `?3`.
    insert: &'static str,
    /// Those samples.
    remove: &'static str,
}

const AGENT_MEANS: Means = Means {
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

const SYSTEM_MEANS: Means = Means {
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

pub(super) const MEANS: &[Means] = &[AGENT_MEANS, SYSTEM_MEANS];

/// One whole minute of one agent is a few samples: its own chunk, however many rows a chunk might have.
impl Job for Means {
    fn chunk(&self, tx: &mut WriteTx<'_>, from: Position, _rows: u32) -> SqlResult<Chunk> {
        let oldest = tx.first(self.oldest, [would_condense(tx.now())], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, Timestamp>(1)?))
        })?;
        let Some((whose, at)) = oldest else {
            return Ok(Chunk::of(self.table, 0, None));
        };
        let start = minute_of(at);
        let minute = (whose, start, start.after(MINUTE));
        tx.execute(self.insert, minute.clone())?;
        let removed = tx.execute(self.remove, minute)?;
        Ok(Chunk::of(self.table, removed, Some(from)))
    }

    fn count(&self, conn: &Connection, now: Timestamp, old: &mut Pruned) -> SqlResult<()> {
        count(conn, self.table, self.count, [would_condense(now)], old)
    }
}

/// Samples before this become means now.
fn would_condense(now: Timestamp) -> Timestamp {
    minute_of(before(now, DAY))
}

fn minute_of(at: Timestamp) -> Timestamp {
    let minute = 60_000_000;
    Timestamp::from_micros(at.as_micros().div_euclid(minute) * minute)
}
