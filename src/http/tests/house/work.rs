//! Durable work of the house: straight to its store.

use std::time::Duration;

use futures_util::FutureExt;
use serde_json::Value;

use super::Rooms;
use crate::domain::ids::{TaskId, WorkflowId};
use crate::domain::query::Submitted;
use crate::domain::task::{NewTask, Task};
use crate::domain::workflow::{NewWorkflow, Workflow};
use crate::http::{Answer, Work};

impl Work for Rooms {
    fn submit(&self, task: NewTask) -> Answer<'_, Submitted> {
        async move { Ok(self.store.create_task(self.session, task, None).await?) }.boxed()
    }
    fn task_wait(&self, id: TaskId, at_most: Duration) -> Answer<'_, Task> {
        async move {
            let task = self.store.task(id).await?;
            if !task.state.is_final() {
                tokio::time::sleep(at_most).await;
            }
            Ok(task)
        }
        .boxed()
    }
    fn cancel_task(&self, id: TaskId, reason: String) -> Answer<'_, Task> {
        async move {
            self.store.cancel_task(id, &reason).await?;
            Ok(self.store.task(id).await?)
        }
        .boxed()
    }
    fn retry_task(&self, id: TaskId) -> Answer<'_, Task> {
        async move { Ok(self.store.retry_task(id).await?) }.boxed()
    }
    fn run_workflow(&self, workflow: NewWorkflow) -> Answer<'_, (Workflow, bool)> {
        async move { Ok(self.store.create_workflow(workflow).await?) }.boxed()
    }
    fn workflow_wait(&self, id: WorkflowId, _at_most: Duration) -> Answer<'_, Workflow> {
        async move { Ok(self.store.workflow(id).await?) }.boxed()
    }
    fn cancel_workflow(&self, id: WorkflowId, reason: String) -> Answer<'_, Workflow> {
        async move {
            self.store.cancel_workflow(id, &reason).await?;
            Ok(self.store.workflow(id).await?)
        }
        .boxed()
    }
    fn signal_workflow(
        &self,
        id: WorkflowId,
        signal: String,
        payload: Value,
    ) -> Answer<'_, Workflow> {
        async move {
            Ok(self
                .store
                .signal_workflow(id, &signal, payload)
                .await?
                .workflow)
        }
        .boxed()
    }
    fn retry_workflow(&self, id: WorkflowId) -> Answer<'_, Workflow> {
        async move { Ok(self.store.retry_workflow(id).await?) }.boxed()
    }
}
