//! Queues, limits, dead letters and commands to many, as an operator meets them.

use serde_json::json;

use crate::daemon::{Daemon, eventually};

fn configured() -> Daemon {
    let echo = crate::daemon::binary();
    Daemon::configured(&format!(
        "[agents.taker]\nkind = 'process'\ncommand = ['{0}', 'sample-agent', 'echo']\nqueue = 'bulk'\n\
         [agents.breaker]\nkind = 'process'\ncommand = ['{0}', 'sample-agent', 'flaky']\n\
         restart = {{ min_backoff = '10ms', max_backoff = '50ms' }}\n\
         [supervisor]\nintensity = 'unlimited'\n\
         [queues.bulk]\ncapacity = 3\nrate_limit = {{ max = 1, period = '1s' }}\n",
        echo.display()
    ))
}

fn submit(daemon: &Daemon, more: &[&str]) -> String {
    let mut arguments = vec!["tasks", "submit", "--queue", "bulk"];
    arguments.extend(more);
    let task = daemon.json(&arguments);
    task["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_paused_queue_holds_its_tasks_over_a_sudden_death_says_why_and_goes_on_when_resumed() {
    let mut daemon = configured();
    let paused = daemon.json(&["queues", "pause", "bulk", "--reason", "deploy"]);
    assert_eq!(
        (&paused["paused"], &paused["capacity"]),
        (&json!(true), &json!(3))
    );
    let id = submit(&daemon, &["--payload", "1"]);
    daemon.crash_and_start_again();
    let why = daemon.json(&["tasks", "explain", &id]);
    assert_eq!(why["state"], "queued", "{why}");
    assert_eq!(why["reasons"][0]["code"], "queue_paused", "{why}");
    for _ in 0..2 {
        submit(&daemon, &["--payload", "1"]);
    }
    let (status, refused) = daemon.post("/api/v1/tasks", r#"{"queue":"bulk"}"#);
    assert!(status == 429 && refused.contains("queue_full"), "{refused}");
    daemon.ok(&["queues", "resume", "bulk"]);
    let done = daemon.json(&["tasks", "wait", &id]);
    assert_eq!(done["state"], "succeeded", "{done}");
}

#[test]
fn a_rate_limited_queue_goes_on_by_itself_when_its_window_moves() {
    let daemon = configured();
    let ids: Vec<_> = (0..3)
        .map(|_| submit(&daemon, &["--payload", "1"]))
        .collect();
    let mut starts: Vec<String> = Vec::new();
    for id in &ids {
        let done = daemon.json(&["tasks", "wait", id]);
        assert_eq!(done["state"], "succeeded", "{done}");
        starts.push(done["started_at"].as_str().unwrap().to_owned());
    }
    starts.sort();
    starts.dedup_by_key(|at| at[..19].to_owned());
    assert_eq!(starts.len(), 3, "one start in any second: {starts:?}");
}

#[test]
fn a_unique_submission_is_answered_with_the_task_that_is_there() {
    let daemon = configured();
    daemon.ok(&["queues", "pause", "bulk"]);
    let first = submit(&daemon, &["--unique", "once"]);
    let second = daemon.json(&["tasks", "submit", "--queue", "bulk", "--unique", "once"]);
    assert_eq!(second["id"], first.as_str());
    assert_eq!(second["unique_conflict"], true);
}

#[test]
fn commands_to_many_count_first_and_dead_letters_are_listed_retried_and_purged() {
    let daemon = configured();
    daemon.ok(&["queues", "pause", "bulk"]);
    for _ in 0..3 {
        submit(&daemon, &["--label", "batch=7"]);
    }
    let dry = daemon.json(&["tasks", "cancel", "--filter", "label.batch=7", "--dry-run"]);
    assert_eq!((&dry["matched"], &dry["done"]), (&json!(3), &json!(0)));
    let done = daemon.json(&["tasks", "cancel", "--filter", "label.batch=7"]);
    assert_eq!(
        (&done["done"], &done["complete"]),
        (&json!(3), &json!(true)),
        "{done}"
    );
    let (status, _) = daemon.post("/api/v1/tasks:bulk", r#"{"action":"cancel","filter":{}}"#);
    assert_eq!(status, 422);

    let task = daemon.json(&[
        "tasks",
        "submit",
        "--agent",
        "breaker",
        "--payload",
        r#"{"crash":true}"#,
    ]);
    let id = task["id"].as_str().unwrap().to_owned();
    let letters = eventually("it is a dead letter", || {
        let letters = daemon.json(&["dead-letters", "list"]);
        (letters["items"].as_array()?.len() == 1).then_some(letters)
    });
    assert_eq!(letters["items"][0]["reason"], "poison", "{letters}");
    let attempts = daemon.json(&["tasks", "attempts", &id]);
    let attempts = attempts["items"].as_array().unwrap();
    // One that its agent never read is no death of its making.
    let deaths = attempts.iter().filter(|it| it["outcome"] == "crashed");
    assert_eq!(deaths.count(), 3, "{attempts:?}");
    let letters = ["dead-letters", "retry", "--filter", "agent=breaker"];
    let dry = daemon.json(&[&letters[..], &["--dry-run"]].concat());
    assert_eq!((&dry["matched"], &dry["done"]), (&json!(1), &json!(0)));
    assert_eq!(daemon.json(&letters)["done"], 1);
    eventually("it is a dead letter again", || {
        let task = daemon.json(&["tasks", "get", &id]);
        (task["state"] == "dead" && task["reason"] == "exhausted").then_some(())
    });
    let again = ["tasks", "retry", "--filter", "state=dead"];
    let dry = daemon.json(&[&again[..], &["--dry-run"]].concat());
    assert_eq!((&dry["matched"], &dry["done"]), (&json!(1), &json!(0)));
    let purged = daemon.json(&["dead-letters", "purge", "--filter", "agent=breaker"]);
    assert_eq!(purged["done"], 1, "{purged}");
    assert_eq!(daemon.json(&["dead-letters", "list"])["items"], json!([]));
}

#[test]
fn a_task_that_waits_behind_its_key_names_who_holds_it_and_no_limit_that_does_not_bind() {
    let daemon = Daemon::configured(&format!(
        "[agents.slow]\nkind = 'process'\ncommand = ['{}', 'sample-agent', 'flaky']\n\
         concurrency = 4\nqueue = 'crawl'\n\
         [queues.crawl]\nconcurrency = 9\nrate_limit = {{ max = 100, period = '1s' }}\n\
         per_key = {{ concurrency = 1 }}\n",
        crate::daemon::binary().display()
    ));
    let submit = |sleep: &str| {
        let payload = format!(r#"{{"queue":"crawl","concurrency_key":"site","payload":{sleep}}}"#);
        let (status, task) = daemon.post("/api/v1/tasks", &payload);
        assert!(status < 300, "{task}");
        let task: serde_json::Value = serde_json::from_str(&task).unwrap();
        task["id"].as_str().unwrap().to_owned()
    };
    let first = submit(r#"{"sleep_ms":60000}"#);
    eventually("the first one runs", || {
        (daemon.json(&["tasks", "get", &first])["state"] == "running").then_some(())
    });
    let second = submit("null");
    let why = daemon.json(&["tasks", "explain", &second]);
    let reasons = why["reasons"].as_array().unwrap();
    assert_eq!(reasons.len(), 1, "{why}");
    assert_eq!(reasons[0]["code"], "key_concurrency", "{why}");
    let message = reasons[0]["message"].as_str().unwrap();
    assert!(
        message.contains("'site'") && message.contains(&first),
        "{message}"
    );
    daemon.ok(&["tasks", "cancel", &first]);
    assert_eq!(
        daemon.json(&["tasks", "wait", &second])["state"],
        "succeeded"
    );
}

#[test]
fn a_recovery_action_pauses_a_queue_and_the_agents_behind_it_stay_healthy() {
    let daemon = Daemon::configured(&format!(
        "[agents.taker]\nkind = 'process'\ncommand = ['{}', 'sample-agent', 'echo']\n\
         [recovery.actions.hold]\nwhen = 'agent.taker'\ndo = 'queue.pause'\n",
        crate::daemon::binary().display()
    ));
    let run = daemon.json(&["recovery", "run", "hold"]);
    assert_eq!(run["outcome"], "succeeded", "{run}");
    let queue = daemon.json(&["queues", "get", "default"]);
    assert_eq!(queue["paused"], true, "{queue}");
    let task = daemon.json(&["tasks", "submit", "--agent", "taker"]);
    let id = task["id"].as_str().unwrap();
    let why = daemon.json(&["tasks", "explain", id]);
    assert_eq!(why["reasons"][0]["code"], "queue_paused", "{why}");
    for _ in 0..12 {
        daemon.json(&["health", "check", "agent.taker"]);
    }
    let health = daemon.json(&["health"]);
    let checks = health["checks"].as_array().unwrap();
    let taker = checks
        .iter()
        .find(|it| it["name"] == "agent.taker")
        .unwrap();
    assert_eq!(taker["status"], "healthy", "{taker}");
    daemon.ok(&["queues", "resume", "default"]);
    assert_eq!(daemon.json(&["tasks", "wait", id])["state"], "succeeded");
}

/// Thousands of tasks that are done, so far from each other that a walk takes its time between them.
const FAR_AND_WIDE: &str =
    "INSERT INTO tasks (key, id, name, queue, state, priority, rank, payload, max_attempts,
        timeout_ms, run_at, created_at, finished_at)
    WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 20000)
    SELECT 1000000 + x * 10000, randomblob(16), 't', 'bulk', 'succeeded', 5, 6, x'0031', 3, 9,
        unixepoch() * 1000000, unixepoch() * 1000000, unixepoch() * 1000000 FROM c";

#[test]
fn a_rare_task_is_found_behind_thousands_by_who_follows_the_pages_and_the_command_line_does() {
    let mut daemon = configured();
    let rare = [
        "--payload",
        "1",
        "--label",
        "k=rare",
        "--run-at",
        "2099-01-01T00:00:00Z",
    ];
    let id = submit(&daemon, &rare);
    daemon.signal("TERM");
    daemon.wait();
    let conn = rusqlite::Connection::open(daemon.database()).unwrap();
    conn.execute(FAR_AND_WIDE, []).unwrap();
    drop(conn);
    daemon.start_again();
    let (status, page) = daemon.get("/api/v1/tasks?label=k%3Drare");
    let page: serde_json::Value = serde_json::from_str(&page).unwrap();
    assert_eq!(
        (status, &page["items"]),
        (200, &json!([])),
        "it looked through all"
    );
    assert!(page["next_cursor"].is_string() && page["has_more"] == true);
    let found = daemon.json(&["tasks", "list", "--label", "k=rare"]);
    assert_eq!(found["items"][0]["id"], id.as_str(), "{found}");
    assert_eq!(
        (&found["next_cursor"], &found["has_more"]),
        (&json!(null), &json!(false))
    );
}
