//! Workflows on SQLite.

#![allow(clippy::todo, unused_variables, reason = "signatures agreed first")]

use super::Sqlite;
use crate::domain::ids::WorkflowId;
use crate::domain::query::{Cancelled, Page, PageRequest, WorkflowFilter};
use crate::domain::workflow::{NewWorkflow, Workflow, WorkflowDefinition, WorkflowState};
use crate::persistence::Result;

pub(crate) async fn create_workflow(
    db: &Sqlite,
    workflow: NewWorkflow,
) -> Result<(Workflow, bool)> {
    todo!()
}

pub(crate) async fn update_workflow_status(
    db: &Sqlite,
    workflow: WorkflowId,
    to: WorkflowState,
    reason: &str,
) -> Result<Workflow> {
    todo!()
}

pub(crate) async fn cancel_workflow(
    db: &Sqlite,
    workflow: WorkflowId,
    reason: &str,
) -> Result<Cancelled> {
    todo!()
}

pub(crate) async fn retry_workflow(db: &Sqlite, workflow: WorkflowId) -> Result<Workflow> {
    todo!()
}

pub(crate) async fn workflow(db: &Sqlite, id: WorkflowId) -> Result<Workflow> {
    todo!()
}

pub(crate) async fn workflows(
    db: &Sqlite,
    filter: WorkflowFilter,
    page: PageRequest,
) -> Result<Page<Workflow>> {
    todo!()
}

pub(crate) async fn workflow_definition(db: &Sqlite, id: WorkflowId) -> Result<WorkflowDefinition> {
    todo!()
}

pub(crate) async fn workflow_counts(db: &Sqlite) -> Result<Vec<(WorkflowState, u64)>> {
    todo!()
}
