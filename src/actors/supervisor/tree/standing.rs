//! Who stands, and so who may start: counted where a look at each replica would cost too much.

use super::{Agent, Slot, Tree};
use crate::actors::supervisor::replica::{Hold, Replica};
use crate::domain::agent::{AgentState, DependsOn, Desired};

impl Tree {
    /// A replica with a life, or one whose life has just ended, comes to stand elsewhere.
    pub(in crate::actors::supervisor) fn enter(&mut self, slot: Slot, state: AgentState) {
        let agent = &mut self.agents[slot.agent];
        if let Some(replica) = agent.replicas.get_mut(slot.index) {
            agent.ready -= usize::from(replica.is_ready());
            replica.state = state;
            agent.ready += usize::from(replica.is_ready());
        }
    }

    /// Whether what an agent waits for stands.
    pub(in crate::actors::supervisor) fn may_start(&self, agent: usize) -> bool {
        let mut waits = self.agents[agent].spec.depends_on.iter();
        waits.all(|(name, kind)| self.agent(name).is_none_or(|on| self.agents[on].has(*kind)))
    }
}

impl Agent {
    /// Whether it has reached what others wait for. Looks at each replica only where there are more
    /// of them than wanted, or for a completion.
    pub(in crate::actors::supervisor) fn has(&self, kind: DependsOn) -> bool {
        let mut replicas = self.replicas.iter().take(self.wanted);
        let surplus = self.replicas.len() > self.wanted;
        match kind {
            _ if self.wanted == 0 => false,
            DependsOn::Started if !surplus => self.alive == self.wanted,
            DependsOn::Healthy if !surplus => self.ready == self.wanted,
            DependsOn::Started => replicas.all(|replica| replica.life.is_some()),
            DependsOn::Healthy => replicas.all(Replica::is_ready),
            DependsOn::Completed => replicas.all(|replica| replica.hold == Hold::Done(true)),
        }
    }

    /// Whether each replica that is wanted has a life, and nobody else has.
    pub(in crate::actors::supervisor) fn is_full(&self) -> bool {
        self.alive == self.wanted && self.replicas.len() == self.wanted
    }

    /// Whether nobody does its work because it gave up.
    pub(in crate::actors::supervisor) fn is_lost(&self) -> bool {
        let mut wanted = self.replicas.iter().take(self.wanted);
        self.desired != Desired::Stopped
            && self.replicas.iter().any(Replica::has_given_up)
            && !wanted.any(Replica::is_ready)
    }
}

impl Replica {
    /// Whether it can take work, or could if it were not paused.
    pub(in crate::actors::supervisor) fn is_ready(&self) -> bool {
        matches!(self.state, AgentState::Ready | AgentState::Paused)
    }
}
