//! Compensations: the tasks that undo others, and what they may not do.
//!
//! Where any task says how it is undone, a failure undoes unless a task says otherwise.

use std::collections::BTreeMap;

use super::{Faults, did_you_mean};
use crate::domain::workflow::reference::tasks_referred_to;
use crate::domain::workflow::{OnFailure, TaskDefinition, WorkflowDefinition};

/// Says of every task what its failure means.
pub(super) fn fill_in(definition: &mut WorkflowDefinition) {
    let undone = definition.undone();
    if undone.is_empty() {
        return;
    }
    let undoes: Vec<String> = undone.keys().map(|&name| name.to_owned()).collect();
    for task in &mut definition.tasks {
        if task.on_failure.is_none() && !undoes.contains(&task.name) {
            task.on_failure = Some(OnFailure::Compensate);
        }
    }
}

impl WorkflowDefinition {
    /// The tasks that undo others, each with the one that it undoes.
    #[must_use]
    pub fn undone(&self) -> BTreeMap<&str, &str> {
        let pairs = self.tasks.iter().filter_map(|task| {
            let undoes = task.compensate.as_deref()?;
            Some((undoes, task.name.as_str()))
        });
        pairs.collect()
    }
}

/// Compensations that cannot be run.
pub(super) fn check(definition: &WorkflowDefinition, faults: &mut Faults) {
    let undone = definition.undone();
    for (index, task) in definition.tasks.iter().enumerate() {
        if let Some(wanted) = &task.compensate {
            names_a_task(definition, index, task, wanted, faults);
        }
        if undone.contains_key(task.name.as_str()) {
            stands_apart(index, task, faults);
        } else {
            waits_for_none(index, task, &undone, faults);
        }
    }
    let wanted = |task: &TaskDefinition| task.on_failure == Some(OnFailure::Compensate);
    if undone.is_empty()
        && let Some(index) = definition.tasks.iter().position(wanted)
    {
        let task = &definition.tasks[index].name;
        let message = format!(
            "task '{task}': on_failure is compensate, but no task says how it is undone: compensate = \"NAME\""
        );
        faults.add(format!("/tasks/{index}/on_failure"), message);
    }
}

fn names_a_task(
    definition: &WorkflowDefinition,
    index: usize,
    task: &TaskDefinition,
    wanted: &str,
    faults: &mut Faults,
) {
    let at = format!("/tasks/{index}/compensate");
    let who = &task.name;
    let names = definition.tasks.iter().map(|task| task.name.as_str());
    if !names.clone().any(|name| name == wanted) {
        let hint = did_you_mean(wanted, names);
        faults.add(
            at,
            format!("task '{who}': compensate names '{wanted}', which is no task{hint}"),
        );
        return;
    }
    if wanted == who {
        faults.add(at, format!("task '{who}': cannot undo itself"));
        return;
    }
    let mut others = definition.tasks.iter().take(index);
    if let Some(other) = others.find(|other| other.compensate.as_deref() == Some(wanted)) {
        let message = format!("task '{who}': '{wanted}' undoes '{}' already", other.name);
        faults.add(at, message);
    }
}

/// A compensation runs alone, when its turn comes.
fn stands_apart(index: usize, task: &TaskDefinition, faults: &mut Faults) {
    let refused = [
        ("depends_on", !task.depends_on.is_empty()),
        ("for_each", task.for_each.is_some()),
        ("on_failure", task.on_failure.is_some()),
        ("compensate", task.compensate.is_some()),
        ("signal", task.signal.is_some()),
        ("approval", task.approval.is_some()),
    ];
    for (key, _) in refused.into_iter().filter(|(_, given)| *given) {
        let message = format!(
            "task '{}': '{key}' has no meaning for a task that undoes another",
            task.name
        );
        faults.add(format!("/tasks/{index}/{key}"), message);
    }
}

/// Nothing else waits for a compensation.
fn waits_for_none(
    index: usize,
    task: &TaskDefinition,
    undone: &BTreeMap<&str, &str>,
    faults: &mut Faults,
) {
    let referred = tasks_referred_to(&task.payload)
        .into_iter()
        .chain(task.for_each.iter().flat_map(tasks_referred_to));
    let named = task.depends_on.iter().cloned().chain(referred);
    for name in named.filter(|name| undone.contains_key(name.as_str())) {
        let message = format!(
            "task '{}': waits for '{name}', which runs only to undo '{}'",
            task.name,
            undone[name.as_str()]
        );
        faults.add(format!("/tasks/{index}"), message);
    }
}
