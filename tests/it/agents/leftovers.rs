//! Claims about what an earlier life of the daemon left behind.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use agent_system::actors::agent::{boot_id, end_leftovers};
use agent_system::domain::record::SpawnedProcess;

use super::rig::eventually;
use crate::daemon::start_ticks;

/// A mark that no other run of these tests uses.
fn own_mark(word: &str) -> String {
    format!("test-{word}-{}", std::process::id())
}

/// A process in a group of its own, as a dead daemon would have left it.
fn left_behind(mark: Option<&str>) -> Child {
    let mut command = Command::new("sleep");
    command.arg("1000").stdin(Stdio::null()).process_group(0);
    if let Some(mark) = mark {
        command.env("AGENT_SYSTEM_LIFE", mark);
    }
    command.spawn().unwrap()
}

/// As it is recorded, with a start that is so many ticks off.
fn record(child: &Child, ticks_off: u64, boot_id: String) -> SpawnedProcess {
    SpawnedProcess {
        agent: "subject".parse().unwrap(),
        index: 0,
        generation: 1,
        pid: child.id(),
        start_ticks: start_ticks(child.id()).unwrap() + ticks_off,
        boot_id,
    }
}

async fn is_gone(child: &mut Child) {
    eventually("gone", async || child.try_wait().unwrap()).await;
}

#[actix_rt::test]
async fn a_recorded_process_is_ended_if_it_is_the_one_that_was_recorded() {
    let mut ours = left_behind(None);
    let mut reused = left_behind(None);
    let mut of_another_boot = left_behind(None);
    let recorded = [
        record(&ours, 0, boot_id()),
        record(&reused, 1, boot_id()),
        record(&of_another_boot, 0, "another".into()),
    ];
    let ended = end_leftovers(&own_mark("recorded"), &recorded).await;
    assert_eq!((ended.killed, ended.surviving.len()), (1, 0));
    is_gone(&mut ours).await;
    for spared in [&mut reused, &mut of_another_boot] {
        assert!(spared.try_wait().unwrap().is_none());
        spared.kill().unwrap();
        spared.wait().unwrap();
    }
}

#[actix_rt::test]
async fn what_carries_the_mark_is_ended_although_nobody_recorded_it() {
    let mark = own_mark("marked");
    let mut ours = left_behind(Some(&format!("{mark}:7:7")));
    let mut anothers = left_behind(Some(&format!("{mark}-2:7:7")));
    let ended = end_leftovers(&mark, &[]).await;
    assert_eq!(ended.killed, 1);
    is_gone(&mut ours).await;
    assert!(anothers.try_wait().unwrap().is_none());
    anothers.kill().unwrap();
    anothers.wait().unwrap();
}

#[actix_rt::test]
async fn an_agent_dies_with_its_daemon_however_that_dies() {
    let program = env!("CARGO_BIN_EXE_agent-system");
    let mut daemon = Command::new("sh");
    let exec = format!(
        "{program} exec-agent --parent $$ --life {} -- sleep 1000 & echo $!; wait",
        own_mark("parent")
    );
    daemon.args(["-c", &exec]).stdout(Stdio::piped());
    let mut daemon = daemon.spawn().unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(daemon.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    let agent: u32 = line.trim().parse().unwrap();
    let runs = || std::fs::read_to_string(format!("/proc/{agent}/comm")).ok();
    eventually("it runs", async || (runs()? == "sleep\n").then_some(())).await;
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    // Whoever inherits the dead may be slow to bury them.
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{agent}/stat")).unwrap_or_default();
        stat.rsplit_once(") ")
            .map(|(_, rest)| rest.starts_with('Z'))
    };
    eventually("it is dead", async || {
        (state() != Some(false)).then_some(())
    })
    .await;
}

#[actix_rt::test]
async fn an_agent_whose_daemon_is_gone_already_does_not_begin() {
    let mut agent = Command::new(env!("CARGO_BIN_EXE_agent-system"));
    agent.args([
        "exec-agent",
        "--parent",
        "1000000000",
        "--",
        "sleep",
        "1000",
    ]);
    let output = agent.stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "agent-system exec-agent failed: the daemon is gone\n");
}
