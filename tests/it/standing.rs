//! Who starts after whom, and how long one may be busy, with a real daemon.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::daemon::{Daemon, eventually, write_file};

const FAMILY: &str = r#"
    [agents.after]
    kind = "process"
    command = ["agent-system", "sample-agent", "echo"]
    depends_on = { job = "completed" }

    [agents.late]
    kind = "process"
    command = ["agent-system", "sample-agent", "echo"]
    depends_on = { base = "healthy", early = "started" }
    replicas = 2

    [agents.early]
    kind = "process"
    protocol = "none"
    command = ["sleep", "1000000"]

    [agents.base]
    kind = "process"
    command = ["agent-system", "sample-agent", "echo"]
    replicas = 2

    [agents.job]
    kind = "process"
    protocol = "none"
    command = ["sh", "-c", "exit 0"]
    restart = { type = "temporary" }
"#;

fn is_in(daemon: &Daemon, name: &str, state: &str) -> bool {
    daemon.json(&["agents", "get", name])["state"] == state
}

/// What happened to agents, in order, from one entry of the journal on.
fn story(daemon: &Daemon, from: i64) -> Vec<(i64, String)> {
    let mut story: Vec<(i64, String)> = daemon
        .events("agent.*")
        .iter()
        .map(|event| {
            let word = |key: &str| event[key].as_str().unwrap().to_owned();
            (
                event["seq"].as_i64().unwrap(),
                format!("{} {}", word("type"), word("subject")),
            )
        })
        .filter(|(seq, _)| *seq > from)
        .collect();
    story.sort_unstable();
    story
}

/// Asserts that one thing happened after all of the others.
fn came_after(story: &[(i64, String)], what: &str, before: &[&str]) {
    let at = |what: &str| {
        let found = story.iter().position(|(_, entry)| entry == what);
        assert!(found.is_some(), "{what} is not in {story:?}");
        found.unwrap()
    };
    for before in before {
        assert!(
            at(before) < at(what),
            "{what} came before {before}: {story:?}"
        );
    }
}

fn everybody_stands(daemon: &Daemon) {
    for name in ["after", "late", "base", "early"] {
        eventually(name, || is_in(daemon, name, "ready").then_some(()));
    }
}

#[test]
fn agents_start_after_what_they_depend_on_with_all_its_replicas_and_over_restarts() {
    let mut daemon = Daemon::configured(FAMILY);
    let mut from = 0;
    for _ in 0..2 {
        everybody_stands(&daemon);
        let story = eventually("the journal has it all", || {
            let story = story(&daemon, from);
            let told = |what: &str| story.iter().any(|(_, entry)| entry == what);
            (told("agent.ready late#1") && told("agent.ready after#0")).then_some(story)
        });
        let needs = [
            "agent.ready base#0",
            "agent.ready base#1",
            "agent.starting early#0",
        ];
        came_after(&story, "agent.starting late#0", &needs);
        came_after(&story, "agent.starting late#1", &needs);
        came_after(&story, "agent.starting after#0", &["agent.stopped job#0"]);
        from = story.last().unwrap().0;
        daemon.crash_and_start_again();
    }
    everybody_stands(&daemon);
    daemon.ok(&["agents", "stop", "base#1"]);
    daemon.ok(&["agents", "restart", "late"]);
    eventually("it waits for the other replica", || {
        is_in(&daemon, "late", "pending").then_some(())
    });
    daemon.ok(&["agents", "start", "base#1"]);
    everybody_stands(&daemon);
}

/// Says that it is busy for a while with each task, and nothing any more.
///
/// It starts no other program, so that it is in its zone as soon as it has the task.
const SLOW: &[u8] = br#"
echo '{"type":"ready"}'
while read -r line; do
  case $line in
    *'"type":"task"'*)
      id=${line#*'"id":"'}
      echo '{"type":"busy","task_id":"'"${id%%\"*}"'","reason":"call","max_ms":4000}' ;;
    *'"type":"ping"'*)
      n=${line#*'"n":'}
      echo '{"type":"pong","n":'"${n%%[,\}]*}"'}' ;;
    *'"type":"drain"'*|*'"type":"shutdown"'*) exit 0 ;;
  esac
done
"#;

#[test]
fn a_busy_zone_is_left_alone_up_to_its_cap_and_then_it_is_a_stall() {
    let folder = tempfile::tempdir().unwrap();
    let script = write_file(folder.path(), "slow.sh", SLOW);
    let daemon = Daemon::configured(&format!(
        r#"
        [agents.slow]
        kind = "process"
        command = ["sh", "{}"]
        stall_timeout = "2s"
        on_stall = "restart"
        probes.liveness = {{ protocol = true, period = "100ms", timeout = "30s" }}
        "#,
        script.display()
    ));
    eventually("it is ready", || {
        is_in(&daemon, "slow", "ready").then_some(())
    });
    daemon.ok(&["tasks", "submit", "--agent", "slow", "--payload", "{}"]);
    let verdict = || daemon.json(&["agents", "get", "slow"])["instances"][0]["verdict"].clone();
    eventually("it is busy", || (verdict() == "waiting").then_some(()));
    let stalled = eventually("it stalls when the zone is over", || {
        daemon.events("agent.stalled").first().cloned()
    });
    let silent = stalled["data"]["silent_ms"].as_u64().unwrap();
    assert!(silent >= 3_900, "the zone was cut short: {stalled}");
    eventually("it is restarted", || {
        let agent: Value = daemon.json(&["agents", "get", "slow"]);
        (agent["generation"].as_u64() > Some(1)).then_some(())
    });
}

/// Answers a ping after 200 ms, so that there is always one under way, and keeps count in a file. It
/// sleeps in slices: one that was frozen meanwhile goes on with those that are left.
const THOUGHTFUL: &str = r#"
import json, os, sys, time
count = open(os.path.join(sys.argv[1], str(os.getpid())), "w")
for line in sys.stdin:
    frame = json.loads(line)
    if frame["type"] == "hello":
        print('{"type":"ready"}', flush=True)
    elif frame["type"] == "ping":
        for _ in range(20):
            time.sleep(0.01)
        print(json.dumps({"type": "pong", "n": frame["n"]}), flush=True)
        print(end=".", file=count, flush=True)
"#;

/// How many pings each process has answered.
fn answered(folder: &Path) -> BTreeMap<u32, u64> {
    let files = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let pid = |name: OsString| name.to_str().unwrap().parse().unwrap();
    files
        .map(|it| (pid(it.file_name()), it.metadata().unwrap().len()))
        .collect()
}

fn tell(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

/// Lets the wall clock go on.
fn clock_goes_on(span: Duration) {
    let begun = Instant::now();
    eventually("time has passed", || {
        (begun.elapsed() >= span).then_some(())
    });
}

#[test]
fn a_daemon_that_was_frozen_blames_nobody_for_the_time_it_slept() {
    let (folder, counts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let script = write_file(folder.path(), "thoughtful.py", THOUGHTFUL.as_bytes());
    let daemon = Daemon::configured(&format!(
        r#"
        [agents.calm]
        kind = "process"
        command = ["python3", "{}", "{}"]
        replicas = 10
        probes.liveness = {{ protocol = true, period = "100ms", timeout = "5s", failure_threshold = 1 }}
        "#,
        script.display(),
        counts.path().display()
    ));
    let calm = || daemon.json(&["agents", "get", "calm"]);
    eventually("all are ready", || {
        (calm()["replicas"]["ready"] == 10).then_some(())
    });
    // As a paused container is: the daemon never sees its agents frozen.
    let pids = || answered(counts.path()).into_keys();
    tell(daemon.pid(), Signal::STOP);
    pids().for_each(|pid| tell(pid, Signal::STOP));
    clock_goes_on(Duration::from_secs(6));
    let before = answered(counts.path());
    assert_eq!(before.len(), 10, "one died before: {before:?}");
    pids().for_each(|pid| tell(pid, Signal::CONT));
    tell(daemon.pid(), Signal::CONT);
    // Whoever is asked again was not blamed for what was under way.
    eventually("each is asked again", || {
        let now = answered(counts.path());
        let again = before.iter().all(|(pid, count)| now[pid] >= count + 2);
        let calm = calm();
        assert_eq!(calm["restarts"]["total"], 0, "{calm}");
        again.then_some(())
    });
    assert_eq!(calm()["replicas"]["ready"], 10);
}

/// Says in a file that it has a task, gives it back when another is there, says so in a third, and gives
/// nothing up.
const STEADY: &str = r#"
import json, os, sys, time
for line in sys.stdin:
    frame = json.loads(line)
    if frame["type"] == "hello":
        print('{"type":"ready"}', flush=True)
    elif frame["type"] == "task":
        open(sys.argv[3], "w").close()
        while not os.path.exists(sys.argv[1]):
            time.sleep(0.01)
        answer = {"type": "result", "task_id": frame["id"], "lease_id": frame["lease_id"], "output": 1}
        print(json.dumps(answer), flush=True)
        open(sys.argv[2], "w").close()
"#;

#[test]
fn a_result_that_came_in_time_counts_though_the_daemon_slept_past_the_timeout() {
    let folder = tempfile::tempdir().unwrap();
    let script = write_file(folder.path(), "steady.py", STEADY.as_bytes());
    let files = ["flag", "answered", "taken"].map(|name| folder.path().join(name));
    let [flag, answered, taken] = &files;
    let daemon = Daemon::configured(&format!(
        "[agents.steady]\nkind = \"process\"\ncommand = [\"python3\", \"{}\", \"{}\", \"{}\", \"{}\"]\n",
        script.display(),
        flag.display(),
        answered.display(),
        taken.display()
    ));
    daemon.ready_pid("steady");
    let (status, task) = daemon.post(
        "/api/v1/tasks",
        r#"{"agent":"steady","payload":{},"timeout_ms":5000}"#,
    );
    assert_eq!(status, 202, "{task}");
    let task: Value = serde_json::from_str(&task).unwrap();
    let path = format!("/api/v1/tasks/{}", task["id"].as_str().unwrap());
    let seen = || serde_json::from_str::<Value>(&daemon.get(&path).1).unwrap();
    // To run is to be handed over; the frame is on its way for a moment longer.
    eventually("it is taken", || taken.exists().then_some(()));
    tell(daemon.pid(), Signal::STOP);
    std::fs::write(flag, "").unwrap();
    eventually("it answers", || answered.exists().then_some(()));
    clock_goes_on(Duration::from_secs(6));
    tell(daemon.pid(), Signal::CONT);
    let done = eventually("it is final", || {
        Some(seen()).filter(|task| !task["finished_at"].is_null())
    });
    assert_eq!(
        (&done["state"], &done["attempt"]),
        (&"succeeded".into(), &1.into())
    );
}

#[test]
fn a_number_of_a_life_is_used_once_though_the_daemon_is_killed_right_after_it_began() {
    const ECHO: &str = r#"
        [agents.echo]
        kind = "process"
        command = ["agent-system", "sample-agent", "echo"]
    "#;
    let mut daemon = Daemon::configured(ECHO);
    let mut used = 0;
    for _ in 0..4 {
        // The number of each life is known to somebody before it can be known to be stored.
        for _ in 0..3 {
            let after = used;
            used = eventually("a life of its own number", || {
                let echo = daemon.json(&["agents", "get", "echo"]);
                let lives = echo["state"] == "ready" && echo["generation"].as_u64() > Some(after);
                lives.then(|| echo["generation"].as_u64().unwrap())
            });
            daemon.post("/api/v1/agents/echo:restart", "");
        }
        let last = daemon.json(&["agents", "get", "echo"])["generation"].as_u64();
        used = used.max(last.unwrap());
        daemon.signal("KILL");
        daemon.wait();
        daemon.start_again();
        let next = daemon.json(&["agents", "get", "echo"])["generation"]
            .as_u64()
            .unwrap();
        assert!(next > used, "{next} was used before: {used} was seen");
        used = next - 1;
    }
}

#[test]
fn a_paused_agent_works_again_by_itself_when_its_time_is_over_whoever_runs_then() {
    let mut daemon = Daemon::start();
    let past = daemon.post(
        "/api/v1/agents/echo:pause",
        r#"{"until": "2020-01-01T00:00:00Z"}"#,
    );
    assert_eq!(past.0, 422, "{past:?}");
    assert!(past.1.contains("#/until"), "{past:?}");
    // Only one that could work is shown as paused.
    daemon.ready_pid("echo");
    daemon.ok(&["agents", "pause", "echo", "--for", "1h"]);
    let echo = daemon.json(&["agents", "get", "echo"]);
    assert_eq!(echo["state"], "paused");
    let until = echo["paused_until"].as_str().unwrap();
    let told = daemon.json(&["agents", "explain", "echo"]);
    let answer = told["answer"].as_str().unwrap();
    assert!(answer.ends_with(&format!("until {until}")), "{told}");
    assert_eq!(told["desired_by"]["until"], until);
    let task = daemon.json(&["tasks", "submit", "--agent", "echo", "--payload", "1"]);
    assert_eq!(task["state"], "queued");
    daemon.ok(&["agents", "pause", "echo", "--for", "3s"]);
    daemon.signal("KILL");
    daemon.wait();
    let over = std::time::SystemTime::now() + Duration::from_secs(3);
    eventually("nobody runs when it is over", || {
        (std::time::SystemTime::now() > over).then_some(())
    });
    daemon.start_again();
    let id = task["id"].as_str().unwrap();
    let done = daemon.json(&["tasks", "wait", id]);
    assert_eq!(done["state"], "succeeded", "{done}");
    let echo = daemon.json(&["agents", "get", "echo"]);
    assert_eq!(
        (&echo["state"], &echo["paused_until"]),
        (&"ready".into(), &Value::Null)
    );
    let told = eventually("the journal says why", || {
        let page = daemon.json(&["events", "--types", "agent.resumed"]);
        page["items"].as_array()?.first().cloned()
    });
    assert_eq!(told["data"]["reason"], "its time was over");
}

#[test]
fn how_an_agent_died_last_is_known_over_a_restart_of_the_daemon() {
    let mut daemon = Daemon::start();
    tell(daemon.ready_pid("echo"), Signal::KILL);
    eventually("its death is kept", || {
        let crashes = daemon.json(&["agents", "crashes", "echo"]);
        crashes["items"].as_array()?.first().cloned()
    });
    daemon.crash_and_start_again();
    let echo = daemon.json(&["agents", "get", "echo"]);
    assert_eq!(echo["restarts"]["last_reason"], "signal 9", "{echo}");
    assert_eq!(echo["instances"][0]["last_reason"], "signal 9", "{echo}");
    let never = daemon.json(&["agents", "get", "sum"]);
    assert_eq!(never["restarts"]["last_reason"], Value::Null, "{never}");
}
