//! The tree: groups, agents, and who waits for whom.
//!
//! Rely on: a tree that [`Tree::build`] made has no unknown name and no circle in it.

mod order;
mod standing;
mod succession;

pub(super) use succession::Moves;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::pauses::Pause;
use super::replica::{Hold, Replica};
use crate::actors::life::ChildFactory;
use crate::domain::agent::{AgentProgram, AgentSpec, Desired, InstanceId};
use crate::domain::name::{Name, nearest};
use crate::domain::record::{AgentRecord, Overrides};
use crate::domain::restart::{GroupSpec, Ledger, RestartRule};

/// A replica's place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot {
    pub(super) agent: usize,
    pub(super) index: usize,
}

/// An agent to supervise.
#[derive(Debug)]
pub struct Child {
    /// Its settings.
    pub spec: AgentSpec,
    /// Makes its lives.
    pub factory: Arc<dyn ChildFactory>,
    /// What earlier daemons left of it.
    pub record: Option<AgentRecord>,
}

/// Why a tree cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// Two agents, or two groups, of one name.
    #[error("'{0}' is declared twice")]
    Twice(Name),
    /// A name that is not declared.
    #[error("{by} refers to {what} '{name}', which is not declared{}", hint(.nearest.as_deref()))]
    Unknown {
        /// Who refers to it.
        by: Name,
        /// `group` or `agent`.
        what: &'static str,
        /// The name.
        name: Name,
        /// The nearest one that is.
        nearest: Option<String>,
    },
    /// Agents or groups that wait for each other.
    #[error("'{0}' depends on itself, directly or through others")]
    Circle(Name),
}

fn hint(nearest: Option<&str>) -> String {
    nearest
        .map(|name| format!("; did you mean '{name}'?"))
        .unwrap_or_default()
}

/// One agent with its replicas.
#[derive(Debug)]
pub(super) struct Agent {
    pub(super) spec: Arc<AgentSpec>,
    pub(super) factory: Arc<dyn ChildFactory>,
    pub(super) rule: Arc<RestartRule>,
    /// The rules it is restarted under: its group's, or its own if it stands alone.
    pub(super) rules: Arc<GroupSpec>,
    pub(super) group: Option<usize>,
    pub(super) desired: Desired,
    pub(super) pause: Pause,
    /// It is declared no more, and here only until its last life has ended.
    pub(super) leaving: bool,
    /// What an operator set, as it was last kept.
    pub(super) set: Overrides,
    /// Replicas wanted; more may still be on their way out.
    pub(super) wanted: usize,
    pub(super) replicas: Vec<Replica>,
    /// Replicas that have a life.
    pub(super) alive: usize,
    /// Replicas that are ready; only [`Tree::enter`] changes it.
    pub(super) ready: usize,
    /// Since when nobody has done its work because it gave up.
    pub(super) lost_since: Option<Instant>,
    /// Agents that wait for this one.
    pub(super) dependents: Vec<usize>,
    /// Which unit of its group it is.
    pub(super) unit: usize,
    /// The highest generation of any of its lives, earlier daemons' included.
    pub(super) generation: u64,
    /// The highest generation of replicas that are gone, and of earlier daemons: where new
    /// replicas go on from.
    pub(super) old_generation: u64,
    /// Restarts of all its replicas, earlier daemons' included.
    pub(super) restarts: u64,
    /// Errors that ended none of its lives, since the daemon's start: said once each, by the life.
    pub(super) errors: u64,
}

/// What stands in a group, in declared order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Agent(usize),
    Group(usize),
}

/// One group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) spec: Arc<GroupSpec>,
    pub(super) parent: Option<usize>,
    pub(super) units: Vec<Unit>,
    pub(super) ledger: Ledger,
    pub(super) plan: Option<super::groups::Plan>,
}

/// Groups and agents.
#[derive(Debug, Default)]
pub(super) struct Tree {
    pub(super) agents: Vec<Agent>,
    pub(super) groups: Vec<Group>,
    /// What stands under the root, in declared order.
    pub(super) root: Vec<Unit>,
    /// The agents in the order of their start: as declared, but after what they depend on.
    pub(super) order: Vec<usize>,
    /// The place of each agent in that order.
    pub(super) rank: Vec<usize>,
    by_name: HashMap<Name, usize>,
}

impl Tree {
    /// `alone` is what agents in no group are restarted under.
    pub(super) fn build(
        groups: Vec<GroupSpec>,
        children: Vec<Child>,
        alone: Option<&GroupSpec>,
    ) -> Result<Self, TreeError> {
        let mut tree = Self::default();
        tree.add_groups(groups)?;
        for child in children {
            tree.add_agent(child, alone)?;
        }
        tree.order_units();
        tree.link_dependents()?;
        tree.put_in_order();
        Ok(tree)
    }

    fn add_groups(&mut self, specs: Vec<GroupSpec>) -> Result<(), TreeError> {
        let names: Vec<Name> = specs.iter().map(|spec| spec.name.clone()).collect();
        let position = |name: &Name| names.iter().position(|known| known == name);
        for (index, spec) in specs.into_iter().enumerate() {
            if position(&spec.name) != Some(index) {
                return Err(TreeError::Twice(spec.name));
            }
            let parent = match &spec.parent {
                None => None,
                Some(parent) => Some(position(parent).ok_or_else(|| {
                    unknown(&spec.name, "group", parent, names.iter().map(Name::as_str))
                })?),
            };
            self.groups.push(Group {
                spec: Arc::new(spec),
                parent,
                units: Vec::new(),
                ledger: Ledger::default(),
                plan: None,
            });
        }
        for index in 0..self.groups.len() {
            if self.ancestors(Some(index)).nth(self.groups.len()).is_some() {
                return Err(TreeError::Circle(self.groups[index].spec.name.clone()));
            }
            if let Some(parent) = self.groups[index].parent {
                self.groups[parent].units.push(Unit::Group(index));
            }
        }
        Ok(())
    }

    fn add_agent(&mut self, child: Child, alone: Option<&GroupSpec>) -> Result<(), TreeError> {
        let index = self.agents.len();
        let name = child.spec.name.clone();
        let group = match &child.spec.group {
            None => None,
            Some(group) => Some(self.group(group).ok_or_else(|| {
                let known = self.groups.iter().map(|group| group.spec.name.as_str());
                unknown(&name, "group", group, known)
            })?),
        };
        if self.by_name.insert(name.clone(), index).is_some() {
            return Err(TreeError::Twice(name));
        }
        let rules = match group {
            Some(group) => self.groups[group].spec.clone(),
            None => Arc::new(match alone.cloned() {
                Some(rules) => GroupSpec { name, ..rules },
                None => GroupSpec::alone(name),
            }),
        };
        if let Some(group) = group {
            self.groups[group].units.push(Unit::Agent(index));
        }
        self.agents.push(Agent::new(child, rules, group));
        Ok(())
    }

    fn link_dependents(&mut self) -> Result<(), TreeError> {
        for index in 0..self.agents.len() {
            let spec = self.agents[index].spec.clone();
            for name in spec.depends_on.keys() {
                let on = self.agent(name).ok_or_else(|| {
                    let known = self.by_name.keys().map(Name::as_str);
                    unknown(&spec.name, "agent", name, known)
                })?;
                self.agents[on].dependents.push(index);
            }
        }
        for index in 0..self.agents.len() {
            let name = &self.agents[index].spec.name;
            if self.waits_for(index, index, &mut vec![false; self.agents.len()]) {
                return Err(TreeError::Circle(name.clone()));
            }
        }
        Ok(())
    }

    fn waits_for(&self, of: usize, wanted: usize, seen: &mut [bool]) -> bool {
        self.agents[of].dependents.iter().any(|dependent| {
            *dependent == wanted
                || (!std::mem::replace(&mut seen[*dependent], true)
                    && self.waits_for(*dependent, wanted, seen))
        })
    }

    pub(super) fn agent(&self, name: &Name) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    pub(super) fn group(&self, name: &Name) -> Option<usize> {
        self.groups
            .iter()
            .position(|group| group.spec.name == *name)
    }

    /// The nearest agent's name to one that nobody has.
    pub(super) fn nearest(&self, name: &str) -> Option<String> {
        let declared = self.agents.iter().filter(|agent| !agent.leaving);
        nearest(name, declared.map(|agent| agent.spec.name.as_str())).map(str::to_owned)
    }

    /// A group and those above it. Endless if they form a circle.
    pub(super) fn ancestors(&self, group: Option<usize>) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(group, |group| self.groups[*group].parent)
    }

    pub(super) fn slot(&self, instance: &InstanceId) -> Option<Slot> {
        let slot = Slot {
            agent: self.agent(&instance.agent)?,
            index: instance.index as usize,
        };
        self.replica(slot).map(|_| slot)
    }

    pub(super) fn slots(&self, agent: usize) -> impl Iterator<Item = Slot> + use<> {
        (0..self.agents[agent].replicas.len()).map(move |index| Slot { agent, index })
    }

    pub(super) fn all_slots(&self) -> Vec<Slot> {
        (0..self.agents.len())
            .flat_map(|agent| self.slots(agent))
            .collect()
    }

    /// Every replica, in the reverse of the order in which agents start.
    pub(super) fn slots_in_reverse(&self) -> Vec<Slot> {
        let agents = self.order.iter().rev();
        agents.flat_map(|agent| self.slots(*agent)).collect()
    }

    pub(super) fn replica(&self, slot: Slot) -> Option<&Replica> {
        self.agents[slot.agent].replicas.get(slot.index)
    }

    pub(super) fn replica_mut(&mut self, slot: Slot) -> Option<&mut Replica> {
        self.agents[slot.agent].replicas.get_mut(slot.index)
    }

    pub(super) fn instance(&self, slot: Slot) -> InstanceId {
        InstanceId {
            agent: self.agents[slot.agent].spec.name.clone(),
            index: u32::try_from(slot.index).unwrap_or(u32::MAX),
        }
    }

    /// Agents below a group, from its `from`th unit on, in declared order.
    pub(super) fn agents_from(&self, group: usize, from: usize) -> Vec<usize> {
        let units = self.groups[group].units.iter().skip(from);
        units.flat_map(|unit| self.agents_of(*unit)).collect()
    }

    /// Agents of a unit, in declared order.
    pub(super) fn agents_of(&self, unit: Unit) -> Vec<usize> {
        match unit {
            Unit::Agent(agent) => vec![agent],
            Unit::Group(group) => self.agents_from(group, 0),
        }
    }
}

fn unknown<'a>(
    by: &Name,
    what: &'static str,
    name: &Name,
    known: impl IntoIterator<Item = &'a str>,
) -> TreeError {
    TreeError::Unknown {
        by: by.clone(),
        what,
        name: name.clone(),
        nearest: nearest(name.as_str(), known).map(str::to_owned),
    }
}

impl Agent {
    fn new(child: Child, rules: Arc<GroupSpec>, group: Option<usize>) -> Self {
        let Child {
            spec,
            factory,
            record,
        } = child;
        let generation = record.as_ref().map_or(0, |record| record.generation);
        let (restarts, set) = record.map_or_else(Default::default, |record| {
            (record.restarts_total, record.overrides)
        });
        let wanted = set.replicas.unwrap_or(spec.replicas) as usize;
        let fatal_exit_codes = match &spec.runs {
            AgentProgram::Process(process) => process.fatal_exit_codes.clone(),
            AgentProgram::Actor { .. } | AgentProgram::Http(_) => Vec::new(),
        };
        Self {
            rule: Arc::new(RestartRule {
                kind: spec.restart.kind,
                fatal_exit_codes,
            }),
            spec: Arc::new(spec),
            factory,
            rules,
            group,
            desired: set.desired.unwrap_or(Desired::Running),
            pause: Pause::until(set.paused_until),
            leaving: false,
            wanted,
            replicas: replicas(wanted, generation, &set.stopped_replicas),
            set,
            alive: 0,
            ready: 0,
            lost_since: None,
            dependents: Vec::new(),
            unit: 0,
            generation,
            old_generation: generation,
            restarts,
            errors: 0,
        }
    }
}

/// New replicas, some of them stopped by an operator.
fn replicas(wanted: usize, generation: u64, stopped: &[u32]) -> Vec<Replica> {
    let indices = 0..u32::try_from(wanted).unwrap_or(u32::MAX);
    let replicas = indices.map(|index| {
        let mut replica = Replica::new(generation);
        if stopped.contains(&index) {
            replica.hold = Hold::Operator;
        }
        replica
    });
    replicas.collect()
}
