//! Which tasks a command to many is for.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::bulk::Action;
use crate::domain::ids::WorkflowId;
use crate::domain::name::Name;
use crate::domain::query::TaskFilter;
use crate::domain::task::TaskState;

/// Conditions that must all hold.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Filter {
    state: Vec<TaskState>,
    agent: Option<Name>,
    role: Option<Name>,
    queue: Option<Name>,
    workflow_id: Option<WorkflowId>,
    name: Option<String>,
    labels: BTreeMap<String, String>,
}

impl Filter {
    /// Whether it names every task.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<Filter> for TaskFilter {
    fn from(filter: Filter) -> Self {
        Self {
            states: filter.state,
            agent: filter.agent,
            role: filter.role,
            queue: filter.queue,
            workflow: filter.workflow_id,
            name: filter.name,
            labels: filter.labels,
        }
    }
}

/// The states, of those asked for, in which the action does something; none if it does nothing in
/// any of them.
pub(super) fn states_for(filter: TaskFilter, action: Action) -> TaskFilter {
    only_in(filter, |state| match action {
        Action::Cancel => !state.is_final(),
        Action::Retry => state.is_final() && *state != TaskState::Succeeded,
    })
}

/// The same filter, for those of its states that fit; none if none of them does.
pub(super) fn only_in(filter: TaskFilter, fits: impl Fn(&TaskState) -> bool) -> TaskFilter {
    let asked = match filter.states.is_empty() {
        true => TaskState::ALL.to_vec(),
        false => filter.states.clone(),
    };
    TaskFilter {
        states: asked.into_iter().filter(fits).collect(),
        ..filter
    }
}
