//! Other settings for a daemon that runs: whom they touch, whom not, and what is refused whole.

use serde_json::{Value, json};

use crate::daemon::{Daemon, eventually, is_running};

/// An agent that says which settings it runs with, and keeps a child of its own.
fn agent(name: &str, mode: &str) -> String {
    format!(
        "
        [agents.{name}]
        kind = 'process'
        protocol = 'none'
        command = ['sh', '-c', 'sleep 600 & wait']
        env.set = {{ MODE = '{mode}' }}
        stop = {{ drain_timeout = '0s', timeout = '5s' }}
        "
    )
}

/// An agent that works.
const WORKER: &str = "
    [agents.worker]
    kind = 'process'
    command = ['agent-system', 'sample-agent', 'echo']
";

fn get(daemon: &Daemon, name: &str) -> Value {
    daemon.json(&["agents", "get", name])
}

/// The children of a process.
fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}

/// What a process sees in `MODE`; none if it has just ended.
fn mode(pid: u32) -> Option<String> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let environment = String::from_utf8_lossy(&environment).into_owned();
    let mut variables = environment.split('\0');
    let mode = variables.find_map(|variable| variable.strip_prefix("MODE="));
    mode.map(str::to_owned)
}

/// An agent that is ready sees this in `MODE`.
fn sees(daemon: &Daemon, name: &str, wanted: &str) -> u32 {
    eventually("it sees its setting", || {
        let pid = daemon.ready_pid(name);
        (mode(pid).as_deref() == Some(wanted)).then_some(pid)
    })
}

fn post(daemon: &Daemon, verb: &str, body: &str) -> (u16, Value) {
    let (status, text) = daemon.post(&format!("/api/v1/config:{verb}"), body);
    (status, serde_json::from_str(&text).unwrap())
}

fn applied(daemon: &Daemon) -> Value {
    let (status, plan) = post(daemon, "apply", "{}");
    assert_eq!(status, 200, "{plan}");
    plan
}

/// What the journal says of applications; it is written beside the answer.
fn events(daemon: &Daemon) -> Vec<Value> {
    daemon.events("config.applied")
}

fn does(plan: &Value) -> Vec<(String, String)> {
    let units = plan["units"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    units
        .map(|unit| (text(&unit["name"]), text(&unit["does"])))
        .collect()
}

fn pairs(told: &[(&str, &str)]) -> Vec<(String, String)> {
    let told = told.iter();
    told.map(|(name, does)| ((*name).to_owned(), (*does).to_owned()))
        .collect()
}

#[test]
fn an_application_touches_whom_it_concerns_and_nobody_else() {
    let before = [agent("same", "a"), agent("other", "a"), agent("gone", "a")].concat();
    let daemon = Daemon::configured(&before);
    let [same, other, gone] = ["same", "other", "gone"].map(|name| daemon.ready_pid(name));
    let family = eventually("it has a child", || children(gone).first().copied());
    daemon.reconfigure(&[agent("same", "a"), agent("other", "b"), WORKER.to_owned()].concat());
    let (_, plan) = post(&daemon, "plan", "");
    let told = pairs(&[("gone", "stop"), ("other", "restart"), ("worker", "start")]);
    assert_eq!(does(&plan), told, "{plan}");
    assert_eq!(daemon.ready_pid("other"), other, "a plan changes nothing");
    let held = json!({"plan": plan["plan"]}).to_string();
    let (status, done) = post(&daemon, "apply", &held);
    assert_eq!((status, &done), (200, &plan));
    let renewed = eventually("it runs anew", || {
        let pid = daemon.ready_pid("other");
        (pid != other).then_some(pid)
    });
    assert_eq!(sees(&daemon, "other", "b"), renewed);
    assert!(!is_running(other));
    assert_eq!(daemon.ready_pid("same"), same);
    assert_eq!(get(&daemon, "same")["generation"], 1);
    eventually("it is gone with its family", || {
        (!is_running(gone) && !is_running(family)).then_some(())
    });
    assert_eq!(daemon.get("/api/v1/agents/gone").0, 404);
    let result = daemon.json(&[
        "tasks",
        "submit",
        "--agent",
        "worker",
        "--payload",
        "{\"n\":1}",
        "--wait",
    ]);
    assert_eq!(result["state"], "succeeded", "{result}");
    let again = applied(&daemon);
    assert_eq!(
        (&again["changes"], &again["units"]),
        (&json!(false), &json!([]))
    );
    let told = eventually("it is told", || {
        let told = events(&daemon);
        (!told.is_empty()).then_some(told)
    });
    assert_eq!(told.len(), 1, "{told:?}");
    let data = &told[0]["data"];
    assert_eq!((&data["plan"], &data["by"]), (&plan["plan"], &json!("api")));
    assert_eq!(data["counts"]["restarted"], 1);
    let shown: Value = serde_json::from_str(&daemon.get("/api/v1/config").1).unwrap();
    assert_eq!(shown["agents"]["other"]["env"]["set"]["MODE"], "b");
    assert!(shown["agents"]["gone"].is_null());
}

#[test]
fn a_bad_file_changes_nothing_and_names_every_problem() {
    let daemon = Daemon::configured(&agent("same", "a"));
    let pid = daemon.ready_pid("same");
    let bad = agent("same", "b").replace("'5s'", "'5 parsecs'")
        + "[agents.new]\nkind = 'actor'\nactor = 'word_cuont'\n[serve]\nport = 1\n";
    daemon.reconfigure(&bad);
    for verb in ["plan", "apply"] {
        let (status, refused) = post(&daemon, verb, "{}");
        assert_eq!(
            (status, &refused["code"]),
            (422, &json!("validation_failed"))
        );
        let errors = refused["errors"].as_array().unwrap();
        let named = |pointer: &str| errors.iter().any(|error| error["pointer"] == pointer);
        assert!(
            named("#/agents/same/stop/timeout") && named("#/serve"),
            "{refused}"
        );
        let actor = errors
            .iter()
            .find(|it| it["pointer"] == "#/agents/new/actor");
        let detail = actor
            .and_then(|it| it["detail"].as_str())
            .unwrap_or_default();
        assert!(detail.contains("did you mean 'word_count'?"), "{refused}");
    }
    let told = daemon.cli(&["config", "apply"]);
    assert_eq!(told.status.code(), Some(78), "{told:?}");
    assert_eq!(sees(&daemon, "same", "a"), pid);
}

#[test]
fn what_was_looked_at_is_what_is_taken_over() {
    let daemon = Daemon::configured(&agent("same", "a"));
    daemon.reconfigure(&agent("same", "b"));
    let (_, plan) = post(&daemon, "plan", "");
    daemon.reconfigure(&agent("same", "c"));
    let held = json!({"plan": plan["plan"]}).to_string();
    let (status, refused) = post(&daemon, "apply", &held);
    assert_eq!(
        (status, &refused["code"]),
        (409, &json!("state_conflict")),
        "{refused}"
    );
    sees(&daemon, "same", "a");
}

#[test]
fn sighup_takes_over_what_is_sound_and_says_what_is_not() {
    let daemon = Daemon::configured(&agent("same", "a"));
    let pid = daemon.ready_pid("same");
    daemon.reconfigure("[agents.same]\nkind = 'spaceship'\n");
    daemon.signal("HUP");
    eventually("it is refused", || {
        let log = daemon.log();
        (log.contains("nothing was taken over") && log.contains("agents.same.kind")).then_some(())
    });
    assert_eq!(daemon.ready_pid("same"), pid);
    daemon.reconfigure(&agent("same", "b"));
    daemon.signal("HUP");
    sees(&daemon, "same", "b");
    let by: Vec<Value> = eventually("it is told", || {
        let by = events(&daemon)
            .into_iter()
            .map(|it| it["data"]["by"].clone());
        let by: Vec<Value> = by.collect();
        (!by.is_empty()).then_some(by)
    });
    assert_eq!(by, ["SIGHUP"]);
}

#[test]
fn what_an_operator_stopped_stays_down_over_an_application_and_after_it() {
    let mut daemon = Daemon::configured(&[agent("same", "a"), agent("down", "a")].concat());
    daemon.ok(&["agents", "stop", "down"]);
    eventually("it is down", || {
        (get(&daemon, "down")["state"] == "stopped").then_some(())
    });
    daemon.reconfigure(&[agent("same", "a"), agent("down", "b")].concat());
    let plan = applied(&daemon);
    assert_eq!(does(&plan), pairs(&[("down", "restart")]));
    assert_eq!(get(&daemon, "down")["state"], "stopped");
    daemon.crash_and_start_again();
    assert_eq!(get(&daemon, "down")["state"], "stopped");
    daemon.ok(&["agents", "start", "down"]);
    sees(&daemon, "down", "b");
}

#[test]
fn what_only_a_start_reads_waits_for_it_and_is_told_each_time() {
    let daemon = Daemon::configured(&agent("same", "a"));
    let body_limit = "[server]\nbody_limit = '2MiB'\n";
    daemon.reconfigure(&(agent("same", "a") + body_limit));
    for _ in 0..2 {
        let plan = applied(&daemon);
        assert_eq!(
            (&plan["changes"], &plan["pending"][0]["key"]),
            (&json!(false), &json!("server.body_limit"))
        );
    }
    let shown: Value = serde_json::from_str(&daemon.get("/api/v1/config").1).unwrap();
    assert_eq!(shown["server"]["body_limit"], "1MiB", "what holds is shown");
    let told = String::from_utf8(daemon.ok(&["config", "plan"])).unwrap();
    assert!(
        told.starts_with("no change\nwaits for a restart of the daemon:\n    server.body_limit: "),
        "{told}"
    );
}

#[test]
fn queues_schedules_and_recovery_actions_come_change_and_go() {
    let daemon = Daemon::configured(WORKER);
    let more = "
        [queues.slow]\nconcurrency = 1
        [schedules.tick]\nevery = '1h'\nagent = 'worker'\npayload = { n = 1 }
        [recovery.actions.again]\nwhen = 'agent.worker'\ndo = 'agent.restart'
    ";
    let read = |path: &str| -> Value { serde_json::from_str(&daemon.get(path).1).unwrap() };
    daemon.reconfigure(&format!("{WORKER}{more}"));
    applied(&daemon);
    assert_eq!(
        read("/api/v1/queues/slow")["concurrency"],
        1,
        "{}",
        read("/api/v1/queues/slow")
    );
    let tick = read("/api/v1/schedules/tick");
    assert!(tick["next_at"].is_string(), "{tick}");
    assert_eq!(daemon.post("/api/v1/schedules/tick:trigger", "").0, 200);
    let names = |list: Value| -> Vec<String> {
        let items = list["items"].as_array().unwrap().iter();
        items
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert!(names(read("/api/v1/recovery/actions")).contains(&"again".to_owned()));
    daemon.reconfigure(&format!(
        "{WORKER}{}",
        more.replace("concurrency = 1", "concurrency = 2")
            .replace("'1h'", "'2h'")
    ));
    applied(&daemon);
    assert_eq!(read("/api/v1/queues/slow")["concurrency"], 2);
    daemon.reconfigure(WORKER);
    let plan = applied(&daemon);
    assert_eq!(plan["counts"]["removed"], 3, "{plan}");
    assert_eq!(daemon.get("/api/v1/schedules/tick").0, 404);
    assert!(!names(read("/api/v1/recovery/actions")).contains(&"again".to_owned()));
}

#[test]
fn the_log_level_and_what_health_goes_by_are_taken_over_at_once() {
    let quiet = "[logging]\nlevel = 'ERROR'\n[monitoring]\nhealth_interval = '1h'\n";
    let daemon = Daemon::configured(&(agent("same", "a") + quiet));
    let pid = daemon.ready_pid("same");
    assert!(
        !daemon.log().contains("answered method=GET"),
        "{}",
        daemon.log()
    );
    let told = "[logging]\nlevel = 'DEBUG'\nformat = 'json'\n[monitoring]\nhealth_interval = '100ms'\n\
        thresholds.memory = { warning = 0.001, critical = 0.002 }\n";
    daemon.reconfigure(&(agent("same", "a") + told));
    let plan = applied(&daemon);
    assert_eq!(
        does(&plan),
        pairs(&[("logging", "in_place"), ("monitoring", "in_place")])
    );
    assert_eq!(plan["pending"][0]["key"], "logging.format", "{plan}");
    eventually("a round goes by the new limits", || {
        let report: Value = serde_json::from_str(&daemon.get("/health").1).ok()?;
        let mut checks = report["checks"].as_array()?.iter();
        let system = checks.find(|it| it["name"] == "system")?;
        (system["status"] == "critical").then_some(())
    });
    let log = daemon.log();
    assert!(
        log.contains("answered method=GET"),
        "the level holds, the format waits: {log}"
    );
    let shown: Value = serde_json::from_str(&daemon.get("/api/v1/config").1).unwrap();
    assert_eq!(shown["logging"]["level"], "DEBUG");
    assert_eq!(shown["logging"]["format"], "pretty");
    assert_eq!(shown["monitoring"]["health_interval"], "100ms");
    assert_eq!(daemon.ready_pid("same"), pid);
}
