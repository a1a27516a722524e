//! In which order agents start, and stop the other way round: as declared, but after what they depend
//! on. A group stands where its first agent is declared.

use super::{Agent, Tree, Unit};
use crate::domain::restart::Strategy;

impl Tree {
    /// A group stands among its siblings where its first agent does.
    pub(super) fn order_units(&mut self) {
        for group in 0..self.groups.len() {
            let mut units = std::mem::take(&mut self.groups[group].units);
            units.sort_by_key(|unit| self.first_agent(*unit));
            for (position, unit) in units.iter().enumerate() {
                if let Unit::Agent(agent) = unit {
                    self.agents[*agent].unit = position;
                }
            }
            self.groups[group].units = units;
        }
    }

    /// The first agent of a unit; a group without any comes last.
    fn first_agent(&self, unit: Unit) -> usize {
        let above = |agent: usize| self.ancestors(self.agents[agent].group);
        match unit {
            Unit::Agent(agent) => agent,
            Unit::Group(group) => (0..self.agents.len())
                .find(|agent| above(*agent).any(|outer| outer == group))
                .unwrap_or(usize::MAX),
        }
    }

    /// Puts the root's units and all agents in order; names are known by now, and there is no circle.
    pub(super) fn put_in_order(&mut self) {
        let groups = (0..self.groups.len()).filter(|group| self.groups[*group].parent.is_none());
        let alone = (0..self.agents.len()).filter(|agent| self.agents[*agent].group.is_none());
        let mut root: Vec<Unit> = groups
            .map(Unit::Group)
            .chain(alone.map(Unit::Agent))
            .collect();
        root.sort_by_key(|unit| self.first_agent(*unit));
        self.root = root;
        self.rank_agents();
    }

    pub(super) fn rank_agents(&mut self) {
        let mut placed = vec![false; self.agents.len()];
        let mut order = Vec::with_capacity(self.agents.len());
        for agent in 0..self.agents.len() {
            self.place(agent, &mut placed, &mut order);
        }
        self.rank = vec![0; order.len()];
        for (rank, agent) in order.iter().enumerate() {
            self.rank[*agent] = rank;
        }
        self.order = order;
    }

    fn place(&self, agent: usize, placed: &mut [bool], order: &mut Vec<usize>) {
        if std::mem::replace(&mut placed[agent], true) {
            return;
        }
        let mut before: Vec<usize> = self.agents[agent]
            .spec
            .depends_on
            .keys()
            .filter_map(|name| self.agent(name))
            .collect();
        before.sort_unstable();
        for other in before {
            self.place(other, placed, order);
        }
        order.push(agent);
    }

    /// Whether somebody who needs this agent still has a life: who depends on it, or comes after it
    /// under `rest_for_one`.
    pub(in super::super) fn is_needed(&self, agent: usize) -> bool {
        self.is_needed_by(agent, |other| other.alive > 0)
    }

    /// Whether one of these needs this agent.
    pub(in super::super) fn is_needed_by(
        &self,
        agent: usize,
        these: impl Fn(&Agent) -> bool,
    ) -> bool {
        let mut dependents = self.agents[agent].dependents.iter();
        dependents.any(|other| these(&self.agents[*other])) || self.is_followed(agent, &these)
    }

    fn is_followed(&self, agent: usize, by: &impl Fn(&Agent) -> bool) -> bool {
        let mut unit = Unit::Agent(agent);
        for group in self.ancestors(self.agents[agent].group) {
            let group_of = &self.groups[group];
            if group_of.spec.strategy == Strategy::RestForOne {
                let later = group_of.units.iter().rev();
                let mut later = later.take_while(|other| **other != unit);
                if later.any(|other| {
                    self.agents_of(*other)
                        .iter()
                        .any(|it| by(&self.agents[*it]))
                }) {
                    return true;
                }
            }
            unit = Unit::Group(group);
        }
        false
    }
}
