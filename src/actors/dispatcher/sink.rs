//! The dispatcher as agents and their supervisor see it. Reports pass the mailbox' bound: their
//! number is bounded by lives and leases.

use std::time::Duration;

use serde_json::json;

use super::handle::DispatcherHandle;
use super::reports::{TaskLetGo, TaskProgressed};
use crate::actors::work::{
    AgentMessage, AgentOutcome, AgentSpent, AgentSubmission, ReadyAgent, WorkSink,
};
use crate::clock;
use crate::domain::agent::InstanceId;
use crate::domain::event::NewEvent;
use crate::domain::exit::ExitReason;
use crate::domain::ids::{LeaseId, TaskId};
use crate::domain::task::{NewTask, Target};

impl WorkSink for DispatcherHandle {
    fn agent_ready(&self, agent: ReadyAgent) {
        self.post().ready(&agent);
        self.change_desk(|desk| desk.ready(agent));
    }

    fn agent_draining(&self, instance: &InstanceId, generation: u64) {
        self.post().draining(instance, generation);
        self.change_desk(|desk| desk.drain_worker(instance, generation));
    }

    fn agent_gone(&self, instance: &InstanceId, generation: u64, reason: &ExitReason) {
        self.post().gone(instance, generation, reason);
        self.change_desk(|desk| desk.gone(instance, generation, reason));
    }

    fn settled(&self, instance: &InstanceId, task: TaskId, lease: LeaseId, outcome: AgentOutcome) {
        self.report(TaskLetGo {
            instance: instance.clone(),
            task,
            lease,
            outcome,
        });
    }

    fn progress(
        &self,
        task: TaskId,
        lease: LeaseId,
        percent: Option<f64>,
        message: Option<String>,
    ) {
        // Progress may be lost when there is too much of it.
        self.tell(TaskProgressed {
            task,
            lease,
            percent,
            message,
        });
    }

    fn busy(&self, task: TaskId, reason: &str, at_most: Duration) {
        let max_ms = u64::try_from(at_most.as_millis()).unwrap_or(u64::MAX);
        let event = NewEvent {
            kind: "agent.busy",
            subject: task.to_string(),
            at: clock::now(),
            data: json!({"reason": reason, "max_ms": max_ms}),
        };
        let store = self.store().clone();
        self.spawn(async move {
            if let Err(error) = store.append_events(vec![event]).await {
                tracing::debug!(%error, "a busy zone was not kept");
            }
        });
    }

    fn spent(&self, spent: AgentSpent) {
        self.count_spend(&spent);
    }

    fn submit(&self, submission: AgentSubmission) {
        let (from, handle) = (submission.from.clone(), self.clone());
        self.spawn(async move {
            let submitted = match asked_for(submission) {
                Ok(task) => handle.submit(task).await.map_err(|error| error.to_string()),
                Err(problem) => Err(problem),
            };
            if let Err(error) = submitted {
                tracing::warn!(agent = %from, %error, "an agent's submission was refused");
            }
        });
    }

    fn message(&self, message: AgentMessage) {
        let allowed = self.known().check_recipient(&message.to);
        self.post()
            .send_from(message, allowed.map_err(|error| error.to_string()));
    }
}

fn asked_for(submission: AgentSubmission) -> Result<NewTask, String> {
    let target = match (submission.agent, submission.role) {
        (Some(agent), None) => Target::Agent(agent),
        (None, Some(role)) => Target::Role(role),
        _ => return Err("a submission names an agent or a role, and not both".to_owned()),
    };
    let id = TaskId::from_bytes(clock::new_id());
    let name = submission.name.unwrap_or_else(|| "task".to_owned());
    Ok(NewTask {
        traceparent: submission.traceparent,
        ..NewTask::plain(id, name, target, submission.payload)
    })
}
