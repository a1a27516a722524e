//! What an operator sees of the fleet: lists, crashes, and why an agent does not run.

use serde_json::Value;

use crate::daemon::{Daemon, eventually, write_file};

const THREE: &str = r#"
    [agents.one]
    kind = "process"
    command = ["agent-system", "sample-agent", "echo"]

    [agents.two]
    kind = "process"
    command = ["agent-system", "sample-agent", "echo"]

    [agents.another]
    kind = "process"
    command = ["agent-system", "sample-agent", "echo"]
"#;

#[test]
fn agents_are_listed_page_by_page_in_the_order_of_the_configuration() {
    let daemon = Daemon::configured(THREE);
    let mut names = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..3 {
        let mut words = vec!["agents", "list", "--limit", "1"];
        words.extend(cursor.iter().flat_map(|cursor| ["--cursor", cursor]));
        let page = daemon.json(&words);
        assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page}");
        names.push(page["items"][0]["name"].as_str().unwrap().to_owned());
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        assert_eq!(page["has_more"], cursor.is_some());
    }
    assert_eq!(names, ["one", "two", "another"]);
    assert_eq!(cursor, None);
    let (status, body) = daemon.get("/api/v1/agents?cursor=nobody");
    assert_eq!(status, 400, "{body}");
}

#[test]
fn an_agent_that_is_ready_is_not_shown_as_starting_until_the_next_round() {
    let daemon = Daemon::configured(THREE);
    eventually("every agent is healthy and idle", || {
        let report: Value = serde_json::from_str(&daemon.get("/health").1).ok()?;
        let checks = report["checks"].as_array()?;
        let agents = checks
            .iter()
            .filter(|check| check["component"] == "agent")
            .all(|check| check["message"] == "1 ready, idle");
        agents.then_some(())
    });
}

/// Waits for so many crashes of an agent, the newest first.
fn crashes(daemon: &Daemon, agent: &str, at_least: usize) -> Vec<Value> {
    eventually(&format!("{at_least} crashes of {agent}"), || {
        let list = daemon.json(&["agents", "crashes", agent]);
        let items = list["items"].as_array()?.clone();
        (items.len() >= at_least).then_some(items)
    })
}

const FRAGILE: &str = r#"
    [agents.fragile]
    kind = "process"
    command = ["sh", "-c", """
      echo '{"type":"ready"}'
      read hello; read task
      printf '{"type":"progress","task_id":"tsk_00000000000000000000000000000000","message":"%s"}\\n' "$API_TOKEN"
      echo "using $API_TOKEN and password=letmein" >&2
      echo "ERROR 4711: no more" >&2
      exit 3
    """]
    restart = { min_backoff = "10ms", max_backoff = "10ms" }
    [agents.fragile.env.secrets]
    API_TOKEN = { file = "SECRET" }
"#;

#[test]
fn a_black_box_tells_the_end_the_task_the_log_and_the_frames_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let secret = write_file(folder.path(), "token", b"s3cr3t-value\n");
    let config = FRAGILE.replace("SECRET", secret.to_str().unwrap());
    let daemon = Daemon::configured(&config);
    daemon.ok(&["tasks", "submit", "--agent", "fragile", "--payload", "1"]);
    let all = crashes(&daemon, "fragile", 2);
    let first = all.last().unwrap();
    let second = &all[all.len() - 2];
    assert_eq!(first["reason"]["kind"], "exit_code");
    assert_eq!(first["reason"]["code"], 3);
    assert_eq!(first["message"], "exit code 3");
    assert_eq!(first["signature"], "exit_code:3: ERROR # no more");
    assert_eq!(first["new_signature"], true, "{first}");
    assert_eq!(second["new_signature"], false);
    assert!(second["seen"]["count"].as_u64().unwrap() >= 2, "{second}");
    assert_eq!(first["config_changed"], false);
    assert_eq!(first["config_hash"].as_str().unwrap().len(), 64);
    assert_eq!(first["tasks"][0]["attempt"], 1, "{first}");
    let log = first["log"].as_array().unwrap();
    assert_eq!(log.last().unwrap(), "ERROR 4711: no more");
    let frames = first["frames"].as_array().unwrap();
    let said = |direction: &str, word: &str| {
        frames.iter().any(|frame| {
            frame["direction"] == direction && frame["text"].as_str().unwrap().contains(word)
        })
    };
    assert!(
        said("to_agent", "\"hello\"") && said("to_agent", "\"task\""),
        "{first}"
    );
    assert!(
        said("from_agent", "\"ready\"") && said("from_agent", "\"progress\""),
        "{first}"
    );
    let one = daemon.json(&[
        "agents",
        "crashes",
        "fragile",
        first["id"].as_str().unwrap(),
    ]);
    assert_eq!(one["log"], first["log"]);
    let everything = format!(
        "{all:?} {} {}",
        daemon.json(&["agents", "logs", "fragile"]),
        daemon.log()
    );
    assert!(!everything.contains("s3cr3t-value"), "{everything}");
    assert!(!format!("{all:?}").contains("letmein"));
    let table = String::from_utf8(daemon.ok(&["agents", "crashes", "fragile"])).unwrap();
    assert_eq!(table.lines().count(), 2, "one line a fault: {table}");
    assert!(table.contains('×'), "{table}");
}

#[test]
fn a_crash_that_began_with_a_change_of_the_settings_says_so() {
    let mut daemon = Daemon::configured(
        "[agents.job]\nkind = \"process\"\nprotocol = \"none\"\ncommand = [\"sh\", \"-c\", \"exit 7\"]\n",
    );
    let before = crashes(&daemon, "job", 1)[0].clone();
    daemon.signal("TERM");
    daemon.wait();
    daemon.reconfigure(
        "[agents.job]\nkind = \"process\"\nprotocol = \"none\"\ncommand = [\"sh\", \"-c\", \"exit 8\"]\n",
    );
    daemon.start_again();
    let all = eventually("a crash with the new settings", || {
        let all = crashes(&daemon, "job", 1);
        let with_new = all.iter().any(|crash| crash["reason"]["code"] == 8);
        with_new.then_some(all)
    });
    let first = all
        .iter()
        .rfind(|crash| crash["reason"]["code"] == 8)
        .unwrap();
    assert_eq!(first["config_changed"], true, "{first}");
    assert_ne!(first["config_hash"], before["config_hash"]);
    assert!(first["config_since"].as_str() > before["config_since"].as_str());
}

/// Waits until the explanation of an agent has this code; gives it.
fn explained(daemon: &Daemon, agent: &str, code: &str) -> Value {
    let mut last = Value::Null;
    let path = format!("/api/v1/agents/{agent}/explain");
    eventually(&format!("{agent}: {code}, is {last}"), || {
        last = serde_json::from_str(&daemon.get(&path).1).ok()?;
        (last["code"] == code).then(|| last.clone())
    })
}

fn sentence(told: &Value) -> &str {
    told["answer"].as_str().unwrap()
}

const TROUBLED: &str = r#"
    [queues.slow]
    concurrency = 1

    [agents.sound]
    kind = "process"
    command = ["agent-system", "sample-agent", "echo"]

    [agents.dying]
    kind = "process"
    protocol = "none"
    command = ["sh", "-c", "echo 'ERROR: out of luck' >&2; exit 1"]
    restart = { min_backoff = "60s", max_backoff = "60s", jitter = "none" }

    [agents.looping]
    kind = "process"
    protocol = "none"
    command = ["sh", "-c", "exit 1"]
    restart = { min_backoff = "1ms", max_backoff = "1ms" }

    [agents.fatal]
    kind = "process"
    protocol = "none"
    command = ["sh", "-c", "exit 78"]
    fatal_exit_codes = [78]

    [agents.missing]
    kind = "process"
    protocol = "none"
    command = ["/no/such/program"]
    restart = { min_backoff = "60s", max_backoff = "60s", jitter = "none" }

    [agents.patient]
    kind = "process"
    command = ["agent-system", "sample-agent", "echo"]
    depends_on = { missing = "healthy" }

    [agents.deaf]
    kind = "process"
    command = ["agent-system", "sample-agent", "echo"]
    probes.readiness = { exec = ["sh", "-c", "exit 9"], period = "1s", failure_threshold = 1 }

    [agents.mute]
    kind = "process"
    command = ["sleep", "1000"]

    [agents.lost]
    kind = "process"
    command = ["sh", "-c", "echo '{\"type\":\"ready\"}'; exec sleep 1000"]
    stall_timeout = "1s"
    probes.liveness = { protocol = true, period = "1s" }

    [agents.once]
    kind = "process"
    protocol = "none"
    command = ["true"]
    restart = { type = "transient" }
"#;

#[test]
fn every_trouble_of_a_real_agent_is_explained_with_its_way_out() {
    let daemon = Daemon::configured(TROUBLED);
    let told = explained(&daemon, "sound", "running");
    assert!(sentence(&told).contains("idle, which is healthy"), "{told}");
    daemon.ok(&["tasks", "submit", "--agent", "lost", "--payload", "1"]);

    let told = explained(&daemon, "dying", "backoff");
    assert!(sentence(&told).contains("exit code 1"), "{told}");
    eventually("the fault of the last crash", || {
        let told = explained(&daemon, "dying", "backoff");
        let signature = &told["last_crash"]["signature"];
        (signature == "exit_code:1: ERROR: out of luck").then_some(())
    });
    assert!(told["replicas"][0]["next_at"].is_string(), "{told}");
    let told = explained(&daemon, "looping", "quarantined");
    assert!(sentence(&told).contains("5 are allowed"), "{told}");
    assert!(told["budget"]["quarantines"].as_u64() > Some(0), "{told}");
    let told = explained(&daemon, "fatal", "fatal_exit_code");
    assert!(sentence(&told).contains("exit code 78"), "{told}");
    let told = explained(&daemon, "missing", "cannot_start");
    assert!(sentence(&told).contains("/no/such/program"), "{told}");
    let told = explained(&daemon, "patient", "waits_for_dependency");
    assert!(
        sentence(&told).contains("waits for missing to be healthy"),
        "{told}"
    );
    let told = explained(&daemon, "deaf", "probe_fails");
    assert!(
        sentence(&told).contains("readiness probe by exec failed"),
        "{told}"
    );
    explained(&daemon, "mute", "not_ready_yet");
    explained(&daemon, "once", "ended");
    let told = explained(&daemon, "lost", "stalled");
    assert!(sentence(&told).contains("holds 1 task"), "{told}");

    // Its way out is a command that works as printed.
    let told = explained(&daemon, "looping", "quarantined");
    assert!(
        told["way_out"]
            .as_str()
            .unwrap()
            .contains("agents start looping")
    );
    daemon.ok(&["agents", "start", "looping"]);
}

fn settings_name_their_sources(told: &Value) {
    let settings = told["settings"].as_array().unwrap();
    let find = |key: &str| {
        settings
            .iter()
            .find(|setting| setting["key"] == key)
            .unwrap()
    };
    let replicas = find("agents.echo.replicas");
    assert_eq!(replicas["value"], 2);
    assert!(
        replicas["source"]
            .as_str()
            .unwrap()
            .starts_with("operator at "),
        "{replicas}"
    );
    assert_eq!(replicas["declared"]["value"], 1);
    let queue = find("agents.echo.queue");
    assert!(
        queue["source"].as_str().unwrap().ends_with("test.toml:5"),
        "{queue}"
    );
    assert_eq!(find("agents.echo.stall_timeout")["source"], "built in");
    assert!(
        find("supervisor.intensity.max")["source"]
            .as_str()
            .unwrap()
            .contains("default.toml:")
    );
}

#[test]
fn what_operator_and_queue_do_to_an_agent_is_explained_with_who_and_when() {
    let daemon = Daemon::configured(
        r#"
        [queues.slow]
        [agents.echo]
        kind = "process"
        queue = "slow"
        command = ["sh", "-c", "echo '{\"type\":\"ready\"}'; exec sleep 1000"]
        env = { set = { DB_PASSWORD = "hunter2" } }
        "#,
    );
    daemon.ok(&["agents", "scale", "echo", "2"]);
    let told = explained(&daemon, "echo", "running");
    settings_name_their_sources(&told);
    assert!(!told.to_string().contains("hunter2"), "{told}");

    for _ in 0..3 {
        daemon.ok(&["tasks", "submit", "--agent", "echo", "--payload", "1"]);
    }
    // Until the second replica is ready two wait.
    eventually("one waits for both", || {
        let told = explained(&daemon, "echo", "all_busy");
        sentence(&told).contains("1 wait").then_some(())
    });
    daemon.ok(&["queues", "pause", "slow"]);
    explained(&daemon, "echo", "queue_paused");
    daemon.ok(&["agents", "pause", "echo"]);
    explained(&daemon, "echo", "paused_by_operator");
    daemon.ok(&["agents", "stop", "echo"]);
    let told = explained(&daemon, "echo", "stopped_by_operator");
    assert_eq!(told["desired_by"]["by"], "operator");
    assert!(told["desired_by"]["at"].is_string());
    let text = String::from_utf8(daemon.ok(&["agents", "explain", "echo"])).unwrap();
    let first = text.lines().next().unwrap();
    assert!(
        first.starts_with("echo is stopped: an operator stopped it at 20"),
        "{text}"
    );
    assert!(
        text.contains("what to do: agent-system agents start echo"),
        "{text}"
    );
    assert!(
        text.contains("agents.echo.replicas = 2  # operator at"),
        "{text}"
    );
}
