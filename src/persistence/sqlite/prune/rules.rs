//! What goes when it is found by one query. A rule removes rows and counts them by the same words.

use std::time::Duration;

use rusqlite::Connection;

use super::turns::{Chunk, Job, Position};
use super::{DAY, before, count};
use crate::domain::query::Pruned;
use crate::domain::timestamp::Timestamp;
use crate::persistence::sqlite::{SqlResult, WriteTx};

/// What one table loses.
pub(super) struct Rule {
    pub(super) table: &'static str,
    pub(super) after: Duration,
    /// Removes up to `?2` rows that are older than `?1`.
    pub(super) remove: &'static str,
    /// Counts the rows that are older than `?1`.
    pub(super) count: &'static str,
}

impl Job for Rule {
    fn chunk(&self, tx: &mut WriteTx<'_>, from: Position, rows: u32) -> SqlResult<Chunk> {
        let removed = tx.execute(self.remove, (before(tx.now(), self.after), rows))?;
        Ok(Chunk::of(
            self.table,
            removed,
            (removed > 0).then_some(from),
        ))
    }

    fn count(&self, conn: &Connection, now: Timestamp, old: &mut Pruned) -> SqlResult<()> {
        count(conn, self.table, self.count, [before(now, self.after)], old)
    }
}

/// Days that what ended well is kept,
pub(super) const DONE: u32 = 1;
/// what ended otherwise,
pub(super) const ENDED: u32 = 7;
/// and what is dead.
pub(super) const DEAD: u32 = 30;

/// Rows whose keys a query finds, by an index that holds nothing but those or few others.
macro_rules! found {
    ($table:literal, $days:expr, $keys:literal, $old:expr) => {
        Rule {
            table: $table,
            after: DAY.saturating_mul($days),
            remove: concat!(
                "DELETE FROM ",
                $table,
                " WHERE (",
                $keys,
                ") IN (",
                $old,
                " LIMIT ?2)"
            ),
            count: concat!("SELECT count(*) FROM (", $old, ")"),
        }
    };
}

pub(super) const RULES: &[Rule] = &[
    found!(
        "crash_signatures",
        30,
        "agent, signature",
        "SELECT agent, signature FROM crash_signatures WHERE last_at < ?1 ORDER BY last_at"
    ),
    // A month of a year ago can still be compared with.
    found!(
        "spend",
        400,
        "agent, window_start",
        "SELECT agent, window_start FROM spend WHERE window_start < ?1 ORDER BY window_start"
    ),
    found!(
        "idempotency_keys",
        1,
        "scope, key",
        "SELECT scope, key FROM idempotency_keys WHERE created_at < ?1 ORDER BY created_at"
    ),
    found!(
        "agent_metrics",
        30,
        "agent, resolution_s, at",
        "SELECT agent, resolution_s, at FROM agent_metrics
         WHERE resolution_s = 60 AND at < ?1 ORDER BY at"
    ),
    found!(
        "system_metrics",
        30,
        "resolution_s, at",
        "SELECT resolution_s, at FROM system_metrics
         WHERE resolution_s = 60 AND at < ?1 ORDER BY at"
    ),
    found!(
        "sessions",
        30,
        "id",
        "SELECT id FROM sessions
         WHERE ended_at < ?1 AND term < (SELECT max(term) FROM sessions)
         AND NOT EXISTS (SELECT 1 FROM tasks
             WHERE tasks.state = 'running' AND tasks.session_id = sessions.id)"
    ),
    // Runs of schedules that are configured no more; of the others a thousand each are kept, which are not
    // looked at: from one name to the next by the index.
    found!(
        "schedule_runs",
        30,
        "key",
        "WITH RECURSIVE known (name) AS (SELECT min(schedule) FROM schedule_runs
             UNION ALL SELECT (SELECT min(schedule) FROM schedule_runs WHERE schedule > known.name)
             FROM known WHERE known.name IS NOT NULL)
         SELECT runs.key FROM known CROSS JOIN schedule_runs AS runs ON runs.schedule = known.name
         WHERE known.name NOT IN (SELECT name FROM schedules) AND runs.at < ?1"
    ),
    // Agents that this life of the daemon, and 30 days, did not know.
    found!(
        "agents",
        30,
        "name",
        "SELECT name FROM agents WHERE updated_at < ?1
         AND updated_at < (SELECT started_at FROM sessions ORDER BY term DESC LIMIT 1)"
    ),
    found!(
        "restart_budgets",
        30,
        "owner",
        "SELECT owner FROM restart_budgets
         WHERE updated_at < ?1 AND coalesce(quarantined_until, 0) < ?1"
    ),
];
