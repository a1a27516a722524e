//! What agents may spend, with real processes: held, killed, freed by a raised ceiling.

use serde_json::{Value, json};

use crate::daemon::{Daemon, eventually};

/// Spends what it is told, and keeps a task that it is told to keep until it is cancelled.
const PROGRAM: &str = r#"
    field() { printf %s "$1" | sed "s/.*\"$2\":\"\([^\"]*\)\".*/\1/"; }
    while read -r line; do
        id=$(field "$line" id); task=$(field "$line" task_id); lease=$(field "$line" lease_id)
        case "$line" in
            *\"type\":\"hello\"*) echo "{\"type\":\"ready\",\"concurrency\":4}" ;;
            *\"type\":\"ping\"*) echo "{\"type\":\"pong\",\"n\":1}" ;;
            *\"type\":\"task\"*)
                leases="$leases $id=$lease"
                cost=$(printf %s "$line" | sed "s/.*\"cost\":\([0-9.]*\).*/\1/")
                echo "{\"type\":\"usage\",\"task_id\":\"$id\",\"cost_usd\":$cost,\"input_tokens\":10}"
                echo "{\"type\":\"metric\",\"name\":\"last_cost\",\"value\":$cost}"
                case "$line" in
                    *keep*) ;;
                    *) echo "{\"type\":\"result\",\"task_id\":\"$id\",\"lease_id\":\"$lease\"}" ;;
                esac ;;
            *\"type\":\"cancel\"*)
                lease=$(printf %s "$leases" | tr " " "\n" | sed -n "s/^$task=//p")
                echo "{\"type\":\"error\",\"task_id\":\"$task\",\"lease_id\":\"$lease\"}" ;;
        esac
    done"#;

/// Two agents of which one may not spend more than it is told. Its windows are months, so that no
/// test meets the end of one by chance.
fn config(spend: &str) -> String {
    let spender = format!(
        "
        [agents.spender]
        kind = 'process'
        command = ['sh', '-c', '''{PROGRAM}''']
        spend = {{ per = 'month', reserve_cost_usd = 0.03, warn_at = 0.5, {spend} }}
        "
    );
    without_spender() + &spender
}

fn without_spender() -> String {
    "
    [monitoring]
    health_interval = '1s'
    [agents.other]
    kind = 'process'
    command = ['agent-system', 'sample-agent', 'echo']
    "
    .to_owned()
}

fn submit(daemon: &Daemon, payload: &Value) -> String {
    let payload = payload.to_string();
    let to_spender = ["tasks", "submit", "--agent", "spender", "--payload"];
    let task = daemon.json(&[&to_spender[..], &[payload.as_str()]].concat());
    task["id"].as_str().unwrap().to_owned()
}

fn state(daemon: &Daemon, id: &str) -> String {
    let task = daemon.json(&["tasks", "get", id]);
    task["state"].as_str().unwrap().to_owned()
}

fn until(daemon: &Daemon, id: &str, wanted: &str) {
    eventually("the task's state", || {
        (state(daemon, id) == wanted).then_some(())
    });
}

fn get(daemon: &Daemon, path: &str) -> Value {
    serde_json::from_str(&daemon.get(path).1).unwrap()
}

fn spender(daemon: &Daemon) -> Value {
    daemon.json(&["agents", "get", "spender"])
}

/// What is used, in whole millionths.
fn used(spend: &Value) -> u64 {
    let dollars = spend["used"]["cost_usd"].as_f64().unwrap();
    format!("{:.0}", dollars * 1e6).parse().unwrap()
}

/// The sum in the database: reported, and presumed.
fn stored(daemon: &Daemon) -> (u64, u64) {
    let database = rusqlite::Connection::open(daemon.database()).unwrap();
    let sums = "SELECT coalesce(sum(cost_micros), 0), coalesce(sum(presumed_micros), 0) FROM spend";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let (cost, presumed) = database.query_row(sums, [], read).unwrap();
    (cost.unsigned_abs(), presumed.unsigned_abs())
}

#[test]
fn a_killed_daemon_forgets_nothing_that_was_spent_and_counts_what_a_cut_task_held() {
    let mut daemon = Daemon::configured(&config("cost_usd = 0.10"));
    let done = submit(&daemon, &json!({"cost": 0.05}));
    until(&daemon, &done, "succeeded");
    let cut = submit(&daemon, &json!({"cost": 0.01, "keep": true}));
    until(&daemon, &cut, "running");
    eventually("the sum is stored", || {
        (stored(&daemon) == (60_000, 0)).then_some(())
    });
    daemon.crash_and_start_again();
    // It had said a cent, and held three.
    assert_eq!(stored(&daemon), (60_000, 20_000));
    let agent = eventually("the agent is ready", || {
        let agent = spender(&daemon);
        (agent["state"] == "ready" && used(&agent["spend"]) == 80_000).then_some(agent)
    });
    let spend = &agent["spend"];
    assert_eq!(
        (&spend["held"], &spend["state"]),
        (&json!(true), &json!("exhausted"))
    );
    assert_eq!(
        state(&daemon, &cut),
        "queued",
        "nothing is handed over: {agent}"
    );
    daemon.crash_and_start_again();
    assert_eq!(stored(&daemon), (60_000, 20_000), "nothing ran in between");
}

/// Holds the agent: 9 of 10 cents are spent, and a task waits.
fn held() -> (Daemon, String) {
    let daemon = Daemon::configured(&config("cost_usd = 0.10"));
    let done = submit(&daemon, &json!({"cost": 0.09}));
    until(&daemon, &done, "succeeded");
    let waiting = submit(&daemon, &json!({"cost": 0.02}));
    let spend = spender(&daemon)["spend"].clone();
    assert_eq!((used(&spend), &spend["held"]), (90_000, &json!(true)));
    (daemon, waiting)
}

#[test]
fn a_held_agent_says_why_and_what_to_do_wherever_it_is_asked() {
    let (daemon, waiting) = held();
    let shown = String::from_utf8(daemon.ok(&["agents", "get", "spender"])).unwrap();
    let renews_at = spender(&daemon)["spend"]["renews_at"].clone();
    let renews_at = renews_at.as_str().unwrap();
    let says = format!("held: spend of the month is exhausted, renews at {renews_at}");
    assert!(shown.contains(&says), "{shown}");
    let why = daemon.json(&["agents", "explain", "spender"]);
    assert_eq!(why["code"], "spend_exhausted", "{why}");
    assert!(why["answer"].as_str().unwrap().contains(renews_at), "{why}");
    let way_out = why["way_out"].as_str().unwrap();
    assert!(
        way_out.contains("raise agents.spender.spend.cost_usd"),
        "{way_out}"
    );
    let why = daemon.json(&["tasks", "explain", &waiting]);
    assert_eq!(why["reasons"][0]["code"], "spend", "{why}");
    let check = eventually("the check warns", || {
        let check = get(&daemon, "/api/v1/health/checks/agent.spender");
        (check["status"] == "warning").then_some(check)
    });
    assert!(
        check["message"].as_str().unwrap().contains("exhausted"),
        "{check}"
    );
    let metrics = daemon.metrics_page();
    for line in [
        "agent_system_agent_cost_usd_total{agent=\"spender\"} 0.09",
        "agent_system_agent_tokens_total{agent=\"spender\",type=\"input\"} 10",
        "agent_system_agent_spend_ratio{agent=\"spender\"} 0.9",
        "agent_system_agent_reported{agent=\"spender\",metric=\"last_cost\"} 0.09",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line}:\n{metrics}");
    }
}

#[test]
fn a_raised_ceiling_frees_a_held_agent_without_touching_it() {
    let (daemon, waiting) = held();
    let before = spender(&daemon);
    daemon.reconfigure(&config("cost_usd = 1.0"));
    daemon.ok(&["config", "apply"]);
    until(&daemon, &waiting, "succeeded");
    let after = spender(&daemon);
    assert_eq!(after["pid"], before["pid"], "its life goes on");
    assert_eq!(used(&after["spend"]), 110_000);
    let events = get(&daemon, "/api/v1/events?types=spend.*&limit=50");
    let events = events["items"].as_array().unwrap().clone();
    let kinds: Vec<_> = events.iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds, ["spend.exhausted", "spend.renewed"]);
    let attempts = get(&daemon, &format!("/api/v1/tasks/{waiting}/attempts"));
    assert_eq!(
        attempts["items"][0]["usage"]["cost_usd"], 0.02,
        "{attempts}"
    );
}

#[test]
fn a_task_over_its_own_ceiling_is_stopped_and_not_tried_again() {
    let daemon = Daemon::configured(&config("cost_usd = 1.0, task_cost_usd = 0.2"));
    let id = submit(&daemon, &json!({"cost": 0.21, "keep": true}));
    until(&daemon, &id, "failed");
    let task = daemon.json(&["tasks", "get", &id]);
    assert_eq!(task["error"]["code"], "spend_exceeded", "{task}");
    assert_eq!(task["attempt"], 1);
    eventually("the agent lets it go", || {
        (spender(&daemon)["queue"]["running"] == 0).then_some(())
    });
    let next = submit(&daemon, &json!({"cost": 0.2}));
    until(&daemon, &next, "succeeded");
}

#[test]
fn what_an_agent_reported_and_what_it_has_cost_go_from_the_metrics_with_the_agent() {
    let daemon = Daemon::configured(&config("cost_usd = 1.0"));
    let id = submit(&daemon, &json!({"cost": 0.2}));
    until(&daemon, &id, "succeeded");
    let own = [
        "agent_system_agent_reported{agent=\"spender\"",
        "agent_system_agent_spend_ratio{agent=\"spender\"",
        "agent_system_agent_cost_usd_total{agent=\"spender\"} 0.2",
    ];
    for name in own {
        eventually(name, || daemon.metrics_page().contains(name).then_some(()));
    }
    daemon.reconfigure(&without_spender());
    daemon.ok(&["config", "apply"]);
    for name in own {
        eventually(name, || {
            (!daemon.metrics_page().contains(name)).then_some(())
        });
    }
}
