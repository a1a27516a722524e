//! One task at the service: posted, waited for, given up.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderName;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::timeout;

use super::Desk;
use super::answer::{Failed, read};
use super::remote::{ATTEMPT, LEASE, NoReply, TRACE};
use crate::actors::agent::frames::{ToAgent, figures};
use crate::actors::life::LifeNote;
use crate::actors::work::{AgentOutcome, AgentSpent, TaskFrame};
use crate::domain::spend::Usage;

/// Beyond an attempt's time, which the dispatcher watches: if it does not come, this does.
const BEYOND: Duration = Duration::from_secs(1);
/// How long the word that a task is cancelled may take.
const DELETE_WITHIN: Duration = Duration::from_secs(2);
/// How long a service may take to answer for a task it was told to give up; far below what the
/// dispatcher grants.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(2);

/// One execution.
pub(super) struct Exchange {
    desk: Arc<Desk>,
    task: TaskFrame,
}

impl Exchange {
    pub(super) const fn new(desk: Arc<Desk>, task: TaskFrame) -> Self {
        Self { desk, task }
    }

    /// From the POST to the settlement.
    pub(super) async fn run(self, mut cancelled: watch::Receiver<bool>) {
        let outcome = {
            let mut post = pin!(self.post());
            let answered = tokio::select! {
                outcome = &mut post => Some(outcome),
                // An error means that the life is over.
                () = async { drop(cancelled.wait_for(|cancelled| *cancelled).await) } => None,
            };
            match answered {
                Some(outcome) => outcome,
                None => {
                    let last = timeout(GIVEN_UP_WITHIN, &mut post);
                    let (_told, last) = tokio::join!(self.delete(), last);
                    last.unwrap_or(AgentOutcome::Cancelled)
                }
            }
        };
        self.settle(outcome);
    }

    fn marks(&self) -> Vec<(HeaderName, String)> {
        let task = &self.task;
        let trace = task.traceparent.map(|trace| (TRACE, trace.to_string()));
        [
            (LEASE, task.lease_id.to_string()),
            (ATTEMPT, task.attempt.to_string()),
        ]
        .into_iter()
        .chain(trace)
        .collect()
    }

    async fn post(&self) -> AgentOutcome {
        let Self { desk, task } = self;
        let mut frame = ToAgent::task(task).line();
        // The line's end belongs to another wire.
        frame.pop();
        desk.tasks.delivered(task.id);
        let marks = self.marks();
        let reply = desk.remote.post(frame, &marks);
        let answer = match timeout(task.timeout + BEYOND, reply).await {
            Ok(Ok(reply)) => read(&reply),
            Ok(Err(none)) => {
                if let NoReply::Unreachable(_) = &none {
                    self.count(Usage::NOTHING);
                    let message = none.to_string();
                    desk.life.note(LifeNote::Unreachable { message });
                }
                Err(none.into())
            }
            Err(_late) => Err(Failed::late(task.timeout)),
        };
        match answer {
            Ok(answer) => {
                self.spent(answer.usage);
                AgentOutcome::Output(answer.output)
            }
            Err(failed) => {
                self.spent(failed.usage);
                if let Some(span) = failed.retry_after {
                    self.let_it_rest(span);
                }
                AgentOutcome::Failed(failed.error)
            }
        }
    }

    /// What the service says it has spent; what is no figure is an error of its.
    fn spent(&self, said: Option<Value>) {
        let Some(said) = said else {
            return;
        };
        match figures::usage(said) {
            Ok(usage) => self.count(usage),
            Err(bad) => {
                let (task, Desk { tasks, life, .. }) = (self.task.id, &*self.desk);
                tracing::warn!(agent = %life.instance, %task, %bad, "usage counts for nothing");
                tasks.error();
                life.note(LifeNote::Error);
            }
        }
    }

    fn count(&self, usage: Usage) {
        let Self { desk, task } = self;
        desk.work.spent(AgentSpent {
            from: desk.life.instance.clone(),
            of: Some((task.id, task.lease_id)),
            usage,
            with_answer: true,
        });
    }

    /// The service asked to be left alone. Said before the task is settled, so that its slot is
    /// not given to the next one in between.
    fn let_it_rest(&self, span: Duration) {
        let life = &self.desk.life;
        self.desk
            .work
            .agent_draining(&life.instance, life.generation);
        life.note(LifeNote::Rests { span });
    }

    /// Tells the service that the task is wanted no more; whether it hears it or not.
    async fn delete(&self) {
        let Self { desk, task } = self;
        let (id, marks) = (task.id.to_string(), self.marks());
        match timeout(DELETE_WITHIN, desk.remote.delete(&id, &marks)).await {
            Ok(Ok(reply)) => tracing::debug!(task = %id, status = %reply.status, "cancel was sent"),
            Ok(Err(error)) => tracing::debug!(task = %id, %error, "cancel was not heard"),
            Err(_late) => tracing::debug!(task = %id, "cancel was not answered in time"),
        }
    }

    fn settle(&self, outcome: AgentOutcome) {
        let Self { desk, task } = self;
        let Some(cancelled) = desk.tasks.settle(task.id, task.lease_id) else {
            return;
        };
        let failed = matches!(outcome, AgentOutcome::Failed(_));
        // One that fails after it was told to give up obeyed.
        let outcome = if failed && cancelled {
            AgentOutcome::Cancelled
        } else {
            outcome
        };
        if matches!(outcome, AgentOutcome::Failed(_)) {
            desk.tasks.error();
            desk.life.note(LifeNote::Error);
        }
        desk.work
            .settled(&desk.life.instance, task.id, task.lease_id, outcome);
    }
}
