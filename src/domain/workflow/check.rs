//! From a JSON value to a definition that can run: every fault at once, each naming its task, its
//! place as a JSON pointer, and the way out.
//!
//! Not here: whether agents and roles exist ([`unknown_targets`] is told), lines of a text
//! ([`super::text`] adds them).

mod fields;
mod links;
mod undo;

use std::collections::BTreeSet;

use serde_json::Value;

use self::fields::Fields;
use super::{TaskDefinition, WorkflowDefinition};
use crate::domain::name::{Name, nearest};

/// The most tasks of one definition.
pub const MAX_TASKS: usize = 1_000;
/// The most items of one `for_each`.
pub const MAX_ITEMS: usize = 10_000;
/// The most attempts that a task may ask for.
pub const MAX_ATTEMPTS: u32 = 100;
/// The longest name of a workflow, in characters.
pub const MAX_TITLE_CHARS: usize = 200;

const WORKFLOW_KEYS: [&str; 5] = ["name", "description", "input", "tasks", "output"];
const TASK_KEYS: [&str; 13] = [
    "name",
    "agent",
    "role",
    "signal",
    "approval",
    "payload",
    "depends_on",
    "for_each",
    "max_attempts",
    "timeout_ms",
    "on_timeout",
    "on_failure",
    "compensate",
];

/// One fault of a definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", line.map_or_else(String::new, |line| format!("line {line}: ")))]
pub struct DefinitionError {
    /// Where it stands in the value, as a JSON pointer.
    pub pointer: String,
    /// Where it stands in the text, from 1, if there was one.
    pub line: Option<u32>,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Faults found so far.
#[derive(Default)]
struct Faults(Vec<DefinitionError>);

impl Faults {
    fn add(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.0.push(DefinitionError {
            pointer: pointer.into(),
            line: None,
            message: message.into(),
        });
    }
}

/// Reads and checks a definition.
///
/// # Errors
/// Every fault found.
pub fn check(value: &Value) -> Result<WorkflowDefinition, Vec<DefinitionError>> {
    let mut faults = Faults::default();
    let mut definition = workflow(value, &mut faults);
    if let Some(definition) = &mut definition {
        undo::fill_in(definition);
        links::check_names(definition, &mut faults);
        undo::check(definition, &mut faults);
        links::check_references(definition, &mut faults);
        links::check_cycles(definition, &mut faults);
    }
    match definition {
        Some(definition) if faults.0.is_empty() => Ok(definition),
        _ => Err(faults.0),
    }
}

/// Agents and roles that a definition names and nobody knows.
#[must_use]
pub fn unknown_targets(
    definition: &WorkflowDefinition,
    agents: &BTreeSet<Name>,
    roles: &BTreeSet<Name>,
) -> Vec<DefinitionError> {
    let mut faults = Faults::default();
    for (index, task) in definition.tasks.iter().enumerate() {
        for (kind, wanted, known) in [("agent", &task.agent, agents), ("role", &task.role, roles)] {
            let Some(wanted) = wanted.as_ref().filter(|name| !known.contains(*name)) else {
                continue;
            };
            let hint = did_you_mean(wanted.as_str(), known.iter().map(Name::as_str));
            let message = format!("task '{}': there is no {kind} '{wanted}'{hint}", task.name);
            faults.add(format!("/tasks/{index}/{kind}"), message);
        }
    }
    faults.0
}

/// `; did you mean 'x'?`, or what is known if nothing is near and little is known.
#[must_use]
pub fn did_you_mean<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match nearest(wanted, known.clone()) {
        Some(near) => format!("; did you mean '{near}'?"),
        None => {
            let known: Vec<&str> = known.into_iter().take(13).collect();
            match known.len() {
                0 | 13.. => String::new(),
                _ => format!("; there is {}", known.join(", ")),
            }
        }
    }
}

fn workflow(value: &Value, faults: &mut Faults) -> Option<WorkflowDefinition> {
    let Some(map) = value.as_object() else {
        faults.add("", "a workflow is an object with name and tasks");
        return None;
    };
    let mut fields = Fields {
        map,
        at: String::new(),
        who: String::new(),
        faults,
    };
    fields.only(&WORKFLOW_KEYS);
    let name = fields.text("name");
    let description = fields.text("description");
    let input = fields.object("input");
    let list = fields.list("tasks");
    if name
        .as_deref()
        .is_none_or(|name| name.is_empty() || name.chars().count() > MAX_TITLE_CHARS)
    {
        fields.fault("name", "a workflow needs a name of 1 to 200 characters");
    }
    let list = match list {
        Some(list) if list.len() > MAX_TASKS => {
            let message = format!("{} tasks are more than {MAX_TASKS}", list.len());
            fields.fault("tasks", &message);
            return None;
        }
        Some(list) if !list.is_empty() => list,
        _ => {
            fields.fault("tasks", "a workflow needs at least one task: [[tasks]]");
            return None;
        }
    };
    let tasks: Vec<_> = list
        .iter()
        .enumerate()
        .map(|(index, value)| task(index, value, faults))
        .collect();
    Some(WorkflowDefinition {
        name: name?,
        description,
        input: input.unwrap_or_default(),
        tasks: tasks.into_iter().collect::<Option<_>>()?,
        output: map.get("output").cloned(),
    })
}

fn task(index: usize, value: &Value, faults: &mut Faults) -> Option<TaskDefinition> {
    let at = format!("/tasks/{index}");
    let Some(map) = value.as_object() else {
        faults.add(
            at,
            "a task is an object with name, agent or role, and payload",
        );
        return None;
    };
    let who = match map.get("name").and_then(Value::as_str) {
        Some(name) => format!("task '{}': ", name.chars().take(80).collect::<String>()),
        None => format!("task {}: ", index + 1),
    };
    let mut fields = Fields {
        map,
        at,
        who,
        faults,
    };
    fields.only(&TASK_KEYS);
    let name = fields.text("name");
    if name.as_deref().is_none_or(|name| !is_task_name(name)) {
        let wanted = "needs a name: a lower-case letter, then up to 62 of a-z, 0-9, '_' and '-'";
        fields.fault("name", wanted);
    }
    let target = fields.target();
    Some(TaskDefinition {
        on_timeout: fields.on_timeout(),
        on_failure: fields.on_failure(),
        compensate: fields.text("compensate"),
        agent: target.agent,
        role: target.role,
        signal: target.signal,
        approval: target.approval,
        payload: map.get("payload").cloned().unwrap_or(Value::Null),
        depends_on: fields.texts("depends_on"),
        for_each: fields.for_each(),
        max_attempts: fields
            .number("max_attempts", 1, u64::from(MAX_ATTEMPTS))
            .and_then(|number| u32::try_from(number).ok()),
        timeout_ms: fields.number("timeout_ms", 1, u64::from(u32::MAX)),
        name: name?,
    })
}

/// Whether a text may name a task or a signal.
fn is_task_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    bytes.next().is_some_and(|b| b.is_ascii_lowercase()) && bytes.all(rest) && name.len() <= 63
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
