//! A tree follows another: other groups and agents are declared, and whoever is in both goes on as
//! it stands.
//!
//! Places (an agent's, a group's number) mean something in one tree only; [`Moves`] says where each
//! of the old ones has come to be. Agents that are declared no more stay behind the others until
//! their last life has ended, in no group, so that no end is lost.
//!
//! Rely on: a tree that cannot be changes nothing.

use std::collections::{BTreeSet, HashMap};

use super::{Agent, Child, Slot, Tree, TreeError};
use crate::actors::supervisor::groups::Plan;
use crate::domain::reload::keeps_budget;
use crate::domain::restart::{GroupSpec, Ledger};

/// Where each agent and group of the tree before has come to be.
#[derive(Debug, Default)]
pub(in crate::actors::supervisor) struct Moves {
    agents: HashMap<usize, usize>,
    groups: HashMap<usize, usize>,
}

impl Moves {
    pub(in crate::actors::supervisor) fn agent(&self, before: usize) -> Option<usize> {
        self.agents.get(&before).copied()
    }

    pub(in crate::actors::supervisor) fn group(&self, before: usize) -> Option<usize> {
        self.groups.get(&before).copied()
    }

    pub(in crate::actors::supervisor) fn slot(&self, before: Slot) -> Option<Slot> {
        let agent = self.agent(before.agent)?;
        Some(Slot { agent, ..before })
    }
}

impl Tree {
    /// The tree of what is declared now, with everybody who goes on in it.
    pub(in crate::actors::supervisor) fn follow(
        &mut self,
        groups: Vec<GroupSpec>,
        children: Vec<Child>,
        alone: Option<&GroupSpec>,
    ) -> Result<Moves, TreeError> {
        let next = Self::build(groups, children, alone)?;
        let before = std::mem::replace(self, next);
        let mut moves = Moves::default();
        let mut plans = Vec::new();
        for (old, group) in before.groups.into_iter().enumerate() {
            let Some(new) = self.group(&group.spec.name) else {
                continue;
            };
            moves.groups.insert(old, new);
            let here = &mut self.groups[new];
            if keeps_budget(&group.spec, &here.spec) {
                here.ledger = group.ledger;
            }
            plans.extend(group.plan.map(|plan| (new, plan)));
        }
        for (old, agent) in before.agents.into_iter().enumerate() {
            let new = match self.agent(&agent.spec.name) {
                Some(new) => {
                    self.agents[new].go_on_as(agent);
                    new
                }
                None => self.leave_behind(agent),
            };
            moves.agents.insert(old, new);
        }
        self.link_those_left_behind();
        self.rank_agents();
        for (group, plan) in plans {
            self.groups[group].plan = Some(plan.moved(&moves));
        }
        Ok(moves)
    }

    /// Keeps an agent that is declared no more until its last life has ended.
    fn leave_behind(&mut self, agent: Agent) -> usize {
        let index = self.agents.len();
        self.by_name.insert(agent.spec.name.clone(), index);
        self.agents.push(Agent {
            leaving: true,
            group: None,
            unit: 0,
            dependents: Vec::new(),
            ..agent
        });
        index
    }

    /// They still end before what they depend on.
    fn link_those_left_behind(&mut self) {
        for index in 0..self.agents.len() {
            let spec = self.agents[index].spec.clone();
            if !self.agents[index].leaving {
                continue;
            }
            let on: Vec<usize> = spec
                .depends_on
                .keys()
                .filter_map(|it| self.agent(it))
                .collect();
            on.into_iter()
                .for_each(|on| self.agents[on].dependents.push(index));
        }
    }

    /// Whether somebody is declared no more and has no life left.
    pub(in crate::actors::supervisor) fn has_gone(&self) -> bool {
        self.agents.iter().any(Agent::has_gone)
    }

    /// Forgets who is declared no more and has no life left.
    pub(in crate::actors::supervisor) fn forget_gone(&mut self) -> Moves {
        let mut moves = Moves {
            groups: (0..self.groups.len()).map(|it| (it, it)).collect(),
            ..Moves::default()
        };
        let before = std::mem::take(&mut self.agents);
        for (old, agent) in before.into_iter().enumerate() {
            if agent.has_gone() {
                self.by_name.remove(&agent.spec.name);
            } else {
                moves.agents.insert(old, self.agents.len());
                self.by_name
                    .insert(agent.spec.name.clone(), self.agents.len());
                self.agents.push(agent);
            }
        }
        // The declared ones come first: where they stand in groups has not changed.
        for agent in &mut self.agents {
            let moved = agent.dependents.iter();
            agent.dependents = moved.filter_map(|it| moves.agent(*it)).collect();
        }
        self.rank_agents();
        for group in &mut self.groups {
            group.plan = group.plan.take().map(|plan| plan.moved(&moves));
        }
        moves
    }

    /// Lets those out of a group's shared restart who are in that group no more; says who.
    pub(in crate::actors::supervisor) fn dismiss(&mut self, group: usize) -> BTreeSet<usize> {
        let members: BTreeSet<usize> = self.agents_from(group, 0).into_iter().collect();
        let plan = self.groups[group].plan.as_mut();
        plan.map_or_else(BTreeSet::new, |plan| plan.dismiss_others(&members))
    }
}

impl Agent {
    /// The same agent under what is declared now, with its lives and deaths.
    fn go_on_as(&mut self, before: Self) {
        let declared = self.spec.replicas;
        let same_number = declared == before.spec.replicas;
        let same_rules = keeps_budget(&before.rules, &self.rules);
        *self = Self {
            spec: self.spec.clone(),
            factory: self.factory.clone(),
            rule: self.rule.clone(),
            rules: self.rules.clone(),
            group: self.group,
            dependents: std::mem::take(&mut self.dependents),
            unit: self.unit,
            wanted: if same_number {
                before.wanted
            } else {
                declared as usize
            },
            leaving: false,
            ..before
        };
        if !same_rules {
            for replica in &mut self.replicas {
                replica.ledger = Ledger::default();
            }
        }
    }

    fn has_gone(&self) -> bool {
        self.leaving && self.alive == 0
    }
}

impl Plan {
    /// The same in another tree.
    fn moved(self, moves: &Moves) -> Self {
        let gone = |slots: &[Slot]| {
            let slots = slots.iter();
            slots.filter(|slot| moves.slot(**slot).is_none()).count()
        };
        let told = self.told - gone(&self.order[..self.told]);
        let down = self.down - gone(&self.order[..self.down]);
        let order = self.order.iter();
        Self {
            order: order.filter_map(|slot| moves.slot(*slot)).collect(),
            told,
            down,
            agents: self
                .agents
                .iter()
                .filter_map(|it| moves.agent(*it))
                .collect(),
            ..self
        }
    }

    fn dismiss_others(&mut self, members: &BTreeSet<usize>) -> BTreeSet<usize> {
        let others = self.agents.difference(members).copied().collect();
        self.agents.retain(|agent| members.contains(agent));
        others
    }
}
