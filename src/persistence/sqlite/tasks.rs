//! Tasks in SQLite: creation, claims, settlements, cancel, retry, what is due, what a lost session
//! held.
//!
//! The operations stand here; the modules below do them inside one write each. They ask the
//! transition function before they move a task; every edge leaves its event in the same
//! transaction. A result counts only under the lease that the task stands under now.
//!
//! Not here: what the end of a task means for its workflow ([`super::workflows`]).

pub(super) mod census;
mod claim;
mod control;
mod create;
mod expiry;
mod facts;
mod held_back;
pub(super) mod limits;
mod list;
mod pages;
mod pauses;
mod row;
mod settle;

use std::sync::Arc;

pub(crate) use self::census::queues;
pub(super) use self::claim::begin_workflow;
pub(super) use self::control::{cancel as cancel_in, cancelled_error};
pub(super) use self::create::{Extras, NewRow, insert, remember, seen_before};
pub(super) use self::facts::{Change, move_to};
pub(super) use self::pages::{cursor_key, page_limit};
pub(super) use self::row::{TaskRow, rows_of_workflow};
use super::{SqlResult, Sqlite, WriteTx};
use crate::domain::ids::{LeaseId, SessionId, TaskId};
use crate::domain::name::Name;
use crate::domain::query::{
    Cancelled, Claims, DueWork, HeldBack, Page, PageRequest, Settled, Settlement, SlotOffer,
    Submitted, TaskFilter,
};
use crate::domain::queue::QueuePause;
use crate::domain::task::{NewTask, Progress, Target, Task, TaskAttempt, TaskState};
use crate::domain::timestamp::Timestamp;
use crate::persistence::Result;

/// What a rescue did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rescued {
    /// Tasks that went back to their queues.
    pub(crate) queued: u64,
    /// Tasks that had been interrupted too often.
    pub(crate) dead: u64,
}

/// Takes back every running task that this session does not hold.
pub(crate) fn rescue(tx: &mut WriteTx<'_>, session: SessionId) -> SqlResult<Rescued> {
    control::rescue(tx, session)
}

/// Stores a task as part of another write.
pub(super) fn create_in(
    tx: &mut WriteTx<'_>,
    session: SessionId,
    task: &NewTask,
) -> SqlResult<Submitted> {
    // Rules say what is handed out; nothing is here.
    create::create(tx, session, task, None, &Default::default())
}

pub(crate) async fn create_task(
    db: &Sqlite,
    session: SessionId,
    task: NewTask,
    offer: Option<SlotOffer>,
) -> Result<Submitted> {
    let rules = db.rules();
    db.write("create task", move |tx| {
        create::create(tx, session, &task, offer.as_ref(), &rules)
    })
    .await
}

pub(crate) fn create_task_then(
    db: &Sqlite,
    session: SessionId,
    task: NewTask,
    offer: Option<SlotOffer>,
    then: impl FnOnce(Result<Submitted>) + Send + 'static,
) {
    let rules = db.rules();
    let create =
        move |tx: &mut WriteTx<'_>| create::create(tx, session, &task, offer.as_ref(), &rules);
    db.write_then("create task", create, then);
}

pub(crate) async fn claim(
    db: &Sqlite,
    session: SessionId,
    offers: Vec<SlotOffer>,
) -> Result<Claims> {
    let rules = db.rules();
    db.write("claim tasks", move |tx| {
        claim::claim(tx, session, &offers, &rules)
    })
    .await
}

/// The lease fences on SQLite, where a session that ended holds none; the session is for backends
/// where several daemons write.
pub(crate) async fn settle(
    db: &Sqlite,
    _session: SessionId,
    settlement: Settlement,
) -> Result<Settled> {
    db.write("settle a task", move |tx| settle::settle(tx, &settlement))
        .await
}

/// As [`settle()`]; what is settled comes back with the answer.
pub(crate) fn settle_then(
    db: &Sqlite,
    _session: SessionId,
    settlement: Settlement,
    then: impl FnOnce(Settlement, Result<Settled>) + Send + 'static,
) {
    let settlement = Arc::new(settlement);
    let kept = Arc::clone(&settlement);
    let settle = move |tx: &mut WriteTx<'_>| settle::settle(tx, &settlement);
    db.write_then("settle a task", settle, move |settled| {
        then(Arc::unwrap_or_clone(kept), settled);
    });
}

pub(crate) async fn update_progress(
    db: &Sqlite,
    task: TaskId,
    lease: LeaseId,
    progress: Progress,
) -> Result<()> {
    db.write("keep progress", move |tx| {
        control::progress(tx, task, lease, &progress)
    })
    .await
}

pub(crate) async fn update_task_status(
    db: &Sqlite,
    task: TaskId,
    to: TaskState,
    reason: &str,
) -> Result<Task> {
    let reason = reason.to_owned();
    db.write("move a task", move |tx| {
        control::move_by_hand(tx, task, to, &reason)
    })
    .await
}

pub(crate) async fn cancel_task(db: &Sqlite, task: TaskId, reason: &str) -> Result<Cancelled> {
    let reason = reason.to_owned();
    db.write("cancel a task", move |tx| {
        control::cancel(tx, task, &reason)
    })
    .await
}

pub(crate) async fn retry_task(db: &Sqlite, task: TaskId) -> Result<Task> {
    db.write("retry a task", move |tx| control::retry(tx, task))
        .await
}

pub(crate) async fn queue_due(db: &Sqlite) -> Result<DueWork> {
    let rules = db.rules();
    db.write("queue what is due", move |tx| {
        control::queue_due(tx, &rules)
    })
    .await
}

pub(crate) async fn purge_task(db: &Sqlite, task: TaskId) -> Result<()> {
    db.write("purge a task", move |tx| control::purge(tx, task))
        .await
}

pub(crate) async fn pause_queue(
    db: &Sqlite,
    queue: Name,
    until: Option<Timestamp>,
    reason: Option<String>,
) -> Result<()> {
    let rules = db.rules();
    db.write("pause a queue", move |tx| {
        pauses::pause(tx, &rules, &queue, until, reason.as_deref())
    })
    .await
}

pub(crate) async fn resume_queue(db: &Sqlite, queue: Name) -> Result<()> {
    db.write("resume a queue", move |tx| pauses::resume(tx, &queue))
        .await
}

pub(crate) async fn queue_pauses(db: &Sqlite) -> Result<Vec<QueuePause>> {
    db.read("list pauses", pauses::list).await
}

pub(crate) async fn task(db: &Sqlite, id: TaskId) -> Result<Task> {
    db.read("read a task", move |conn| list::task(conn, id))
        .await
}

pub(crate) async fn tasks(
    db: &Sqlite,
    filter: TaskFilter,
    page: PageRequest,
) -> Result<Page<Task>> {
    db.read("list tasks", move |conn| pages::tasks(conn, &filter, &page))
        .await
}

pub(crate) async fn task_attempts(db: &Sqlite, id: TaskId) -> Result<Vec<TaskAttempt>> {
    db.read("list attempts", move |conn| list::attempts(conn, id))
        .await
}

/// What holds a queued task back.
pub(crate) async fn held_back(db: &Sqlite, task: &Task) -> Result<HeldBack> {
    let (rules, now) = (db.rules(), crate::clock::now());
    let (queue, key) = (task.queue.clone(), task.concurrency_key.clone());
    db.read("read what holds a task back", move |conn| {
        held_back::read(conn, &rules, now, (queue.as_str(), key.as_deref()))
    })
    .await
}

pub(crate) async fn queued_by_target(db: &Sqlite) -> Result<Vec<(String, u64)>> {
    db.read("count queued tasks", list::queued_by_target).await
}

pub(crate) async fn queue_depths(db: &Sqlite) -> Result<Vec<(Target, u64)>> {
    db.read("count what waits", list::queue_depths).await
}

pub(crate) async fn held_by(db: &Sqlite, session: SessionId) -> Result<Vec<(TaskId, LeaseId)>> {
    db.read("list leases", move |conn| list::held_by(conn, session))
        .await
}

#[cfg(test)]
pub(super) use self::control::retry as retry_in;

#[cfg(test)]
mod control_tests;
#[cfg(test)]
mod ends_tests;
#[cfg(test)]
mod expiry_tests;
#[cfg(test)]
pub(super) mod harness;
#[cfg(test)]
mod limits_tests;
#[cfg(test)]
mod list_tests;
#[cfg(test)]
mod tests;
