//! What a task that is queued waits behind: the limits that bind now, and who holds their places.

use std::time::Duration;

use rusqlite::Connection;

use super::limits::{Rules, WHOLE_QUEUE};
use crate::domain::ids::TaskId;
use crate::domain::query::{Full, HeldBack};
use crate::domain::queue::{Limits, RateLimit};
use crate::domain::timestamp::Timestamp;
use crate::persistence::sqlite::{SqlResult, all, first};

/// Holders that are named.
const NAMED: usize = 10;

/// Reads what holds a task of this queue and key back.
pub(super) fn read(
    conn: &Connection,
    rules: &Rules,
    now: Timestamp,
    (queue, key): (&str, Option<&str>),
) -> SqlResult<HeldBack> {
    let Some(spec) = rules.spec(queue) else {
        return Ok(HeldBack::default());
    };
    let mut held = HeldBack {
        queue_full: full(conn, queue, None, spec.limits)?,
        queue_opens: opens(conn, queue, WHOLE_QUEUE, now, spec.limits.rate)?,
        ..HeldBack::default()
    };
    if let Some(key) = key {
        held.key_full = full(conn, queue, Some(key), spec.per_key)?;
        held.key_opens = opens(conn, queue, key, now, spec.per_key.rate)?;
    }
    Ok(held)
}

/// Who runs, if that is as many as may.
fn full(
    conn: &Connection,
    queue: &str,
    key: Option<&str>,
    limits: Limits,
) -> SqlResult<Option<Full>> {
    let Some(most) = limits.concurrency else {
        return Ok(None);
    };
    let mut holders: Vec<TaskId> = all(
        conn,
        "SELECT id FROM tasks WHERE state = 'running' AND queue = ?1 \
         AND (?2 IS NULL OR concurrency_key = ?2) ORDER BY started_at",
        (queue, key),
        |row| row.get(0),
    )?;
    let running = holders.len() as u64;
    holders.truncate(NAMED);
    Ok((running >= u64::from(most)).then_some(Full { running, holders }))
}

/// When the next may start, if as many have as may in a window.
fn opens(
    conn: &Connection,
    queue: &str,
    key: &str,
    now: Timestamp,
    rate: Option<RateLimit>,
) -> SqlResult<Option<Timestamp>> {
    let Some(RateLimit { max, period }) = rate else {
        return Ok(None);
    };
    // The newest that may be in a window with one more: when it has left, one more may start.
    let sql = "SELECT at FROM queue_starts WHERE queue = ?1 AND key = ?2 AND at > ?3 \
               ORDER BY at DESC LIMIT 1 OFFSET ?4";
    let since = now.before(period);
    let last: Option<Timestamp> = first(
        conn,
        sql,
        (queue, key, since, max.saturating_sub(1)),
        |row| row.get(0),
    )?;
    Ok(last.map(|at| at.after(period + Duration::from_micros(1))))
}
