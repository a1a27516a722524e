//! Workflows that wait and undo, and schedules, over the sudden death of the daemon.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::daemon::{Daemon, eventually};

fn run(daemon: &Daemon, definition: &Value) -> String {
    let (status, body) = daemon.post("/api/v1/workflows", &definition.to_string());
    assert_eq!(status, 202, "{body}");
    let workflow: Value = serde_json::from_str(&body).unwrap();
    workflow["id"].as_str().unwrap().to_owned()
}

fn state_of(daemon: &Daemon, id: &str) -> Value {
    daemon.json(&["workflows", "get", id])
}

#[test]
fn an_approval_outlives_the_daemon() {
    let mut daemon = Daemon::start();
    let id = run(
        &daemon,
        &json!({"name": "w", "tasks": [
            {"name": "ask", "approval": "publish"},
            {"name": "send", "agent": "echo", "payload": {"$ref": "tasks.ask.result.by"}},
        ]}),
    );
    eventually("it waits", || {
        (state_of(&daemon, &id)["waits"] != json!([])).then_some(())
    });
    daemon.crash_and_start_again();
    assert_eq!(state_of(&daemon, &id)["waits"][0]["signal"], "publish");
    let yes = r#"{"approved":true,"by":"ada"}"#;
    daemon.ok(&["workflows", "signal", &id, "publish", "--payload", yes]);
    let done = daemon.ok(&["workflows", "wait", &id]);
    let done: Value = serde_json::from_slice(&done).unwrap();
    assert_eq!(done, json!({"send": "ada"}));
    daemon.ok(&["workflows", "signal", &id, "publish", "--payload", yes]);
    let other = daemon.cli(&["workflows", "signal", &id, "publish", "--reject"]);
    assert_eq!(other.status.code(), Some(5), "{other:?}");
    let unknown = daemon.post(
        &format!("/api/v1/workflows/{id}:signal"),
        r#"{"name":"publsh"}"#,
    );
    assert!(
        unknown.0 == 422 && unknown.1.contains("did you mean 'publish'?"),
        "{unknown:?}"
    );
}

#[test]
fn a_workflow_is_undone_over_the_sudden_death_of_the_daemon() {
    let mut daemon = Daemon::start();
    let id = run(
        &daemon,
        &json!({"name": "w", "tasks": [
            {"name": "book", "agent": "echo", "payload": "F1", "compensate": "unbook"},
            {"name": "charge", "agent": "echo", "payload": 7, "depends_on": ["book"], "compensate": "refund"},
            {"name": "ask", "approval": "go", "depends_on": ["charge"]},
            {"name": "refund", "agent": "flaky", "payload": {"sleep_ms": 600_000, "below_attempt": 2}},
            {"name": "unbook", "agent": "echo", "payload": {"$ref": "tasks.book.result"}},
        ]}),
    );
    eventually("it waits", || {
        (state_of(&daemon, &id)["waits"] != json!([])).then_some(())
    });
    daemon.ok(&[
        "workflows",
        "signal",
        &id,
        "go",
        "--reject",
        "--reason",
        "too dear",
    ]);
    eventually("it is being undone", || {
        assert_ne!(state_of(&daemon, &id)["state"], "failed", "undone too soon");
        let running = daemon.json(&["tasks", "list", "--state", "running"]);
        (running["items"].as_array()?.len() == 1).then_some(())
    });
    assert_eq!(state_of(&daemon, &id)["state"], "compensating");
    daemon.crash_and_start_again();
    let done = eventually("it is undone", || {
        Some(state_of(&daemon, &id)).filter(|it| it["state"] == "failed")
    });
    assert_eq!(done["tasks"]["succeeded"], 4, "{done}");
    let why = done["error"]["message"].as_str().unwrap();
    assert_eq!(why, "task 'ask' failed: not approved: too dear");
}

const TICK: &str = r#"
[agents.one]
kind = "process"
command = ["agent-system", "sample-agent", "echo"]

[schedules.tick]
every = "1s"
agent = "one"
payload = { a = 1 }
overlap = "allow"
catch_up = "all"
catch_up_max = 100

[schedules.yearly]
cron = "0 3 1 1 *"
timezone = "Europe/Berlin"
agent = "one"
"#;

fn fired(daemon: &Daemon) -> Vec<(String, String)> {
    let history = daemon.json(&["schedules", "history", "tick", "--limit", "500"]);
    let run = |run: &Value| {
        assert_eq!(run["outcome"], "fired", "{run}");
        let word = |key: &str| run[key].as_str().unwrap().to_owned();
        (word("due_at"), word("task_id"))
    };
    history["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(run)
        .collect()
}

#[test]
fn a_schedule_fires_once_for_each_instant_over_the_sudden_death_of_the_daemon() {
    let mut daemon = Daemon::configured(TICK);
    for deaths in 1..3 {
        eventually("it fires", || {
            (fired(&daemon).len() >= deaths * 2).then_some(())
        });
        daemon.crash_and_start_again();
    }
    let count = fired(&daemon).len();
    let runs = eventually("it fires again", || {
        Some(fired(&daemon)).filter(|runs| runs.len() > count)
    });
    let due: BTreeSet<_> = runs.iter().map(|(due, _)| due).collect();
    let tasks: BTreeSet<_> = runs.iter().map(|(_, task)| task).collect();
    assert_eq!(
        (due.len(), tasks.len()),
        (runs.len(), runs.len()),
        "each once: {runs:?}"
    );
    let seconds = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_second();
    let (first, last) = (seconds(&runs[runs.len() - 1].0), seconds(&runs[0].0));
    assert_eq!(
        i64::try_from(runs.len() - 1),
        Ok(last - first),
        "none is missing: {runs:?}"
    );
    let stored = daemon.json(&[
        "tasks",
        "list",
        "--label",
        "schedule=tick",
        "--limit",
        "500",
    ]);
    assert!(stored["items"].as_array().unwrap().len() >= runs.len());
}

#[test]
fn a_schedule_is_paused_resumed_and_triggered() {
    let mut daemon = Daemon::configured(TICK);
    let paused = eventually("it can be paused", || {
        let paused = daemon.cli(&[
            "schedules",
            "pause",
            "yearly",
            "--reason",
            "holidays",
            "-o",
            "json",
        ]);
        paused
            .status
            .success()
            .then(|| serde_json::from_slice::<Value>(&paused.stdout).unwrap())
    });
    assert_eq!(
        (&paused["paused"], &paused["next_at"]),
        (&json!(true), &json!(null))
    );
    daemon.crash_and_start_again();
    let kept = daemon.json(&["schedules", "get", "yearly"]);
    assert_eq!(
        (&kept["paused"], &kept["reason"]),
        (&json!(true), &json!("holidays"))
    );
    let run = daemon.json(&["schedules", "trigger", "yearly"]);
    assert_eq!(run["reason"], "trigger");
    let trigger = || {
        let (key, path) = (
            ("Idempotency-Key", "one"),
            "/api/v1/schedules/yearly:trigger",
        );
        let (status, run) = crate::daemon::http(&daemon.api, "POST", path, &[key], "");
        assert_eq!(status, 200, "{run}");
        serde_json::from_str::<Value>(&run).unwrap()["task_id"].clone()
    };
    let once = trigger();
    assert!(
        once != run["task_id"] && once == trigger(),
        "a key fires once"
    );
    daemon.ok(&["tasks", "wait", run["task_id"].as_str().unwrap()]);
    let resumed = daemon.json(&["schedules", "resume", "yearly"]);
    let next = resumed["next_at"].as_str().unwrap();
    assert!(next.ends_with("-01-01T02:00:00.000Z"), "{next}");
    let unknown = daemon.get("/api/v1/schedules/yearli");
    assert!(
        unknown.0 == 404 && unknown.1.contains("did you mean 'yearly'?"),
        "{unknown:?}"
    );
}
