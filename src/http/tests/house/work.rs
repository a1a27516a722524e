//! Durable work of the house: straight to its store.

use std::time::Duration;

use futures_util::FutureExt;
use serde_json::Value;

use super::Rooms;
use crate::domain::ids::{TaskId, WorkflowId};
use crate::domain::name::Name;
use crate::domain::query::{QueueState, Submitted};
use crate::domain::task::{NewTask, Task};
use crate::domain::timestamp::Timestamp;
use crate::domain::workflow::{NewWorkflow, Workflow};
use crate::http::{Answer, Problem, Work};

impl Work for Rooms {
    fn submit(&self, task: NewTask) -> Answer<'_, Submitted> {
        async move { Ok(self.store.create_task(self.session, task, None).await?) }.boxed()
    }
    fn queues(&self) -> Answer<'_, Vec<QueueState>> {
        async move {
            let stats = self.store.queues().await?;
            let state = |stats: crate::domain::query::QueueStats| QueueState {
                spec: crate::domain::queue::QueueSpec::plain(stats.queue.clone()),
                stats,
                pause: None,
            };
            Ok(stats.into_iter().map(state).collect())
        }
        .boxed()
    }
    fn queue(&self, name: Name) -> Answer<'_, QueueState> {
        async move {
            let all = self.queues().await?;
            let near = crate::domain::name::nearest(
                name.as_str(),
                all.iter().map(|it| it.spec.name.as_str()),
            );
            let missing = Problem::not_found("queue", name.as_str(), near);
            all.into_iter()
                .find(|it| it.spec.name == name)
                .ok_or(missing)
        }
        .boxed()
    }
    fn pause_queue(
        &self,
        name: Name,
        _: Option<Timestamp>,
        _: Option<String>,
    ) -> Answer<'_, QueueState> {
        self.queue(name)
    }
    fn resume_queue(&self, name: Name) -> Answer<'_, QueueState> {
        self.queue(name)
    }
    fn run_task(&self, task: NewTask, at_most: Duration) -> Answer<'_, Submitted> {
        async move {
            let submitted = self.submit(task).await?;
            let task = self.task_wait(submitted.task.id, at_most).await?;
            Ok(Submitted { task, ..submitted })
        }
        .boxed()
    }
    fn task_wait(&self, id: TaskId, at_most: Duration) -> Answer<'_, Task> {
        async move {
            let task = self.store.task(id).await?;
            if !task.state.is_final() {
                self.waiting.send_modify(|waiting| *waiting += 1);
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
