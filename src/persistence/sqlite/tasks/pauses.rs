//! Pauses of queues: they hold over restarts, and end by themselves if they were given an end.

use std::sync::atomic::Ordering::Relaxed;

use rusqlite::Connection;
use serde_json::json;

use super::limits::Rules;
use crate::domain::event::NewEvent;
use crate::domain::name::Name;
use crate::domain::query::DueWork;
use crate::domain::queue::QueuePause;
use crate::domain::timestamp::Timestamp;
use crate::persistence::sqlite::{SqlResult, WriteTx, all};

/// Pauses a queue; says so in the journal unless it was paused just so.
pub(super) fn pause(
    tx: &mut WriteTx<'_>,
    rules: &Rules,
    queue: &Name,
    until: Option<Timestamp>,
    reason: Option<&str>,
) -> SqlResult<()> {
    rules.pauses.store(true, Relaxed);
    let changed = tx.execute(
        "INSERT INTO queue_pauses (queue, paused_at, until, reason) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (queue) DO UPDATE SET until = excluded.until, reason = excluded.reason \
         WHERE until IS NOT excluded.until OR reason IS NOT excluded.reason",
        (queue, tx.now(), until, reason),
    )?;
    if changed == 0 {
        return Ok(());
    }
    let data = json!({"until": until, "reason": reason});
    tell(tx, "queue.paused", queue, data)
}

/// Lets a queue hand out again.
pub(super) fn resume(tx: &mut WriteTx<'_>, queue: &Name) -> SqlResult<()> {
    if tx.execute("DELETE FROM queue_pauses WHERE queue = ?1", [queue])? == 0 {
        return Ok(());
    }
    tell(tx, "queue.resumed", queue, json!({"reason": "asked for"}))
}

/// Ends the pauses that are over; says when the next is.
pub(super) fn end_due(
    tx: &mut WriteTx<'_>,
    rules: &Rules,
    done: &mut DueWork,
) -> SqlResult<Option<Timestamp>> {
    if !rules.pauses.load(Relaxed) {
        return Ok(None);
    }
    let standing = list(tx.conn())?;
    let mut next = None;
    let mut left = false;
    for pause in standing {
        match pause.until {
            Some(until) if until <= tx.now() => {
                tx.execute("DELETE FROM queue_pauses WHERE queue = ?1", [&pause.queue])?;
                tell(
                    tx,
                    "queue.resumed",
                    &pause.queue,
                    json!({"reason": "its time was over"}),
                )?;
                done.resumed += 1;
                // The row may come back if this transaction does not stand.
                left = true;
            }
            until => {
                left = true;
                next = next.into_iter().chain(until).min();
            }
        }
    }
    rules.pauses.store(left, Relaxed);
    Ok(next)
}

/// The queues that are paused.
pub(super) fn list(conn: &Connection) -> SqlResult<Vec<QueuePause>> {
    all(
        conn,
        "SELECT queue, paused_at, until, reason FROM queue_pauses ORDER BY queue",
        [],
        |row| {
            Ok(QueuePause {
                queue: row.get(0)?,
                paused_at: row.get(1)?,
                until: row.get(2)?,
                reason: row.get(3)?,
            })
        },
    )
}

fn tell(
    tx: &mut WriteTx<'_>,
    kind: &'static str,
    queue: &Name,
    data: serde_json::Value,
) -> SqlResult<()> {
    let at = tx.now();
    tx.event(NewEvent {
        kind,
        subject: queue.to_string(),
        at,
        data,
    })
}
