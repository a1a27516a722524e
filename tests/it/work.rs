//! The main job: work is done, and stays right when agents and the daemon itself are killed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::daemon::{Daemon, eventually, is_running, signal, write_file};

/// The twenty most frequent words, counted the plain way.
fn expected_counts(text: &[u8]) -> Vec<u8> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r');
    let mut counts: BTreeMap<&[u8], u64> = BTreeMap::new();
    for word in text.split(is_space).filter(|word| !word.is_empty()) {
        *counts.entry(word).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let mut lines = Vec::new();
    for (word, count) in counts.into_iter().take(20) {
        lines.extend_from_slice(format!("{count}\t").as_bytes());
        lines.extend_from_slice(word);
        lines.push(b'\n');
    }
    lines
}

/// A text with frequent and rare words, some of them neither ASCII nor UTF-8.
fn sample_text(bytes: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 32);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while text.len() < bytes {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let draw = (state >> 33) % 1000;
        let word = if draw < 600 { draw % 23 } else { draw * draw };
        text.extend_from_slice(format!("w{word}").as_bytes());
        match draw % 7 {
            0 => text.extend_from_slice("é\n".as_bytes()),
            1 => text.extend_from_slice(b"\xff\xfe\t"),
            2 => text.extend_from_slice(b"\x0b"),
            3 => text.extend_from_slice(b"\r\n"),
            _ => text.push(b' '),
        }
    }
    text
}

const WORD_COUNT: &str = "examples/workflows/word-count.toml";

#[test]
fn a_task_is_answered_by_a_process_agent() {
    let daemon = Daemon::start();
    let output = daemon.ok(&[
        "tasks",
        "submit",
        "--agent",
        "echo",
        "--payload",
        r#"{"a":1}"#,
        "--wait",
    ]);
    assert_eq!(
        serde_json::from_slice::<Value>(&output).unwrap(),
        json!({"a": 1})
    );
}

#[test]
fn words_are_counted_right_in_files_of_any_bytes_and_size() {
    let daemon = Daemon::start();
    let folder = tempfile::tempdir().unwrap();
    let one_word = vec![b'x'; 200_000];
    for (name, text) in [
        ("empty", Vec::new()),
        ("small", sample_text(1_000)),
        ("one-word", one_word),
        ("large", sample_text(3_000_000)),
    ] {
        let path = write_file(folder.path(), name, &text);
        let input = format!("file={}", path.display());
        let output = daemon.ok(&["workflows", "run", WORD_COUNT, "--input", &input, "--wait"]);
        assert_eq!(
            String::from_utf8_lossy(&output),
            String::from_utf8_lossy(&expected_counts(&text)),
            "{name}"
        );
    }
}

#[test]
fn a_workflow_survives_the_daemon_s_sudden_death() {
    let mut daemon = Daemon::start();
    let folder = tempfile::tempdir().unwrap();
    let text = sample_text(8_000_000);
    let path = write_file(folder.path(), "text", &text);
    let input = format!("file={}", path.display());
    let workflow = daemon.json(&["workflows", "run", WORD_COUNT, "--input", &input]);
    let id = workflow["id"].as_str().unwrap().to_owned();
    let child = daemon.ready_pid("echo");

    for _ in 0..3 {
        daemon.crash_and_start_again();
    }

    eventually("the killed daemon's agents are gone", || {
        (!is_running(child)).then_some(())
    });
    let done = eventually("the workflow ends", || {
        let workflow = daemon.json(&["workflows", "get", &id]);
        ["completed", "failed", "cancelled"]
            .contains(&workflow["state"].as_str().unwrap())
            .then_some(workflow)
    });
    assert_eq!(done["state"], "completed", "{done}");
    let again = daemon.ok(&["workflows", "get", &id, "--wait"]);
    assert_eq!(
        String::from_utf8_lossy(&again),
        String::from_utf8_lossy(&expected_counts(&text))
    );
}

#[test]
fn a_killed_process_agent_is_back_with_a_new_process_and_its_death_is_recorded() {
    let daemon = Daemon::start();
    let before = daemon.ready_pid("echo");
    signal(before, "KILL");
    let after = eventually("echo has a new process", || {
        Some(daemon.ready_pid("echo")).filter(|pid| *pid != before)
    });
    assert!(is_running(after));
    let crashes = eventually("the crash is stored", || {
        let crashes = daemon.json(&["agents", "crashes", "echo"]);
        crashes["items"]
            .as_array()
            .is_some_and(|items| !items.is_empty())
            .then_some(crashes)
    });
    assert_eq!(crashes["items"][0]["reason"]["kind"], "signal");
    assert_eq!(crashes["items"][0]["reason"]["signal"], 9);
}

/// Says in a file that it has a task; keeps the first attempt for ever, and answers the next.
const KEEPS_THE_FIRST: &str = r#"
import json, sys, time
for line in sys.stdin:
    frame = json.loads(line)
    if frame["type"] == "hello":
        print('{"type":"ready"}', flush=True)
    elif frame["type"] == "task":
        open(sys.argv[1], "w").close()
        if frame["attempt"] == 1:
            time.sleep(600)
        answer = {"type": "result", "task_id": frame["id"], "lease_id": frame["lease_id"], "output": 7}
        print(json.dumps(answer), flush=True)
"#;

#[test]
fn a_task_whose_agent_is_killed_runs_again_and_is_answered_once() {
    let folder = tempfile::tempdir().unwrap();
    let script = write_file(folder.path(), "keeps.py", KEEPS_THE_FIRST.as_bytes());
    let taken = folder.path().join("taken");
    let daemon = Daemon::configured(&format!(
        "[agents.keeps]\nkind = 'process'\ncommand = ['python3', '{}', '{}']\n",
        script.display(),
        taken.display()
    ));
    let task = daemon.json(&["tasks", "submit", "--agent", "keeps"]);
    let id = task["id"].as_str().unwrap().to_owned();
    // What it never read would not count against it.
    eventually("it has the task", || taken.exists().then_some(()));
    signal(daemon.ready_pid("keeps"), "KILL");
    let done = daemon.json(&["tasks", "wait", &id]);
    assert_eq!(
        (&done["state"], &done["result"]),
        (&json!("succeeded"), &json!(7)),
        "{done}"
    );
    assert_eq!(done["attempt"], 2, "{done}");
    assert_eq!(done["crash_attempts"], 1, "{done}");
}

#[test]
fn a_stopped_agent_stays_stopped_over_a_restart_of_the_daemon() {
    let mut daemon = Daemon::start();
    daemon.ok(&["agents", "stop", "sum"]);
    eventually("sum is stopped", || {
        (daemon.json(&["agents", "get", "sum"])["state"] == "stopped").then_some(())
    });
    daemon.crash_and_start_again();
    let agent = daemon.json(&["agents", "get", "sum"]);
    assert_eq!(
        (&agent["desired"], &agent["state"]),
        (&json!("stopped"), &json!("stopped"))
    );
}

#[test]
fn a_stop_with_three_tasks_running_costs_none_of_them_an_attempt() {
    let mut daemon = Daemon::configured(&format!(
        "[agents.flaky]\nkind = 'process'\ncommand = ['{}', 'sample-agent', 'flaky']\nreplicas = 3\n\
         stop = {{ drain_timeout = '200ms', timeout = '1s' }}\n",
        crate::daemon::binary().display()
    ));
    let ids: Vec<String> = (0..3)
        .map(|_| {
            let payload = r#"{"sleep_ms":600000,"below_attempt":2}"#;
            let task = daemon.json(&["tasks", "submit", "--agent", "flaky", "--payload", payload]);
            task["id"].as_str().unwrap().to_owned()
        })
        .collect();
    eventually("all three run", || {
        let running = daemon.json(&["tasks", "list", "--state", "running"]);
        (running["items"].as_array()?.len() == 3).then_some(())
    });
    daemon.signal("TERM");
    daemon.wait();
    daemon.start_again();
    for id in ids {
        let done = daemon.json(&["tasks", "wait", &id]);
        assert_eq!(done["state"], "succeeded", "{done}");
        assert_eq!(
            (&done["attempt"], &done["interruptions"]),
            (&json!(2), &json!(1)),
            "{done}"
        );
        assert_eq!(done["crash_attempts"], 0, "{done}");
    }
}

#[test]
fn an_agent_that_hears_no_cancel_is_ended_and_its_task_is_cancelled_of_each_kind_of_process() {
    let deaf = r#"read hello; echo "{\"type\":\"ready\"}"; while read line; do :; done"#;
    let daemon = Daemon::configured(&format!(
        "[agents.deaf]\nkind = 'process'\ncommand = ['sh', '-c', '{deaf}']\n\
         probes.liveness = {{ protocol = true, failure_threshold = 100 }}\n\
         [agents.dull]\nkind = 'process'\nprotocol = 'exec'\n\
         command = ['sh', '-c', 'trap \"\" TERM; while :; do sleep 1; done']\n"
    ));
    let ids = ["deaf", "dull"].map(|agent| {
        let task = daemon.json(&["tasks", "submit", "--agent", agent]);
        let id = task["id"].as_str().unwrap().to_owned();
        eventually("it runs", || {
            (daemon.json(&["tasks", "get", &id])["state"] == "running").then_some(())
        });
        daemon.ok(&["tasks", "cancel", &id]);
        id
    });
    for id in ids {
        eventually("it is cancelled", || {
            (daemon.json(&["tasks", "get", &id])["state"] == "cancelled").then_some(())
        });
    }
    eventually("the deaf one was restarted once", || {
        let deaf = daemon.json(&["agents", "get", "deaf"]);
        assert!(deaf["restarts"]["total"].as_u64() <= Some(1), "{deaf}");
        (deaf["restarts"]["total"] == 1).then_some(())
    });
}
