//! For tests elsewhere in the store: what is done to workflows, inside one write.

use serde_json::Value;

use super::{control, list, wait};
use crate::domain::ids::WorkflowId;
use crate::domain::query::{Expired, Signalled};
use crate::domain::workflow::Workflow;
use crate::persistence::StoreError;
use crate::persistence::sqlite::tasks::harness::Db;

impl Db {
    pub(in crate::persistence::sqlite) fn workflow(&self, id: WorkflowId) -> Workflow {
        list::workflow(&self.conn, id).unwrap()
    }

    pub(in crate::persistence::sqlite) fn signal(
        &mut self,
        id: WorkflowId,
        name: &str,
        payload: &Value,
    ) -> Result<Signalled, StoreError> {
        self.write(|tx| wait::signal(tx, id, name, payload))
    }

    pub(in crate::persistence::sqlite) fn expire_waits(&mut self) -> Expired {
        self.write(wait::expire).unwrap()
    }

    pub(in crate::persistence::sqlite) fn retry_workflow(
        &mut self,
        id: WorkflowId,
    ) -> Result<Workflow, StoreError> {
        self.write(|tx| control::retry(tx, id))
    }
}
