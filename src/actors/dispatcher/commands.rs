//! Commands of people and of time: cancel, attempt timeout, drain.

use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::actor::{Ctx, Dispatcher, Memory, later};
use super::deadlines::Due;
use super::desk::Ended;
use super::{CANCEL_GRACE, DispatchError, Result};
use crate::clock;
use crate::domain::ids::{LeaseId, TaskId, WorkflowId};
use crate::domain::query::Cancelled;
use crate::domain::task::Outcome;
use crate::persistence::StoreError;

/// What is to be cancelled.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unwanted {
    Task(TaskId),
    Workflow(WorkflowId),
}

/// Cancel a task or a workflow.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Cancel {
    pub(super) what: Unwanted,
    pub(super) reason: String,
    pub(super) answer: oneshot::Sender<Result<Cancelled>>,
}

/// The store has answered a cancel.
#[derive(Message)]
#[rtype(result = "()")]
struct CancelStored {
    reason: String,
    stored: std::result::Result<Cancelled, StoreError>,
    answer: oneshot::Sender<Result<Cancelled>>,
}

/// Hand nothing out any more; answer with the number taken back when nothing is held.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Drain {
    pub(super) within: Duration,
    pub(super) answer: oneshot::Sender<u64>,
}

impl Handler<Cancel> for Dispatcher {
    type Result = ();

    fn handle(
        &mut self,
        Cancel {
            what,
            reason,
            answer,
        }: Cancel,
        ctx: &mut Ctx,
    ) {
        let store = self.store();
        later(ctx, async move {
            let stored = match what {
                Unwanted::Task(id) => store.cancel_task(id, &reason).await,
                Unwanted::Workflow(id) => store.cancel_workflow(id, &reason).await,
            };
            CancelStored {
                reason,
                stored,
                answer,
            }
        });
    }
}

impl Handler<CancelStored> for Dispatcher {
    type Result = ();

    fn handle(
        &mut self,
        CancelStored {
            reason,
            stored,
            answer,
        }: CancelStored,
        ctx: &mut Ctx,
    ) {
        if let Ok(cancelled) = &stored {
            self.ask_to_give_up(cancelled.running.clone(), &reason, ctx);
        }
        // A caller who has gone away does not want the answer.
        answer.send(stored.map_err(DispatchError::from)).ok();
    }
}

impl Handler<Drain> for Dispatcher {
    type Result = ();

    fn handle(&mut self, Drain { within, answer }: Drain, ctx: &mut Ctx) {
        let parked = {
            let mut memory = self.memory.lock();
            memory.drains.push(answer);
            memory.deadlines.add(Instant::now() + within, Due::Drain);
            memory.desk.drain("the daemon is stopping")
        };
        parked.into_iter().for_each(|ended| self.end(ended));
        self.arm(ctx);
        self.answer_drains();
    }
}

impl Dispatcher {
    /// Asks agents to give tasks up that are wanted no more.
    pub(super) fn ask_to_give_up(
        &mut self,
        unwanted: Vec<(TaskId, LeaseId)>,
        reason: &str,
        ctx: &mut Ctx,
    ) {
        for (task, lease) in unwanted {
            self.ask_one(task, lease, reason);
        }
        self.arm(ctx);
    }

    fn ask_one(&mut self, task: TaskId, lease: LeaseId, reason: &str) {
        let early = {
            let mut memory = self.memory.lock();
            let Memory {
                desk, deadlines, ..
            } = &mut *memory;
            match desk.held(lease) {
                Some((_, _, port, held)) if !held.cancelling && !held.ended => {
                    held.cancelling = true;
                    let due = Instant::now() + CANCEL_GRACE;
                    deadlines.remove(Due::Attempt(lease));
                    deadlines.add(due, Due::Grace(lease));
                    port.cancel(task, reason);
                    None
                }
                Some(_) => None,
                None => desk.cancel_early(lease),
            }
        };
        if let Some(ended) = early {
            self.end(ended);
        }
    }

    /// A task that runs is out of time altogether, and settled so: its agent is asked to give it up.
    pub(super) fn has_expired(&mut self, lease: LeaseId) {
        let mut memory = self.memory.lock();
        if memory.end_early(lease, "the task is out of time").is_some() {
            memory.desk.spends.close_beside(lease, clock::now());
        }
    }

    /// An attempt has taken too long: it is settled so, its agent is asked to give it up.
    pub(super) fn attempt_timed_out(&mut self, lease: LeaseId) {
        let why = "the attempt took longer than its timeout";
        let Some((task, attempt)) = self.memory.lock().end_early(lease, why) else {
            return;
        };
        let ended = Ended {
            task,
            lease,
            attempt,
            outcome: Outcome::TimedOut,
        };
        self.end(ended);
    }

    /// An agent has not given a task up: it is restarted, and a cancel counts as obeyed.
    pub(super) fn not_given_up(&mut self, lease: LeaseId) {
        let (instance, generation, ended) = {
            let mut memory = self.memory.lock();
            let Some((instance, generation, _, held)) = memory.desk.held(lease) else {
                return;
            };
            let outcome = Outcome::Cancelled;
            let ended = Ended {
                task: held.task,
                lease,
                attempt: held.attempt,
                outcome,
            };
            let open = !std::mem::replace(&mut held.ended, true);
            (instance, generation, open.then_some(ended))
        };
        if let Some(ended) = ended {
            self.end(ended);
        }
        let reason = "it did not give a task up when asked";
        self.handle.restart_instance(&instance, generation, reason);
    }

    /// The time for finishing is over: what is left goes back to its queue.
    pub(super) fn drain_is_over(&mut self) {
        let left = {
            let mut memory = self.memory.lock();
            let left = memory.desk.take_back("the daemon is stopping");
            memory.leftovers += left.len() as u64;
            left
        };
        left.into_iter().for_each(|ended| self.end(ended));
        self.answer_drains();
    }
}
