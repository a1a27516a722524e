//! What agents spend, on SQLite: the sum of each window, and what each execution held and said.
//!
//! Rely on: a sum is written as it is in memory and never made smaller, so a write that comes twice or
//! late changes nothing. Windows are read through the writer, behind every sum that waits there.

use super::{Count, SqlResult, Sqlite, WriteTx};
use crate::domain::ids::LeaseId;
use crate::domain::name::Name;
use crate::domain::spend::{Amount, AttemptSpend, Reserve, SpendWrite, Stored, Sum, Window};
use crate::persistence::Result;

/// What is stored of a window.
pub(crate) async fn window(db: &Sqlite, agent: Name, window: Window) -> Result<Stored> {
    db.write("read spend", move |tx| stored(tx, &agent, window))
        .await
}

fn stored(tx: &WriteTx<'_>, agent: &Name, window: Window) -> SqlResult<Stored> {
    const OWN: &str = "window_start = ?2 AND window_start < ?3";
    const INSIDE: &str = "window_start > ?2 AND window_start < ?3";
    const BEFORE: &str = "window_start = (SELECT max(window_start) FROM spend
        WHERE agent = ?1 AND window_start < ?2) AND window_start < ?3";
    let at = |which| sum(tx, agent, which, window);
    let (own, inside) = (at(OWN)?, at(INSIDE)?);
    let known = own.is_some() || inside.is_some();
    Ok(Stored {
        own: own.unwrap_or_default(),
        inside: inside.unwrap_or_default(),
        before: if known { None } else { at(BEFORE)? },
    })
}

/// `None` if there are no such rows.
fn sum(tx: &WriteTx<'_>, agent: &Name, which: &str, window: Window) -> SqlResult<Option<Sum>> {
    let sql = format!(
        "SELECT coalesce(sum(cost_micros), 0), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),
             coalesce(sum(presumed_micros), 0), coalesce(sum(presumed_tokens), 0), coalesce(sum(tasks), 0)
         FROM spend WHERE agent = ?1 AND {which} HAVING count(*) > 0"
    );
    tx.first(&sql, (agent, window.start, window.end), |row| {
        let at = |column| row.get(column).map(|Count(count)| count);
        Ok(Sum {
            cost_micros: at(0)?,
            input_tokens: at(1)?,
            output_tokens: at(2)?,
            presumed: Amount {
                micros: at(3)?,
                tokens: at(4)?,
            },
            tasks: at(5)?,
        })
    })
}

/// Keeps the sum of a window, and what has changed with it.
pub(crate) async fn record(db: &Sqlite, write: SpendWrite) -> Result<()> {
    db.write("keep spend", move |tx| apply(tx, &write)).await
}

/// The same as part of another write.
pub(super) fn apply(tx: &mut WriteTx<'_>, write: &SpendWrite) -> SqlResult<()> {
    let Sum {
        cost_micros,
        input_tokens,
        output_tokens,
        presumed,
        tasks,
    } = write.sum;
    tx.execute(
        "INSERT INTO spend (agent, window_start, cost_micros, input_tokens, output_tokens,
             presumed_micros, presumed_tokens, tasks) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (agent, window_start) DO UPDATE SET
             cost_micros = max(cost_micros, excluded.cost_micros),
             input_tokens = max(input_tokens, excluded.input_tokens),
             output_tokens = max(output_tokens, excluded.output_tokens),
             presumed_micros = max(presumed_micros, excluded.presumed_micros),
             presumed_tokens = max(presumed_tokens, excluded.presumed_tokens),
             tasks = max(tasks, excluded.tasks)",
        (
            &write.agent,
            write.window,
            Count(cost_micros),
            Count(input_tokens),
            Count(output_tokens),
            Count(presumed.micros),
            Count(presumed.tokens),
            Count(tasks),
        ),
    )?;
    for attempt in &write.attempts {
        said(tx, attempt)?;
    }
    write
        .events
        .iter()
        .try_for_each(|event| tx.event(event.clone()))
}

/// What an execution has said; what it never spoke of stays unknown.
fn said(tx: &WriteTx<'_>, attempt: &AttemptSpend) -> SqlResult<()> {
    tx.execute(
        "UPDATE task_attempts SET spend_window = ?3,
             cost_micros = iif(?4 IS NULL, cost_micros, max(coalesce(cost_micros, 0), ?4)),
             input_tokens = iif(?5 IS NULL, input_tokens, max(coalesce(input_tokens, 0), ?5)),
             output_tokens = iif(?6 IS NULL, output_tokens, max(coalesce(output_tokens, 0), ?6))
         WHERE task_key = (SELECT key FROM tasks WHERE id = ?1) AND lease_id = ?2",
        (
            attempt.task,
            attempt.lease,
            attempt.window,
            attempt.usage.cost_micros.map(Count),
            attempt.usage.input_tokens.map(Count),
            attempt.usage.output_tokens.map(Count),
        ),
    )?;
    Ok(())
}

/// Marks an execution that begins with what it holds. Says what earlier ones of its task have spent,
/// if anybody counts that.
pub(super) fn reserve(
    tx: &WriteTx<'_>,
    task_key: i64,
    attempt: u32,
    reserve: &Reserve,
) -> SqlResult<Amount> {
    if reserve.amount != Amount::default() {
        tx.execute(
            "UPDATE task_attempts SET spend_window = ?3, reserved_micros = ?4, reserved_tokens = ?5
             WHERE task_key = ?1 AND attempt = ?2",
            (
                task_key,
                attempt,
                reserve.window,
                Count(reserve.amount.micros),
                Count(reserve.amount.tokens),
            ),
        )?;
    }
    if attempt == 1 || !reserve.counts_tasks {
        return Ok(Amount::default());
    }
    let before = tx.first(
        "SELECT coalesce(sum(cost_micros), 0), coalesce(sum(input_tokens), 0) + coalesce(sum(output_tokens), 0)
         FROM task_attempts WHERE task_key = ?1 AND attempt < ?2",
        (task_key, attempt),
        |row| {
            let (Count(micros), Count(tokens)) = (row.get(0)?, row.get(1)?);
            Ok(Amount { micros, tokens })
        },
    )?;
    Ok(before.unwrap_or_default())
}

/// An execution was cut by the end of its daemon: what it held and has not said counts as spent.
pub(super) fn cut(tx: &WriteTx<'_>, task_key: i64, lease: LeaseId) -> SqlResult<()> {
    tx.execute(
        "INSERT INTO spend (agent, window_start, presumed_micros, presumed_tokens)
         SELECT substr(instance, 1, instr(instance, '#') - 1), spend_window,
             max(0, coalesce(reserved_micros, 0) - coalesce(cost_micros, 0)),
             max(0, coalesce(reserved_tokens, 0)
                 - coalesce(input_tokens, 0) - coalesce(output_tokens, 0))
         FROM task_attempts
         WHERE task_key = ?1 AND lease_id = ?2 AND spend_window IS NOT NULL
             AND reserved_micros IS NOT NULL
         ON CONFLICT (agent, window_start) DO UPDATE SET
             presumed_micros = presumed_micros + excluded.presumed_micros,
             presumed_tokens = presumed_tokens + excluded.presumed_tokens",
        (task_key, lease),
    )?;
    Ok(())
}

#[cfg(test)]
mod tests;
