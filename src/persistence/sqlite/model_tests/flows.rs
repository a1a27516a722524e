//! Workflows in the model: the definitions to choose from, and what is known of one that runs.

mod driving;
mod moves;
mod undoing;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::model::Number;
use super::world::name;
use crate::domain::ids::WorkflowId;
use crate::domain::task::Target;
use crate::domain::timestamp::Timestamp;
use crate::domain::workflow::WorkflowState;

/// Workflows to choose from.
pub(super) const TEMPLATES: usize = 6;
/// Those of them that are undone when they fail.
pub(super) const UNDONE: std::ops::Range<usize> = 3..5;
const SIGNALS: [&str; 3] = ["go", "maybe", "unknown"];

fn template(number: usize) -> Value {
    let tasks = match number {
        // A map and its join.
        0 => json!([
            {"name": "a", "agent": "echo"},
            {"name": "b", "agent": "sum", "for_each": {"$ref": "tasks.a.result.items"},
             "payload": {"item": {"$ref": "item"}, "n": {"$ref": "index"}}},
            {"name": "c", "role": "worker", "payload": {"all": {"$ref": "tasks.b.result"}}},
        ]),
        // A wait that fails the workflow when its time is over.
        1 => json!([
            {"name": "a", "agent": "echo", "max_attempts": 1},
            {"name": "w", "signal": "go", "timeout_ms": 8000, "depends_on": ["a"]},
            {"name": "d", "agent": "sum", "payload": {"said": {"$ref": "tasks.w.result"}}},
        ]),
        // Failures that are borne, a wait that may pass, a join of both.
        2 => json!([
            {"name": "a", "agent": "echo", "max_attempts": 1, "on_failure": "continue"},
            {"name": "b", "agent": "echo", "depends_on": ["a"]},
            {"name": "c", "agent": "sum"},
            {"name": "w", "signal": "maybe", "timeout_ms": 5000, "on_timeout": "continue"},
            {"name": "e", "role": "worker", "depends_on": ["c"],
             "payload": {"said": {"$ref": "tasks.w.result"}}},
        ]),
        // What is undone: a chain with a fork, in which a failure may come anywhere.
        3 => json!([
            {"name": "a", "agent": "echo", "max_attempts": 1, "compensate": "no-a"},
            {"name": "b", "agent": "sum", "depends_on": ["a"], "max_attempts": 1, "compensate": "no-b"},
            {"name": "c", "role": "worker", "depends_on": ["a"], "compensate": "no-c"},
            {"name": "d", "agent": "echo", "depends_on": ["b", "c"], "max_attempts": 1},
            {"name": "no-a", "agent": "echo", "payload": {"n": {"$ref": "tasks.a.result.n"}}},
            {"name": "no-b", "agent": "sum", "max_attempts": 1},
            {"name": "no-c", "agent": "echo", "max_attempts": 2},
        ]),
        // A map that is undone with what succeeded of it, beside a failure that is not to undo.
        4 => json!([
            {"name": "a", "agent": "echo", "compensate": "no-a"},
            {"name": "b", "agent": "sum", "max_attempts": 1, "compensate": "no-b",
             "for_each": {"$ref": "tasks.a.result.items"}},
            {"name": "c", "agent": "echo", "max_attempts": 1, "on_failure": "fail"},
            {"name": "no-a", "agent": "echo"},
            {"name": "no-b", "agent": "sum", "payload": {"all": {"$ref": "tasks.b.result"}}},
        ]),
        // A map of which some may fail.
        _ => json!([
            {"name": "a", "agent": "echo"},
            {"name": "b", "agent": "sum", "max_attempts": 1, "on_failure": "continue",
             "for_each": {"$ref": "tasks.a.result.items"}},
            {"name": "c", "role": "worker", "depends_on": ["b"]},
            {"name": "d", "agent": "echo", "payload": {"n": {"$ref": "tasks.a.result.n"}}},
        ]),
    };
    json!({"name": "w", "tasks": tasks})
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Waiting,
    Open,
    Succeeded,
    Failed,
    Cancelled,
}

/// A step of a workflow.
#[derive(Debug, Clone)]
struct Step {
    name: String,
    definition: Value,
    /// The step that it undoes, for which alone it runs.
    undoes: Option<usize>,
    upstream: Vec<usize>,
    at: At,
    waiting_on: usize,
    left: usize,
    failed: usize,
    tasks: Vec<Number>,
    until: Option<Timestamp>,
}

impl Step {
    fn continues(&self) -> bool {
        self.definition["on_failure"] == "continue"
    }

    fn signal(&self) -> Option<&str> {
        self.definition["signal"].as_str()
    }

    fn maps(&self) -> bool {
        !self.definition["for_each"].is_null()
    }

    fn target(&self) -> Target {
        match (&self.definition["agent"], &self.definition["role"]) {
            (Value::String(agent), _) => Target::Agent(name(agent)),
            (_, Value::String(role)) => Target::Role(name(role)),
            _ => Target::Queue(name("default")),
        }
    }

    fn attempts(&self) -> u32 {
        let given = self.definition["max_attempts"].as_u64().unwrap_or(3);
        u32::try_from(given).unwrap()
    }
}

/// A workflow.
#[derive(Debug, Clone)]
pub(super) struct Flow {
    pub(super) id: WorkflowId,
    pub(super) state: WorkflowState,
    pub(super) finished_at: Option<Timestamp>,
    pub(super) gone: bool,
    steps: Vec<Step>,
    signals: BTreeMap<String, Value>,
}

impl Flow {
    pub(super) fn completed(&self) -> bool {
        self.state == WorkflowState::Completed
    }
}

/// The steps that another one names, in its list or by reference.
fn upstream(definition: &Value, names: &[String]) -> Vec<usize> {
    let text = definition.to_string();
    let listed = |it: &str| {
        let list = definition["depends_on"].as_array();
        list.is_some_and(|list| list.iter().any(|name| name == it))
    };
    let named = |it: &String| listed(it) || text.contains(&format!("tasks.{it}.result"));
    (0..names.len()).filter(|at| named(&names[*at])).collect()
}
