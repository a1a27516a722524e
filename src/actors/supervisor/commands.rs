//! What an operator asks for, or a healer. Every command is idempotent and answers at once, with the agent as
//! it then stands; what it sets off goes on by itself.

use actix::prelude::*;
use serde_json::json;
use tokio::sync::oneshot;

use super::replica::{Hold, Replica, Then};
use super::revive::Revival;
use super::status::{AgentStatus, TreeNode};
use super::tree::Slot;
use super::{Supervisor, SupervisorError};
use crate::actors::life::Evidence;
use crate::actors::runner::AgentContext;
use crate::domain::agent::{AgentTarget, Desired};
use crate::domain::name::Name;

type Answer = Result<AgentStatus, SupervisorError>;

/// Run it, from a fresh start.
#[derive(Message)]
#[rtype(result = "Answer")]
pub(super) struct StartAgent(pub(super) AgentTarget);

/// Keep it down.
#[derive(Message)]
#[rtype(result = "Answer")]
pub(super) struct StopAgent(pub(super) AgentTarget);

/// End it and run it again.
#[derive(Message)]
#[rtype(result = "Answer")]
pub(super) struct RestartAgent(pub(super) AgentTarget);

/// Bring it back without forgiving it anything: a healer's restart.
#[derive(Message)]
#[rtype(result = "Result<Revival, SupervisorError>")]
pub(super) struct ReviveAgent(pub(super) Name);

/// Give it no new task, or give it tasks again.
#[derive(Message)]
#[rtype(result = "Answer")]
pub(super) struct PauseAgent {
    pub(super) agent: Name,
    pub(super) paused: bool,
}

/// Run so many replicas.
#[derive(Message)]
#[rtype(result = "Answer")]
pub(super) struct ScaleAgent {
    pub(super) agent: Name,
    pub(super) replicas: u32,
}

/// Every agent.
#[derive(Message)]
#[rtype(result = "Vec<AgentStatus>")]
pub(super) struct GetAgents;

/// One agent.
#[derive(Message)]
#[rtype(result = "Answer")]
pub(super) struct GetAgent(pub(super) Name);

/// The tree.
#[derive(Message)]
#[rtype(result = "TreeNode")]
pub(super) struct GetTree;

/// The way to ask a replica for a sign of life.
#[derive(Message)]
#[rtype(result = "Result<oneshot::Receiver<Evidence>, SupervisorError>")]
pub(super) struct AskForSign(pub(super) AgentTarget);

impl Handler<StartAgent> for Supervisor {
    type Result = Answer;

    fn handle(&mut self, StartAgent(target): StartAgent, ctx: &mut AgentContext<Self>) -> Answer {
        let slots = self.targeted(&target)?;
        self.want_running(&target, &slots);
        self.settle(&target, ctx)
    }
}

impl Handler<StopAgent> for Supervisor {
    type Result = Answer;

    fn handle(&mut self, StopAgent(target): StopAgent, ctx: &mut AgentContext<Self>) -> Answer {
        let slots = self.targeted(&target)?;
        match target.index {
            None => self.want_stopped(&target.agent, &slots),
            Some(_) => slots.iter().for_each(|slot| self.hold(*slot)),
        }
        self.settle(&target, ctx)
    }
}

impl Handler<RestartAgent> for Supervisor {
    type Result = Answer;

    fn handle(&mut self, msg: RestartAgent, ctx: &mut AgentContext<Self>) -> Answer {
        let RestartAgent(target) = msg;
        let slots = self.targeted(&target)?;
        self.want_running(&target, &slots);
        for slot in slots {
            if self
                .tree
                .replica(slot)
                .is_some_and(|r| r.life.is_some() && !r.is_ending())
            {
                self.begin_ending(slot, Then::AsWanted);
            }
        }
        self.settle(&target, ctx)
    }
}

impl Handler<ReviveAgent> for Supervisor {
    type Result = Result<Revival, SupervisorError>;

    fn handle(
        &mut self,
        ReviveAgent(name): ReviveAgent,
        ctx: &mut AgentContext<Self>,
    ) -> Self::Result {
        let done = self.revive(&name)?;
        self.arm(ctx);
        Ok(done)
    }
}

impl Handler<PauseAgent> for Supervisor {
    type Result = Answer;

    fn handle(&mut self, msg: PauseAgent, ctx: &mut AgentContext<Self>) -> Answer {
        let target = whole(&msg.agent);
        let slots = self.targeted(&target)?;
        let now = self.tree.agents[self.agent_index(&msg.agent)?].desired;
        match (now, msg.paused) {
            (Desired::Running, true) => self.pause(&msg.agent, &slots),
            (Desired::Paused, false) => self.unpause(&msg.agent, &slots),
            (Desired::Stopped, _) => {
                return Err(SupervisorError::Conflict(format!(
                    "agent '{}' is stopped; start it first",
                    msg.agent
                )));
            }
            _ => {}
        }
        self.settle(&target, ctx)
    }
}

impl Handler<ScaleAgent> for Supervisor {
    type Result = Answer;

    fn handle(&mut self, msg: ScaleAgent, ctx: &mut AgentContext<Self>) -> Answer {
        let index = self.agent_index(&msg.agent)?;
        let agent = &mut self.tree.agents[index];
        let before = std::mem::replace(&mut agent.wanted, msg.replicas as usize);
        while agent.replicas.len() < agent.wanted {
            let generation = agent.old_generation;
            agent.replicas.push(Replica::new(generation));
        }
        if before != msg.replicas as usize {
            self.outside.fact(
                "agent.scaled",
                &msg.agent,
                || json!({"from": before, "to": msg.replicas}),
            );
        }
        self.settle(&whole(&msg.agent), ctx)
    }
}

impl Handler<GetAgents> for Supervisor {
    type Result = Vec<AgentStatus>;

    fn handle(&mut self, _: GetAgents, _: &mut AgentContext<Self>) -> Vec<AgentStatus> {
        (0..self.tree.agents.len())
            .map(|agent| self.status(agent))
            .collect()
    }
}

impl Handler<GetAgent> for Supervisor {
    type Result = Answer;

    fn handle(&mut self, GetAgent(name): GetAgent, _: &mut AgentContext<Self>) -> Answer {
        Ok(self.status(self.agent_index(&name)?))
    }
}

impl Handler<GetTree> for Supervisor {
    type Result = MessageResult<GetTree>;

    fn handle(&mut self, _: GetTree, _: &mut AgentContext<Self>) -> Self::Result {
        MessageResult(self.tree_node())
    }
}

impl Handler<AskForSign> for Supervisor {
    type Result = Result<oneshot::Receiver<Evidence>, SupervisorError>;

    fn handle(
        &mut self,
        AskForSign(target): AskForSign,
        _: &mut AgentContext<Self>,
    ) -> Self::Result {
        let slots = self.targeted(&target)?;
        let mut lives = slots
            .iter()
            .filter_map(|slot| self.tree.replica(*slot)?.life.as_ref());
        let life = lives.next().ok_or_else(|| SupervisorError::NotRunning {
            agent: target.agent.clone(),
        })?;
        Ok(life.control.probe())
    }
}

impl Supervisor {
    pub(super) fn agent_index(&self, name: &Name) -> Result<usize, SupervisorError> {
        self.tree
            .agent(name)
            .ok_or_else(|| SupervisorError::NotFound {
                name: name.to_string(),
                nearest: self.tree.nearest(name.as_str()),
            })
    }

    /// The replicas that are meant.
    fn targeted(&self, target: &AgentTarget) -> Result<Vec<Slot>, SupervisorError> {
        let agent = self.agent_index(&target.agent)?;
        let Some(index) = target.index else {
            return Ok(self.tree.slots(agent).collect());
        };
        let slot = Slot {
            agent,
            index: index as usize,
        };
        match self.tree.replica(slot) {
            Some(_) => Ok(vec![slot]),
            None => Err(SupervisorError::NotFound {
                name: format!("{}#{index}", target.agent),
                nearest: Some(format!("{}#0", target.agent)),
            }),
        }
    }

    /// Carries out what was changed, and answers.
    fn settle(&mut self, target: &AgentTarget, ctx: &mut AgentContext<Self>) -> Answer {
        let agent = self.agent_index(&target.agent)?;
        self.reconcile_agent(agent);
        self.arm(ctx);
        Ok(self.status(agent))
    }

    fn set_desired(&mut self, name: &Name, desired: Desired) {
        if let Some(agent) = self.tree.agent(name) {
            self.tree.agents[agent].desired = desired;
        }
    }

    /// An operator keeps a whole agent down; that it had failed is settled with that.
    fn want_stopped(&mut self, name: &Name, slots: &[Slot]) {
        self.set_desired(name, Desired::Stopped);
        for slot in slots {
            let replica = &mut self.tree.agents[slot.agent].replicas[slot.index];
            if replica.hold == Hold::Failed {
                replica.hold = Hold::None;
            }
        }
    }

    /// An operator's start forgets every death, and a stop of the whole agent.
    fn want_running(&mut self, target: &AgentTarget, slots: &[Slot]) {
        let desired = self
            .tree
            .agent(&target.agent)
            .map(|agent| self.tree.agents[agent].desired);
        if desired == Some(Desired::Stopped) {
            self.set_desired(&target.agent, Desired::Running);
        }
        if let Some(slot) = slots.first() {
            self.end_rest_of_groups(slot.agent);
        }
        for slot in slots {
            let replica = &mut self.tree.agents[slot.agent].replicas[slot.index];
            if replica.life.is_none() || replica.hold != Hold::None {
                replica.pardon();
            }
        }
    }

    /// An operator keeps one replica down.
    fn hold(&mut self, slot: Slot) {
        if let Some(replica) = self.tree.replica_mut(slot) {
            replica.hold = Hold::Operator;
        }
    }

    fn pause(&mut self, name: &Name, slots: &[Slot]) {
        self.set_desired(name, Desired::Paused);
        self.outside.fact("agent.paused", name, || json!({}));
        for slot in slots {
            let Some(replica) = self
                .tree
                .replica(*slot)
                .filter(|replica| replica.is_ready())
            else {
                continue;
            };
            let generation = replica.generation;
            if let Some(work) = &self.outside.work {
                work.agent_draining(&self.tree.instance(*slot), generation);
            }
            self.offer(*slot);
        }
    }

    fn unpause(&mut self, name: &Name, slots: &[Slot]) {
        self.set_desired(name, Desired::Running);
        self.outside.fact("agent.resumed", name, || json!({}));
        for slot in slots {
            if self.tree.replica(*slot).is_some_and(Replica::is_ready) {
                self.offer(*slot);
            }
        }
    }
}

fn whole(agent: &Name) -> AgentTarget {
    AgentTarget {
        agent: agent.clone(),
        index: None,
    }
}
