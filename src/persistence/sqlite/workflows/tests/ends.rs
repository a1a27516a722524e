//! Claims about workflows that end in the middle of something.

use super::*;

#[test]
fn a_task_that_was_cancelled_when_its_daemon_died_fails_its_workflow_all_the_same() {
    let mut flow = Flow::start(&graph(&[("a", &[]), ("b", &["a"])]));
    let held = flow.held.remove("a").unwrap();
    flow.db.cancel(held.id).unwrap();
    assert_eq!(flow.state(), WorkflowState::Running);
    flow.db.begin_session();
    let session = flow.db.session;
    flow.db
        .write(|tx| super::super::super::tasks::rescue(tx, session))
        .unwrap();
    assert_eq!(flow.state(), WorkflowState::Failed);
    assert_eq!(flow.task("b").state, TaskState::Cancelled);
}

#[test]
fn nothing_opens_any_more_in_a_workflow_that_fails_while_it_is_begun() {
    let flow = Flow::start(&json!({
        "name": "w", "input": {"list": "no list"},
        "tasks": [
            {"name": "each", "agent": "x", "for_each": {"$ref": "input.list"}},
            {"name": "beside", "agent": "x"},
            {"name": "waits", "signal": "go"},
        ],
    }));
    assert_eq!(flow.state(), WorkflowState::Failed);
    assert!(flow.held.is_empty(), "{:?}", flow.held);
    assert_eq!(flow.now().tasks, [("failed".to_owned(), 1)].into());
    assert!(flow.now().waits.is_empty());
}

#[test]
fn what_was_cancelled_before_its_turn_does_not_open_when_that_comes() {
    let mut flow = Flow::start(&json!({"name": "w", "tasks": [
        {"name": "a", "agent": "x"},
        {"name": "b", "agent": "x", "depends_on": ["a"], "on_failure": "continue"},
    ]}));
    let b = flow.task("b").id;
    flow.db.cancel(b).unwrap();
    assert_eq!(flow.state(), WorkflowState::Running);
    assert!(flow.succeed("a", json!(1)).is_empty());
    assert_eq!(flow.state(), WorkflowState::Completed);
}

#[test]
fn what_can_never_run_by_two_ways_ends_once() {
    let mut flow = Flow::start(&json!({"name": "w", "tasks": [
        {"name": "a", "agent": "x", "on_failure": "continue"},
        {"name": "b", "agent": "x", "depends_on": ["a"]},
        {"name": "c", "agent": "x", "depends_on": ["a"]},
        {"name": "d", "agent": "x", "depends_on": ["b", "c"]},
        {"name": "beside", "agent": "x"},
    ]}));
    flow.fail("a");
    assert_eq!(
        flow.state(),
        WorkflowState::Running,
        "one of them still runs"
    );
    flow.succeed("beside", json!(1));
    assert_eq!(flow.state(), WorkflowState::Completed);
}

#[test]
fn nothing_is_undone_while_any_task_still_runs() {
    let mut flow = Flow::start(&json!({"name": "w", "tasks": [
        {"name": "done", "agent": "x", "compensate": "undo"},
        {"name": "undo", "agent": "x"},
        {"name": "one", "agent": "x"},
        {"name": "two", "agent": "x"},
        {"name": "bad", "agent": "x"},
    ]}));
    flow.succeed("done", json!(1));
    flow.fail("bad");
    flow.give_up("one");
    assert!(flow.claim().is_empty(), "the other one still runs");
    assert_eq!(flow.state(), WorkflowState::Compensating);
    flow.give_up("two");
    assert_eq!(flow.claim(), ["undo"]);
}

#[test]
fn a_for_each_over_too_many_items_or_bytes_fails_before_it_makes_a_task() {
    let mut many = Flow::start(&json!({"name": "w", "tasks": [
        {"name": "list", "agent": "x"},
        {"name": "each", "agent": "x", "for_each": {"$ref": "tasks.list.result"}},
    ]}));
    many.succeed("list", json!(vec![0; 10_001]));
    let large = Flow::start(&json!({
        "name": "w", "input": {"large": "x".repeat(250_000)},
        "tasks": [{"name": "each", "agent": "x", "for_each": vec![0; 300], "payload": {"$ref": "input.large"}}],
    }));
    for (flow, words) in [
        (many, "10000 is the most"),
        (large, "67108864 bytes together"),
    ] {
        assert_eq!(flow.state(), WorkflowState::Failed);
        let error = flow.now().error.unwrap();
        assert!(error.message.contains(words), "{error:?}");
        assert_eq!(flow.now().tasks["failed"], 1);
    }
}
