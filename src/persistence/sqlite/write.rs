//! One write: an operation that runs inside the writer's transaction, and its answer.
//!
//! An operation is `Fn(&mut WriteTx) -> SqlResult<Reply>`. It may be carried out more than once
//! (when a neighbour in the batch had to be rolled back), of which at most one is committed, so it
//! borrows what it was given. One that refuses should do so before its first change: that is free,
//! while a refusal after a change runs the batch again.

use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row};

use super::fault::{Fault, SqlResult};
use crate::clock;
use crate::domain::event::{Event, EventData, NewEvent, TaskFact};
use crate::domain::ids::{EventId, SessionId};
use crate::domain::timestamp::Timestamp;
use crate::persistence::{Result, StoreError};

/// What the writes of one transaction have in common.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Journal rows. They are inserted together before the commit, and have no number until then.
    pub(super) events: Vec<Event>,
    /// The session that was last asked for, as it stands in this transaction.
    holder: Option<(SessionId, Holder)>,
}

/// Who holds the leases of a session, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) node: String,
    pub(super) expires_at: Timestamp,
}

impl Notes {
    /// Forgets what was read: the transaction is over, or a part of it was taken back.
    pub(super) fn forget(&mut self) {
        self.holder = None;
    }

    /// The journal rows of a commit; the next one finds as much room.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        let room = Vec::with_capacity(self.events.len());
        std::mem::replace(&mut self.events, room)
    }
}

/// The transaction, as one write sees it.
pub(crate) struct WriteTx<'c> {
    conn: &'c Connection,
    now: Timestamp,
    notes: &'c mut Notes,
}

impl<'c> WriteTx<'c> {
    pub(super) fn new(conn: &'c Connection, now: Timestamp, notes: &'c mut Notes) -> Self {
        Self { conn, now, notes }
    }

    /// Who holds a session's leases; read once a transaction.
    pub(super) fn holder(&mut self, session: SessionId) -> SqlResult<Option<&Holder>> {
        let known = |notes: &Notes| notes.holder.as_ref().is_some_and(|(id, _)| *id == session);
        if !known(self.notes) {
            let holder = "SELECT node, expires_at FROM sessions WHERE id = ?1";
            let found = self.first(holder, [session], |row| {
                Ok(Holder {
                    node: row.get(0)?,
                    expires_at: row.get(1)?,
                })
            })?;
            self.notes.holder = found.map(|holder| (session, holder));
        }
        Ok(self.notes.holder.as_ref().map(|(_, holder)| holder))
    }

    /// A session is written: what was read of it does not hold any more.
    pub(super) fn forget_holder(&mut self) {
        self.notes.forget();
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
        cached(self.conn, sql)
    }

    /// Runs a cached statement; says how many rows it changed.
    pub(crate) fn execute(&self, sql: &str, params: impl Params) -> SqlResult<usize> {
        Ok(cached(self.conn, sql)?.execute(params)?)
    }

    /// Runs a cached `INSERT` and gives back the row's integer key.
    pub(crate) fn insert(&self, sql: &str, params: impl Params) -> SqlResult<i64> {
        Ok(cached(self.conn, sql)?.insert(params)?)
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
    /// commit, and has its number only then.
    pub(crate) fn event(&mut self, event: NewEvent) -> SqlResult<()> {
        let NewEvent {
            kind,
            subject,
            at,
            data,
        } = event;
        self.append(kind, subject, at, EventData::of(&data), None);
        Ok(())
    }

    /// As [`Self::event`], about a task, now.
    pub(crate) fn task_event(
        &mut self,
        kind: &'static str,
        data: EventData,
        fact: TaskFact,
    ) -> SqlResult<()> {
        self.append(kind, fact.id.to_string(), self.now, data, Some(fact));
        Ok(())
    }

    fn append(
        &mut self,
        kind: &'static str,
        subject: String,
        at: Timestamp,
        data: EventData,
        task: Option<TaskFact>,
    ) {
        self.notes.events.push(Event {
            seq: 0,
            id: EventId::from_bytes(clock::new_id()),
            kind: kind.to_owned(),
            subject,
            at,
            data,
            task,
        });
    }
}

/// Every statement goes through here.
fn cached<'c>(conn: &'c Connection, sql: &str) -> SqlResult<CachedStatement<'c>> {
    #[cfg(test)]
    super::plans::ran(sql);
    Ok(conn.prepare_cached(sql)?)
}

/// The first row of a cached query, if there is one.
pub(crate) fn first<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> SqlResult<Option<T>> {
    Ok(cached(conn, sql)?.query_row(params, read).optional()?)
}

/// Every row of a cached query.
pub(crate) fn all<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> SqlResult<Vec<T>> {
    let mut statement = cached(conn, sql)?;
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
    /// Gives this refusal to the caller: it was never carried out.
    fn decline(self: Box<Self>, error: StoreError);
}

/// One write with its typed reply. Whoever waits is told once, whatever becomes of the write.
pub(super) struct Write<F, R, T: FnOnce(Result<R>)> {
    operation: &'static str,
    op: F,
    reply: Option<Result<R>>,
    then: Option<T>,
}

impl<F, R, T> Write<F, R, T>
where
    F: Fn(&mut WriteTx<'_>) -> SqlResult<R> + Send,
    R: Send,
    T: FnOnce(Result<R>) + Send,
{
    /// `then` is called on the writer's thread; it must not block.
    pub(super) fn new(operation: &'static str, op: F, then: T) -> Self {
        Self {
            operation,
            op,
            reply: None,
            then: Some(then),
        }
    }
}

impl<F, R, T> Job for Write<F, R, T>
where
    F: Fn(&mut WriteTx<'_>) -> SqlResult<R> + Send,
    R: Send,
    T: FnOnce(Result<R>) + Send,
{
    fn run(&mut self, tx: &mut WriteTx<'_>) -> std::result::Result<(), Fault> {
        self.reply = Some(Ok((self.op)(tx)?));
        Ok(())
    }

    fn refuse(&mut self, fault: Fault) {
        self.reply = Some(Err(fault.into_error(self.operation)));
    }

    fn answer(mut self: Box<Self>, lost: Option<&Fault>) {
        let reply = match (lost, self.reply.take()) {
            (Some(fault), _) => Err(fault.as_error(self.operation)),
            (None, Some(reply)) => reply,
            (None, None) => Err(unanswered(self.operation)),
        };
        self.tell(reply);
    }

    fn decline(mut self: Box<Self>, error: StoreError) {
        self.tell(Err(error));
    }
}

impl<F, R, T: FnOnce(Result<R>)> Write<F, R, T> {
    fn tell(&mut self, reply: Result<R>) {
        if let Some(then) = self.then.take() {
            then(reply);
        }
    }
}

impl<F, R, T: FnOnce(Result<R>)> Drop for Write<F, R, T> {
    /// Its writer died with it: a reply that was not given out may never have been committed.
    fn drop(&mut self) {
        self.tell(Err(unanswered(self.operation)));
    }
}

/// The error of a write whose writer died with it.
fn unanswered(operation: &'static str) -> StoreError {
    StoreError::Unavailable {
        operation,
        message: "the writer ended before it answered; whether it was stored is not known".into(),
    }
}
