//! What the desk gives back: tasks whose life ended or drains, that were refused, cancelled early,
//! or are taken back at the end.

use super::{Desk, Ended};
use crate::domain::agent::InstanceId;
use crate::domain::exit::ExitReason;
use crate::domain::ids::LeaseId;
use crate::domain::query::ClaimedTask;
use crate::domain::task::Outcome;

impl Desk {
    /// A life takes nothing new. Gives back what it had not begun.
    pub(in crate::actors::dispatcher) fn drain_worker(
        &mut self,
        instance: &InstanceId,
        generation: u64,
    ) -> Vec<Ended> {
        let Some(worker) = self.worker(instance, generation) else {
            return Vec::new();
        };
        worker.taking = false;
        let parked: Vec<_> = worker.parked.drain(..).collect();
        parked
            .into_iter()
            .map(|task| interrupted(&task, "its agent is draining"))
            .collect()
    }

    /// A life has ended: what becomes of what it held.
    pub(in crate::actors::dispatcher) fn gone(
        &mut self,
        instance: &InstanceId,
        generation: u64,
        reason: &ExitReason,
    ) -> Vec<Ended> {
        if self.worker(instance, generation).is_none() {
            return Vec::new();
        }
        let Some(worker) = self.workers.remove(instance) else {
            return Vec::new();
        };
        let alone = worker.held.len() == 1;
        let parked = worker
            .parked
            .iter()
            .map(|task| interrupted(task, &reason.to_string()));
        let mut ended: Vec<_> = parked.collect();
        for (lease, held) in worker.held {
            self.holders.remove(&lease);
            if !held.ended {
                let outcome = death(reason, alone);
                ended.push(Ended {
                    task: held.task,
                    lease,
                    attempt: held.attempt,
                    outcome,
                });
            }
        }
        ended
    }

    /// The agent refused a task: it was not begun, and the life takes nothing more.
    pub(in crate::actors::dispatcher) fn refused(&mut self, task: &ClaimedTask) -> Ended {
        self.holders.remove(&task.lease_id);
        self.spends.delivered(task.lease_id, false);
        if let Some(worker) = self.workers.get_mut(&task.instance) {
            worker.held.remove(&task.lease_id);
            worker.taking = false;
        }
        interrupted(task, "its agent takes no task")
    }

    /// A cancel for a lease that nobody holds yet: it takes effect at the hand-over, or at once on
    /// a task that was put beside.
    pub(in crate::actors::dispatcher) fn cancel_early(&mut self, lease: LeaseId) -> Option<Ended> {
        if self.settling.contains(&lease) {
            return None;
        }
        for worker in self.workers.values_mut() {
            if let Some(place) = worker.parked.iter().position(|task| task.lease_id == lease) {
                return worker
                    .parked
                    .remove(place)
                    .map(|task| ended(&task, Outcome::Cancelled));
            }
        }
        // What never comes is forgotten at the next sweep.
        self.early_cancels.insert(lease);
        None
    }

    /// Hands nothing out any more. Gives back what no agent has begun.
    pub(in crate::actors::dispatcher) fn drain(&mut self, reason: &str) -> Vec<Ended> {
        self.draining = true;
        let parked = self
            .workers
            .values_mut()
            .flat_map(|worker| worker.parked.drain(..));
        parked.map(|task| interrupted(&task, reason)).collect()
    }

    /// Takes everything back: nobody waits for it any more.
    pub(in crate::actors::dispatcher) fn take_back(&mut self, reason: &str) -> Vec<Ended> {
        let mut all = Vec::new();
        for worker in self.workers.values_mut() {
            all.extend(
                worker
                    .parked
                    .drain(..)
                    .map(|task| interrupted(&task, reason)),
            );
            for (lease, held) in worker.held.iter_mut().filter(|(_, held)| !held.ended) {
                held.ended = true;
                let outcome = Outcome::Interrupted {
                    reason: reason.to_owned(),
                };
                all.push(Ended {
                    task: held.task,
                    lease: *lease,
                    attempt: held.attempt,
                    outcome,
                });
            }
        }
        all
    }
}

/// What the end of a life means for what it held: a wanted end, a kill by the supervisor and a
/// neighbour's fault are no fault of the task.
fn death(reason: &ExitReason, alone: bool) -> Outcome {
    let text = reason.to_string();
    match reason {
        ExitReason::Normal
        | ExitReason::Shutdown
        | ExitReason::Killed
        | ExitReason::ArbiterGone => Outcome::Interrupted { reason: text },
        _ => Outcome::AgentDied {
            alone,
            reason: text,
        },
    }
}

pub(super) fn ended(task: &ClaimedTask, outcome: Outcome) -> Ended {
    Ended {
        task: task.id,
        lease: task.lease_id,
        attempt: task.attempt,
        outcome,
    }
}

pub(super) fn interrupted(task: &ClaimedTask, reason: &str) -> Ended {
    ended(
        task,
        Outcome::Interrupted {
            reason: reason.to_owned(),
        },
    )
}
