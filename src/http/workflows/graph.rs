//! A workflow's graph: its tasks with their states, and who waits for whom; as JSON, as lines of
//! text, or in Graphviz' language.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::domain::ids::{TaskId, WorkflowId};
use crate::domain::task::{Task, TaskState};
use crate::domain::workflow::{TaskDefinition, Workflow, WorkflowDefinition, WorkflowState};

/// A workflow's graph.
#[derive(Debug, Serialize)]
pub(super) struct Graph {
    id: WorkflowId,
    name: String,
    state: WorkflowState,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

/// A task of the definition; with `for_each` it stands for several.
#[derive(Debug, Serialize)]
struct Node {
    name: String,
    agent: Option<String>,
    role: Option<String>,
    /// The signal that it waits for.
    signal: Option<String>,
    /// The state of its task, or of the least advanced of several.
    state: Option<TaskState>,
    /// How many of its tasks stand in which state.
    states: BTreeMap<&'static str, u64>,
    tasks: Vec<TaskId>,
}

/// `to` waits for `from`, or undoes it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Edge {
    from: String,
    to: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    undoes: bool,
}

impl Graph {
    /// The graph of a run.
    pub(super) fn of(workflow: &Workflow, definition: &WorkflowDefinition, tasks: &[Task]) -> Self {
        let nodes = definition
            .tasks
            .iter()
            .map(|task| Node::of(task, tasks))
            .collect();
        let undone = definition.undone();
        let edges = |task| edges_to(task, undone.get(task.name.as_str()).copied());
        let edges = definition.tasks.iter().flat_map(edges).collect();
        Self {
            id: workflow.id,
            name: workflow.name.clone(),
            state: workflow.state,
            nodes,
            edges,
        }
    }

    /// In Graphviz' language.
    pub(super) fn dot(&self) -> String {
        let mut text = format!(
            "digraph {} {{\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\"];\n",
            quoted(&self.name)
        );
        for node in &self.nodes {
            let state = node.state.map_or("pending", TaskState::as_str);
            let colour = colour(node.state);
            let label = quoted(&format!("{}\n{state}", node.name));
            // Writing into a string cannot fail.
            let _written = writeln!(
                text,
                "  {} [label={label}, fillcolor={colour}];",
                quoted(&node.name)
            );
        }
        for edge in &self.edges {
            let style = if edge.undoes {
                " [style=dashed, label=undoes]"
            } else {
                ""
            };
            let (from, to) = (quoted(&edge.from), quoted(&edge.to));
            let _written = writeln!(text, "  {from} -> {to}{style};");
        }
        text.push_str("}\n");
        text
    }

    /// A line for each task, in the order of the definition: its name, its state, what it comes
    /// after.
    pub(super) fn text(&self) -> String {
        let longest = self
            .nodes
            .iter()
            .map(|node| node.name.chars().count())
            .max();
        let width = longest.unwrap_or(0);
        let mut text = String::new();
        for node in &self.nodes {
            let states: Vec<_> = match node.states.len() {
                0 => vec!["pending".to_owned()],
                1 if node.tasks.len() == 1 => {
                    node.states.keys().map(|&word| word.to_owned()).collect()
                }
                _ => node
                    .states
                    .iter()
                    .map(|(word, count)| format!("{count} {word}"))
                    .collect(),
            };
            let mut line = format!("{:width$}  {:<10}", node.name, states.join(", "));
            for (undoes, word) in [(false, "after"), (true, "undoes")] {
                let of = |edge: &&Edge| edge.to == node.name && edge.undoes == undoes;
                let from: Vec<_> = self
                    .edges
                    .iter()
                    .filter(of)
                    .map(|edge| edge.from.as_str())
                    .collect();
                if !from.is_empty() {
                    line.push_str(&format!("  {word} {}", from.join(", ")));
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

impl Node {
    fn of(definition: &TaskDefinition, tasks: &[Task]) -> Self {
        let own: Vec<&Task> = tasks
            .iter()
            .filter(|task| belongs(&task.name, &definition.name))
            .collect();
        let mut states = BTreeMap::new();
        for task in &own {
            *states.entry(task.state.as_str()).or_insert(0) += 1;
        }
        Self {
            name: definition.name.clone(),
            agent: definition.agent.as_ref().map(ToString::to_string),
            role: definition.role.as_ref().map(ToString::to_string),
            signal: definition.awaits().map(str::to_owned),
            state: own.iter().map(|task| task.state).min(),
            states,
            tasks: own.iter().map(|task| task.id).collect(),
        }
    }
}

/// Whether a task is the one of a definition, or one of its map: `count`, `count[3]`.
fn belongs(task: &str, definition: &str) -> bool {
    task.strip_prefix(definition)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
}

fn edges_to(task: &TaskDefinition, undoes: Option<&str>) -> Vec<Edge> {
    let edge = |from| Edge {
        from,
        to: task.name.clone(),
        undoes: undoes.is_some(),
    };
    match undoes {
        Some(step) => vec![edge(step.to_owned())],
        None => task.upstream().into_iter().map(edge).collect(),
    }
}

fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}

const fn colour(state: Option<TaskState>) -> &'static str {
    match state {
        Some(TaskState::Succeeded) => "palegreen",
        Some(TaskState::Running) => "lightblue",
        Some(TaskState::Failed | TaskState::Dead | TaskState::TimedOut) => "lightcoral",
        Some(TaskState::Cancelled) => "lightgray",
        Some(TaskState::Waiting) => "khaki",
        _ => "white",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_the_user_cannot_leave_its_quotes() {
        assert_eq!(quoted("a\"; b\\\n"), "\"a\\\"; b\\\\\\n\"");
    }

    #[test]
    fn the_tasks_of_a_map_belong_to_their_definition() {
        for (task, is) in [
            ("count", true),
            ("count[12]", true),
            ("counter", false),
            ("coun", false),
        ] {
            assert_eq!(belongs(task, "count"), is, "{task}");
        }
    }
}
