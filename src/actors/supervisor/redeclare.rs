//! What is declared changes while the tree lives: groups and agents come, go, and have other
//! settings. Only whom that concerns is touched.
//!
//! ```text
//! unchanged ─────────────▶ goes on: same lives, same deaths
//! changed in place ──────▶ the same, under the new rules from now on
//! changed otherwise ─────▶ drained, ended, started anew; one that rests is tried with the new settings
//! added ─────────────────▶ started, after what it depends on
//! removed ───────────────▶ drained, ended, forgotten
//! ```
//!
//! Rely on: what cannot be a tree changes nothing; what an operator set stands, but for a number of
//! replicas that is declared otherwise now; deaths go on counting where the rules that count them are
//! the same; asking again for what is declared already does nothing.

mod over;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::time::Instant;

use super::Supervisor;
use super::handle::SupervisorError;
use super::replica::Replica;
use super::timers::Due;
use super::tree::{Agent, Child, Moves, Slot, Tree};
use crate::actors::life::ChildFactory;
use crate::actors::runner::AgentContext;
use crate::domain::agent::{AgentSpec, AgentState, AgentTarget};
use crate::domain::crash::LastDeath;
use crate::domain::record::{AgentRecord, RestartBudget};
use crate::domain::reload::{Does, touch};
use crate::domain::restart::GroupSpec;

/// All that is declared from now on.
#[derive(Debug, Default)]
pub struct Declaration {
    /// The groups.
    pub groups: Vec<GroupSpec>,
    /// The agents, in the order of their start.
    pub agents: Vec<Redeclared>,
    /// What earlier daemons left of budgets of whom is new.
    pub budgets: Vec<RestartBudget>,
    /// How replicas last ended, of whom is new.
    pub deaths: Vec<LastDeath>,
    /// The rules of agents in no group; [`GroupSpec::alone`] if absent.
    pub alone: Option<GroupSpec>,
    /// How long a critical agent may be lost; as before if absent.
    pub critical_grace: Option<Duration>,
}

/// An agent that is declared from now on.
#[derive(Debug)]
pub struct Redeclared {
    /// Its settings.
    pub spec: AgentSpec,
    /// Makes its lives; needed of one that is new, or changed so that it starts anew.
    pub factory: Option<Arc<dyn ChildFactory>>,
    /// What earlier daemons left of one that is new.
    pub record: Option<AgentRecord>,
}

/// Take over what is declared.
#[derive(Message)]
#[rtype(result = "Result<(), SupervisorError>")]
pub(super) struct Redeclare(pub(super) Declaration);

impl Handler<Redeclare> for Supervisor {
    type Result = Result<(), SupervisorError>;

    fn handle(&mut self, msg: Redeclare, ctx: &mut AgentContext<Self>) -> Self::Result {
        if self.shutdown.is_some() {
            let said = "the daemon is stopping".to_owned();
            return Err(SupervisorError::Conflict(said));
        }
        let done = self.redeclare(msg.0);
        self.arm(ctx);
        done
    }
}

/// An agent as it was declared before.
struct Before {
    spec: Arc<AgentSpec>,
    rules: Arc<GroupSpec>,
    wanted: usize,
}

/// One that goes on, and what its change does.
struct GoesOn {
    agent: usize,
    before: Before,
    does: Does,
}

impl Supervisor {
    fn redeclare(&mut self, declared: Declaration) -> Result<(), SupervisorError> {
        let before: Vec<Before> = self.tree.agents.iter().map(Before::of).collect();
        let children = children(&self.tree, declared.agents)?;
        let regrouping = self.regrouping();
        let moves = self
            .tree
            .follow(declared.groups, children, declared.alone.as_ref())
            .map_err(|error| SupervisorError::Invalid(error.to_string()))?;
        self.timers.follow(&moves);
        self.grace_is(declared.critical_grace.unwrap_or(self.critical_grace));
        self.settle_plans(&moves, &regrouping);
        let before = before.into_iter().enumerate();
        let on: Vec<GoesOn> = before
            .filter_map(|(old, before)| Some(self.goes_on(moves.agent(old)?, before)))
            .collect();
        let known: BTreeSet<usize> = on.iter().map(|goes_on| goes_on.agent).collect();
        let budgets = declared.budgets.into_iter();
        let new = |budget: &RestartBudget| self.is_of_new(budget, &known);
        let budgets = budgets.filter(new).collect();
        self.restore(budgets);
        self.recall(declared.deaths);
        self.take_in(&known);
        for goes_on in &on {
            self.take_over(goes_on);
        }
        self.look_at_pauses();
        self.carry_on();
        Ok(())
    }

    /// Critical agents that are lost have so much time from when they were.
    fn grace_is(&mut self, grace: Duration) {
        if std::mem::replace(&mut self.critical_grace, grace) == grace {
            return;
        }
        for (agent, lost) in self.tree.agents.iter().enumerate() {
            if let Some(since) = lost.lost_since {
                self.timers.set(since + grace, Due::Critical(agent));
            }
        }
    }

    /// Whether a budget that was kept is that of somebody new; who goes on has it already.
    fn is_of_new(&self, budget: &RestartBudget, known: &BTreeSet<usize>) -> bool {
        let agents = match budget.owner.strip_prefix('@') {
            None => {
                let target = budget.owner.parse::<AgentTarget>().ok();
                let agent = target.and_then(|target| self.tree.agent(&target.agent));
                agent.into_iter().collect()
            }
            Some(name) => {
                let mut groups = 0..self.tree.groups.len();
                let group = groups.find(|it| self.tree.groups[*it].spec.name.as_str() == name);
                group.map_or_else(Vec::new, |group| self.tree.agents_from(group, 0))
            }
        };
        agents.iter().all(|agent| !known.contains(agent))
    }

    /// Who takes part in a shared restart.
    fn regrouping(&self) -> BTreeSet<usize> {
        let plans = self.tree.groups.iter().filter_map(|it| it.plan.as_ref());
        plans.flat_map(|plan| plan.agents.iter().copied()).collect()
    }

    fn goes_on(&self, agent: usize, before: Before) -> GoesOn {
        let now = &self.tree.agents[agent];
        let does = match now.leaving {
            true => Does::Stop,
            false => touch(&before.spec, &now.spec),
        };
        GoesOn {
            agent,
            before,
            does,
        }
    }

    /// Shared restarts go on with those who are still in their groups; the others have no part in
    /// them any more.
    fn settle_plans(&mut self, moves: &Moves, regrouping: &BTreeSet<usize>) {
        let mut free: BTreeSet<usize> = regrouping
            .iter()
            .filter_map(|agent| moves.agent(*agent))
            .collect();
        for group in 0..self.tree.groups.len() {
            self.tree.dismiss(group);
            if let Some(plan) = &self.tree.groups[group].plan {
                free.retain(|agent| !plan.agents.contains(agent));
            }
        }
        for agent in free {
            for replica in &mut self.tree.agents[agent].replicas {
                replica.quit_plan();
            }
        }
    }

    /// Those who are new; in a group that restarts they start with it.
    fn take_in(&mut self, known: &BTreeSet<usize>) {
        for agent in (0..self.tree.agents.len()).filter(|agent| !known.contains(agent)) {
            let groups: Vec<usize> = self.tree.ancestors(self.tree.agents[agent].group).collect();
            for group in groups {
                if let Some(plan) = &mut self.tree.groups[group].plan {
                    plan.agents.insert(agent);
                    let replicas = self.tree.agents[agent].replicas.iter_mut();
                    replicas.for_each(Replica::join_plan);
                }
            }
            for slot in self.tree.slots(agent) {
                self.tell_if_it_rests_on(slot);
            }
        }
    }

    /// Everybody comes closer to what is wanted, in the order of starts.
    fn carry_on(&mut self) {
        self.advance_renewal();
        for agent in self.tree.order.clone() {
            self.reconcile_agent(agent);
        }
        for group in 0..self.tree.groups.len() {
            let plan = self.tree.groups[group].plan.as_ref();
            if plan.is_some_and(|plan| plan.rests_until().is_none()) {
                self.advance_plan(group);
            }
        }
    }

    /// Places in the tree change here: whoever is declared no more and has ended is forgotten.
    pub(super) fn forget_gone(&mut self) {
        if self.shutdown.is_none() && self.tree.has_gone() {
            let moves = self.tree.forget_gone();
            self.timers.follow(&moves);
        }
    }

    fn tell_if_it_rests_on(&mut self, slot: Slot) {
        let Some(replica) = self.tree.replica(slot) else {
            return;
        };
        if let (AgentState::Quarantined, Some(due)) = (replica.state, replica.due) {
            let left = due.saturating_duration_since(Instant::now());
            self.quarantined(slot, "as before it was removed", left);
        }
    }
}

impl Before {
    fn of(agent: &Agent) -> Self {
        Self {
            spec: agent.spec.clone(),
            rules: agent.rules.clone(),
            wanted: agent.wanted,
        }
    }
}

/// The agents with what makes their lives: their own as before, where nothing else is given.
fn children(tree: &Tree, agents: Vec<Redeclared>) -> Result<Vec<Child>, SupervisorError> {
    let child = |declared: Redeclared| {
        let Redeclared {
            spec,
            factory,
            record,
        } = declared;
        let known = tree.agent(&spec.name).map(|it| &tree.agents[it]);
        let as_before = known
            .filter(|it| touch(&it.spec, &spec) != Does::Restart)
            .filter(|it| !it.leaving || factory.is_none())
            .map(|it| it.factory.clone());
        let factory = as_before.or(factory).ok_or_else(|| {
            let said = format!("nothing makes lives of '{}'", spec.name);
            SupervisorError::Invalid(said)
        })?;
        Ok(Child {
            spec,
            factory,
            record,
        })
    };
    agents.into_iter().map(child).collect()
}
