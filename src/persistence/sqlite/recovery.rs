//! Runs of recovery actions on SQLite.

use rusqlite::Row;

use super::{Sqlite, all};
use crate::domain::query::{Page, PageRequest};
use crate::domain::record::RecoveryRun;
use crate::persistence::Result;
use crate::persistence::cursor::Bounds;

pub(crate) async fn log_recovery_run(db: &Sqlite, run: RecoveryRun) -> Result<()> {
    db.write("log recovery run", move |tx| {
        tx.execute(
            "INSERT INTO recovery_runs (id, action, cause, outcome, message, attempt, started_at,
                 finished_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (id) DO UPDATE SET
                 outcome = excluded.outcome, message = excluded.message,
                 attempt = excluded.attempt, finished_at = excluded.finished_at",
            (
                run.id,
                &run.action,
                &run.cause,
                &run.outcome,
                &run.message,
                run.attempt,
                run.started_at,
                run.finished_at,
            ),
        )?;
        Ok(())
    })
    .await
}

const COLUMNS: &str = "key, id, action, cause, outcome, message, attempt, started_at, finished_at";

pub(crate) async fn recovery_runs(
    db: &Sqlite,
    action: Option<String>,
    page: PageRequest,
) -> Result<Page<RecoveryRun>> {
    let bounds = Bounds::of(&page)?;
    db.read("list recovery runs", move |conn| {
        let rows = match action {
            Some(action) => {
                let list = format!(
                    "SELECT {COLUMNS} FROM recovery_runs WHERE action = ?1 AND key < ?2
                     ORDER BY key DESC LIMIT ?3"
                );
                all(conn, &list, (action, bounds.below, bounds.rows()), run)
            }
            None => {
                let list = format!(
                    "SELECT {COLUMNS} FROM recovery_runs WHERE key < ?1
                     ORDER BY key DESC LIMIT ?2"
                );
                all(conn, &list, (bounds.below, bounds.rows()), run)
            }
        };
        Ok(bounds.page(rows?))
    })
    .await
}

fn run(row: &Row<'_>) -> rusqlite::Result<(i64, RecoveryRun)> {
    let run = RecoveryRun {
        id: row.get(1)?,
        action: row.get(2)?,
        cause: row.get(3)?,
        outcome: row.get(4)?,
        message: row.get(5)?,
        attempt: row.get(6)?,
        started_at: row.get(7)?,
        finished_at: row.get(8)?,
    };
    Ok((row.get(0)?, run))
}
