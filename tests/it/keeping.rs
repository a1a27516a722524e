//! Backups and what becomes of them, as an operator meets them.

use serde_json::{Value, json};

use crate::daemon::{Daemon, agent_system, binary, eventually};

fn agents(flag: &std::path::Path) -> String {
    format!(
        "[agents.waiter]\nkind = 'process'\nprotocol = 'exec'\n\
         command = ['sh', '-c', 'until [ -e {} ]; do sleep 0.05; done; echo 7']\n\
         [agents.echo]\nkind = 'process'\ncommand = ['{}', 'sample-agent', 'echo']\n",
        flag.display(),
        binary().display()
    )
}

fn submit(daemon: &Daemon, agent: &str) -> String {
    let task = daemon.json(&["tasks", "submit", "--agent", agent, "--payload", "1"]);
    task["id"].as_str().unwrap().to_owned()
}

fn in_state(daemon: &Daemon, task: &str, state: &str) -> Value {
    eventually(&format!("a task is {state}"), || {
        let task = daemon.json(&["tasks", "get", task]);
        (task["state"] == state).then_some(task)
    })
}

/// `db` on the daemon's data directory, whoever owns it; the exit code and what was printed.
fn db(daemon: &Daemon, arguments: &[&str]) -> (Option<i32>, String) {
    let output = agent_system()
        .arg("db")
        .args(arguments)
        .arg("--data-dir")
        .arg(daemon.data_dir())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.code(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn what_ran_in_a_backup_is_taken_back_and_runs_again_and_what_was_done_does_not() {
    let scratch = tempfile::tempdir().unwrap();
    let flag = scratch.path().join("flag");
    let file = scratch.path().join("backup.db");
    let file = file.to_str().unwrap();
    let mut daemon = Daemon::configured(&agents(&flag));
    let done = submit(&daemon, "echo");
    in_state(&daemon, &done, "succeeded");
    let runs = submit(&daemon, "waiter");
    in_state(&daemon, &runs, "running");
    let taken = daemon.json(&["db", "backup", file]);
    assert_eq!(
        (&taken["file"], &taken["artifacts"]["files"]),
        (&json!(file), &json!(0))
    );
    let (code, said) = db(&daemon, &["backup", file]);
    assert!(code == Some(5) && said.contains("--force"), "{said}");
    let later = submit(&daemon, "echo");
    in_state(&daemon, &later, "succeeded");

    let (code, said) = db(&daemon, &["restore", file]);
    assert!(
        code == Some(5) && said.contains(&daemon.pid().to_string()),
        "{said}"
    );
    std::fs::write(&flag, "").unwrap();
    in_state(&daemon, &runs, "succeeded");
    daemon.signal("TERM");
    daemon.wait();
    let (code, said) = db(&daemon, &["restore", file]);
    assert!(code == Some(0) && said.contains("is kept at"), "{said}");
    daemon.start_again();
    let again = in_state(&daemon, &runs, "succeeded");
    assert_eq!(
        (&again["attempt"], &again["interruptions"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(in_state(&daemon, &done, "succeeded")["attempt"], 1);
    assert_eq!(daemon.cli(&["tasks", "get", &later]).status.code(), Some(3));
}

#[test]
fn backup_and_prune_work_through_the_daemon_and_without_one() {
    let scratch = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::configured(&agents(scratch.path()));
    let [one, two] = ["one.db", "two.db"].map(|name| scratch.path().join(name));
    let (code, said) = db(&daemon, &["backup", one.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = db(&daemon, &["prune"]);
    assert!(
        code == Some(0) && said.contains("nothing to remove"),
        "{said}"
    );
    let (status, text) = daemon.post("/api/v1/database:backup", r#"{"artifacts":false}"#);
    assert!(
        status == 201 && text.contains("/backups/agent-system-"),
        "{text}"
    );
    let (code, said) = db(&daemon, &["prune", "--dry-run"]);
    assert!(
        code == Some(0) && said.contains("nothing to remove"),
        "{said}"
    );
    for (body, dry_run) in [("", false), (r#"{"dry_run":true}"#, true)] {
        let (status, text) = daemon.post("/api/v1/database:prune", body);
        let told: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, &told["dry_run"]), (200, &json!(dry_run)), "{told}");
    }
    let (status, text) = daemon.post(
        "/api/v1/database:backup",
        r#"{"file":"/no/such/place/b.db"}"#,
    );
    assert!(status == 422 && text.contains("#/file"), "{text}");

    daemon.signal("TERM");
    daemon.wait();
    let (code, said) = db(&daemon, &["backup", two.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = db(&daemon, &["prune"]);
    assert!(
        code == Some(0) && said.contains("nothing to remove"),
        "{said}"
    );
    assert!(one.exists() && two.exists());
}

#[test]
fn sizes_are_in_the_metrics_the_status_and_the_check() {
    let scratch = tempfile::tempdir().unwrap();
    let daemon = Daemon::configured(&agents(scratch.path()));
    for metric in [
        "database_rows{table=\"tasks\"}",
        "database_size_bytes",
        "database_wal_bytes",
        "database_free_bytes",
        "database_disk_free_bytes",
        "database_prune_hold_seconds",
        "artifacts_bytes",
    ] {
        eventually(metric, || {
            let line = format!("\nagent_system_{metric} ");
            daemon.metrics_page().contains(&line).then_some(())
        });
    }
    eventually("the check has the room on the disk", || {
        let (_, check) = daemon.get("/api/v1/health/checks/database");
        let check: Value = serde_json::from_str(&check).ok()?;
        (check["details"]["disk_free_bytes"].as_u64() > Some(0)).then_some(())
    });
    let (code, said) = db(&daemon, &["status"]);
    assert!(code == Some(0) && said.contains("free_bytes"), "{said}");
}

/// What `db` says with `-o json`, and its exit code.
fn told(arguments: &[&str]) -> (Option<i32>, Value, String) {
    let output = agent_system()
        .args(["db", "-o", "json"])
        .args(arguments)
        .output()
        .unwrap();
    (
        output.status.code(),
        serde_json::from_slice(&output.stdout).unwrap_or_default(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn db_shows_the_database_of_the_daemon_that_is_named_or_owns_it_and_never_another() {
    let scratch = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::configured(&agents(scratch.path()));
    let other = scratch.path().join("other");
    let [here, other] = [daemon.data_dir(), other].map(|dir| dir.to_str().unwrap().to_owned());
    let file = format!("{here}/agent-system.db");
    let about = std::fs::read_to_string(format!("{here}/daemon.json")).unwrap();
    let about: Value = serde_json::from_str(&about).unwrap();
    let url = format!("http://{}", about["api"].as_str().unwrap());
    let (status, answer) = daemon.get("/api/v1/database");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["location"]), (200, &json!(file)));

    let (code, _, said) = told(&["migrate", "up", "--data-dir", &other]);
    assert_eq!(code, Some(0), "{said}");
    for looks in [&["status"][..], &["history"], &["migrate", "status"]] {
        let of = |more: &[&str]| told(&[looks, more].concat());
        let owned = of(&["--data-dir", &here]);
        let named = of(&["--data-dir", &other, "--url", &url]);
        let file_of_other = of(&["--data-dir", &other]);
        assert_eq!((owned.0, named.0), (Some(0), Some(0)), "{}", named.2);
        assert_eq!(keys(&owned.1), keys(&file_of_other.1), "{looks:?}");
        assert!(!keys(&named.1).is_empty());
        if looks == ["status"] {
            assert_eq!(
                [&owned.1["location"], &named.1["location"]],
                [&json!(file); 2]
            );
        }
        let nobody = of(&["--data-dir", &other, "--url", "http://127.0.0.1:1"]);
        assert_eq!((nobody.0, nobody.1), (Some(69), Value::Null), "{looks:?}");
    }
    let (code, _, said) = told(&[
        "migrate",
        "down",
        "--to",
        "9",
        "--data-dir",
        &other,
        "--url",
        &url,
    ]);
    assert!(
        code == Some(2) && said.contains("leave --url out"),
        "{said}"
    );

    daemon.signal("TERM");
    daemon.wait();
    let (code, status, said) = told(&["status", "--data-dir", &here]);
    assert_eq!(
        (code, &status["location"]),
        (Some(0), &json!(file)),
        "{said}"
    );
}

/// The fields of an object, or of a list's first item.
fn keys(value: &Value) -> Vec<String> {
    let object = value["items"].get(0).unwrap_or(value).as_object();
    object
        .into_iter()
        .flat_map(|object| object.keys().cloned())
        .collect()
}
