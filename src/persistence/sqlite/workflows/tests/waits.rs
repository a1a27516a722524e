//! Claims about waits for the outside: said once, kept if early, over in time.

use std::time::Duration;

use super::*;
use crate::domain::query::{Expired, Signalled};
use crate::persistence::StoreError;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Flow {
    fn signal(&mut self, name: &str, payload: Value) -> Result<Signalled> {
        let id = self.id;
        let said = self.db.write(|tx| wait::signal(tx, id, name, &payload));
        self.claim();
        said
    }

    fn later(&mut self, span: Duration) -> Expired {
        self.db.now = self.db.now.after(span);
        let expired = self.db.write(wait::expire).unwrap();
        self.claim();
        expired
    }

    fn conflict(&mut self, name: &str, payload: Value) -> String {
        match self.signal(name, payload) {
            Err(StoreError::Conflict(why)) => why,
            other => panic!("no conflict but {other:?}"),
        }
    }
}

fn publishing() -> Value {
    json!({"name": "w", "tasks": [
        {"name": "draft", "agent": "x"},
        {"name": "ask", "approval": "publish", "payload": {"text": {"$ref": "tasks.draft.result"}}, "timeout_ms": 1000},
        {"name": "send", "agent": "x", "payload": {"by": {"$ref": "tasks.ask.result.by"}}},
    ]})
}

#[test]
fn a_task_waits_for_a_person_without_a_slot_and_goes_on_with_the_answer() {
    let mut flow = Flow::start(&publishing());
    flow.succeed("draft", json!("hello"));
    let ask = flow.task("ask");
    assert_eq!((ask.state, ask.attempt), (TaskState::Waiting, 0));
    assert_eq!(ask.payload, json!({"text": "hello"}));
    let open = flow.now().waits;
    assert_eq!(
        (
            open[0].task.as_str(),
            open[0].signal.as_str(),
            open[0].approval
        ),
        ("ask", "publish", true)
    );
    assert!(flow.held.is_empty(), "it is handed to nobody");
    flow.signal("publish", json!({"approved": true, "by": "ada"}))
        .unwrap();
    assert_eq!(flow.held["send"].payload, json!({"by": "ada"}));
    assert_eq!(flow.task("ask").state, TaskState::Succeeded);
    assert!(flow.now().waits.is_empty());
    let told = flow.db.kinds(&ask.id.to_string());
    assert_eq!(told, ["task.created", "task.waiting", "task.succeeded"]);
}

#[test]
fn a_signal_that_comes_early_is_kept_until_its_task_is_ready() {
    let mut flow = Flow::start(&publishing());
    flow.signal("publish", json!({"approved": true, "by": "ada"}))
        .unwrap();
    assert_eq!(flow.task("ask").state, TaskState::Blocked);
    assert_eq!(flow.succeed("draft", json!("hello")), ["send"]);
}

#[test]
fn a_signal_is_given_once_and_the_same_again_is_no_news() {
    let mut flow = Flow::start(&publishing());
    flow.succeed("draft", json!("hello"));
    let yes = json!({"approved": true, "by": "ada"});
    flow.signal("publish", yes.clone()).unwrap();
    let events = flow.db.events.len();
    flow.signal("publish", yes.clone()).unwrap();
    assert_eq!(flow.db.events.len(), events);
    let why = flow.conflict("publish", json!({"approved": false}));
    assert!(why.contains("it was given otherwise at"), "{why}");
    flow.succeed("send", json!(1));
    assert_eq!(flow.state(), WorkflowState::Completed);
    assert!(
        flow.signal("publish", yes).is_ok(),
        "the same, when all is over"
    );
}

#[test]
fn a_no_fails_its_task_and_a_retry_asks_again() {
    let mut flow = Flow::start(&publishing());
    flow.succeed("draft", json!("hello"));
    flow.signal("publish", json!({"approved": false, "reason": "a typo"}))
        .unwrap();
    let error = flow.now().error.unwrap();
    assert_eq!(error.message, "task 'ask' failed: not approved: a typo");
    assert_eq!(flow.task("ask").error.unwrap().code, "rejected");
    assert!(flow.retry().is_empty());
    assert_eq!(flow.task("ask").state, TaskState::Waiting);
    flow.signal("publish", json!({"approved": true, "by": "ada"}))
        .unwrap();
    assert_eq!(flow.held["send"].payload, json!({"by": "ada"}));
}

#[test]
fn what_nobody_waits_for_is_refused_with_the_reason() {
    let mut flow = Flow::start(&publishing());
    let unknown = flow.signal("publsh", json!({})).unwrap_err();
    assert!(
        unknown.to_string().contains("did you mean 'publish'?"),
        "{unknown}"
    );
    let vague = flow.signal("publish", json!({"ok": 1})).unwrap_err();
    assert!(matches!(vague, StoreError::Invalid(_)), "{vague}");
    let huge = flow.signal(
        "publish",
        json!({"approved": true, "x": "y".repeat(300_000)}),
    );
    assert!(matches!(huge, Err(StoreError::Invalid(_))));
    flow.fail("draft");
    let why = flow.conflict("publish", json!({"approved": true}));
    assert!(why.ends_with("the workflow is failed"), "{why}");
}

#[test]
fn a_wait_that_is_over_has_timed_out_and_fails_the_workflow() {
    let mut flow = Flow::start(&publishing());
    flow.succeed("draft", json!("hello"));
    assert_eq!(
        flow.later(Duration::from_millis(400)).next,
        Some(Duration::from_millis(600))
    );
    assert_eq!(flow.later(Duration::from_millis(600)).next, None);
    assert_eq!(flow.task("ask").state, TaskState::TimedOut);
    assert_eq!(
        flow.now().error.unwrap().message,
        "task 'ask' timed out: signal 'publish' did not come in time"
    );
    flow.retry();
    assert_eq!(flow.task("ask").state, TaskState::Waiting);
}

#[test]
fn a_wait_that_may_pass_goes_on_with_nothing() {
    let mut flow = Flow::start(&json!({"name": "w", "tasks": [
        {"name": "wait", "signal": "go", "on_timeout": "continue"},
        {"name": "next", "agent": "x", "payload": {"$ref": "tasks.wait.result"}},
    ]}));
    assert_eq!(
        flow.state(),
        WorkflowState::Running,
        "it waits, so it has begun"
    );
    flow.later(DAY * 6);
    assert!(flow.held.is_empty());
    flow.later(DAY);
    assert_eq!(flow.held["next"].payload, Value::Null);
    let why = flow.conflict("go", Value::Null);
    assert!(why.ends_with("nothing waits for it any more"), "{why}");
}

#[test]
fn a_cancelled_wait_ends_unheard() {
    let mut flow = Flow::start(&publishing());
    flow.succeed("draft", json!("hello"));
    let id = flow.id;
    flow.db
        .write(|tx| control::cancel(tx, id, "enough"))
        .unwrap();
    assert_eq!(flow.task("ask").state, TaskState::Cancelled);
    assert!(flow.now().waits.is_empty());
    assert_eq!(flow.later(DAY), Expired::default());
    assert_eq!(flow.task("ask").state, TaskState::Cancelled);
}

#[test]
fn one_signal_ends_every_wait_for_it_and_a_no_stops_what_runs() {
    let mut flow = Flow::start(&json!({"name": "w", "tasks": [
        {"name": "a", "approval": "go"},
        {"name": "b", "signal": "go"},
        {"name": "c", "agent": "x"},
    ]}));
    let said = flow.signal("go", json!({"approved": false})).unwrap();
    let running = &flow.held["c"];
    assert_eq!(said.cancel, [(running.id, running.lease_id)]);
    assert_eq!(said.workflow.state, WorkflowState::Failed);
}
