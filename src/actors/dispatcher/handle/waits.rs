//! Waiting for what was handed in: commits tell of its end, nobody asks again and again.

use std::time::Duration;

use tokio::time::Instant;

use super::DispatcherHandle;
use crate::actors::dispatcher::Result;
use crate::actors::dispatcher::feed::Kept;
use crate::domain::ids::{TaskId, WorkflowId};
use crate::domain::query::Submitted;
use crate::domain::task::{NewTask, Task, TaskState};
use crate::domain::workflow::Workflow;

impl DispatcherHandle {
    /// Stores a task and gives it when it is final, or as it is after `timeout`. Cheaper than a
    /// submission and a wait: a task that succeeds at its first execution is not read back.
    ///
    /// # Errors
    /// As [`DispatcherHandle::submit`] and [`DispatcherHandle::task_wait`].
    pub async fn run_task(&self, task: NewTask, timeout: Duration) -> Result<Submitted> {
        let deadline = Instant::now() + timeout;
        let watched = task.waiting_timeout.is_some() || task.total_timeout.is_some();
        let mut promise = self.feed().promise(task.id);
        let mut submitted = self.submit(task).await?;
        let runs = submitted.task.state == TaskState::Running && !submitted.existing;
        submitted.task = if runs
            && !watched
            && let Ok(Some(kept)) = tokio::time::timeout_at(deadline, promise.kept()).await
            && kept.attempt == submitted.task.attempt
        {
            succeeded(submitted.task, kept)
        } else {
            let left = deadline.saturating_duration_since(Instant::now());
            self.task_wait(submitted.task.id, left).await?
        };
        Ok(submitted)
    }

    /// The task when it is final, or as it is after `timeout`.
    ///
    /// # Errors
    /// [`DispatchError::Store`](crate::actors::dispatcher::DispatchError::Store) if there is no such task, or it cannot be read.
    pub async fn task_wait(&self, id: TaskId, timeout: Duration) -> Result<Task> {
        let subject = id.to_string();
        let mut end = self.feed().end_of(&subject);
        let task = self.task(id).await?;
        if task.state.is_final() {
            return Ok(task);
        }
        // Whether it ended or the time is over, what follows is to look.
        tokio::time::timeout(timeout, end.ended()).await.ok();
        self.task(id).await
    }

    /// The workflow when it is final, or as it is after `timeout`.
    ///
    /// # Errors
    /// [`DispatchError::Store`](crate::actors::dispatcher::DispatchError::Store) if there is no such workflow, or it cannot be read.
    pub async fn workflow_wait(&self, id: WorkflowId, timeout: Duration) -> Result<Workflow> {
        let subject = id.to_string();
        let mut end = self.feed().end_of(&subject);
        let workflow = self.workflow(id).await?;
        if workflow.state.is_final() {
            return Ok(workflow);
        }
        tokio::time::timeout(timeout, end.ended()).await.ok();
        self.workflow(id).await
    }
}

/// A task after its first execution, which gave this.
fn succeeded(task: Task, kept: Kept) -> Task {
    Task {
        state: TaskState::Succeeded,
        result: Some(kept.result),
        lease: None,
        finished_at: Some(kept.at),
        ..task
    }
}
