//! What the tasks of a definition say of each other: names, dependencies, references, cycles.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Faults, did_you_mean};
use crate::domain::workflow::WorkflowDefinition;
use crate::domain::workflow::graph::cycles;
use crate::domain::workflow::reference::{Reference, each_reference, reference_text};

/// Names that are taken twice, and dependencies on nobody.
pub(super) fn check_names(definition: &WorkflowDefinition, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for (index, task) in definition.tasks.iter().enumerate() {
        if !seen.insert(task.name.as_str()) {
            let message = format!("task '{}': another task has this name", task.name);
            faults.add(format!("/tasks/{index}/name"), message);
        }
    }
    for (index, task) in definition.tasks.iter().enumerate() {
        for (place, wanted) in task.depends_on.iter().enumerate() {
            if !seen.contains(wanted.as_str()) {
                let hint = did_you_mean(wanted, seen.iter().copied());
                let message = format!(
                    "task '{}': depends_on names '{wanted}', which is no task{hint}",
                    task.name
                );
                faults.add(format!("/tasks/{index}/depends_on/{place}"), message);
            }
        }
    }
}

/// References that point at nothing known.
pub(super) fn check_references(definition: &WorkflowDefinition, faults: &mut Faults) {
    for (index, task) in definition.tasks.iter().enumerate() {
        let who = format!("task '{}'", task.name);
        let at = format!("/tasks/{index}/payload");
        let mapped = task.for_each.is_some();
        check_value(&task.payload, &at, &who, mapped, definition, faults);
        if let Some(list) = &task.for_each {
            let at = format!("/tasks/{index}/for_each");
            check_value(list, &at, &who, false, definition, faults);
        }
    }
    if let Some(output) = &definition.output {
        check_value(output, "/output", "output", false, definition, faults);
    }
}

fn check_value(
    value: &Value,
    at: &str,
    who: &str,
    mapped: bool,
    definition: &WorkflowDefinition,
    faults: &mut Faults,
) {
    each_reference(value, at, &mut |pointer, found| {
        if let Some(problem) = reference_problem(found, mapped, definition) {
            faults.add(pointer, format!("{who}: {problem}"));
        }
    });
}

fn reference_problem(
    found: &Value,
    mapped: bool,
    definition: &WorkflowDefinition,
) -> Option<String> {
    let Some(text) = reference_text(found) else {
        return Some("'$ref' must be a text".to_owned());
    };
    if found.as_object().is_some_and(|map| map.len() > 1) {
        return Some(format!(
            "the reference '{text}' must stand alone in its object"
        ));
    }
    match Reference::parse(text) {
        Err(error) => Some(error.to_string()),
        Ok(Reference::Item(_) | Reference::Index) if !mapped => Some(format!(
            "'{text}' exists only in the payload of a task with for_each"
        )),
        Ok(Reference::TaskResult { task, .. }) => {
            let names = definition.tasks.iter().map(|task| task.name.as_str());
            let unknown = !names.clone().any(|name| name == task);
            unknown.then(|| {
                format!(
                    "'{text}' refers to an unknown task{}",
                    did_you_mean(&task, names)
                )
            })
        }
        Ok(Reference::Input(path)) => {
            let key = path.first().map(String::as_str).unwrap_or_default();
            let unknown = !definition.input.contains_key(key);
            let hint = did_you_mean(key, definition.input.keys().map(String::as_str));
            unknown.then(|| format!("'{text}' refers to an input that is not declared{hint}"))
        }
        Ok(_) => None,
    }
}

/// Tasks that wait for themselves.
pub(super) fn check_cycles(definition: &WorkflowDefinition, faults: &mut Faults) {
    for cycle in cycles(&definition.tasks) {
        let first = cycle.first().map(String::as_str).unwrap_or_default();
        let place = definition.tasks.iter().position(|task| task.name == first);
        let pointer = place.map_or_else(String::new, |index| format!("/tasks/{index}"));
        let message = format!("task '{first}': waits for itself: {}", cycle.join(" → "));
        faults.add(pointer, message);
    }
}
