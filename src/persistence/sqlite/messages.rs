//! Messages between agents on SQLite.

use rusqlite::Row;

use super::{Fault, Sealed, Sqlite, all};
use crate::domain::ids::MessageId;
use crate::domain::name::Name;
use crate::domain::query::{Page, PageRequest};
use crate::domain::record::Message;
use crate::persistence::codec;
use crate::persistence::cursor::Bounds;
use crate::persistence::{Result, StoreError};

/// Sealed by the caller: everybody waits for the writer's time.
pub(crate) async fn log_message(db: &Sqlite, message: Message) -> Result<()> {
    let content = codec::seal(&message.content)
        .map_err(|error| Fault::from(error).into_error("log message"))?;
    db.write("log message", move |tx| {
        tx.execute(
            "INSERT INTO messages (id, sender, recipient, type, content, created_at, delivered_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                message.id,
                &message.from,
                &message.to,
                &message.kind,
                &content,
                message.created_at,
                message.delivered_at,
            ),
        )?;
        Ok(())
    })
    .await
}

pub(crate) async fn message_delivered(db: &Sqlite, id: MessageId) -> Result<()> {
    db.write("mark message", move |tx| {
        let mark = "UPDATE messages SET delivered_at = coalesce(delivered_at, ?2) WHERE id = ?1";
        match tx.execute(mark, (id, tx.now()))? {
            1 => Ok(()),
            _ => Err(StoreError::NotFound {
                what: "message",
                name: id.to_string(),
            }
            .into()),
        }
    })
    .await
}

const COLUMNS: &str = "key, id, sender, recipient, type, content, created_at, delivered_at";

pub(crate) async fn messages(
    db: &Sqlite,
    to: Option<Name>,
    page: PageRequest,
) -> Result<Page<Message>> {
    let bounds = Bounds::of(&page)?;
    db.read("list messages", move |conn| {
        let rows = match to {
            Some(to) => {
                let list = format!(
                    "SELECT {COLUMNS} FROM messages WHERE recipient = ?1 AND key < ?2
                     ORDER BY key DESC LIMIT ?3"
                );
                all(conn, &list, (to, bounds.below, bounds.rows()), message)
            }
            None => {
                let list = format!(
                    "SELECT {COLUMNS} FROM messages WHERE key < ?1 ORDER BY key DESC LIMIT ?2"
                );
                all(conn, &list, (bounds.below, bounds.rows()), message)
            }
        };
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
    };
    Ok((row.get(0)?, message))
}
