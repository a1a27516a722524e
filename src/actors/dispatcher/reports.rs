//! What agents and their supervisor report.

use std::time::Duration;

use actix::prelude::*;
use tokio::time::Instant;

use super::actor::{Ctx, Dispatcher};
use super::deadlines::Due;
use super::desk::{Ended, Held};
use crate::actors::work::AgentOutcome;
use crate::clock;
use crate::domain::agent::InstanceId;
use crate::domain::ids::{LeaseId, TaskId};
use crate::domain::task::{Outcome, Progress};

/// Progress of one task is kept at most this often.
const PROGRESS_PERIOD: Duration = Duration::from_secs(1);

/// The desk has changed: a life came, drains or has gone. It knows already, so that whoever submits
/// next meets what is true; what it gave back is ended here.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct DeskChanged {
    pub(super) left: Vec<Ended>,
}

/// A life has ended an execution.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct TaskLetGo {
    pub(super) instance: InstanceId,
    pub(super) task: TaskId,
    pub(super) lease: LeaseId,
    pub(super) outcome: AgentOutcome,
}

/// An execution goes on.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct TaskProgressed {
    pub(super) task: TaskId,
    pub(super) lease: LeaseId,
    pub(super) percent: Option<f64>,
    pub(super) message: Option<String>,
}

impl Handler<DeskChanged> for Dispatcher {
    type Result = ();

    fn handle(&mut self, DeskChanged { left }: DeskChanged, ctx: &mut Ctx) {
        left.into_iter().for_each(|ended| self.end(ended));
        self.claim(ctx);
        self.answer_drains();
    }
}

impl Handler<TaskLetGo> for Dispatcher {
    type Result = ();

    fn handle(
        &mut self,
        TaskLetGo {
            instance,
            task,
            lease,
            outcome,
        }: TaskLetGo,
        ctx: &mut Ctx,
    ) {
        let held = {
            let mut memory = self.memory.lock();
            let held = memory.desk.let_go(lease);
            memory.desk.spends.answered(lease);
            memory.deadlines.remove(Due::Attempt(lease));
            memory.deadlines.remove(Due::Grace(lease));
            if matches!(outcome, AgentOutcome::Failed(_)) {
                memory.desk.count_error(&instance.agent);
            }
            held
        };
        self.bring(task, held.as_ref(), &outcome);
        let cancelling = held.as_ref().is_some_and(|held| held.cancelling);
        let given_up = held.as_ref().is_some_and(|held| held.ended)
            && matches!(outcome, AgentOutcome::Cancelled);
        // What was settled already and is given up as asked is no late result.
        if !given_up {
            let attempt = held.map_or(1, |held| held.attempt);
            let outcome = meant_by(outcome, cancelling);
            self.end(Ended {
                task,
                lease,
                attempt,
                outcome,
            });
        }
        self.go_on(&instance, ctx);
    }
}

impl Handler<TaskProgressed> for Dispatcher {
    type Result = ();

    fn handle(&mut self, said: TaskProgressed, ctx: &mut Ctx) {
        let now = Instant::now();
        let TaskProgressed {
            task,
            lease,
            percent,
            message,
        } = said;
        let progress = Progress {
            percent,
            message,
            at: clock::now(),
        };
        {
            let memory = &mut *self.memory.lock();
            let Some((_, _, _, held)) = memory.desk.held(lease) else {
                return;
            };
            let next = held.progress_at.map(|at| at + PROGRESS_PERIOD);
            if let Some(next) = next.filter(|next| *next > now) {
                held.unkept = Some(progress);
                memory.deadlines.add(next, Due::Progress(lease));
            } else {
                held.progress_at = Some(now);
                held.unkept = None;
                return self.keep_progress(task, lease, progress);
            }
        }
        self.arm(ctx);
    }
}

impl Dispatcher {
    /// What was said last since progress was kept is kept now.
    pub(super) fn progress_is_due(&self, lease: LeaseId) {
        let mut memory = self.memory.lock();
        let Some((_, _, _, held)) = memory.desk.held(lease) else {
            return;
        };
        if let Some(progress) = held.unkept.take() {
            held.progress_at = Some(Instant::now());
            self.keep_progress(held.task, lease, progress);
        }
    }

    fn keep_progress(&self, task: TaskId, lease: LeaseId, progress: Progress) {
        let store = self.store();
        actix_rt::spawn(async move {
            if let Err(error) = store.update_progress(task, lease, progress).await {
                tracing::debug!(%task, %error, "progress was not kept");
            }
        });
    }

    /// Hands a result to who waits for it, once it is committed. Only what the desk holds: a result
    /// under any other lease may never count.
    fn bring(&self, task: TaskId, held: Option<&Held>, outcome: &AgentOutcome) {
        if let (AgentOutcome::Output(result), Some(held)) = (outcome, held)
            && !held.ended
            && !held.cancelling
            && held.progress_at.is_none()
        {
            self.handle.feed().bring(task, held.attempt, result);
        }
    }

    /// A slot is free: what was put beside begins, else the queue is asked.
    fn go_on(&mut self, instance: &InstanceId, ctx: &mut Ctx) {
        loop {
            let next = self.memory.lock().desk.next_parked(instance);
            match next {
                Some(task) => self.begin_parked(task, ctx),
                None => break,
            }
        }
        self.claim(ctx);
        self.answer_drains();
    }
}

/// What an agent's word means. One that gives up what nobody cancelled was interrupted.
fn meant_by(outcome: AgentOutcome, cancelling: bool) -> Outcome {
    match outcome {
        AgentOutcome::Output(result) => Outcome::Succeeded(result),
        AgentOutcome::Failed(error) => Outcome::Failed(error),
        AgentOutcome::Cancelled if cancelling => Outcome::Cancelled,
        AgentOutcome::Cancelled => Outcome::Interrupted {
            reason: "its agent gave it up".to_owned(),
        },
    }
}
