//! Desired against actual: the only place that starts a life or decides that one is not wanted.

use rand::Rng;
use serde_json::json;
use tokio::time::Instant;

use super::Supervisor;
use super::outside::Kept;
use super::replica::{Hold, Replica, Running, Then};
use super::tree::Slot;
use crate::actors::life::{Life, Start};
use crate::actors::runner::Grant;
use crate::domain::agent::{AgentState, Desired};
use crate::domain::restart::{GiveUp, Rules, Strategy};

impl Supervisor {
    /// Whether a replica should have a life, now or when its rest is over.
    pub(super) fn is_wanted(&self, slot: Slot) -> bool {
        let agent = &self.tree.agents[slot.agent];
        let replica = agent.replicas.get(slot.index);
        let held = replica.map(|replica| replica.hold);
        let may_stay = !agent.leaving || replica.is_some_and(Replica::waits_to_end);
        self.shutdown.is_none()
            && may_stay
            && slot.index < agent.wanted
            && agent.desired != Desired::Stopped
            && matches!(held, Some(Hold::None | Hold::Group))
    }

    /// Brings every replica of an agent closer to what is wanted.
    pub(super) fn reconcile_agent(&mut self, agent: usize) {
        for slot in self.tree.slots(agent) {
            self.reconcile(slot);
        }
        self.drop_surplus(agent);
    }

    /// Brings one replica closer to what is wanted.
    pub(super) fn reconcile(&mut self, slot: Slot) {
        let wanted = self.is_wanted(slot);
        let may_start = wanted && self.tree.may_start(slot.agent);
        let Some(replica) = self.tree.replica_mut(slot) else {
            return;
        };
        let resting = matches!(
            replica.state,
            AgentState::Backoff | AgentState::Quarantined | AgentState::Failed
        );
        match (wanted, replica.life.is_some()) {
            (true, false) if !resting => {
                replica.state = AgentState::Pending;
                if may_start && replica.hold == Hold::None {
                    self.start(slot);
                }
            }
            (false, true) if !replica.is_ending() => self.begin_ending(slot, Then::AsWanted),
            (false, false) => self.rest_stopped(slot),
            _ => {}
        }
    }

    /// A replica without a life that is not wanted: it stands still, and callers are told.
    fn rest_stopped(&mut self, slot: Slot) {
        let Some(replica) = self.tree.replica_mut(slot) else {
            return;
        };
        replica.due = None;
        let failed = replica.hold == Hold::Failed;
        let state = if failed {
            AgentState::Failed
        } else {
            AgentState::Stopped
        };
        if replica.state == state {
            return;
        }
        replica.state = state;
        self.close(slot);
        self.outside
            .fact("agent.stopped", self.tree.instance(slot), || json!({}));
    }

    /// Tells those who wait for a replica that no life is coming.
    pub(super) fn close(&mut self, slot: Slot) {
        let instance = self.tree.instance(slot);
        self.tree.agents[slot.agent].factory.close(&instance);
        if let Some(replica) = self.tree.replica_mut(slot) {
            replica.keep_mail = false;
        }
    }

    /// Removes replicas beyond those wanted, when they have ended.
    pub(super) fn drop_surplus(&mut self, agent: usize) {
        let agent = &mut self.tree.agents[agent];
        while agent.replicas.len() > agent.wanted
            && agent
                .replicas
                .last()
                .is_some_and(|last| last.life.is_none())
        {
            if let Some(gone) = agent.replicas.pop() {
                agent.old_generation = agent.old_generation.max(gone.generation);
            }
        }
    }

    /// Starts a runner with a first life.
    pub(super) fn start(&mut self, slot: Slot) {
        let restarts = self.leave(slot);
        let instance = self.tree.instance(slot);
        let agent = &mut self.tree.agents[slot.agent];
        let replica = &mut agent.replicas[slot.index];
        let generation = replica.generation + 1;
        let grant = Grant::new(agent.rule.clone(), generation, restarts);
        let place = self.places.pick();
        let life = Life {
            instance: instance.clone(),
            generation,
            sink: self.sink.clone(),
        };
        let keep_mail = std::mem::replace(&mut replica.keep_mail, true);
        replica.generation = generation;
        replica.state = AgentState::Starting;
        replica.due = None;
        // Whatever goes wrong from here on comes as a message, never before this has returned.
        let control = agent.factory.start(Start {
            life,
            grant: grant.clone(),
            place: place.clone(),
            keep_mail,
        });
        replica.life = Some(Box::new(Running::new(control, grant, place)));
        let follows_crash = std::mem::take(&mut replica.follows_crash);
        agent.alive += 1;
        self.life_began(slot);
        if follows_crash {
            self.restarted(slot);
        }
        self.wake_dependents(slot.agent);
    }

    /// A life has begun, in a new runner or in place.
    pub(super) fn life_began(&mut self, slot: Slot) {
        let agent = &mut self.tree.agents[slot.agent];
        let generation = agent.replicas[slot.index].generation;
        agent.generation = agent.generation.max(generation);
        self.watch_start(slot);
        self.outside.fact(
            "agent.starting",
            self.tree.instance(slot),
            || json!({"generation": generation}),
        );
        self.keep_generation(slot.agent);
    }

    /// Keeps the figures of an agent that never fall.
    pub(super) fn keep_generation(&self, agent: usize) {
        let agent = &self.tree.agents[agent];
        self.outside.keep(|| Kept::Generation {
            agent: agent.spec.name.clone(),
            generation: agent.generation,
            restarts_total: agent.restarts,
        });
    }

    /// Those who wait for an agent may be able to start now. Their replicas are looked at only then.
    pub(super) fn wake_dependents(&mut self, agent: usize) {
        for nth in 0..self.tree.agents[agent].dependents.len() {
            let dependent = self.tree.agents[agent].dependents[nth];
            let waiting = &self.tree.agents[dependent];
            if waiting.is_full() || !self.tree.may_start(dependent) {
                continue;
            }
            for slot in self.tree.slots(dependent) {
                let pending = |replica: &Replica| replica.state == AgentState::Pending;
                if self.tree.replica(slot).is_some_and(pending) {
                    self.reconcile(slot);
                }
            }
        }
    }

    /// Restarts in place that a replica may make without asking.
    pub(super) fn leave(&self, slot: Slot) -> u32 {
        let agent = &self.tree.agents[slot.agent];
        if agent.rules.strategy != Strategy::OneForOne {
            return 0;
        }
        let rules = Rules {
            rule: &agent.rule,
            policy: &agent.spec.restart,
            group: &agent.rules,
        };
        agent.replicas[slot.index].ledger.leave(self.span(), &rules)
    }

    /// A backoff is over, or a quarantine: the replica gets its next life.
    pub(super) fn rest_is_over(&mut self, slot: Slot, at: Instant) {
        let Some(replica) = self.tree.replica_mut(slot) else {
            return;
        };
        if replica.due != Some(at) || replica.life.is_some() {
            return;
        }
        replica.due = None;
        if replica.state == AgentState::Quarantined {
            if self.holds_too_many_threads(slot) {
                self.quarantine(slot, GiveUp::Threads);
                return self.keep_budget(slot);
            }
            self.tree.agents[slot.agent].replicas[slot.index]
                .ledger
                .begin_trial();
        }
        self.tree.agents[slot.agent].replicas[slot.index].state = AgentState::Pending;
        self.start_again(slot);
        self.keep_budget(slot);
    }

    /// A draw from 0 to 1.
    pub(super) fn draw(&mut self) -> f64 {
        self.chance.random()
    }

    /// The innermost group of an agent whose members share restarts, and the unit in it.
    pub(super) fn sharing_group(&self, agent: usize) -> Option<(usize, usize)> {
        let agent = &self.tree.agents[agent];
        let group = agent.group?;
        let alone = self.tree.groups[group].spec.strategy == Strategy::OneForOne;
        (!alone).then_some((group, agent.unit))
    }
}
