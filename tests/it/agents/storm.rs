//! Claims about many processes killed at once, with work in their hands, under the real daemon.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::daemon::{Daemon, eventually, is_running};

const WORKERS: usize = 24;
const TASKS: u32 = 60;
/// Descriptors and threads that come and go: connections, processes at the ready, idle threads.
const COME_AND_GO: usize = 24;

const FLEET: &str = r#"
    [groups.storm]
    intensity = "unlimited"
    [agents.worker]
    kind = "process"
    command = ["agent-system", "sample-agent", "flaky"]
    group = "storm"
    replicas = 24
    restart = { min_backoff = "10ms", max_backoff = "20ms" }
"#;

/// The processes of the replicas that are ready, if all are.
fn workers(daemon: &Daemon) -> Option<HashSet<u32>> {
    let agent = daemon.json(&["agents", "get", "worker"]);
    let ready = agent["instances"].as_array()?.iter();
    let ready = ready.filter(|instance| instance["state"] == "ready");
    let pids = ready.filter_map(|instance| u32::try_from(instance["pid"].as_u64()?).ok());
    let pids: HashSet<u32> = pids.filter(|pid| is_running(*pid)).collect();
    (pids.len() == WORKERS).then_some(pids)
}

/// What the daemon's children do: those that run and those that nobody has buried.
fn children(daemon: &Daemon) -> (HashSet<u32>, usize) {
    let (mut living, mut zombies) = (HashSet::new(), 0);
    let threads = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
    for thread in threads.flatten() {
        let list = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for pid in list.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            if is_running(pid) {
                living.insert(pid);
            } else {
                zombies += 1;
            }
        }
    }
    (living, zombies)
}

/// At once: a task that goes from a dead worker to one that is still to be killed would look like
/// poison.
fn kill_at_once(pids: &HashSet<u32>) {
    let mut kill = Command::new("kill");
    kill.arg("-KILL").args(pids.iter().map(ToString::to_string));
    assert!(kill.status().unwrap().success());
}

fn entries(daemon: &Daemon, of: &str) -> usize {
    std::fs::read_dir(format!("/proc/{}/{of}", daemon.pid()))
        .unwrap()
        .count()
}

/// Kills all and waits until all are back, `deaths` counted since the beginning.
fn storm(daemon: &Daemon, pids: &HashSet<u32>, deaths: u64) -> HashSet<u32> {
    kill_at_once(pids);
    let next = eventually("all are back and each death was counted once", || {
        let agent = daemon.json(&["agents", "get", "worker"]);
        let counted = agent["restarts"]["total"].as_u64()?;
        assert!(counted <= deaths, "{agent}");
        (counted == deaths).then(|| workers(daemon)).flatten()
    });
    assert!(next.is_disjoint(pids), "a dead process is shown as alive");
    next
}

#[test]
fn a_storm_of_kills_loses_no_life_and_no_work_doubles_none_and_leaves_nothing() {
    let daemon = Daemon::configured(FLEET);
    let mut pids = eventually("all are ready", || workers(&daemon));
    let ids: Vec<String> = (0..TASKS)
        .map(|n| {
            let body = json!({"agent": "worker", "payload": {"sleep_ms": 150, "value": n}});
            let (status, task) = daemon.post("/api/v1/tasks", &body.to_string());
            assert_eq!(status, 202, "{task}");
            let task: Value = serde_json::from_str(&task).unwrap();
            task["id"].as_str().unwrap().to_owned()
        })
        .collect();
    pids = storm(&daemon, &pids, WORKERS as u64);
    for (n, id) in ids.iter().enumerate() {
        let done = daemon.end_of(id);
        assert_eq!(done["state"], "succeeded", "{done}");
        assert_eq!(done["result"]["value"], n, "{done}");
    }
    let use_of = || (entries(&daemon, "fd"), entries(&daemon, "task"));
    let before = use_of();
    pids = storm(&daemon, &pids, 2 * WORKERS as u64);
    // What is leaked never comes back.
    let flat = |now: usize, before: usize| now <= before + COME_AND_GO;
    eventually("descriptors and threads are as many as before", || {
        let now = use_of();
        (flat(now.0, before.0) && flat(now.1, before.1)).then_some(())
    });
    nothing_is_left_over(&daemon, &pids);
}

fn nothing_is_left_over(daemon: &Daemon, pids: &HashSet<u32>) {
    eventually(
        "no zombie, and nothing beside the workers and spares",
        || {
            let (living, zombies) = children(daemon);
            let spares = living.difference(pids);
            let waits = |pid: &&u32| {
                let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                line.split(|byte| *byte == 0)
                    .any(|word| word == b"exec-agent")
            };
            let strange = spares.filter(|pid| !waits(pid)).count();
            (zombies == 0 && strange == 0 && living.is_superset(pids)).then_some(())
        },
    );
    // What this test was started with is passed on by everybody.
    let inherited = descriptors("self");
    for pid in pids {
        let open = descriptors(&pid.to_string());
        let own: Vec<_> = open.difference(&inherited).collect();
        assert_eq!(own.len(), 3, "more than the three pipes: {own:?}");
    }
}

/// The open descriptors of a process, and what they lead to.
fn descriptors(pid: &str) -> HashSet<(OsString, PathBuf)> {
    let all = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let of = |entry: std::fs::DirEntry| {
        let leads_to = std::fs::read_link(entry.path()).ok()?;
        Some((entry.file_name(), leads_to))
    };
    all.flatten().filter_map(of).collect()
}
