//! One write: an operation that runs inside the writer's transaction, and its answer.
//!
//! An operation is `Fn(&mut WriteTx) -> SqlResult<Reply>`. It may be carried out more than once
//! (when a neighbour in the batch had to be rolled back), of which at most one is committed, so it
//! borrows what it was given. One that refuses should do so before its first change: that is free,
//! while a refusal after a change runs the batch again.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};
use tokio::sync::oneshot;

use super::fault::{Fault, SqlResult};
use crate::clock;
use crate::domain::event::{Event, NewEvent};
use crate::domain::ids::EventId;
use crate::domain::timestamp::Timestamp;
use crate::persistence::{Result, StoreError};

/// The transaction, as one write sees it.
pub(crate) struct WriteTx<'c> {
    conn: &'c Connection,
    now: Timestamp,
    events: &'c mut Vec<Event>,
}

impl<'c> WriteTx<'c> {
    pub(super) fn new(conn: &'c Connection, now: Timestamp, events: &'c mut Vec<Event>) -> Self {
        Self { conn, now, events }
    }

    /// The instant of this transaction.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// The connection, inside the transaction. Never begin or end one on it.
    pub(crate) fn conn(&self) -> &'c Connection {
        self.conn
    }

    /// A cached statement.
    pub(crate) fn prepare(&self, sql: &str) -> SqlResult<CachedStatement<'c>> {
        Ok(self.conn.prepare_cached(sql)?)
    }

    /// Runs a cached statement; says how many rows it changed.
    pub(crate) fn execute(&self, sql: &str, params: impl Params) -> SqlResult<usize> {
        Ok(self.conn.prepare_cached(sql)?.execute(params)?)
    }

    /// Runs a cached `INSERT` and gives back the row's integer key.
    pub(crate) fn insert(&self, sql: &str, params: impl Params) -> SqlResult<i64> {
        Ok(self.conn.prepare_cached(sql)?.insert(params)?)
    }

    /// The first row of a cached query, if there is one.
    pub(crate) fn first<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> SqlResult<Option<T>> {
        first(self.conn, sql, params, read)
    }

    /// Every row of a cached query.
    pub(crate) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> SqlResult<Vec<T>> {
        all(self.conn, sql, params, read)
    }

    /// Puts a fact into the journal: its row is part of this write, it is published after the
    /// commit.
    pub(crate) fn event(&mut self, event: NewEvent) -> SqlResult<()> {
        let id = EventId::from_bytes(clock::new_id());
        let seq = self.insert(
            "INSERT INTO events (id, type, subject, at, data) VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                id,
                event.kind,
                &event.subject,
                event.at,
                event.data.to_string(),
            ),
        )?;
        self.events.push(Event {
            seq,
            id,
            kind: event.kind.to_owned(),
            subject: event.subject,
            at: event.at,
            data: event.data,
        });
        Ok(())
    }
}

/// The first row of a cached query, if there is one.
pub(crate) fn first<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> SqlResult<Option<T>> {
    Ok(conn
        .prepare_cached(sql)?
        .query_row(params, read)
        .optional()?)
}

/// Every row of a cached query.
pub(crate) fn all<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> SqlResult<Vec<T>> {
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params, read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// A write on the queue, its reply's type forgotten.
pub(super) trait Job: Send {
    /// Carries it out inside the transaction; the reply is kept until [`Job::answer`].
    /// An error means that it must leave no trace; how far it reaches decides what follows.
    fn run(&mut self, tx: &mut WriteTx<'_>) -> std::result::Result<(), Fault>;
    /// Keeps a refusal as the reply.
    fn refuse(&mut self, fault: Fault);
    /// Gives the kept reply to the caller; `lost` overrules it.
    fn answer(self: Box<Self>, lost: Option<&Fault>);
}

/// One write with its typed reply.
pub(super) struct Write<F, R> {
    operation: &'static str,
    op: F,
    reply: Option<Result<R>>,
    caller: oneshot::Sender<Result<R>>,
}

impl<F, R> Write<F, R>
where
    F: Fn(&mut WriteTx<'_>) -> SqlResult<R> + Send,
    R: Send,
{
    pub(super) fn new(operation: &'static str, op: F) -> (Self, oneshot::Receiver<Result<R>>) {
        let (caller, answer) = oneshot::channel();
        let write = Self {
            operation,
            op,
            reply: None,
            caller,
        };
        (write, answer)
    }
}

impl<F, R> Job for Write<F, R>
where
    F: Fn(&mut WriteTx<'_>) -> SqlResult<R> + Send,
    R: Send,
{
    fn run(&mut self, tx: &mut WriteTx<'_>) -> std::result::Result<(), Fault> {
        self.reply = Some(Ok((self.op)(tx)?));
        Ok(())
    }

    fn refuse(&mut self, fault: Fault) {
        self.reply = Some(Err(fault.into_error(self.operation)));
    }

    fn answer(self: Box<Self>, lost: Option<&Fault>) {
        let reply = match (lost, self.reply) {
            (Some(fault), _) => Err(fault.as_error(self.operation)),
            (None, Some(reply)) => reply,
            (None, None) => Err(unanswered(self.operation)),
        };
        // A caller who has gone away does not want the answer.
        drop(self.caller.send(reply));
    }
}

/// The error of a write whose writer died with it.
pub(super) fn unanswered(operation: &'static str) -> StoreError {
    StoreError::Unavailable {
        operation,
        message: "the writer ended before it answered; whether it was stored is not known".into(),
    }
}
