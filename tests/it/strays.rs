//! Who has cleared his environment, begun a session of his own and lost his parent: no sign is left of
//! the agent that started him, and he goes all the same.

use std::fs;

use crate::daemon::{Daemon, eventually, is_running, start_ticks};

/// An agent that leaves such a one behind at once; `number` is what he sleeps for.
fn agent(name: &str, number: u32) -> String {
    format!(
        "
        [agents.{name}]
        kind = 'process'
        protocol = 'none'
        command = ['sh', '-c', '(env -i setsid sleep {number} &); exec sleep 600']
        stop = {{ drain_timeout = '0s', timeout = '5s' }}
        "
    )
}

/// The process that sleeps for so long, once it is a child of the daemon.
fn stray(daemon: &Daemon, number: u32) -> u32 {
    let told = format!("sleep\0{number}\0");
    eventually("the daemon has inherited it", || {
        let all = fs::read_dir("/proc").unwrap().flatten();
        let mut pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.find(|pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line == told.as_bytes() && parent(*pid) == Some(daemon.pid())
        })
    })
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest = stat.rsplit_once(") ")?.1;
    rest.split(' ').nth(1)?.parse().ok()
}

/// Numbers that no other run sleeps for.
fn numbers() -> [u32; 2] {
    let ours = std::process::id();
    [700_000 + ours * 2, 700_001 + ours * 2]
}

#[test]
fn a_stray_goes_when_no_life_is_left_that_may_have_started_it_and_not_before() {
    let [first, second] = numbers();
    let daemon = Daemon::configured(&agent("elder", first));
    let of_elder = stray(&daemon, first);
    daemon.reconfigure(&(agent("elder", first) + &agent("younger", second)));
    daemon.ok(&["config", "apply"]);
    let of_younger = stray(&daemon, second);

    daemon.ok(&["agents", "stop", "younger"]);
    assert!(is_running(of_younger), "the elder may have started it");
    let born = start_ticks(of_younger);
    daemon.ok(&["agents", "stop", "elder"]);
    eventually("both are gone, and buried", || {
        let gone = |pid| start_ticks(pid).is_none();
        (gone(of_elder) && gone(of_younger)).then_some(())
    });
    assert!(born.is_some());
}

#[test]
fn a_stray_goes_with_the_daemon_that_ends() {
    let [number, _] = numbers();
    let mut daemon = Daemon::configured(&agent("parent", number));
    let left = stray(&daemon, number);
    daemon.signal("TERM");
    assert_eq!(daemon.wait(), Some(0));
    assert!(!is_running(left));
}
