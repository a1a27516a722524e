//! Workflows in SQLite: creation, and what the end of a task means for those that wait for it.
//!
//! A workflow is rows of *steps*, one for each task of its definition, that count what they still
//! wait for; a step opens when the count is zero. So the end of a task costs as much as it changes,
//! not as much as the workflow is large. A step with `for_each` has one task for each item, made
//! when it opens, in the transaction that finished what it waited for.

mod advance;
mod control;
mod create;
mod end;
mod list;
mod open;
mod step;
mod undo;
mod wait;

use serde_json::Value;

pub(super) use self::advance::{Onward, task_ended};
pub(super) use self::control::cancel as cancel_in;
pub(super) use self::create::create as create_in;
use self::list::workflow as read;
use super::Sqlite;
use crate::domain::ids::WorkflowId;
use crate::domain::query::{Cancelled, Expired, Page, PageRequest, Signalled, WorkflowFilter};
use crate::domain::workflow::{NewWorkflow, Workflow, WorkflowDefinition, WorkflowState};
use crate::persistence::Result;

pub(crate) async fn create_workflow(
    db: &Sqlite,
    workflow: NewWorkflow,
) -> Result<(Workflow, bool)> {
    db.write("create a workflow", move |tx| create::create(tx, &workflow))
        .await
}

pub(crate) async fn update_workflow_status(
    db: &Sqlite,
    workflow: WorkflowId,
    to: WorkflowState,
    reason: &str,
) -> Result<Workflow> {
    let reason = reason.to_owned();
    db.write("move a workflow", move |tx| {
        control::move_by_hand(tx, workflow, to, &reason)
    })
    .await
}

pub(crate) async fn cancel_workflow(
    db: &Sqlite,
    workflow: WorkflowId,
    reason: &str,
) -> Result<Cancelled> {
    let reason = reason.to_owned();
    db.write("cancel a workflow", move |tx| {
        control::cancel(tx, workflow, &reason)
    })
    .await
}

pub(crate) async fn retry_workflow(db: &Sqlite, workflow: WorkflowId) -> Result<Workflow> {
    db.write("retry a workflow", move |tx| control::retry(tx, workflow))
        .await
}

pub(crate) async fn signal_workflow(
    db: &Sqlite,
    workflow: WorkflowId,
    signal: &str,
    payload: Value,
) -> Result<Signalled> {
    let signal = signal.to_owned();
    db.write("signal a workflow", move |tx| {
        wait::signal(tx, workflow, &signal, &payload)
    })
    .await
}

pub(crate) async fn expire_waits(db: &Sqlite) -> Result<Expired> {
    db.write("end waits", wait::expire).await
}

pub(crate) async fn workflow(db: &Sqlite, id: WorkflowId) -> Result<Workflow> {
    db.read("read a workflow", move |conn| list::workflow(conn, id))
        .await
}

pub(crate) async fn workflows(
    db: &Sqlite,
    filter: WorkflowFilter,
    page: PageRequest,
) -> Result<Page<Workflow>> {
    db.read("list workflows", move |conn| {
        list::workflows(conn, &filter, &page)
    })
    .await
}

pub(crate) async fn workflow_definition(db: &Sqlite, id: WorkflowId) -> Result<WorkflowDefinition> {
    db.read("read a definition", move |conn| list::definition(conn, id))
        .await
}

pub(crate) async fn workflow_counts(db: &Sqlite) -> Result<Vec<(WorkflowState, u64)>> {
    db.read("count workflows", list::counts).await
}

#[cfg(test)]
pub(super) mod harness;
#[cfg(test)]
mod tests;
