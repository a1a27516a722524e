//! Tasks on SQLite: submission, claims, settlements, rescue.

#![allow(clippy::todo, unused_variables, reason = "signatures agreed first")]

use super::Sqlite;
use super::{SqlResult, WriteTx};
use crate::domain::ids::{LeaseId, SessionId, TaskId};
use crate::domain::query::{
    Cancelled, ClaimedTask, Page, PageRequest, QueueStats, Settled, Settlement, SlotOffer,
    Submitted, TaskFilter,
};
use crate::domain::task::{NewTask, Progress, Task, TaskAttempt, TaskState};
use crate::persistence::Result;
use std::time::Duration;

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
    todo!()
}

pub(crate) async fn create_task(
    db: &Sqlite,
    session: SessionId,
    task: NewTask,
    offer: Option<SlotOffer>,
) -> Result<Submitted> {
    todo!()
}

pub(crate) async fn claim(
    db: &Sqlite,
    session: SessionId,
    offers: Vec<SlotOffer>,
) -> Result<Vec<ClaimedTask>> {
    todo!()
}

pub(crate) async fn settle(
    db: &Sqlite,
    session: SessionId,
    settlement: Settlement,
) -> Result<Settled> {
    todo!()
}

pub(crate) async fn update_progress(
    db: &Sqlite,
    task: TaskId,
    lease: LeaseId,
    progress: Progress,
) -> Result<()> {
    todo!()
}

pub(crate) async fn update_task_status(
    db: &Sqlite,
    task: TaskId,
    to: TaskState,
    reason: &str,
) -> Result<Task> {
    todo!()
}

pub(crate) async fn cancel_task(db: &Sqlite, task: TaskId, reason: &str) -> Result<Cancelled> {
    todo!()
}

pub(crate) async fn retry_task(db: &Sqlite, task: TaskId) -> Result<Task> {
    todo!()
}

pub(crate) async fn queue_due(db: &Sqlite) -> Result<(u64, Option<Duration>)> {
    todo!()
}

pub(crate) async fn task(db: &Sqlite, id: TaskId) -> Result<Task> {
    todo!()
}

pub(crate) async fn tasks(
    db: &Sqlite,
    filter: TaskFilter,
    page: PageRequest,
) -> Result<Page<Task>> {
    todo!()
}

pub(crate) async fn task_attempts(db: &Sqlite, id: TaskId) -> Result<Vec<TaskAttempt>> {
    todo!()
}

pub(crate) async fn queues(db: &Sqlite) -> Result<Vec<QueueStats>> {
    todo!()
}

pub(crate) async fn queued_by_target(db: &Sqlite) -> Result<Vec<(String, u64)>> {
    todo!()
}
