//! The daemon as a process: how it starts, refuses to start, answers and ends.

use std::process::Stdio;

use serde_json::Value;

use crate::daemon::{Daemon, agent_system, eventually, http, is_running, write_file};

/// Runs `serve` to its end, which must come by itself; gives the exit code and what it said.
fn refused(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = agent_system()
        .arg("serve")
        .args(arguments)
        .envs([
            ("AGENT_SYSTEM__SERVER__PORT", "0"),
            ("AGENT_SYSTEM__MONITORING__METRICS_PORT", "0"),
        ])
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn sigterm_and_sigint_drain_and_end_with_success_and_leave_no_process() {
    for name in ["TERM", "INT"] {
        let mut daemon = Daemon::start();
        let pids = ["echo", "sum", "flaky"].map(|agent| daemon.ready_pid(agent));
        daemon.signal(name);
        assert_eq!(daemon.wait(), Some(0), "{name}: {}", daemon.log());
        assert!(pids.iter().all(|pid| !is_running(*pid)), "{name}");
    }
}

/// Launches a daemon, and sends it these signals as soon as it has begun to make its database.
fn told_while_it_starts(names: &[&str]) -> Daemon {
    let mut daemon = Daemon::unstarted();
    daemon.launch();
    eventually("it begins", || daemon.database().exists().then_some(()));
    // So that it has not stood up before they are there.
    daemon.signal("STOP");
    for name in names {
        daemon.signal(name);
    }
    daemon.signal("CONT");
    daemon
}

#[test]
fn a_signal_to_end_that_comes_while_the_daemon_starts_ends_it_as_any_other() {
    let mut daemon = told_while_it_starts(&["TERM"]);
    assert_eq!(daemon.wait(), Some(0), "{}", daemon.log());
}

#[test]
fn a_hang_up_that_comes_while_the_daemon_starts_is_a_reload_and_not_its_end() {
    let daemon = told_while_it_starts(&["HUP"]);
    eventually("it stands and reads its configuration anew", || {
        assert!(is_running(daemon.pid()), "{}", daemon.log());
        let read = daemon.log().contains("reading the configuration anew");
        read.then_some(())
    });
}

#[test]
fn a_signal_that_means_nothing_ends_nothing_and_is_logged() {
    let daemon = Daemon::start();
    for name in ["USR1", "USR2", "ALRM"] {
        daemon.signal(name);
        eventually("it says so", || {
            assert!(is_running(daemon.pid()), "{}", daemon.log());
            daemon.log().contains(&format!("SIG{name}")).then_some(())
        });
    }
    assert_eq!(daemon.get("/livez").0, 200);
}

#[test]
fn a_second_daemon_on_the_same_data_directory_is_refused_and_names_the_first() {
    let daemon = Daemon::start();
    let data = daemon.data_dir();
    let (code, said) = refused(&["--data-dir", data.to_str().unwrap()], &[]);
    assert_eq!(code, Some(75), "{said}");
    assert!(said.contains(&daemon.pid().to_string()), "{said}");
}

#[test]
fn a_port_in_use_a_bad_database_and_bad_settings_are_refused_with_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    let (code, said) = refused(
        &["--data-dir", data],
        &[("AGENT_SYSTEM__SERVER__PORT", port.as_str())],
    );
    assert_ne!(code, Some(0));
    assert!(said.contains(&port), "{said}");

    let not_a_database = write_file(folder.path(), "text.db", b"this is no database, but a text");
    let url = format!("sqlite://{}", not_a_database.display());
    let (code, said) = refused(&["--data-dir", data], &[("DATABASE_URL", url.as_str())]);
    assert_ne!(code, Some(0));
    assert!(said.contains("text.db"), "{said}");

    let config = write_file(
        folder.path(),
        "bad.toml",
        b"[server]\nprot = 5000\n[database]\npool_size = 0\n",
    );
    let (code, said) = refused(
        &["--data-dir", data, "--config", config.to_str().unwrap()],
        &[],
    );
    assert_eq!(code, Some(78), "{said}");
    assert!(
        said.contains("server.prot") && said.contains("port"),
        "{said}"
    );
    assert!(said.contains("database.pool_size"), "{said}");
    assert!(said.contains("bad.toml:2"), "{said}");
}

#[test]
fn bad_requests_get_a_problem_and_the_daemon_goes_on() {
    let daemon = Daemon::start();
    let cases = [
        ("GET", "/nowhere", "", 404),
        ("PUT", "/api/v1/tasks", "", 405),
        ("GET", "/api/v1/agents/ehco", "", 404),
        ("GET", "/api/v1/tasks/tsk_nonsense", "", 404),
        ("POST", "/api/v1/tasks", "{", 400),
        (
            "POST",
            "/api/v1/tasks",
            r#"{"agent":"echo","paylaod":1}"#,
            422,
        ),
        (
            "POST",
            "/api/v1/tasks",
            r#"{"agent":"nobody","payload":1}"#,
            404,
        ),
    ];
    for (method, path, body, expected) in cases {
        let headers = [("Content-Type", "application/json")];
        let (status, answer) = http(&daemon.api, method, path, &headers, body);
        assert_eq!(status, expected, "{method} {path} {body}: {answer}");
        let problem: Value = serde_json::from_str(&answer).unwrap();
        for field in [
            "type",
            "title",
            "status",
            "code",
            "detail",
            "instance",
            "request_id",
        ] {
            assert!(
                problem.get(field).is_some(),
                "{method} {path}: no {field} in {answer}"
            );
        }
    }
    eventually("it is ready as before", || {
        (daemon.get("/readyz").0 == 200).then_some(())
    });
}

#[test]
fn health_over_http_on_the_command_line_and_in_the_records_agrees() {
    let daemon = Daemon::start();
    let (status, body) = daemon.get("/health");
    assert_eq!(status, 200, "{body}");
    let report: Value = serde_json::from_str(&body).unwrap();
    let names = |report: &Value| -> Vec<String> {
        let mut names: Vec<String> = report["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|check| format!("{}={}", check["name"], check["status"]))
            .collect();
        names.sort();
        names
    };
    let checked = names(&report);
    for wanted in ["\"system\"", "\"database\"", "\"agent.echo\""] {
        assert!(
            checked.iter().any(|check| check.starts_with(wanted)),
            "{wanted} in {checked:?}"
        );
    }
    // A round may come between the two.
    eventually("both say the same", || {
        let over_http: Value = serde_json::from_str(&daemon.get("/health").1).ok()?;
        (names(&daemon.json(&["health"])) == names(&over_http)).then_some(())
    });
    // A round is told before it is stored.
    let first = eventually("the round is in the records", || {
        let history = daemon.get("/api/v1/health/checks/agent.echo/history");
        assert_eq!(history.0, 200, "{}", history.1);
        let history: Value = serde_json::from_str(&history.1).unwrap();
        history["items"].get(0).cloned()
    });
    assert_eq!(first["status"], "healthy", "{first}");
}

#[test]
fn the_metrics_page_has_the_families_of_agents_tasks_health_database_and_process() {
    let daemon = Daemon::start();
    daemon.ok(&[
        "tasks",
        "submit",
        "--agent",
        "echo",
        "--payload",
        "1",
        "--wait",
    ]);
    // What is counted is counted behind the answers.
    let page = eventually("the finished task is counted", || {
        let page = daemon.metrics_page();
        page.contains("agent_system_tasks_finished_total{")
            .then_some(page)
    });
    for family in [
        "agent_system_agents{",
        "agent_system_agent_up{",
        "agent_system_agent_verdicts{",
        "agent_system_arbiters_abandoned_total 0",
        "agent_system_tasks_submitted_total",
        "agent_system_tasks_finished_total{",
        "agent_system_health_status{",
        "agent_system_database_size_bytes",
        "agent_system_build_info{",
        "process_resident_memory_bytes",
    ] {
        assert!(page.contains(family), "no {family} in\n{page}");
    }
}

#[test]
fn a_failed_task_is_one_error_of_its_agent_also_after_the_life_that_it_failed_in() {
    let daemon = Daemon::start();
    let failing = ["--agent", "flaky", "--payload", r#"{"fail":"why"}"#];
    for _ in 0..2 {
        let once = ["tasks", "submit", "--max-attempts", "1"];
        let task = daemon.json(&[&once[..], &failing].concat());
        daemon.end_of(task["id"].as_str().unwrap());
    }
    let counted = || {
        let page = daemon.metrics_page();
        let line = page
            .lines()
            .find(|it| it.starts_with("agent_system_agent_errors_total{agent=\"flaky\"}"));
        line.map(str::to_owned)
    };
    let two = r#"agent_system_agent_errors_total{agent="flaky"} 2"#;
    assert_eq!(counted().as_deref(), Some(two));
    daemon.ok(&["agents", "restart", "flaky"]);
    eventually("the next life stands", || {
        let flaky = daemon.json(&["agents", "get", "flaky"]);
        (flaky["generation"] == 2 && flaky["state"] == "ready").then_some(())
    });
    assert_eq!(counted().as_deref(), Some(two));
}

#[test]
fn an_agent_whose_command_does_not_exist_is_named_and_the_others_work() {
    let daemon = Daemon::configured(
        r#"
        [agents.broken]
        kind = "process"
        command = ["no-such-program-anywhere"]
        [agents.echo]
        kind = "process"
        command = ["agent-system", "sample-agent", "echo"]
        "#,
    );
    let reason = eventually("the failed start is told", || {
        let agent = daemon.json(&["agents", "get", "broken"]);
        agent["restarts"]["last_reason"].as_str().map(str::to_owned)
    });
    assert!(reason.contains("no-such-program-anywhere"), "{reason}");
    let (status, task) = daemon.post("/api/v1/tasks", r#"{"agent":"echo","payload":[1]}"#);
    assert_eq!(status, 202, "{task}");
    let id = serde_json::from_str::<Value>(&task).unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let done = daemon.end_of(&id);
    assert_eq!(
        (&done["state"], &done["result"]),
        (&"succeeded".into(), &serde_json::json!([1]))
    );
}

#[test]
fn a_second_signal_ends_at_once_and_the_next_life_does_what_was_left() {
    let mut daemon = Daemon::start();
    let payload = r#"{"sleep_ms":600000,"below_attempt":2,"value":7}"#;
    let task = daemon.json(&["tasks", "submit", "--agent", "flaky", "--payload", payload]);
    let id = task["id"].as_str().unwrap().to_owned();
    eventually("the task runs", || {
        (daemon.json(&["tasks", "get", &id])["state"] == "running").then_some(())
    });
    let agent = daemon.json(&["agents", "get", "flaky"])["pid"]
        .as_u64()
        .unwrap();
    daemon.signal("TERM");
    eventually("the daemon drains", || {
        daemon.log().contains("draining").then_some(())
    });
    daemon.signal("TERM");
    assert_eq!(daemon.wait(), Some(1), "{}", daemon.log());
    let agent = u32::try_from(agent).unwrap();
    eventually("the agent is gone", || (!is_running(agent)).then_some(()));
    daemon.start_again();
    let done = daemon.end_of(&id);
    assert_eq!(
        (&done["state"], &done["interruptions"]),
        (&"succeeded".into(), &1.into()),
        "{done}"
    );
}
