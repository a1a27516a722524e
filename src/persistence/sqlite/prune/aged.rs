//! Tables whose keys follow time are looked at from their oldest row on, up to the first that is young.
//!
//! A clock that was ahead once leaves rows from the future among the old ones. They are passed over, and
//! go when their time has come: they hold back nothing behind them.

use std::time::Duration;

use rusqlite::Connection;

use super::turns::{Chunk, Job, Position};
use super::{DAY, before, count};
use crate::domain::query::Pruned;
use crate::domain::timestamp::Timestamp;
use crate::persistence::sqlite::{SqlResult, WriteTx};

/// This many of the newest events are kept whatever their age.
const KEPT_EVENTS: i64 = 1_000_000;

/// What one table loses.
pub(super) struct Aged {
    pub(super) table: &'static str,
    after: Duration,
    /// Rows that are kept whatever their age.
    kept: i64,
    /// The newest key.
    newest: &'static str,
    /// Up to `?2` rows behind the key `?1`, and their instants.
    walk: &'static str,
    remove: &'static str,
    /// Counts the rows older than `?1` up to the key `?3`, before the first that is younger but not from
    /// after `?2`.
    count: &'static str,
}

macro_rules! aged {
    ($table:literal, $key:literal, $at:literal, $days:expr, $kept:expr) => {
        Aged {
            table: $table,
            after: DAY.saturating_mul($days),
            kept: $kept,
            newest: concat!("SELECT coalesce(max(", $key, "), 0) FROM ", $table),
            walk: concat!(
                "SELECT ",
                $key,
                ", ",
                $at,
                " FROM ",
                $table,
                " WHERE ",
                $key,
                " > ?1 ORDER BY ",
                $key,
                " LIMIT ?2"
            ),
            remove: concat!("DELETE FROM ", $table, " WHERE ", $key, " = ?1"),
            count: concat!(
                "SELECT count(*) FROM ",
                $table,
                " WHERE ",
                $at,
                " < ?1 AND ",
                $key,
                " <= ?3 AND ",
                $key,
                " < coalesce((SELECT ",
                $key,
                " FROM ",
                $table,
                " WHERE ",
                $at,
                " BETWEEN ?1 AND ?2 ORDER BY ",
                $key,
                " LIMIT 1), 9223372036854775807)"
            ),
        }
    };
}

pub(super) const AGED: &[Aged] = &[
    aged!("health_records", "key", "at", 7, 0),
    aged!("health_rounds", "key", "at", 7, 0),
    aged!("messages", "key", "created_at", 7, 0),
    aged!("crashes", "key", "at", 30, 0),
    aged!("recovery_runs", "key", "started_at", 30, 0),
    aged!("events", "seq", "at", 7, KEPT_EVENTS),
];

impl Aged {
    /// What is older than the first may go; what is later than the second is from a clock that was ahead.
    fn bounds(&self, now: Timestamp) -> [Timestamp; 2] {
        [before(now, self.after), now.after(DAY)]
    }
}

impl Job for Aged {
    fn chunk(&self, tx: &mut WriteTx<'_>, from: Position, rows: u32) -> SqlResult<Chunk> {
        let [old, ahead] = self.bounds(tx.now());
        let newest = tx
            .first(self.newest, [], |row| row.get(0))?
            .unwrap_or(0_i64);
        let last = newest.saturating_sub(self.kept);
        let found: Vec<(i64, Timestamp)> = tx.all(self.walk, (from.key, rows), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        let (mut removed, mut next) = (0, None);
        for (key, at) in found {
            if key > last || (old <= at && at <= ahead) {
                next = None;
                break;
            }
            if at < old {
                removed += tx.execute(self.remove, [key])?;
            }
            next = Some(Position { at, key });
        }
        Ok(Chunk::of(self.table, removed, next))
    }

    fn count(&self, conn: &Connection, now: Timestamp, found: &mut Pruned) -> SqlResult<()> {
        let [old, ahead] = self.bounds(now);
        let newest: i64 = conn.query_row(self.newest, [], |row| row.get(0))?;
        let last = Timestamp::from_micros(newest.saturating_sub(self.kept));
        count(conn, self.table, self.count, [old, ahead, last], found)
    }
}
