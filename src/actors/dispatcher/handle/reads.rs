//! What can be read of work; straight from the store, the dispatcher is not asked.

use super::DispatcherHandle;
use crate::actors::dispatcher::{AgentLoad, Result};
use crate::domain::ids::{TaskId, WorkflowId};
use crate::domain::query::{Page, PageRequest, QueueStats, TaskFilter, WorkflowFilter};
use crate::domain::task::{Target, Task, TaskAttempt};
use crate::domain::workflow::{Workflow, WorkflowDefinition, WorkflowState};

impl DispatcherHandle {
    /// One task.
    ///
    /// # Errors
    /// If there is none, or the database is away.
    pub async fn task(&self, id: TaskId) -> Result<Task> {
        Ok(self.store().task(id).await?)
    }

    /// A page of tasks, newest first.
    ///
    /// # Errors
    /// If the cursor is none, or the database is away.
    pub async fn tasks(&self, filter: TaskFilter, page: PageRequest) -> Result<Page<Task>> {
        Ok(self.store().tasks(filter, page).await?)
    }

    /// The executions of a task, in order.
    ///
    /// # Errors
    /// If there is no such task, or the database is away.
    pub async fn task_attempts(&self, id: TaskId) -> Result<Vec<TaskAttempt>> {
        Ok(self.store().task_attempts(id).await?)
    }

    /// One workflow.
    ///
    /// # Errors
    /// If there is none, or the database is away.
    pub async fn workflow(&self, id: WorkflowId) -> Result<Workflow> {
        Ok(self.store().workflow(id).await?)
    }

    /// A page of workflows, newest first.
    ///
    /// # Errors
    /// If the cursor is none, or the database is away.
    pub async fn workflows(
        &self,
        filter: WorkflowFilter,
        page: PageRequest,
    ) -> Result<Page<Workflow>> {
        Ok(self.store().workflows(filter, page).await?)
    }

    /// The definition that a workflow runs.
    ///
    /// # Errors
    /// If there is no such workflow, or the database is away.
    pub async fn workflow_definition(&self, id: WorkflowId) -> Result<WorkflowDefinition> {
        Ok(self.store().workflow_definition(id).await?)
    }

    /// How many workflows stand in which state.
    ///
    /// # Errors
    /// If the database is away.
    pub async fn workflow_counts(&self) -> Result<Vec<(WorkflowState, u64)>> {
        Ok(self.store().workflow_counts().await?)
    }

    /// What stands in each queue.
    ///
    /// # Errors
    /// If the database is away.
    pub async fn queues(&self) -> Result<Vec<QueueStats>> {
        Ok(self.store().queues().await?)
    }

    /// What each agent carries: every known agent, and every one that holds something.
    ///
    /// # Errors
    /// If the database is away.
    pub async fn loads(&self) -> Result<Vec<AgentLoad>> {
        let waiting = self.store().queue_depths().await?;
        let mut loads = self.loads_without_depth();
        for (target, count) in waiting {
            let (Target::Agent(agent) | Target::Role(agent)) = target else {
                continue;
            };
            if let Some(load) = loads.iter_mut().find(|load| load.agent == agent) {
                load.depth += count;
            }
        }
        Ok(loads)
    }

    /// What each agent carries, without what waits for it; answers from memory.
    #[must_use]
    pub fn loads_without_depth(&self) -> Vec<AgentLoad> {
        let known = self.0.known.agents();
        self.0.memory.lock().desk.loads(known.into_iter())
    }
}
