//! What an operator asks for, or a healer. Every command is idempotent and answers at once, with the agent as
//! it then stands; what it sets off goes on by itself.

use actix::prelude::*;
use serde_json::json;
use tokio::sync::oneshot;

use super::overrides::Changed;
use super::replica::{Replica, Then};
use super::revive::Revival;
use super::status::{AgentStatus, TreeNode};
use super::tree::Slot;
use super::{Supervisor, SupervisorError};
use crate::actors::life::{Evidence, TailOf};
use crate::actors::runner::AgentContext;
use crate::domain::agent::{AgentTarget, Desired};
use crate::domain::name::Name;
use crate::domain::timestamp::Timestamp;

type Answer = Result<AgentStatus, SupervisorError>;
type Change = Result<Changed, SupervisorError>;

/// Run it, from a fresh start.
#[derive(Message)]
#[rtype(result = "Change")]
pub(super) struct StartAgent(pub(super) AgentTarget);

/// Keep it down.
#[derive(Message)]
#[rtype(result = "Change")]
pub(super) struct StopAgent(pub(super) AgentTarget);

/// End it and run it again.
#[derive(Message)]
#[rtype(result = "Change")]
pub(super) struct RestartAgent(pub(super) AgentTarget);

/// Bring it back without forgiving it anything: a healer's restart.
#[derive(Message)]
#[rtype(result = "Result<Revival, SupervisorError>")]
pub(super) struct ReviveAgent(pub(super) Name);

/// Give it no new task, or give it tasks again.
#[derive(Message)]
#[rtype(result = "Change")]
pub(super) struct PauseAgent {
    pub(super) agent: Name,
    pub(super) wish: Wish,
}

/// What an operator wants of an agent's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// No new task, until then if an end is given.
    Pause(Option<Timestamp>),
    /// Tasks again.
    Resume,
}

/// Run so many replicas.
#[derive(Message)]
#[rtype(result = "Change")]
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

/// What a replica has said, the first that has a log unless one is named; kept, not asked for.
#[derive(Message)]
#[rtype(result = "Result<Option<TailOf>, SupervisorError>")]
pub(super) struct GetTail(pub(super) AgentTarget);

impl Handler<GetTail> for Supervisor {
    type Result = Result<Option<TailOf>, SupervisorError>;

    fn handle(&mut self, GetTail(target): GetTail, _: &mut AgentContext<Self>) -> Self::Result {
        let slots = self.targeted(&target)?;
        let mut tails = slots
            .iter()
            .filter_map(|slot| self.tree.replica(*slot)?.tail.clone());
        Ok(tails.next())
    }
}

impl Handler<StartAgent> for Supervisor {
    type Result = Change;

    fn handle(&mut self, StartAgent(target): StartAgent, ctx: &mut AgentContext<Self>) -> Change {
        let slots = self.targeted(&target)?;
        self.want_running(&target, &slots);
        self.settle(&target.agent, ctx)
    }
}

impl Handler<StopAgent> for Supervisor {
    type Result = Change;

    fn handle(&mut self, StopAgent(target): StopAgent, ctx: &mut AgentContext<Self>) -> Change {
        let slots = self.targeted(&target)?;
        match target.index {
            None => self.want_stopped(self.agent_index(&target.agent)?),
            Some(_) => slots.iter().for_each(|slot| self.hold(*slot)),
        }
        self.settle(&target.agent, ctx)
    }
}

impl Handler<RestartAgent> for Supervisor {
    type Result = Change;

    fn handle(&mut self, msg: RestartAgent, ctx: &mut AgentContext<Self>) -> Change {
        let RestartAgent(target) = msg;
        let slots = self.to_restart(&target)?;
        let sound = |r: &Replica| r.life.is_some() && !r.is_ending();
        let is_sound = |slot: &&Slot| self.tree.replica(**slot).is_some_and(sound);
        // What only starts now, from its rest, needs no second start.
        let living: Vec<Slot> = slots.iter().filter(is_sound).copied().collect();
        self.want_running(&target, &slots);
        for slot in living {
            self.begin_ending(slot, Then::AsWanted);
        }
        self.settle(&target.agent, ctx)
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
    type Result = Change;

    fn handle(&mut self, msg: PauseAgent, ctx: &mut AgentContext<Self>) -> Change {
        let agent = self.agent_index(&msg.agent)?;
        match (self.tree.agents[agent].desired, msg.wish) {
            (Desired::Running | Desired::Paused, Wish::Pause(until)) => {
                self.pause(agent, until)?;
            }
            (Desired::Paused, Wish::Resume) => self.resume_work(agent, "asked for"),
            (Desired::Stopped, _) => {
                return Err(SupervisorError::Conflict(format!(
                    "agent '{}' is stopped; start it first",
                    msg.agent
                )));
            }
            (Desired::Running, Wish::Resume) => {}
        }
        self.settle(&msg.agent, ctx)
    }
}

impl Handler<ScaleAgent> for Supervisor {
    type Result = Change;

    fn handle(&mut self, msg: ScaleAgent, ctx: &mut AgentContext<Self>) -> Change {
        let index = self.agent_index(&msg.agent)?;
        let before = self.want_replicas(index, msg.replicas as usize);
        if before != msg.replicas as usize {
            self.outside.fact(
                "agent.scaled",
                &msg.agent,
                || json!({"from": before, "to": msg.replicas}),
            );
        }
        self.settle(&msg.agent, ctx)
    }
}

impl Handler<GetAgents> for Supervisor {
    type Result = Vec<AgentStatus>;

    fn handle(&mut self, _: GetAgents, _: &mut AgentContext<Self>) -> Vec<AgentStatus> {
        let all = 0..self.tree.agents.len();
        all.filter(|agent| !self.tree.agents[*agent].leaving)
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
        let known = self.tree.agent(name);
        known
            .filter(|agent| !self.tree.agents[*agent].leaving)
            .ok_or_else(|| SupervisorError::NotFound {
                name: name.to_string(),
                nearest: self.tree.nearest(name.as_str()),
            })
    }

    /// The replicas that are meant.
    pub(super) fn targeted(&self, target: &AgentTarget) -> Result<Vec<Slot>, SupervisorError> {
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

    /// Carries out what was changed, keeps it, and answers.
    fn settle(&mut self, name: &Name, ctx: &mut AgentContext<Self>) -> Change {
        let agent = self.agent_index(name)?;
        self.reconcile_agent(agent);
        self.arm(ctx);
        let kept = self.keep_overrides(agent);
        let status = self.status(agent);
        Ok(Changed { status, kept })
    }
}
