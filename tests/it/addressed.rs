//! Work and messages for somebody who is not there, or does not take them: refused at once, with the way out.

use serde_json::{Value, json};

use crate::daemon::Daemon;

fn daemon() -> Daemon {
    Daemon::configured(
        "[agents.echo]\nkind = 'process'\ncommand = ['agent-system', 'sample-agent', 'echo']\n\
         [agents.bridge]\nkind = 'process'\nprotocol = 'none'\ncommand = ['sleep', '1000000']\n\
         [agents.job]\nkind = 'process'\nprotocol = 'exec'\ncommand = ['sh', '-c', 'exit 4']\n\
         [queues.slow]\ncapacity = 3\n",
    )
}

#[test]
fn what_nobody_would_take_is_refused_at_once_and_says_who_would() {
    let daemon = daemon();
    for (path, body, status, pointer, detail) in [
        (
            "tasks",
            json!({"agent": "bridge"}),
            422,
            "#/agent",
            "takes no tasks",
        ),
        (
            "tasks",
            json!({"agent": "bridg"}),
            404,
            "#/agent",
            "did you mean 'bridge'?",
        ),
        (
            "tasks",
            json!({"queue": "slo"}),
            404,
            "#/queue",
            "did you mean 'slow'?",
        ),
        (
            "messages",
            json!({"to": "ecko", "content": 1}),
            404,
            "#/to",
            "did you mean 'echo'?",
        ),
        (
            "messages",
            json!({"to": "bridge", "content": 1}),
            422,
            "#/to",
            "takes no messages",
        ),
    ] {
        let (given, text) = daemon.post(&format!("/api/v1/{path}"), &body.to_string());
        let problem: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (given, &problem["errors"][0]["pointer"]),
            (status, &json!(pointer)),
            "{text}"
        );
        let says = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(says.contains(detail), "{text}");
    }
}

#[test]
fn a_program_that_fails_without_a_word_is_reported_by_its_exit_code_alone() {
    let daemon = daemon();
    let task = daemon.json(&["tasks", "submit", "--agent", "job", "--max-attempts", "1"]);
    let id = task["id"].as_str().unwrap();
    assert_eq!(daemon.cli(&["tasks", "wait", id]).status.code(), Some(6));
    let done = daemon.json(&["tasks", "get", id]);
    assert_eq!(done["error"]["message"], "exit code 4", "{done}");
}
