//! The agents, roles and queues that work can be addressed to.

use std::collections::BTreeSet;

use parking_lot::RwLock;

use super::{DispatchError, Result};
use crate::domain::agent::AgentSpec;
use crate::domain::name::Name;
use crate::domain::task::Target;
use crate::domain::workflow::WorkflowDefinition;
use crate::domain::workflow::check::{did_you_mean, unknown_targets};

/// What work can be addressed to.
#[derive(Debug, Default)]
pub(super) struct Known(RwLock<Names>);

#[derive(Debug, Default)]
struct Names {
    agents: BTreeSet<Name>,
    roles: BTreeSet<Name>,
    queues: BTreeSet<Name>,
    /// Queues that are configured, whoever takes from them.
    declared: BTreeSet<Name>,
    /// Agents whose lives take no messages.
    deaf: BTreeSet<Name>,
    /// Agents whose lives take no tasks.
    idle: BTreeSet<Name>,
}

impl Known {
    /// Replaces what is known by what these agents take.
    pub(super) fn set<'a>(&self, specs: impl Iterator<Item = &'a AgentSpec>) {
        let mut names = Names {
            declared: self.0.read().declared.clone(),
            ..Names::default()
        };
        for spec in specs {
            names.agents.insert(spec.name.clone());
            if !spec.runs.takes_messages() {
                names.deaf.insert(spec.name.clone());
            }
            if !spec.runs.takes_tasks() {
                names.idle.insert(spec.name.clone());
            }
            names.roles.insert(spec.name.clone());
            names.roles.extend(spec.role.clone());
            names.queues.insert(spec.queue.clone());
        }
        *self.0.write() = names;
    }

    /// Queues that are there, whether an agent takes from them or not.
    pub(super) fn declare(&self, queues: impl Iterator<Item = Name>) {
        self.0.write().declared = queues.collect();
    }

    /// Every queue there is.
    pub(super) fn queues(&self) -> BTreeSet<Name> {
        let names = self.0.read();
        names.queues.union(&names.declared).cloned().collect()
    }

    pub(super) fn agents(&self) -> Vec<Name> {
        self.0.read().agents.iter().cloned().collect()
    }

    /// Refuses a target that nobody answers to, with the nearest name, and one that takes no tasks.
    pub(super) fn check(&self, target: &Target) -> Result<()> {
        let queues = self.queues();
        let names = self.0.read();
        let (kind, name, known) = match target {
            Target::Agent(agent) => ("agent", agent, &names.agents),
            Target::Role(role) => ("role", role, &names.roles),
            Target::Queue(queue) => ("queue", queue, &queues),
        };
        if let Some(hint) = missing(known, name) {
            return Err(DispatchError::UnknownTarget {
                kind,
                name: name.to_string(),
                hint,
            });
        }
        match target {
            Target::Agent(agent) if names.idle.contains(agent) => {
                Err(DispatchError::TakesNoTasks {
                    agent: agent.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    /// Refuses a recipient that does not exist, or takes no messages.
    pub(super) fn check_recipient(&self, to: &Name) -> Result<()> {
        let names = self.0.read();
        if let Some(hint) = missing(&names.agents, to) {
            let to = to.clone();
            return Err(DispatchError::UnknownRecipient { to, hint });
        }
        if names.deaf.contains(to) {
            return Err(DispatchError::TakesNoMessages { agent: to.clone() });
        }
        Ok(())
    }

    /// Refuses a definition that names agents or roles nobody answers to; all at once.
    pub(super) fn check_definition(&self, definition: &WorkflowDefinition) -> Result<()> {
        let names = self.0.read();
        let faults = unknown_targets(definition, &names.agents, &names.roles);
        if faults.is_empty() {
            Ok(())
        } else {
            Err(DispatchError::Definition(faults))
        }
    }
}

/// The nearest name as words, if `name` is none of these.
fn missing(known: &BTreeSet<Name>, name: &Name) -> Option<String> {
    let is_known = known.contains(name);
    (!is_known).then(|| did_you_mean(name.as_str(), known.iter().map(Name::as_str)))
}
