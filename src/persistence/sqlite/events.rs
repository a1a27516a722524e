//! The journal's rows on SQLite. The writes that they report gather them, see
//! [`WriteTx::event`](super::WriteTx::event); each commit inserts its own, many with a statement.

use std::sync::LazyLock;

use rusqlite::types::{ToSql, Value};
use rusqlite::{Connection, Row, params_from_iter};

use super::{Json, SqlResult, Sqlite, all};
use crate::domain::event::{Event, NewEvent, TYPES};
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
    db.read("list events", move |conn| list(conn, &filter, limit))
        .await
}

fn list(conn: &Connection, filter: &EventFilter, limit: u32) -> SqlResult<Vec<Event>> {
    let limit = limit.clamp(1, MAX_PAGE_LIMIT);
    let order = if filter.latest { "DESC" } else { "ASC" };
    let (condition, mut values) = match filter.subject {
        // What is said of one subject is little.
        Some(_) => every_entry(filter),
        None => by_types(filter, order, limit).unwrap_or_else(|| every_entry(filter)),
    };
    values.push(limit.into());
    let sql = format!(
        "SELECT seq, id, type, subject, at, data FROM events WHERE {condition}
         ORDER BY seq {order} LIMIT ?"
    );
    let values = params_from_iter(values.iter().map(|v| v as &dyn ToSql));
    let mut found = all(conn, &sql, values, event)?;
    if filter.latest {
        found.reverse();
    }
    Ok(found)
}

/// Types that are not in `events_by_type`: every task has some, so the next few entries hold one.
const COMMON: [&str; 4] = [
    "task.created",
    "task.queued",
    "task.started",
    "task.succeeded",
];
/// The words of `events_by_type`.
const INDEXED: &str = "type <> 'task.created' AND type <> 'task.queued' \
                       AND type <> 'task.started' AND type <> 'task.succeeded'";

/// A look into `events_by_type` for each type, each as long as the whole answer at most; nothing if a
/// type is asked for that is not in there.
fn by_types(filter: &EventFilter, order: &str, limit: u32) -> Option<(String, Vec<Value>)> {
    let wanted = |kind: &&&str| filter.kinds.iter().any(|asked| is_of(kind, asked));
    let kinds: Vec<&str> = TYPES.iter().filter(wanted).copied().collect();
    if kinds.is_empty() || kinds.iter().any(|kind| COMMON.contains(kind)) {
        return None;
    }
    let since = filter.since.map_or("", |_| " AND at >= ?");
    let (mut looks, mut values) = (Vec::new(), Vec::new());
    for kind in kinds {
        looks.push(format!(
            "SELECT * FROM (SELECT seq FROM events WHERE type = ? AND {INDEXED} AND seq > ?{since}
             ORDER BY seq {order} LIMIT ?)"
        ));
        values.extend([
            Value::from(kind.to_owned()),
            filter.after.unwrap_or(0).into(),
        ]);
        values.extend(filter.since.map(|since| Value::from(since.as_micros())));
        values.push(limit.into());
    }
    Some((format!("seq IN ({})", looks.join(" UNION ALL ")), values))
}

/// Whether a type is the one that is asked for, or of its family: `task.*`.
fn is_of(kind: &str, asked: &str) -> bool {
    match asked.strip_suffix(".*") {
        Some(family) => kind.split_once('.').is_some_and(|(its, _)| its == family),
        None => kind == asked,
    }
}

/// Looks at one entry after the other.
fn every_entry(filter: &EventFilter) -> (String, Vec<Value>) {
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
        let kinds = filter.kinds.iter().map(|kind| kind_condition(kind));
        let (kinds, words): (Vec<&str>, Vec<String>) = kinds.unzip();
        conditions.push(format!("({})", kinds.join(" OR ")));
        values.extend(words.into_iter().map(Value::from));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::timestamp::Timestamp;
    use crate::persistence::sqlite::migrations;

    /// A journal of a thousand entries: much work, and one of each other type now and then.
    fn journal() -> Connection {
        let mut conn = Connection::open_in_memory().unwrap();
        migrations::up(&mut conn, None).unwrap();
        for n in 0..1_000_i64 {
            let kind = match usize::try_from(n).unwrap() {
                n if n % 10 == 0 => TYPES[(n / 10) % TYPES.len()],
                n => COMMON[n % COMMON.len()],
            };
            conn.execute(
                "INSERT INTO events (id, type, subject, at, data) VALUES (randomblob(16), ?1, ?2, ?3, '{}')",
                (kind, format!("s{}", n % 7), n * 1_000),
            )
            .unwrap();
        }
        conn
    }

    #[test]
    fn entries_by_type_are_those_of_the_journal_whichever_way_they_are_looked_up() {
        let conn = journal();
        let everything = list_all(&conn);
        let asked: [&[&str]; 6] = [
            &[],
            &["agent.crashed"],
            &["agent.*", "health.changed"],
            &["task.dead", "task.failed"],
            &["task.*"],
            &["task.created", "database.lost"],
        ];
        for (n, kinds) in asked.iter().cycle().take(96).enumerate() {
            let filter = EventFilter {
                after: [None, Some(333)][n / 6 % 2],
                since: [None, Some(Timestamp::from_micros(500_000))][n / 12 % 2],
                kinds: kinds.iter().map(|&kind| kind.to_owned()).collect(),
                subject: [None, Some("s3".to_owned())][n / 24 % 2].clone(),
                latest: n / 48 == 1,
            };
            let fits = |event: &&Event| {
                event.seq > filter.after.unwrap_or(0)
                    && filter.since.is_none_or(|since| event.at >= since)
                    && filter
                        .subject
                        .as_ref()
                        .is_none_or(|it| *it == event.subject)
                    && (kinds.is_empty() || kinds.iter().any(|kind| is_of(&event.kind, kind)))
            };
            let fitting: Vec<_> = everything.iter().filter(fits).cloned().collect();
            let most = fitting.len().min(7);
            let wanted = match filter.latest {
                true => &fitting[fitting.len() - most..],
                false => &fitting[..most],
            };
            assert_eq!(list(&conn, &filter, 7).unwrap(), wanted, "{filter:?}");
        }
    }

    fn list_all(conn: &Connection) -> Vec<Event> {
        let all_of_it = "SELECT seq, id, type, subject, at, data FROM events ORDER BY seq";
        all(conn, all_of_it, [], event).unwrap()
    }

    #[test]
    fn entries_of_rare_types_are_found_without_a_walk_through_the_journal() {
        let conn = journal();
        let rare = TYPES.iter().filter(|kind| !COMMON.contains(kind));
        for asked in rare.copied().chain(["agent.*", "workflow.*"]) {
            let filter = EventFilter {
                kinds: vec![asked.to_owned()],
                ..EventFilter::default()
            };
            let (condition, values) = by_types(&filter, "ASC", 500).expect("it is in the index");
            let plan =
                format!("EXPLAIN QUERY PLAN SELECT * FROM events WHERE {condition} ORDER BY seq");
            let steps: Vec<String> =
                all(&conn, &plan, params_from_iter(values), |row| row.get(3)).unwrap();
            let plan = steps.join("; ");
            assert!(
                plan.contains("events_by_type") && !plan.contains("SCAN events"),
                "{asked}: {plan}"
            );
        }
    }
}
