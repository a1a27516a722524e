//! The graph of a definition: who waits for whom, cycles, and the tasks that nobody waits for.

use std::collections::BTreeMap;

use super::reference::tasks_referred_to;
use super::{TaskDefinition, WorkflowDefinition};

impl TaskDefinition {
    /// The tasks it waits for: those it names, then those it refers to, each once.
    #[must_use]
    pub fn upstream(&self) -> Vec<String> {
        let mut all = Vec::new();
        let referred = tasks_referred_to(&self.payload)
            .into_iter()
            .chain(self.for_each.iter().flat_map(tasks_referred_to));
        for name in self.depends_on.iter().cloned().chain(referred) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        all
    }
}

impl WorkflowDefinition {
    /// The tasks that no other task waits for, in the order of the definition; none that undoes.
    #[must_use]
    pub fn sinks(&self) -> Vec<&str> {
        let undone = self.undone();
        let forward = || {
            let tasks = self.tasks.iter();
            tasks.filter(|task| !undone.contains_key(task.name.as_str()))
        };
        let waited_for: std::collections::BTreeSet<String> =
            forward().flat_map(TaskDefinition::upstream).collect();
        forward()
            .map(|task| task.name.as_str())
            .filter(|name| !waited_for.contains(*name))
            .collect()
    }
}

/// Cycles, each as the path that closes it (`a`, `b`, `a`); none if the graph is acyclic.
#[must_use]
pub fn cycles(tasks: &[TaskDefinition]) -> Vec<Vec<String>> {
    let edges: BTreeMap<&str, Vec<String>> = tasks
        .iter()
        .map(|task| (task.name.as_str(), task.upstream()))
        .collect();
    let mut search = Search {
        edges: &edges,
        colour: BTreeMap::new(),
        path: Vec::new(),
        found: Vec::new(),
    };
    for task in tasks {
        search.visit(&task.name);
    }
    search.found
}

#[derive(Clone, Copy, PartialEq)]
enum Colour {
    OnPath,
    Done,
}

struct Search<'a> {
    edges: &'a BTreeMap<&'a str, Vec<String>>,
    colour: BTreeMap<&'a str, Colour>,
    path: Vec<&'a str>,
    found: Vec<Vec<String>>,
}

impl<'a> Search<'a> {
    /// Depth first; the depth is bounded by the number of tasks, which is capped before.
    fn visit(&mut self, name: &str) {
        let Some((&name, next)) = self.edges.get_key_value(name) else {
            return;
        };
        match self.colour.get(name) {
            Some(Colour::Done) => return,
            Some(Colour::OnPath) => return self.close(name),
            None => {}
        }
        self.colour.insert(name, Colour::OnPath);
        self.path.push(name);
        for upstream in next {
            self.visit(upstream);
        }
        self.path.pop();
        self.colour.insert(name, Colour::Done);
    }

    fn close(&mut self, name: &'a str) {
        let from = self
            .path
            .iter()
            .position(|on_path| *on_path == name)
            .unwrap_or(0);
        let mut cycle: Vec<String> = self.path[from..]
            .iter()
            .map(|&step| step.to_owned())
            .collect();
        cycle.push(name.to_owned());
        // The search walks from a task to what it waits for; people read in the order of the work.
        cycle.reverse();
        self.found.push(cycle);
    }
}
