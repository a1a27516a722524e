//! The journal's rows on SQLite. The writes that they report gather them, see
//! [`WriteTx::event`](super::WriteTx::event); each commit inserts its own, many with a statement.

use std::sync::LazyLock;

use rusqlite::types::{ToSql, Value};
use rusqlite::{Connection, Row, params_from_iter};

use super::{Json, SqlResult, Sqlite, all};
use crate::domain::event::{Event, NewEvent};
use crate::domain::query::{EventFilter, MAX_PAGE_LIMIT};
use crate::persistence::Result;

/// Statements that insert so many rows, the most first. What fails takes the transaction with it, so
/// SQLite need not keep what a single statement changed.
static INSERTS: LazyLock<[(usize, String); 3]> = LazyLock::new(|| {
    [32, 8, 1].map(|rows| {
        let values = vec!["(?, ?, ?, ?, ?)"; rows].join(", ");
        let insert = "INSERT OR FAIL INTO events (id, type, subject, at, data) VALUES";
        (rows, format!("{insert} {values}"))
    })
});

/// Inserts what a transaction put into the journal, and gives each its number.
pub(super) fn insert(conn: &Connection, events: &mut [Event]) -> SqlResult<()> {
    let mut left = events;
    for (rows, sql) in &*INSERTS {
        while left.len() >= *rows {
            let (some, others) = left.split_at_mut(*rows);
            insert_some(conn, sql, some)?;
            left = others;
        }
    }
    Ok(())
}

fn insert_some(conn: &Connection, sql: &str, events: &mut [Event]) -> SqlResult<()> {
    let mut insert = conn.prepare_cached(sql)?;
    let mut place = 0;
    for event in &*events {
        let row: [&dyn ToSql; 5] = [
            &event.id,
            &event.kind,
            &event.subject,
            &event.at,
            &event.data.text(),
        ];
        for value in row {
            place += 1;
            insert.raw_bind_parameter(place, value)?;
        }
    }
    insert.raw_execute()?;
    // Nobody else writes: their numbers follow each other.
    let mut seq = conn.last_insert_rowid();
    for event in events.iter_mut().rev() {
        event.seq = seq;
        seq -= 1;
    }
    Ok(())
}

pub(crate) async fn append_events(db: &Sqlite, events: Vec<NewEvent>) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    db.write("append events", move |tx| {
        events.iter().try_for_each(|event| tx.event(event.clone()))
    })
    .await
}

/// The oldest first.
pub(crate) async fn events(db: &Sqlite, filter: EventFilter, limit: u32) -> Result<Vec<Event>> {
    db.read("list events", move |conn| {
        let (conditions, mut values) = conditions(&filter);
        values.push(limit.clamp(1, MAX_PAGE_LIMIT).into());
        let order = if filter.latest { "DESC" } else { "ASC" };
        let list = format!(
            "SELECT seq, id, type, subject, at, data FROM events WHERE {conditions}
             ORDER BY seq {order} LIMIT ?"
        );
        let mut found = all(
            conn,
            &list,
            params_from_iter(values.iter().map(|v| v as &dyn ToSql)),
            event,
        )?;
        if filter.latest {
            found.reverse();
        }
        Ok(found)
    })
    .await
}

fn conditions(filter: &EventFilter) -> (String, Vec<Value>) {
    let mut conditions = vec!["seq > ?".to_owned()];
    let mut values: Vec<Value> = vec![filter.after.unwrap_or(0).into()];
    if let Some(since) = filter.since {
        conditions.push("at >= ?".into());
        values.push(since.as_micros().into());
    }
    if let Some(subject) = &filter.subject {
        conditions.push("subject = ?".into());
        values.push(subject.clone().into());
    }
    if !filter.kinds.is_empty() {
        let kinds: Vec<_> = filter
            .kinds
            .iter()
            .map(|kind| kind_condition(kind))
            .collect();
        conditions.push(format!(
            "({})",
            kinds
                .iter()
                .map(|(sql, _)| *sql)
                .collect::<Vec<_>>()
                .join(" OR ")
        ));
        values.extend(kinds.into_iter().map(|(_, value)| Value::from(value)));
    }
    (conditions.join(" AND "), values)
}

/// `task.*` stands for its family.
fn kind_condition(kind: &str) -> (&'static str, String) {
    match kind.strip_suffix(".*") {
        Some(family) => (
            "substr(type, 1, instr(type, '.') - 1) = ?",
            family.to_owned(),
        ),
        None => ("type = ?", kind.to_owned()),
    }
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let Json(data) = row.get(5)?;
    Ok(Event {
        seq: row.get(0)?,
        id: row.get(1)?,
        kind: row.get(2)?,
        subject: row.get(3)?,
        at: row.get(4)?,
        data,
        task: None,
    })
}
