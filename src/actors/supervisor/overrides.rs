//! What an operator set, against what the file says: it wins, and is kept, until it is reset.
//!
//! A start resets a stop, a resume a pause, and scaling to the file's number a scale. What is stopped
//! by index (`echo#1`) is started by index, or with all of its agent.
//!
//! Rely on: what is kept is what was asked for last, in the order in which the supervisor did it.

use futures_util::future::BoxFuture;

use super::replica::{Hold, Replica};
use super::status::AgentStatus;
use super::tree::{Agent, Slot};
use super::{Supervisor, SupervisorError};
use crate::domain::agent::{AgentTarget, Desired};
use crate::domain::record::Overrides;
use crate::persistence::StoreError;

/// A change that was made.
pub(super) struct Changed {
    /// How the agent stands now.
    pub(super) status: AgentStatus,
    /// Resolves when the change is safe; `None` if nobody keeps records.
    pub(super) kept: Option<BoxFuture<'static, Result<(), StoreError>>>,
}

impl Agent {
    /// What an operator set of it, and when.
    pub(super) fn overrides(&self) -> Overrides {
        let fresh = self.overridden();
        let known = Overrides {
            set_at: None,
            ..self.set.clone()
        };
        Overrides {
            set_at: self.set.set_at.filter(|_| fresh == known),
            ..fresh
        }
    }

    /// Notes when an operator changed what he set.
    fn note_set(&mut self) {
        let mut set = self.overrides();
        if set.set_at.is_none() && set != Overrides::default() {
            set.set_at = Some(crate::clock::now());
        }
        self.set = set;
    }

    fn overridden(&self) -> Overrides {
        let declared = self.spec.replicas as usize;
        let replicas = u32::try_from(self.wanted).unwrap_or(u32::MAX);
        let stopped = (0..).zip(&self.replicas);
        Overrides {
            desired: (self.desired != Desired::Running).then_some(self.desired),
            replicas: (self.wanted != declared).then_some(replicas),
            stopped_replicas: stopped
                .filter(|(_, replica)| replica.hold == Hold::Operator)
                .map(|(index, _)| index)
                .collect(),
            set_at: None,
            paused_until: self.pause.until,
        }
    }
}

impl Supervisor {
    /// Keeps what an operator set of an agent, also if it was kept before: that may have failed.
    pub(super) fn keep_overrides(
        &mut self,
        agent: usize,
    ) -> Option<BoxFuture<'static, Result<(), StoreError>>> {
        let agent = &mut self.tree.agents[agent];
        agent.note_set();
        let records = self.outside.records.as_ref()?;
        Some(records.keep_overrides(agent.spec.name.clone(), agent.overrides()))
    }

    /// An operator keeps a whole agent down; that it had failed is settled with that.
    pub(super) fn want_stopped(&mut self, agent: usize) {
        let agent = &mut self.tree.agents[agent];
        agent.desired = Desired::Stopped;
        agent.pause.until = None;
        let failed = agent.replicas.iter_mut();
        for replica in failed.filter(|replica| replica.hold == Hold::Failed) {
            replica.hold = Hold::None;
        }
    }

    /// An operator's start forgets every death, and a stop. Of an agent that is stopped as a whole,
    /// one replica is started alone.
    pub(super) fn want_running(&mut self, target: &AgentTarget, slots: &[Slot]) {
        let Some(agent) = self.tree.agent(&target.agent) else {
            return;
        };
        if self.tree.agents[agent].desired == Desired::Stopped {
            self.tree.agents[agent].desired = Desired::Running;
            let others = self.tree.slots(agent).filter(|slot| !slots.contains(slot));
            others.for_each(|slot| self.hold(slot));
        }
        self.end_rest_of_groups(agent);
        self.tree.agents[agent].lost_since = None;
        for slot in slots {
            let replica = &mut self.tree.agents[slot.agent].replicas[slot.index];
            if replica.life.is_none() || replica.hold != Hold::None {
                replica.pardon();
                self.keep_budget(*slot);
            }
        }
    }

    /// Whom an operator's restart means: of a whole agent, not those that are stopped by index.
    pub(super) fn to_restart(&self, target: &AgentTarget) -> Result<Vec<Slot>, SupervisorError> {
        let mut slots = self.targeted(target)?;
        let agent = self.agent_index(&target.agent)?;
        if target.index.is_none() && self.tree.agents[agent].desired != Desired::Stopped {
            let held = |replica: &Replica| replica.hold == Hold::Operator;
            slots.retain(|slot| !self.tree.replica(*slot).is_some_and(held));
        }
        Ok(slots)
    }

    /// An operator keeps one replica down.
    pub(super) fn hold(&mut self, slot: Slot) {
        if let Some(replica) = self.tree.replica_mut(slot) {
            replica.hold = Hold::Operator;
        }
    }

    /// So many replicas from now on; says how many there were to be. New ones take part in a shared
    /// restart that is under way.
    pub(super) fn want_replicas(&mut self, agent: usize, wanted: usize) -> usize {
        let regrouping = self.is_regrouping(agent);
        let agent = &mut self.tree.agents[agent];
        let before = std::mem::replace(&mut agent.wanted, wanted);
        while agent.replicas.len() < wanted {
            let mut replica = Replica::new(agent.old_generation);
            if regrouping {
                replica.join_plan();
            }
            agent.replicas.push(replica);
        }
        before
    }
}
