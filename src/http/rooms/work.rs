//! The dispatcher.

use std::time::Duration;

use futures_util::FutureExt;

use crate::actors::dispatcher::{DispatchError, DispatcherHandle};
use crate::domain::ids::{TaskId, WorkflowId};
use crate::domain::message::{Message, NewMessage};
use crate::domain::name::Name;
use crate::domain::query::{QueueState, Submitted};
use crate::domain::task::{NewTask, Task};
use crate::domain::timestamp::Timestamp;
use crate::domain::workflow::{NewWorkflow, Workflow};
use crate::http::handles::{Answer, Messages, Work};
use crate::http::problem::Problem;
use crate::http::workflows::faulty;

/// Boxes a call whose error becomes a problem.
macro_rules! answer {
    ($call:expr) => {
        async move { Ok($call.await?) }.boxed()
    };
}

impl Work for DispatcherHandle {
    fn submit(&self, task: NewTask) -> Answer<'_, Submitted> {
        answer!(Self::submit(self, task))
    }

    fn run_task(&self, task: NewTask, at_most: Duration) -> Answer<'_, Submitted> {
        answer!(Self::run_task(self, task, at_most))
    }

    fn task_wait(&self, id: TaskId, at_most: Duration) -> Answer<'_, Task> {
        answer!(Self::task_wait(self, id, at_most))
    }

    fn cancel_task(&self, id: TaskId, reason: String) -> Answer<'_, Task> {
        answer!(Self::cancel_task(self, id, &reason))
    }

    fn retry_task(&self, id: TaskId) -> Answer<'_, Task> {
        answer!(Self::retry_task(self, id))
    }

    fn queues(&self) -> Answer<'_, Vec<QueueState>> {
        answer!(Self::queue_states(self))
    }

    fn queue(&self, name: Name) -> Answer<'_, QueueState> {
        async move { Ok(Self::queue_state(self, &name).await?) }.boxed()
    }

    fn pause_queue(
        &self,
        name: Name,
        until: Option<Timestamp>,
        reason: Option<String>,
    ) -> Answer<'_, QueueState> {
        async move { Ok(Self::pause_queue(self, &name, until, reason).await?) }.boxed()
    }

    fn resume_queue(&self, name: Name) -> Answer<'_, QueueState> {
        async move { Ok(Self::resume_queue(self, &name).await?) }.boxed()
    }

    fn run_workflow(&self, workflow: NewWorkflow) -> Answer<'_, (Workflow, bool)> {
        answer!(Self::run_workflow(self, workflow))
    }

    fn workflow_wait(&self, id: WorkflowId, at_most: Duration) -> Answer<'_, Workflow> {
        answer!(Self::workflow_wait(self, id, at_most))
    }

    fn cancel_workflow(&self, id: WorkflowId, reason: String) -> Answer<'_, Workflow> {
        answer!(Self::cancel_workflow(self, id, &reason))
    }

    fn signal_workflow(
        &self,
        id: WorkflowId,
        signal: String,
        payload: serde_json::Value,
    ) -> Answer<'_, Workflow> {
        answer!(Self::signal_workflow(self, id, signal, payload))
    }

    fn retry_workflow(&self, id: WorkflowId) -> Answer<'_, Workflow> {
        answer!(Self::retry_workflow(self, id))
    }
}

impl Messages for DispatcherHandle {
    fn send(&self, message: NewMessage) -> Answer<'_, (Message, bool)> {
        answer!(self.send_message(message))
    }
}

impl From<DispatchError> for Problem {
    fn from(error: DispatchError) -> Self {
        let detail = error.to_string();
        match error {
            DispatchError::UnknownRecipient { .. } => {
                Self::new(hyper::StatusCode::NOT_FOUND, "agent_not_found", &detail)
                    .at("#/to", detail)
            }
            DispatchError::UnknownTarget { kind, .. } => {
                let code = format!("{kind}_not_found");
                Self::new(hyper::StatusCode::NOT_FOUND, code, &detail)
                    .at(format!("#/{kind}"), detail)
            }
            DispatchError::UnknownSchedule { .. } => {
                Self::new(hyper::StatusCode::NOT_FOUND, "schedule_not_found", detail)
            }
            DispatchError::TakesNoMessages { .. } => Self::validation(&detail).at("#/to", detail),
            DispatchError::TakesNoTasks { .. } => Self::validation(&detail).at("#/agent", detail),
            DispatchError::QueueFull { capacity, .. } => {
                Self::queue_full(detail).with_limit(capacity)
            }
            DispatchError::Draining => Self::draining(),
            DispatchError::Definition(faults) => faulty(&faults),
            DispatchError::Overloaded => Self::unavailable(detail),
            DispatchError::NoAnswer => Self::deadline_exceeded(detail),
            DispatchError::Store(error) => error.into(),
        }
    }
}
