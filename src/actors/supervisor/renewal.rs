//! Lives whose settings hold no more are ended in their turn: who depends on others first, and those
//! only when it is down. What follows is what is declared now: a new life, or none.
//!
//! Rely on: each of them is drained and has its deadlines, so the turn of all comes; one that dies
//! before its turn is followed by a life with the new settings, by policy; a shared restart that is
//! under way is not hurried.

use super::Supervisor;
use super::replica::{Hold, Replica, Then};
use super::tree::Agent;

impl Replica {
    /// Whether its life has settings that hold no more and was not told to end.
    pub(super) fn waits_to_end(&self) -> bool {
        let life = self.life.as_deref();
        life.is_some_and(|life| life.outdated && life.ending.is_none())
    }
}

impl Agent {
    fn is_outdated(&self) -> bool {
        let mut lives = self.replicas.iter().filter_map(|it| it.life.as_deref());
        lives.any(|life| life.outdated)
    }

    /// From now on no life of this agent restarts in place: it would have the old settings.
    pub(super) fn outdate(&mut self) {
        for life in self.replicas.iter_mut().filter_map(|it| it.life.as_mut()) {
            life.outdated = true;
            life.grant.revoke();
        }
    }
}

impl Supervisor {
    /// Tells whoever's turn it is to end.
    pub(super) fn advance_renewal(&mut self) {
        if !self.renewing || self.shutdown.is_some() {
            return;
        }
        let order: Vec<usize> = self.tree.order.iter().rev().copied().collect();
        let outdated = order
            .into_iter()
            .filter(|agent| self.tree.agents[*agent].is_outdated());
        let outdated: Vec<usize> = outdated.collect();
        self.renewing = !outdated.is_empty();
        for agent in outdated {
            if self.tree.is_needed_by(agent, Agent::is_outdated) {
                continue;
            }
            for slot in self.tree.slots(agent) {
                let told = |it: &Replica| it.waits_to_end() && it.hold != Hold::Group;
                if self.tree.replica(slot).is_some_and(told) {
                    self.begin_ending(slot, Then::AsWanted);
                }
            }
        }
    }
}
