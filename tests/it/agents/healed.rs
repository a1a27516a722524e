//! Claims about what the real daemon does with processes that hang, never begin, or cannot begin.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use serde_json::Value;

use crate::daemon::{Daemon, binary, eventually, is_running, signal};

fn agent(daemon: &Daemon, name: &str) -> Value {
    daemon.json(&["agents", "get", name])
}

/// Its process, once it is ready.
fn ready_pid(daemon: &Daemon, name: &str) -> Option<u32> {
    let agent = agent(daemon, name);
    let pid = u32::try_from(agent["pid"].as_u64()?).ok()?;
    (agent["state"] == "ready" && is_running(pid)).then_some(pid)
}

fn last_reason(daemon: &Daemon, name: &str) -> String {
    let agent = agent(daemon, name);
    let reason = agent["restarts"]["last_reason"].as_str();
    reason.unwrap_or_default().to_owned()
}

/// Holds its first agent for good, and no other.
const HOLDS: &str = r#"{"sleep_ms":600000,"below_attempt":2,"value":7}"#;

#[test]
fn a_process_that_is_stopped_is_noticed_and_replaced_whatever_it_holds() {
    let daemon = Daemon::configured(
        r#"
        [agents.idle]
        kind = "process"
        command = ["agent-system", "sample-agent", "echo"]
        probes.liveness = { protocol = true, period = "100ms", timeout = "2s", failure_threshold = 2 }
        [agents.works]
        kind = "process"
        command = ["agent-system", "sample-agent", "flaky"]
        probes.liveness = { protocol = true, period = "100ms", timeout = "2s", failure_threshold = 2 }
        "#,
    );
    let submit = ["tasks", "submit", "--agent", "works", "--payload"];
    let task = daemon.json(&[&submit[..], &[HOLDS]].concat());
    let id = task["id"].as_str().unwrap().to_owned();
    eventually("the task runs", || {
        (daemon.json(&["tasks", "get", &id])["state"] == "running").then_some(())
    });
    let names = ["idle", "works"];
    let before = names.map(|name| eventually(name, || ready_pid(&daemon, name)));
    before.iter().for_each(|pid| signal(*pid, "STOP"));
    for (name, before) in names.iter().zip(before) {
        eventually(name, || {
            ready_pid(&daemon, name).filter(|pid| *pid != before)
        });
        assert!(!is_running(before));
        let reason = last_reason(&daemon, name);
        assert!(reason.contains("stuck"), "{name}: {reason}");
    }
    let done = daemon.json(&["tasks", "wait", &id]);
    assert_eq!(done["state"], "succeeded", "{done}");
}

/// Five restarts, and the one that the healer may have tried since.
fn gave_up_in_time(agent: &Value) -> bool {
    agent["restarts"]["total"]
        .as_u64()
        .is_some_and(|total| (5..=6).contains(&total))
}

#[test]
fn one_that_never_says_ready_is_ended_in_time_and_rests_in_quarantine() {
    let daemon = Daemon::configured(
        r#"
        [agents.mute]
        kind = "process"
        command = ["sh", "-c", "echo $$ >&2; while read -r line; do :; done"]
        restart = { min_backoff = "10ms", max_backoff = "20ms" }
        probes.startup = { protocol = true, period = "50ms", timeout = "50ms", failure_threshold = 2 }
        "#,
    );
    eventually("it rests", || {
        (agent(&daemon, "mute")["state"] == "quarantined").then_some(())
    });
    let mute = agent(&daemon, "mute");
    assert!(gave_up_in_time(&mute), "{mute}");
    let reason = last_reason(&daemon, "mute");
    assert!(reason.contains("ready"), "{reason}");
}

#[test]
fn one_that_cannot_begin_is_tried_ever_later_and_the_reason_names_the_way_out() {
    let daemon = Daemon::configured(
        r#"
        [agents.lost]
        kind = "process"
        command = ["agent-system", "sample-agent", "echo"]
        directory = "/no/such/place"
        restart = { min_backoff = "10ms", max_backoff = "20ms" }
        "#,
    );
    eventually("it rests", || {
        (agent(&daemon, "lost")["state"] == "quarantined").then_some(())
    });
    let lost = agent(&daemon, "lost");
    assert!(gave_up_in_time(&lost), "{lost}");
    let reason = last_reason(&daemon, "lost");
    for part in ["'/no/such/place'", "create it"] {
        assert!(reason.contains(part), "{reason}");
    }
}

#[test]
fn a_daemon_whose_binary_was_replaced_goes_on_with_the_one_it_began_with() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let program = dir.path().join("agent-system");
    std::fs::hard_link(binary(), &program).unwrap();
    let daemon = Daemon::run_by(
        vec![program.clone().into()],
        r#"
        [groups.all]
        intensity = "unlimited"
        [agents.echo]
        kind = "process"
        group = "all"
        command = ["agent-system", "sample-agent", "echo"]
        restart = { min_backoff = "10ms", max_backoff = "20ms" }
        "#,
    );
    let mut pid = eventually("ready", || ready_pid(&daemon, "echo"));
    std::fs::remove_file(&program).unwrap();
    std::fs::write(&program, "not a program").unwrap();
    // More often than there are processes at the ready that began before.
    for _ in 0..4 {
        signal(pid, "KILL");
        pid = eventually("back", || {
            ready_pid(&daemon, "echo").filter(|next| *next != pid)
        });
    }
}

/// Lets a daemon open so many files and no more.
fn let_it_open(daemon: &Daemon, files: Option<u64>) {
    let pid = Pid::from_raw(daemon.pid().cast_signed());
    let limits = Rlimit {
        current: files,
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    prlimit(pid, Resource::Nofile, limits).unwrap();
}

#[test]
fn a_daemon_out_of_descriptors_tries_again_later_and_recovers() {
    let daemon = Daemon::configured(
        r#"
        [groups.all]
        intensity = "unlimited"
        [agents.echo]
        kind = "process"
        group = "all"
        command = ["agent-system", "sample-agent", "echo"]
        restart = { min_backoff = "100ms", max_backoff = "200ms" }
        "#,
    );
    let mut pid = eventually("ready", || ready_pid(&daemon, "echo"));
    let usual = getrlimit(Resource::Nofile).current;
    // Nothing below this number is free that a pipe could take.
    let_it_open(&daemon, Some(3));
    // Those at the ready are used up first.
    while last_known_life(&daemon, &mut pid) {}
    eventually("it is told why", || {
        daemon.log().contains("Too many open files").then_some(())
    });
    let_it_open(&daemon, usual);
    eventually("back", || ready_pid(&daemon, "echo"));
}

/// Kills the process there is; whether another one came up.
fn last_known_life(daemon: &Daemon, pid: &mut u32) -> bool {
    let alive = |pid: u32| {
        let children = format!("/proc/{}/task", daemon.pid());
        let threads = std::fs::read_dir(children).unwrap().flatten();
        let lists = threads
            .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
        let all: Vec<u32> = lists
            .flat_map(|list| {
                list.split_whitespace()
                    .filter_map(|word| word.parse().ok())
                    .collect::<Vec<u32>>()
            })
            .collect();
        all.into_iter().find(|child| *child != pid)
    };
    // One that was there a moment ago may have ended by itself.
    let gone = Pid::from_raw(pid.cast_signed()).unwrap();
    kill_process(gone, Signal::KILL).unwrap_or(());
    eventually("it is dead", || (!is_running(*pid)).then_some(()));
    match alive(*pid) {
        Some(next) => {
            *pid = next;
            true
        }
        None => false,
    }
}

/// A memory control group below this process's own, version 1 or 2, where that can be made.
struct Confined(PathBuf);

impl Confined {
    fn to(bytes: u64) -> Option<Self> {
        let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let mount = Path::new("/sys/fs/cgroup");
        groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, own) = (parts.next()?, parts.next()?.trim_start_matches('/'));
            let (base, limit) = match controllers {
                "memory" => (mount.join("memory"), "memory.limit_in_bytes"),
                "" => (mount.to_owned(), "memory.max"),
                _ => return None,
            };
            let name = format!("agent-system-test-{}", std::process::id());
            let group = base.join(own).join(name);
            std::fs::create_dir(&group).ok()?;
            let group = Self(group);
            std::fs::write(group.0.join(limit), bytes.to_string()).ok()?;
            // What may be put aside is not used up so soon; version 1 has no such limit of its own.
            std::fs::write(group.0.join("memory.swap.max"), "0").unwrap_or(());
            Some(group)
        })
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        let empty = || std::fs::remove_dir(&self.0).ok();
        eventually("the group is empty", empty);
    }
}

#[test]
fn a_death_for_lack_of_memory_is_told_as_such() {
    let Some(group) = Confined::to(256 << 20) else {
        // Without the right to make a control group nobody can be confined.
        eprintln!("left out: no control group can be made here");
        return;
    };
    let procs = group.0.join("cgroup.procs");
    let enter = r#"echo $$ >"$0" && exec "$@""#;
    let program: Vec<OsString> = vec![
        "sh".into(),
        "-c".into(),
        enter.into(),
        procs.into(),
        binary().into(),
    ];
    let daemon = Daemon::run_by(
        program,
        r#"
        [agents.hog]
        kind = "process"
        protocol = "none"
        command = ["tail", "/dev/zero"]
        restart = { type = "temporary" }
        "#,
    );
    let crash = eventually("it is killed", || {
        let crashes = daemon.json(&["agents", "crashes", "hog"]);
        let first = crashes["items"].get(0)?;
        Some(first["reason"].clone())
    });
    assert_eq!(crash["kind"], "signal", "{crash}");
    assert_eq!((&crash["signal"], &crash["oom"]), (&9.into(), &true.into()));
}
