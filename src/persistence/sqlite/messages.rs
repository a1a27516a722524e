//! Messages between agents on SQLite.

use rusqlite::{Connection, Row, ToSql};

use super::tasks::{remember, seen_before};
use super::{Fault, Sealed, SqlResult, Sqlite, WriteTx, all};
use crate::domain::ids::MessageId;
use crate::domain::message::{
    MAX_CONTENT_BYTES, MAX_DEATHS, MAX_WAITING, Message, MessageFilter, MessageState, NewMessage,
};
use crate::domain::name::Name;
use crate::domain::query::{Page, PageRequest};
use crate::persistence::codec;
use crate::persistence::cursor::Bounds;
use crate::persistence::{Result, StoreError};

/// Whose idempotency keys these are.
const SCOPE: &str = "message";

/// Senders whose oldest message is looked at together; each may be large.
const MAX_HEADS: u32 = 64;

/// Sealed by the caller: everybody waits for the writer's time.
pub(super) fn sealed(content: &serde_json::Value, operation: &'static str) -> Result<Vec<u8>> {
    codec::seal(content).map_err(|error| Fault::from(error).into_error(operation))
}

pub(crate) async fn log_message(db: &Sqlite, message: Message) -> Result<()> {
    let content = sealed(&message.content, "log message")?;
    db.write("log message", move |tx| insert(tx, &message, &content))
        .await
}

fn insert(tx: &WriteTx<'_>, message: &Message, content: &[u8]) -> SqlResult<()> {
    tx.execute(
        "INSERT INTO messages (id, sender, recipient, type, content, created_at, delivered_at,
            state, deaths, reason)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        rusqlite::params![
            message.id,
            &message.from,
            &message.to,
            message.kind,
            content,
            message.created_at,
            message.delivered_at,
            message.state,
            message.deaths,
            &message.reason,
        ],
    )?;
    Ok(())
}

pub(crate) async fn send_message(db: &Sqlite, new: NewMessage) -> Result<(Message, bool)> {
    let content = sealed(&new.content, "send message")?;
    let bytes = content.len().saturating_sub(1);
    if bytes > MAX_CONTENT_BYTES {
        return Err(StoreError::TooLarge(format!(
            "content: {bytes} bytes are more than {MAX_CONTENT_BYTES}; pass what is large as an \
             artifact"
        )));
    }
    db.write("send message", move |tx| send(tx, &new, &content))
        .await
}

pub(super) fn send(
    tx: &mut WriteTx<'_>,
    new: &NewMessage,
    content: &[u8],
) -> SqlResult<(Message, bool)> {
    if let Some(first) = seen_before(tx, SCOPE, new.idempotency.as_ref())? {
        let id = MessageId::from_bytes(first);
        return Ok((by_id(tx, id)?.ok_or_else(|| unknown(id))?, true));
    }
    // Sent again, because whether it was stored was not known.
    if let Some(stored) = by_id(tx, new.id)? {
        return Ok((stored, true));
    }
    let waiting = tx.first(
        "SELECT count(*) FROM (SELECT 1 FROM messages
            WHERE recipient = ?1 AND state = 'waiting' LIMIT ?2)",
        (&new.to, MAX_WAITING),
        |row| row.get::<_, u32>(0),
    )?;
    if waiting.unwrap_or(0) >= MAX_WAITING {
        let what = format!("{MAX_WAITING} messages wait for '{}' already", new.to);
        return Err(Fault::Store(StoreError::Full(what)));
    }
    let message = Message::waiting(new, tx.now());
    insert(tx, &message, content)?;
    remember(tx, SCOPE, new.idempotency.as_ref(), new.id.as_bytes())?;
    Ok((message, false))
}

/// What waits for a recipient: of each sender the oldest.
pub(crate) async fn next_messages(db: &Sqlite, to: Name) -> Result<Vec<Message>> {
    db.read("next messages", move |conn| next(conn, &to)).await
}

pub(super) fn next(conn: &Connection, to: &Name) -> SqlResult<Vec<Message>> {
    let next = format!(
        "SELECT {COLUMNS} FROM messages WHERE key IN (SELECT min(key) FROM messages
            WHERE recipient = ?1 AND state = 'waiting' GROUP BY sender) ORDER BY key LIMIT ?2"
    );
    let rows = all(conn, &next, (to, MAX_HEADS), message)?;
    Ok(rows.into_iter().map(|(_, message)| message).collect())
}

pub(crate) async fn message_delivered(db: &Sqlite, id: MessageId) -> Result<()> {
    db.write("mark message", move |tx| delivered(tx, id)).await
}

pub(super) fn delivered(tx: &WriteTx<'_>, id: MessageId) -> SqlResult<()> {
    let mark = "UPDATE messages SET delivered_at = coalesce(delivered_at, ?2),
        state = 'delivered' WHERE id = ?1";
    match tx.execute(mark, (id, tx.now()))? {
        1 => Ok(()),
        _ => Err(unknown(id)),
    }
}

pub(crate) async fn message_killed(
    db: &Sqlite,
    id: MessageId,
    reason: String,
) -> Result<MessageState> {
    db.write("count a death", move |tx| killed(tx, id, &reason))
        .await
}

pub(super) fn killed(tx: &WriteTx<'_>, id: MessageId, reason: &str) -> SqlResult<MessageState> {
    let count = "UPDATE messages SET deaths = deaths + 1,
            state = CASE WHEN deaths + 1 >= ?2 THEN 'undeliverable' ELSE state END,
            reason = CASE WHEN deaths + 1 >= ?2 THEN ?3 ELSE reason END
        WHERE id = ?1 AND state = 'waiting' RETURNING state";
    let why = format!("{MAX_DEATHS} lives died while they held it, the last by: {reason}");
    tx.first(count, (id, MAX_DEATHS, why), |row| row.get(0))?
        .ok_or_else(|| unknown(id))
}

/// Every message, the oldest first.
#[cfg(test)]
pub(super) fn all_of(conn: &Connection) -> SqlResult<Vec<Message>> {
    let rows = all(
        conn,
        &format!("SELECT {COLUMNS} FROM messages ORDER BY key"),
        [],
        message,
    )?;
    Ok(rows.into_iter().map(|(_, message)| message).collect())
}

fn unknown(id: MessageId) -> Fault {
    Fault::Store(StoreError::NotFound {
        what: "message",
        name: id.to_string(),
    })
}

const COLUMNS: &str = "key, id, sender, recipient, type, content, created_at, delivered_at, state, \
                       deaths, reason";

fn by_id(tx: &WriteTx<'_>, id: MessageId) -> SqlResult<Option<Message>> {
    let one = format!("SELECT {COLUMNS} FROM messages WHERE id = ?1");
    Ok(tx.first(&one, [id], message)?.map(|(_, message)| message))
}

pub(crate) async fn messages(
    db: &Sqlite,
    filter: MessageFilter,
    page: PageRequest,
) -> Result<Page<Message>> {
    let bounds = Bounds::of(&page)?;
    db.read("list messages", move |conn| {
        let MessageFilter {
            to,
            from,
            kind,
            state,
        } = filter;
        let conditions: [(&str, Option<Box<dyn ToSql>>); 4] = [
            ("recipient", to.map(|to| Box::new(to) as _)),
            ("sender", from.map(|from| Box::new(from) as _)),
            ("type", kind.map(|kind| Box::new(kind) as _)),
            ("state", state.map(|state| Box::new(state) as _)),
        ];
        let mut list = format!("SELECT {COLUMNS} FROM messages WHERE key < ?");
        let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(bounds.below)];
        for (column, wanted) in conditions {
            if let Some(wanted) = wanted {
                list.push_str(&format!(" AND {column} = ?"));
                values.push(wanted);
            }
        }
        list.push_str(" ORDER BY key DESC LIMIT ?");
        values.push(Box::new(bounds.rows()));
        let rows = all(conn, &list, rusqlite::params_from_iter(values), message);
        Ok(bounds.page(rows?))
    })
    .await
}

fn message(row: &Row<'_>) -> rusqlite::Result<(i64, Message)> {
    let Sealed(content) = row.get(5)?;
    let message = Message {
        id: row.get(1)?,
        from: row.get(2)?,
        to: row.get(3)?,
        kind: row.get(4)?,
        content,
        created_at: row.get(6)?,
        delivered_at: row.get(7)?,
        state: row.get(8)?,
        deaths: row.get(9)?,
        reason: row.get(10)?,
    };
    Ok((row.get(0)?, message))
}
