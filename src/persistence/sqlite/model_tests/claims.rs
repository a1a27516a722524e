//! Claims: the store may choose among equals; what it chose must be allowed, nothing better may be
//! left, and nobody may be told that nothing is left while something is.

use super::model::{Execution, Known, Number};
use super::world::{World, name};
use crate::domain::agent::InstanceId;
use crate::domain::query::{ClaimedTask, Claims, SlotOffer};
use crate::domain::task::{Target, TaskState};
use crate::domain::transition::Command;

impl World {
    /// Two replicas of an agent with a role, and an agent that takes from another queue.
    pub(super) fn offers(free: [u32; 3]) -> Vec<SlotOffer> {
        let offer = |agent: &str, index, role: Option<&str>, queue: &str, free| SlotOffer {
            instance: InstanceId {
                agent: name(agent),
                index,
            },
            role: role.map(name),
            queue: name(queue),
            free,
            reserve: None,
        };
        vec![
            offer("echo", 0, Some("worker"), "default", free[0]),
            offer("echo", 1, Some("worker"), "default", free[1]),
            offer("sum", 0, None, "bulk", free[2]),
        ]
    }

    /// Whether a task is for a replica.
    pub(super) fn fits(task: &Known, offer: &SlotOffer) -> bool {
        match &task.target {
            Target::Agent(agent) => *agent == offer.instance.agent,
            Target::Role(role) => {
                *role == offer.instance.agent || offer.role.as_ref() == Some(role)
            }
            Target::Queue(queue) => *queue == offer.queue,
        }
    }

    pub(super) fn claim(&mut self, free: [u32; 3]) {
        let offers = Self::offers(free);
        let got = self.db.claims(&offers);
        let mut taken: Vec<Vec<Number>> = vec![Vec::new(); offers.len()];
        for claimed in &got.tasks {
            let number = self.model.numbers[&claimed.id];
            let task = &self.model.tasks[number];
            assert_eq!(task.state(), TaskState::Queued);
            assert!(self.model.may_start(task), "over a limit: {task:?}");
            let by = offers.iter().position(|it| it.instance == claimed.instance);
            let by = by.unwrap();
            assert!(Self::fits(task, &offers[by]));
            taken[by].push(number);
            let start = (task.queue().to_owned(), task.key.clone(), self.model.now);
            self.model.starts.push(start);
            self.claimed(claimed);
        }
        for (offer, taken) in offers.iter().zip(&taken) {
            assert!(taken.len() <= offer.free as usize);
            self.nothing_better_was_left(offer, taken);
            self.nothing_is_forgotten(offer, taken.len(), &got);
        }
    }

    /// A task was handed out: the model follows.
    pub(super) fn claimed(&mut self, claimed: &ClaimedTask) {
        let number = self.model.numbers[&claimed.id];
        self.model.leases.push((number, claimed.lease_id));
        let alone = self.model.tasks[number].standing.suspect;
        assert_eq!(claimed.alone, alone, "a suspect runs alone");
        assert!(self.model.step(number, Command::Claim, None));
        self.model.flow_begins(number);
        let task = &mut self.model.tasks[number];
        task.executions.push(Execution {
            lease: claimed.lease_id,
            outcome: None,
            late: None,
        });
        assert_eq!(claimed.attempt, task.standing.attempt);
        if let Some(payload) = &task.payload {
            assert_eq!(claimed.payload, *payload);
        }
    }

    fn left_for(&self, offer: &SlotOffer) -> Vec<&Known> {
        let waits = |it: &Known| it.state() == TaskState::Queued && Self::fits(it, offer);
        let waiting = self.model.present().map(|(_, it)| it);
        waiting.filter(|it| waits(it)).collect()
    }

    fn nothing_better_was_left(&self, offer: &SlotOffer, taken: &[Number]) {
        let keyed = |queue: &str| self.model.specs[queue].per_key.any();
        for left in self.left_for(offer) {
            if !self.model.may_start(left) {
                continue;
            }
            for number in taken {
                let task = &self.model.tasks[*number];
                // A full key may hide what stands behind it in another list, until the next claim.
                let comparable = task.target == left.target || !keyed(left.queue());
                assert!(
                    !comparable || task.rank <= left.rank,
                    "{left:?} goes before {task:?}"
                );
            }
        }
    }

    fn nothing_is_forgotten(&self, offer: &SlotOffer, taken: usize, got: &Claims) {
        let left = self.left_for(offer);
        let startable = left.iter().filter(|it| self.model.may_start(it)).count();
        let dry = got.dry.contains(&offer.instance);
        if dry {
            assert_eq!(
                startable, 0,
                "{:?} is told that nothing is left",
                offer.instance
            );
            if !left.is_empty() {
                assert!(got.held_back, "something waits behind a limit");
            }
            let rated = left.iter().filter(|it| self.model.has_place(it));
            if let Some(opens) = rated.filter_map(|it| self.model.rated_until(it)).min() {
                let next = got.next.expect("it is said when a rate gives way");
                assert!(self.model.now.after(next) <= opens);
            }
        } else if taken < offer.free as usize && startable > 0 {
            assert!(!got.tasks.is_empty(), "a free slot and work for it");
        }
    }
}
