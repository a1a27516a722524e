//! Claims about undoing: what is undone, in which order, and what becomes of what cannot be.

use super::*;

/// `flight`, `hotel` and `car` after one another, each with its undoing; then `pay`.
fn trip() -> Value {
    json!({"name": "trip", "tasks": [
        {"name": "flight", "agent": "x", "compensate": "no-flight"},
        {"name": "hotel", "agent": "x", "depends_on": ["flight"], "compensate": "no-hotel"},
        {"name": "car", "agent": "x", "depends_on": ["flight"], "compensate": "no-car"},
        {"name": "pay", "agent": "x", "depends_on": ["hotel", "car"]},
        {"name": "no-flight", "agent": "x", "payload": {"$ref": "tasks.flight.result"}},
        {"name": "no-hotel", "agent": "x", "payload": {"$ref": "tasks.hotel.result.room"}},
        {"name": "no-car", "agent": "x", "max_attempts": 1},
    ]})
}

fn paid_for(order: [&str; 2]) -> Flow {
    let mut flow = Flow::start(&trip());
    flow.succeed("flight", json!("F1"));
    for name in order {
        flow.db.now = flow.db.now.after(std::time::Duration::from_secs(1));
        flow.succeed(name, json!({"room": 7}));
    }
    flow
}

#[test]
fn a_workflow_that_completes_undoes_nothing() {
    let mut flow = paid_for(["hotel", "car"]);
    flow.succeed("pay", json!(1));
    let workflow = flow.now();
    assert_eq!(workflow.state, WorkflowState::Completed);
    assert_eq!(workflow.output, Some(json!({"pay": 1})));
    assert_eq!(workflow.tasks["succeeded"], 4, "none for what undoes");
}

#[test]
fn a_failure_undoes_what_succeeded_the_last_done_first_one_at_a_time() {
    let mut flow = paid_for(["car", "hotel"]);
    flow.fail("pay");
    assert_eq!(flow.state(), WorkflowState::Compensating);
    assert_eq!(flow.now().finished_at, None);
    assert_eq!(flow.claim(), ["no-hotel"]);
    assert_eq!(flow.held["no-hotel"].payload, json!(7));
    assert_eq!(flow.succeed("no-hotel", json!(1)), ["no-car"]);
    assert_eq!(flow.succeed("no-car", json!(1)), ["no-flight"]);
    assert_eq!(flow.held["no-flight"].payload, json!("F1"));
    flow.succeed("no-flight", json!(1));
    let error = flow.now().error.unwrap();
    assert_eq!(
        (flow.state(), error.code.as_str(), error.message.as_str()),
        (
            WorkflowState::Failed,
            "task_failed",
            "task 'pay' failed: broke"
        )
    );
    assert_eq!(
        flow.db.kinds(&flow.id.to_string()),
        [
            "workflow.created",
            "workflow.started",
            "workflow.compensating",
            "workflow.failed"
        ]
    );
}

#[test]
fn what_still_succeeds_while_the_rest_is_given_up_is_undone_too() {
    let mut flow = Flow::start(&trip());
    flow.succeed("flight", json!("F1"));
    let settled = flow.fail("hotel");
    assert_eq!(settled.cancel.len(), 1, "the car is asked to give up");
    assert!(
        flow.claim().is_empty(),
        "nothing is undone while something runs"
    );
    assert_eq!(
        flow.succeed("car", json!(1)),
        ["no-car"],
        "it did not give up"
    );
    assert_eq!(flow.succeed("no-car", json!(1)), ["no-flight"]);
    flow.succeed("no-flight", json!(1));
    assert_eq!(flow.state(), WorkflowState::Failed);
    assert_eq!(flow.task("pay").state, TaskState::Cancelled);
}

#[test]
fn a_failure_with_nothing_done_undoes_nothing() {
    let mut flow = Flow::start(&trip());
    flow.fail("flight");
    assert_eq!(flow.state(), WorkflowState::Failed);
    assert!(flow.claim().is_empty());
}

#[test]
fn what_cannot_be_undone_is_reported_and_the_rest_is_undone() {
    let mut flow = Flow::start(&trip());
    flow.succeed("flight", json!("F1"));
    flow.succeed("hotel", json!("a text has no room"));
    flow.succeed("car", json!(1));
    flow.fail("pay");
    // The hotel's undoing cannot even begin; in one transaction all ended at one instant.
    assert_eq!(flow.claim(), ["no-car"]);
    flow.fail("no-car");
    assert_eq!(flow.claim(), ["no-flight"]);
    flow.succeed("no-flight", json!(1));
    let error = flow.now().error.unwrap();
    assert_eq!(
        (flow.state(), error.code.as_str()),
        (WorkflowState::Failed, "compensation_failed")
    );
    for told in [
        "task 'pay' failed",
        "'car' is not undone: task 'no-car' failed: broke",
        "'hotel' is not undone",
    ] {
        assert!(error.message.contains(told), "{}", error.message);
    }
}

#[test]
fn an_undoing_has_its_attempts() {
    let mut flow = paid_for(["car", "hotel"]);
    flow.fail("pay");
    flow.claim();
    let task = flow.held.remove("no-hotel").unwrap();
    flow.db.fail(&task, true);
    assert_eq!(flow.task("no-hotel").state, TaskState::Retrying);
    assert_eq!(flow.state(), WorkflowState::Compensating);
    flow.db.wait(std::time::Duration::from_secs(5));
    assert_eq!(flow.claim(), ["no-hotel"]);
}

#[test]
fn a_map_is_undone_once_with_what_succeeded_of_it() {
    let mut flow = Flow::start(&json!({"name": "w", "tasks": [
        {"name": "send", "agent": "x", "for_each": [1, 2], "compensate": "recall"},
        {"name": "recall", "agent": "x", "payload": {"$ref": "tasks.send.result"}},
    ]}));
    flow.succeed("send[1]", json!("id-2"));
    flow.fail("send[0]");
    assert_eq!(flow.claim(), ["recall"]);
    assert_eq!(flow.held["recall"].payload, json!([null, "id-2"]));
}

#[test]
fn a_task_may_fail_without_undoing_where_it_says_so() {
    let mut definition = trip();
    definition["tasks"][3]["on_failure"] = json!("fail");
    let mut flow = Flow::start(&definition);
    flow.succeed("flight", json!(1));
    flow.succeed("hotel", json!(1));
    flow.succeed("car", json!(1));
    flow.fail("pay");
    assert_eq!(flow.state(), WorkflowState::Failed);
    assert!(flow.claim().is_empty());
    assert_eq!(flow.retry(), ["pay"], "nothing was undone, so it can go on");
}

#[test]
fn a_workflow_that_is_being_undone_or_was_is_not_retried() {
    let mut flow = paid_for(["car", "hotel"]);
    flow.fail("pay");
    let id = flow.id;
    let refused = flow.db.write(|tx| control::retry(tx, id)).unwrap_err();
    assert!(refused.to_string().contains("compensating"), "{refused}");
    for name in ["no-hotel", "no-car", "no-flight"] {
        flow.claim();
        flow.succeed(name, json!(1));
    }
    let refused = flow.db.write(|tx| control::retry(tx, id)).unwrap_err();
    assert!(
        refused.to_string().contains("run the workflow anew"),
        "{refused}"
    );
}

#[test]
fn cancel_stops_the_undoing_and_says_what_it_was_for() {
    let mut flow = paid_for(["car", "hotel"]);
    flow.fail("pay");
    flow.claim();
    let id = flow.id;
    let done = flow
        .db
        .write(|tx| control::cancel(tx, id, "enough"))
        .unwrap();
    assert_eq!(done.running.len(), 1);
    flow.give_up("no-hotel");
    assert!(flow.claim().is_empty());
    let workflow = flow.now();
    assert_eq!(workflow.state, WorkflowState::Cancelled);
    assert_eq!(
        workflow.error.unwrap().message,
        "enough; it was being undone: task 'pay' failed: broke"
    );
}

#[test]
fn a_daemon_that_dies_while_it_undoes_goes_on_where_it_was() {
    let mut flow = paid_for(["car", "hotel"]);
    flow.fail("pay");
    flow.claim();
    flow.held.clear();
    flow.db.begin_session();
    let session = flow.db.session;
    flow.db
        .write(|tx| super::super::super::tasks::rescue(tx, session))
        .unwrap();
    assert_eq!(
        flow.claim(),
        ["no-hotel"],
        "interrupted, and handed out again"
    );
    assert_eq!(flow.succeed("no-hotel", json!(1)), ["no-car"]);
}

#[test]
fn every_task_of_a_workflow_goes_on_in_its_trace_whenever_it_is_made() {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let definition = json!({"name": "w", "tasks": [
        {"name": "one", "agent": "x", "compensate": "no-one"},
        {"name": "each", "agent": "x", "for_each": {"$ref": "tasks.one.result"}},
        {"name": "last", "agent": "x", "depends_on": ["each"]},
        {"name": "no-one", "agent": "x"},
    ]});
    let mut flow = Flow::start_in(&definition, trace.parse().ok());
    assert_eq!(flow.now().traceparent, trace.parse().ok());
    let mut seen = Vec::new();
    let mut hold = |flow: &Flow| {
        for (name, task) in &flow.held {
            assert_eq!(task.traceparent, trace.parse().ok(), "{name}");
            assert_eq!(flow.task(name).traceparent, trace.parse().ok(), "{name}");
            seen.push(name.clone());
        }
    };
    hold(&flow);
    flow.succeed("one", json!([1, 2]));
    hold(&flow);
    flow.succeed("each[0]", json!(1));
    flow.succeed("each[1]", json!(1));
    hold(&flow);
    flow.fail("last");
    flow.claim();
    hold(&flow);
    assert_eq!(seen, ["one", "each[0]", "each[1]", "last", "no-one"]);
}
