//! A caller's trace, from the request to whoever works for it.

use serde_json::{Value, json};

use crate::daemon::{Daemon, http};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Gives back the trace that it runs in.
const CONFIG: &str = r#"
    [agents.told]
    kind = "process"
    protocol = "exec"
    command = ["sh", "-c", "printf %s \"${TRACEPARENT-none}\""]
"#;

fn ask(daemon: &Daemon, path: &str, traces: &[&str], body: &Value) -> Value {
    let headers: Vec<_> = traces.iter().map(|it| ("traceparent", *it)).collect();
    let headers = [&headers[..], &[("Content-Type", "application/json")]].concat();
    let (status, body) = http(&daemon.api, "POST", path, &headers, &body.to_string());
    assert_eq!(status, 202, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[test]
fn a_trace_goes_with_a_task_and_one_that_is_malformed_is_as_good_as_none() {
    let daemon = Daemon::configured(CONFIG);
    let whole = TRACE.to_owned();
    let future = format!("cc{}-more", &TRACE[2..]);
    let cases: [(&[&str], Value); 7] = [
        (&[&whole], json!(TRACE)),
        (&[&future], json!(TRACE)),
        (&[], Value::Null),
        (&["00-nonsense"], Value::Null),
        (&[&TRACE.to_uppercase()], Value::Null),
        (&[&TRACE[..54]], Value::Null),
        (&[&whole, &whole], Value::Null),
    ];
    for (traces, is) in cases {
        let body = json!({"agent": "told"});
        let task = ask(&daemon, "/api/v1/tasks", traces, &body);
        assert_eq!(task["traceparent"], is, "{traces:?}");
        let task = daemon.end_of(task["id"].as_str().unwrap());
        let told = is.as_str().unwrap_or("none");
        assert_eq!(task["result"], told, "{traces:?}");
        let shown = daemon.json(&["tasks", "get", task["id"].as_str().unwrap()]);
        assert_eq!(shown["traceparent"], is, "{traces:?}");
    }
}

#[test]
fn a_trace_outlives_the_daemon_and_goes_through_a_whole_workflow() {
    let mut daemon = Daemon::configured(CONFIG);
    daemon.ok(&["agents", "pause", "told"]);
    let definition = json!({"name": "w", "tasks": [
        {"name": "one", "agent": "told"},
        {"name": "each", "agent": "told", "for_each": [1, 2], "depends_on": ["one"]},
    ]});
    let workflow = ask(&daemon, "/api/v1/workflows", &[TRACE], &definition);
    assert_eq!(workflow["traceparent"], TRACE);
    let task = ask(
        &daemon,
        "/api/v1/tasks",
        &[TRACE],
        &json!({"agent": "told"}),
    );
    daemon.crash_and_start_again();
    daemon.ok(&["agents", "resume", "told"]);
    let wait = |noun, id: &Value| daemon.json(&[noun, "wait", id.as_str().unwrap()]);
    assert_eq!(wait("tasks", &task["id"])["result"], TRACE);
    let done = wait("workflows", &workflow["id"]);
    assert_eq!(done["output"], json!({"each": [TRACE, TRACE]}));
    let told = daemon.json(&["events", "--types", "task.created"]);
    let all = told["items"].as_array().unwrap();
    assert!(
        all.iter().all(|it| it["data"]["traceparent"] == TRACE),
        "{told}"
    );
}
