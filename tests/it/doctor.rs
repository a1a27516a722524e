//! `doctor`, as an operator meets it: before the first start, beside a daemon, and when things are wrong.

use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;

use crate::daemon::{ANY_LOAD, Daemon, agent_system, eventually, write_file};

/// What it says with these arguments and no daemon of its own.
fn asked(arguments: &[&str]) -> (Option<i32>, Value) {
    let all = ["doctor", "-o", "json"].iter().chain(arguments);
    let output = agent_system().args(all).output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), report)
}

/// A check of the report by its name.
fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let mut checks = report["checks"].as_array().unwrap().iter();
    checks.find(|check| check["name"] == name).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn before_the_first_start_the_doctor_finds_nothing_that_would_hinder_it() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    // How full this machine's disk is is nobody's claim.
    let config = write_file(folder.path(), "a.toml", ANY_LOAD.as_bytes());
    let (code, report) = asked(&[
        "--data-dir",
        text(&data_dir),
        "--config",
        text(&config),
        "--port",
        "0",
        "--metrics-port",
        "0",
    ]);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(check(&report, "daemon")["status"], "warning");
    assert_eq!(check(&report, "commands")["status"], "ok");
    assert!(!data_dir.exists(), "the doctor made something");
}

#[test]
fn what_would_hinder_a_start_is_critical_and_names_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let file = write_file(folder.path(), "file", b"");
    write_file(
        folder.path(),
        "agent-system.db",
        b"no database at all, but a text that is long",
    );
    let agents = "[agents.lost]\nkind = 'process'\ncommand = ['no-such-program']\n";
    let config = write_file(folder.path(), "a.toml", agents.as_bytes());
    let (code, report) = asked(&[
        "--data-dir",
        text(folder.path()),
        "--config",
        text(&config),
        "--port",
        &port,
        "--metrics-port",
        "0",
    ]);
    assert_eq!((code, &report["status"]), (Some(6), &"critical".into()));
    for (name, part) in [
        ("port", &*port),
        ("database", "not an SQLite"),
        ("commands", "no-such-program"),
    ] {
        let found = check(&report, name);
        assert_eq!(found["status"], "critical", "{found}");
        assert!(found["message"].as_str().unwrap().contains(part), "{found}");
        assert!(found["way_out"].is_string(), "{found}");
    }
    let below_a_file = file.join("data");
    let (_, report) = asked(&["--data-dir", text(&below_a_file)]);
    assert_eq!(
        check(&report, "data directory")["status"],
        "critical",
        "{report:#}"
    );
    let (code, report) = asked(&["--set", "server.prt=1"]);
    assert_eq!(code, Some(6));
    let message = check(&report, "configuration")["message"].to_string();
    assert!(message.contains("did you mean port"), "{message}");
}

#[test]
fn a_running_daemon_is_found_by_its_data_directory_and_its_troubles_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("broken");
    let daemon = Daemon::configured(&format!(
        "[agents.vital]\nkind = 'process'\ncritical = true\n\
         command = ['sh', '-c', 'test -e {} && exit 78; exec {} sample-agent echo']\n\
         [agents.job]\nkind = 'process'\nprotocol = 'exec'\ncommand = ['false']\n\
         [supervisor]\ncritical_grace = '1h'\n\
         [monitoring]\nhealth_interval = '1s'\n",
        mark.display(),
        crate::daemon::binary().display()
    ));
    std::fs::write(&mark, "").unwrap();
    daemon.ok(&["agents", "restart", "vital"]);
    let id = daemon.json(&["tasks", "submit", "--agent", "job", "--max-attempts", "1"]);
    assert_eq!(
        daemon
            .cli(&["tasks", "wait", id["id"].as_str().unwrap()])
            .status
            .code(),
        Some(6)
    );
    let data_dir = daemon.data_dir();
    let report = eventually("told", || {
        let (code, report) = asked(&["--data-dir", text(&data_dir)]);
        let mut checks = report["checks"].as_array()?.iter();
        let told = checks.any(|it| it["name"] == "agent.vital" && it["status"] == "critical");
        (told && code == Some(6)).then_some(report)
    });
    for (name, status) in [
        ("lock", "ok"),
        ("port", "ok"),
        ("metrics port", "ok"),
        ("database", "ok"),
        ("daemon", "ok"),
        ("readiness", "critical"),
        ("agent.vital", "critical"),
        ("critical agents", "critical"),
        ("dead letters", "warning"),
    ] {
        assert_eq!(check(&report, name)["status"], status, "{report:#}");
    }
    let seen = daemon.json(&["top", "--once"]);
    assert_eq!(
        (&seen["agents"][0]["name"], &seen["tasks"]["dead"]),
        (&"vital".into(), &1.into()),
        "{seen:#}"
    );
    let pid = daemon.pid().to_string();
    let lock = check(&report, "lock")["message"].to_string();
    assert!(lock.contains(&pid), "{lock}");
}
