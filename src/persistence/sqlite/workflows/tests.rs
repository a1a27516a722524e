//! Claims about workflows in SQLite: who opens when, what fails with whom, what a retry keeps.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::clock;
use crate::domain::query::ClaimedTask;
use crate::domain::task::{Outcome, Task, TaskState};
use crate::domain::trace::TraceParent;
use crate::domain::workflow::check::check;
use crate::persistence::sqlite::tasks::harness::{Db, slots};

mod ends;
mod undoing;
mod waits;

/// A workflow under way on one agent with plenty of slots.
struct Flow {
    db: Db,
    id: WorkflowId,
    held: BTreeMap<String, ClaimedTask>,
}

impl Flow {
    fn start(definition: &Value) -> Self {
        Self::start_in(definition, None)
    }

    fn start_in(definition: &Value, traceparent: Option<TraceParent>) -> Self {
        let definition = check(definition).unwrap();
        let id = WorkflowId::from_bytes(clock::new_id());
        let new = NewWorkflow {
            id,
            definition,
            labels: BTreeMap::new(),
            idempotency: None,
            traceparent,
        };
        let mut db = Db::new();
        db.write(|tx| create::create(tx, &new)).unwrap();
        let mut flow = Self {
            db,
            id,
            held: BTreeMap::new(),
        };
        flow.claim();
        flow
    }

    /// Hands out what is queued; the names, sorted.
    fn claim(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        for task in self.db.claim(&[slots("x", 0, 10_000)]) {
            names.push(task.name.clone());
            self.held.insert(task.name.clone(), task);
        }
        names.sort();
        names
    }

    fn succeed(&mut self, name: &str, result: Value) -> Vec<String> {
        let task = self.held.remove(name).unwrap();
        self.db.succeed(&task, result);
        self.claim()
    }

    fn fail(&mut self, name: &str) -> crate::domain::query::Settled {
        let task = self.held.remove(name).unwrap();
        self.db.fail(&task, false)
    }

    fn give_up(&mut self, name: &str) {
        let task = self.held.remove(name).unwrap();
        self.db.settle(task.id, task.lease_id, Outcome::Cancelled);
    }

    fn now(&self) -> Workflow {
        list::workflow(&self.db.conn, self.id).unwrap()
    }

    fn state(&self) -> WorkflowState {
        self.now().state
    }

    fn task(&self, name: &str) -> Task {
        let sql = "SELECT id FROM tasks WHERE name = ?1";
        let id = self
            .db
            .conn
            .query_row(sql, [name], |row| row.get(0))
            .unwrap();
        self.db.task(id)
    }

    fn retry(&mut self) -> Vec<String> {
        let id = self.id;
        self.db.write(|tx| control::retry(tx, id)).unwrap();
        self.claim()
    }
}

/// Tasks `NAME: [UPSTREAM…]`, all for agent x.
fn graph(edges: &[(&str, &[&str])]) -> Value {
    let tasks: Vec<_> = edges
        .iter()
        .map(|(name, upstream)| json!({"name": name, "agent": "x", "depends_on": upstream}))
        .collect();
    json!({"name": "w", "tasks": tasks})
}

fn word_count() -> Value {
    json!({
        "name": "word-count", "input": {"file": "a.txt"},
        "tasks": [
            {"name": "split", "agent": "x", "payload": {"file": {"$ref": "input.file"}}},
            {"name": "count", "agent": "x", "for_each": {"$ref": "tasks.split.result.chunks"},
             "payload": {"chunk": {"$ref": "item"}, "n": {"$ref": "index"}}},
            {"name": "merge", "agent": "x", "payload": {"counts": {"$ref": "tasks.count.result"}}},
        ],
        "output": {"$ref": "tasks.merge.result.total"},
    })
}

#[test]
fn a_diamond_opens_in_the_order_of_its_edges() {
    let mut flow = Flow::start(&graph(&[
        ("a", &[]),
        ("b", &["a"]),
        ("c", &["a"]),
        ("d", &["b", "c"]),
    ]));
    assert_eq!(flow.held.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(flow.task("d").depends_on, ["b", "c"]);
    assert_eq!(flow.succeed("a", json!(1)), ["b", "c"]);
    assert!(flow.succeed("b", json!(2)).is_empty());
    assert_eq!(flow.succeed("c", json!(3)), ["d"]);
    flow.succeed("d", json!(4));
    assert_eq!(
        (flow.state(), flow.now().output),
        (WorkflowState::Completed, Some(json!({"d": 4})))
    );
    let events = flow.db.kinds(&flow.id.to_string());
    assert_eq!(
        events,
        ["workflow.created", "workflow.started", "workflow.completed"]
    );
}

#[test]
fn a_for_each_fans_out_and_joins_in_the_order_of_its_items() {
    let mut flow = Flow::start(&word_count());
    assert_eq!(flow.held["split"].payload, json!({"file": "a.txt"}));
    let fanned = flow.succeed("split", json!({"chunks": ["x", "y", "z"]}));
    assert_eq!(fanned, ["count[0]", "count[1]", "count[2]"]);
    assert_eq!(flow.held["count[1]"].payload, json!({"chunk": "y", "n": 1}));
    for (index, result) in [(2, 30), (0, 10)] {
        assert!(
            flow.succeed(&format!("count[{index}]"), json!(result))
                .is_empty()
        );
    }
    assert_eq!(flow.succeed("count[1]", json!(20)), ["merge"]);
    assert_eq!(flow.held["merge"].payload, json!({"counts": [10, 20, 30]}));
    flow.succeed("merge", json!({"total": 60}));
    assert_eq!(flow.now().output, Some(json!(60)));
}

#[test]
fn a_for_each_over_nothing_is_done_at_once() {
    let mut flow = Flow::start(&word_count());
    assert_eq!(flow.succeed("split", json!({"chunks": []})), ["merge"]);
    assert_eq!(flow.held["merge"].payload, json!({"counts": []}));
}

#[test]
fn a_failure_fails_the_workflow_cancels_what_waits_and_names_what_runs() {
    let mut flow = Flow::start(&graph(&[
        ("a", &[]),
        ("b", &[]),
        ("c", &["a"]),
        ("d", &["c"]),
    ]));
    let settled = flow.fail("a");
    assert_eq!(
        settled.cancel,
        [(flow.held["b"].id, flow.held["b"].lease_id)]
    );
    let workflow = flow.now();
    assert_eq!(workflow.state, WorkflowState::Failed);
    assert_eq!(workflow.error.unwrap().message, "task 'a' failed: broke");
    for name in ["c", "d"] {
        let task = flow.task(name);
        assert_eq!(
            (task.state, task.reason.as_deref()),
            (TaskState::Cancelled, Some("upstream"))
        );
    }
    flow.give_up("b");
    assert_eq!(flow.task("b").state, TaskState::Cancelled);
}

#[test]
fn a_failure_that_may_be_only_takes_what_depends_on_it() {
    let mut definition = graph(&[
        ("a", &[]),
        ("b", &[]),
        ("c", &["a"]),
        ("d", &["c"]),
        ("e", &["b"]),
    ]);
    definition["tasks"][0]["on_failure"] = json!("continue");
    let mut flow = Flow::start(&definition);
    flow.fail("a");
    assert_eq!(flow.state(), WorkflowState::Running);
    assert_eq!(
        (flow.task("c").state, flow.task("d").state),
        (TaskState::Cancelled, TaskState::Cancelled)
    );
    assert_eq!(flow.succeed("b", json!(1)), ["e"]);
    flow.succeed("e", json!(2));
    let workflow = flow.now();
    assert_eq!(
        (workflow.state, workflow.output),
        (WorkflowState::Completed, Some(json!({"d": null, "e": 2})))
    );
}

#[test]
fn a_for_each_that_may_fail_waits_for_all_its_items() {
    let mut definition = word_count();
    definition["tasks"][1]["on_failure"] = json!("continue");
    definition["output"] = json!({"$ref": "tasks.count.result"});
    let mut flow = Flow::start(&definition);
    flow.succeed("split", json!({"chunks": [1, 2]}));
    flow.fail("count[0]");
    assert_eq!(flow.state(), WorkflowState::Running);
    flow.succeed("count[1]", json!("ok"));
    assert_eq!(flow.task("merge").state, TaskState::Cancelled);
    assert_eq!(flow.now().output, Some(json!([null, "ok"])));
}

#[test]
fn a_reference_that_leads_nowhere_fails_its_task_before_it_runs() {
    let mut flow = Flow::start(&word_count());
    assert!(flow.succeed("split", json!({"chunk": []})).is_empty());
    let task = flow.task("count");
    assert_eq!((task.state, task.attempt), (TaskState::Failed, 0));
    assert!(
        task.error
            .unwrap()
            .message
            .contains("did you mean 'chunk'?")
    );
    assert_eq!(flow.state(), WorkflowState::Failed);
}

#[test]
fn a_payload_that_grows_too_large_when_resolved_fails_clearly() {
    let mut flow = Flow::start(&json!({"name": "w", "tasks": [
        {"name": "a", "agent": "x"},
        {"name": "b", "agent": "x", "payload": [{"$ref": "tasks.a.result"}, {"$ref": "tasks.a.result"}]},
    ]}));
    flow.succeed("a", json!("x".repeat(200 * 1024)));
    assert_eq!(flow.task("b").error.unwrap().code, "payload_too_large");
}

#[test]
fn a_workflow_whose_output_leads_nowhere_fails_and_says_so() {
    let mut flow = Flow::start(&json!({"name": "w", "tasks": [{"name": "a", "agent": "x"}],
        "output": {"$ref": "tasks.a.result.total"}}));
    flow.succeed("a", json!({}));
    let error = flow.now().error.unwrap();
    assert!(flow.state() == WorkflowState::Failed && error.message.starts_with("output: "));
}

#[test]
fn a_retry_keeps_what_succeeded_and_goes_on_from_what_did_not() {
    let mut flow = Flow::start(&word_count());
    flow.succeed("split", json!({"chunks": [1, 2]}));
    flow.succeed("count[0]", json!(10));
    flow.fail("count[1]");
    assert_eq!(flow.state(), WorkflowState::Failed);
    assert_eq!(flow.retry(), ["count[1]"]);
    assert_eq!(flow.held["count[1]"].attempt, 2);
    assert_eq!(flow.succeed("count[1]", json!(20)), ["merge"]);
    assert_eq!(flow.held["merge"].payload, json!({"counts": [10, 20]}));
    flow.succeed("merge", json!({"total": 30}));
    assert_eq!(
        (flow.state(), flow.now().output),
        (WorkflowState::Completed, Some(json!(30)))
    );
}

#[test]
fn a_retry_resolves_again_what_could_not_be_resolved() {
    let mut flow = Flow::start(&word_count());
    flow.succeed("split", json!({"nothing": 1}));
    assert!(flow.retry().is_empty());
    assert_eq!(
        flow.state(),
        WorkflowState::Failed,
        "it leads nowhere still"
    );
    assert_eq!(flow.now().tasks["failed"], 1);
}

#[test]
fn a_retry_opens_what_was_cancelled_while_its_upstream_still_finished() {
    let mut flow = Flow::start(&graph(&[("a", &[]), ("b", &[]), ("c", &["b"])]));
    flow.fail("a");
    flow.succeed("b", json!(1));
    assert_eq!(flow.retry(), ["a", "c"]);
    flow.succeed("a", json!(1));
    flow.succeed("c", json!(1));
    assert_eq!(flow.state(), WorkflowState::Completed);
}

#[test]
fn cancel_ends_a_workflow_and_asks_its_running_tasks() {
    let mut flow = Flow::start(&graph(&[("a", &[]), ("b", &["a"])]));
    let id = flow.id;
    let done = flow
        .db
        .write(|tx| control::cancel(tx, id, "enough"))
        .unwrap();
    assert_eq!((done.tasks.len(), done.running.len()), (1, 1));
    assert_eq!(flow.state(), WorkflowState::Cancelled);
    assert!(
        flow.db
            .write(|tx| control::cancel(tx, id, "again"))
            .unwrap()
            .tasks
            .is_empty()
    );
    assert!(
        flow.db.write(|tx| control::retry(tx, id)).is_err(),
        "a still runs"
    );
    flow.give_up("a");
    assert_eq!(flow.retry(), ["a"]);
    assert_eq!(flow.succeed("a", json!(1)), ["b"]);
}

#[test]
fn a_task_of_a_workflow_is_retried_only_with_it() {
    let mut flow = Flow::start(&graph(&[("a", &[])]));
    flow.fail("a");
    let task = flow.task("a").id;
    let refused = flow
        .db
        .write(|tx| super::super::tasks::retry_in(tx, task))
        .unwrap_err();
    assert!(refused.to_string().contains("retry the workflow"));
}

#[test]
fn the_end_of_a_task_costs_what_it_changes_not_what_the_workflow_holds() {
    let changes = |tasks: usize| {
        let names: Vec<String> = (0..tasks).map(|index| format!("t{index}")).collect();
        let edges: Vec<(&str, &[&str])> = names
            .iter()
            .map(|name| (name.as_str(), [].as_slice()))
            .collect();
        let mut flow = Flow::start(&graph(&edges));
        let before = flow.db.conn.total_changes();
        let task = flow.held.remove("t0").unwrap();
        flow.db.succeed(&task, json!(1));
        flow.db.conn.total_changes() - before
    };
    assert_eq!(changes(2), changes(500));
}

#[test]
fn pages_and_counts_of_workflows() {
    let flow = Flow::start(&graph(&[("a", &[])]));
    let filter = WorkflowFilter {
        states: vec![WorkflowState::Running],
        name: Some("w".into()),
    };
    let page = list::workflows(&flow.db.conn, &filter, &PageRequest::default()).unwrap();
    assert_eq!(page.items[0].tasks["running"], 1);
    assert_eq!(
        list::counts(&flow.db.conn).unwrap(),
        [(WorkflowState::Running, 1)]
    );
    assert_eq!(list::definition(&flow.db.conn, flow.id).unwrap().name, "w");
}
