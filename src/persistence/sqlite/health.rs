//! Health on SQLite: a row when a check's level changes, and one compact row for each round.

use std::collections::BTreeMap;

use rusqlite::Row;

use super::{Count, Json, SqlResult, Sqlite, WriteTx, all};
use crate::domain::health::HealthStatus;
use crate::domain::query::{Page, PageRequest};
use crate::domain::record::HealthRecord;
use crate::persistence::Result;
use crate::persistence::cursor::Bounds;

/// Takes the results of one round.
pub(crate) async fn log_health_check(db: &Sqlite, records: Vec<HealthRecord>) -> Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    db.write("log health", move |tx| {
        for record in &records {
            if changed(tx, record)? {
                insert(tx, record)?;
            }
        }
        insert_round(tx, &records)
    })
    .await
}

/// Whether the check's level is another than in its last row.
fn changed(tx: &WriteTx<'_>, record: &HealthRecord) -> SqlResult<bool> {
    let last = "SELECT status FROM health_records WHERE name = ?1 ORDER BY key DESC LIMIT 1";
    let last: Option<HealthStatus> = tx.first(last, [&record.check], |row| row.get(0))?;
    Ok(last != Some(record.status))
}

fn insert(tx: &WriteTx<'_>, record: &HealthRecord) -> SqlResult<()> {
    tx.execute(
        "INSERT INTO health_records (name, component, status, message, value, threshold, at,
             duration_ms, details)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        (
            &record.check,
            &record.component,
            record.status,
            &record.message,
            record.value,
            record.threshold,
            record.at,
            Count(record.duration_ms),
            Json(&record.details),
        ),
    )?;
    Ok(())
}

fn insert_round(tx: &WriteTx<'_>, records: &[HealthRecord]) -> SqlResult<()> {
    let statuses: BTreeMap<&str, HealthStatus> = records
        .iter()
        .map(|record| (record.check.as_str(), record.status))
        .collect();
    let worst = records
        .iter()
        .map(|record| record.status)
        .max_by_key(|status| status.severity());
    let at = records
        .iter()
        .map(|record| record.at)
        .max()
        .unwrap_or(tx.now());
    tx.execute(
        "INSERT INTO health_rounds (at, status, statuses) VALUES (?1, ?2, ?3)",
        (at, worst.unwrap_or(HealthStatus::Unknown), Json(statuses)),
    )?;
    Ok(())
}

pub(crate) async fn health_history(
    db: &Sqlite,
    check: &str,
    page: PageRequest,
) -> Result<Page<HealthRecord>> {
    let bounds = Bounds::of(&page)?;
    let check = check.to_owned();
    let list = "SELECT key, name, component, status, message, value, threshold, at, duration_ms,
            details
        FROM health_records WHERE name = ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3";
    db.read("list health", move |conn| {
        let rows = all(conn, list, (check, bounds.below, bounds.rows()), record)?;
        Ok(bounds.page(rows))
    })
    .await
}

fn record(row: &Row<'_>) -> rusqlite::Result<(i64, HealthRecord)> {
    let (Count(duration_ms), Json(details)) = (row.get(8)?, row.get(9)?);
    let record = HealthRecord {
        check: row.get(1)?,
        component: row.get(2)?,
        status: row.get(3)?,
        message: row.get(4)?,
        value: row.get(5)?,
        threshold: row.get(6)?,
        at: row.get(7)?,
        duration_ms,
        details,
    };
    Ok((row.get(0)?, record))
}
