//! Sessions on SQLite. The file has one owner, so a new session ends every earlier one.

use std::time::Duration;

use super::tasks;
use super::{SqlResult, Sqlite, WriteTx};
use crate::clock;
use crate::domain::ids::SessionId;
use crate::domain::record::Session;
use crate::persistence::{Result, SessionStart, StoreError};

pub(crate) async fn begin_session(
    db: &Sqlite,
    node: &str,
    pid: u32,
    lease: Duration,
) -> Result<SessionStart> {
    let node = node.to_owned();
    db.write("begin session", move |tx| begin(tx, &node, pid, lease))
        .await
}

fn begin(tx: &mut WriteTx<'_>, node: &str, pid: u32, lease: Duration) -> SqlResult<SessionStart> {
    tx.forget_holder();
    let now = tx.now();
    let term = "SELECT coalesce(max(term), 0) + 1 FROM sessions";
    let session = Session {
        id: SessionId::from_bytes(clock::new_id()),
        node: node.to_owned(),
        term: tx.first(term, [], |row| row.get(0))?.unwrap_or(1),
        pid,
        started_at: now,
        expires_at: now.after(lease),
        ended_at: None,
    };
    let lost = tx.execute(
        "UPDATE sessions SET ended_at = ?1 WHERE ended_at IS NULL",
        [now],
    )?;
    tx.execute(
        "INSERT INTO sessions (id, node, term, pid, started_at, expires_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (session.id, node, session.term, pid, now, session.expires_at),
    )?;
    let rescued = tasks::rescue(tx, session.id)?;
    Ok(SessionStart {
        session,
        lost_sessions: u64::try_from(lost).unwrap_or(0),
        rescued: rescued.queued,
        dead: rescued.dead,
    })
}

pub(crate) async fn renew_session(db: &Sqlite, session: SessionId, lease: Duration) -> Result<()> {
    db.write("renew session", move |tx| {
        tx.forget_holder();
        let renew = "UPDATE sessions SET expires_at = ?2 WHERE id = ?1 AND ended_at IS NULL";
        let renewed = tx.execute(renew, (session, tx.now().after(lease)))?;
        if renewed == 1 {
            Ok(())
        } else {
            Err(gone(session).into())
        }
    })
    .await
}

pub(crate) async fn end_session(db: &Sqlite, session: SessionId) -> Result<()> {
    db.write("end session", move |tx| {
        tx.forget_holder();
        let end = "UPDATE sessions SET ended_at = coalesce(ended_at, ?2) WHERE id = ?1";
        let ended = tx.execute(end, (session, tx.now()))?;
        if ended == 1 {
            Ok(())
        } else {
            Err(gone(session).into())
        }
    })
    .await
}

/// Takes back what no living session holds.
pub(crate) async fn rescue(db: &Sqlite, session: SessionId) -> Result<u64> {
    db.write("rescue", move |tx| Ok(tasks::rescue(tx, session)?.queued))
        .await
}

fn gone(session: SessionId) -> StoreError {
    StoreError::NotFound {
        what: "running session",
        name: session.to_string(),
    }
}
