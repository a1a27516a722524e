//! From a JSON value to a definition that can run: every fault at once, each naming its task, its
//! place as a JSON pointer, and the way out.
//!
//! Not here: whether agents and roles exist ([`unknown_targets`] is told), lines of a text
//! ([`super::text`] adds them).

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::graph::cycles;
use super::reference::{Reference, each_reference, reference_text};
use super::{OnFailure, TaskDefinition, WorkflowDefinition};
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
const TASK_KEYS: [&str; 10] = [
    "name",
    "agent",
    "role",
    "payload",
    "depends_on",
    "for_each",
    "max_attempts",
    "timeout_ms",
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
    let definition = workflow(value, &mut faults);
    if let Some(definition) = &definition {
        check_names(definition, &mut faults);
        check_references(definition, &mut faults);
        check_cycles(definition, &mut faults);
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
    let (agent, role) = fields.target();
    let on_failure = fields.on_failure();
    Some(TaskDefinition {
        agent,
        role,
        payload: map.get("payload").cloned().unwrap_or(Value::Null),
        depends_on: fields.texts("depends_on"),
        for_each: fields.for_each(),
        max_attempts: fields
            .number("max_attempts", 1, u64::from(MAX_ATTEMPTS))
            .and_then(|number| u32::try_from(number).ok()),
        timeout_ms: fields.number("timeout_ms", 1, u64::from(u32::MAX)),
        on_failure,
        compensate: None,
        name: name?,
    })
}

fn is_task_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    bytes.next().is_some_and(|b| b.is_ascii_lowercase()) && bytes.all(rest) && name.len() <= 63
}

/// The fields of one object, read with their faults.
struct Fields<'a, 'f> {
    map: &'a Map<String, Value>,
    at: String,
    who: String,
    faults: &'f mut Faults,
}

impl<'a> Fields<'a, '_> {
    fn fault(&mut self, key: &str, message: &str) {
        // A key that is not there is a fault of the object.
        let pointer = match self.map.contains_key(key) {
            true => format!("{}/{key}", self.at),
            false => self.at.clone(),
        };
        self.faults.add(pointer, format!("{}{message}", self.who));
    }

    fn only(&mut self, known: &[&str]) {
        for key in self.map.keys().filter(|key| !known.contains(&key.as_str())) {
            let hint = did_you_mean(key, known.iter().copied());
            let shown: String = key.chars().take(80).collect();
            self.fault(key, &format!("unknown key '{shown}'{hint}"));
        }
    }

    fn typed<T>(
        &mut self,
        key: &str,
        what: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.map.get(key)?;
        let read = read(value);
        if read.is_none() {
            self.fault(key, &format!("'{key}' must be {what}"));
        }
        read
    }

    fn text(&mut self, key: &str) -> Option<String> {
        self.typed(key, "a text", |value| value.as_str().map(str::to_owned))
    }

    fn list(&mut self, key: &str) -> Option<&'a Vec<Value>> {
        self.typed(key, "a list", Value::as_array)
    }

    fn object(&mut self, key: &str) -> Option<Map<String, Value>> {
        self.typed(key, "an object", |value| value.as_object().cloned())
    }

    fn texts(&mut self, key: &str) -> Vec<String> {
        let all = |value: &Value| {
            let list = value.as_array()?;
            list.iter()
                .map(|text| text.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
        };
        self.typed(key, "a list of names", all).unwrap_or_default()
    }

    fn number(&mut self, key: &str, min: u64, max: u64) -> Option<u64> {
        let what = format!("a whole number from {min} to {max}");
        let inside = |value: &Value| value.as_u64().filter(|number| (min..=max).contains(number));
        self.typed(key, &what, inside)
    }

    fn name(&mut self, key: &str) -> Option<Name> {
        let text = self.text(key)?;
        match text.parse() {
            Ok(name) => Some(name),
            Err(error) => {
                self.fault(key, &format!("{key}: {error}"));
                None
            }
        }
    }

    fn target(&mut self) -> (Option<Name>, Option<Name>) {
        match (
            self.map.contains_key("agent"),
            self.map.contains_key("role"),
        ) {
            (true, true) => self.fault("role", "has both agent and role; keep one"),
            (false, false) => self.fault("agent", "has neither agent nor role; give one"),
            _ => {}
        }
        (self.name("agent"), self.name("role"))
    }

    fn for_each(&mut self) -> Option<Value> {
        let value = self.map.get("for_each")?;
        match value {
            Value::Array(list) if list.len() > MAX_ITEMS => {
                self.fault(
                    "for_each",
                    &format!("{} items are more than {MAX_ITEMS}", list.len()),
                );
            }
            Value::Array(_) => {}
            reference if reference_text(reference).is_some() => {}
            _ => self.fault(
                "for_each",
                "'for_each' must be a list or a reference to one",
            ),
        }
        Some(value.clone())
    }

    fn on_failure(&mut self) -> Option<OnFailure> {
        if self.map.contains_key("compensate") {
            self.fault(
                "compensate",
                "'compensate' is not in this version; use on_failure fail or continue",
            );
        }
        match self.text("on_failure")?.as_str() {
            "fail" => Some(OnFailure::Fail),
            "continue" => Some(OnFailure::Continue),
            "compensate" => {
                let message =
                    "on_failure 'compensate' is not in this version; use fail or continue";
                self.fault("on_failure", message);
                None
            }
            _ => {
                self.fault("on_failure", "'on_failure' must be fail or continue");
                None
            }
        }
    }
}

fn check_names(definition: &WorkflowDefinition, faults: &mut Faults) {
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

fn check_references(definition: &WorkflowDefinition, faults: &mut Faults) {
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

fn check_cycles(definition: &WorkflowDefinition, faults: &mut Faults) {
    for cycle in cycles(&definition.tasks) {
        let first = cycle.first().map(String::as_str).unwrap_or_default();
        let place = definition.tasks.iter().position(|task| task.name == first);
        let pointer = place.map_or_else(String::new, |index| format!("/tasks/{index}"));
        let message = format!("task '{first}': waits for itself: {}", cycle.join(" → "));
        faults.add(pointer, message);
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
