//! Quiet between two measurements: waited for, with a bound.
//!
//! Rely on: what followed from the last round is over, processes at the ready are made, whoever waits
//! for a death does so, and nothing is left that could run before the next round by itself.

use std::fs;
use std::time::{Duration, Instant};

/// So long nothing ran: longer than the launcher waits before it makes one more process at the ready.
const STILL_FOR: Duration = Duration::from_millis(20);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(1);
/// The longest that quiet is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until neither another thread of this process nor a child of it has run for [`STILL_FOR`].
pub(crate) fn until_still() {
    let (mut since, mut before) = (Instant::now(), None);
    until("nothing runs", || {
        let now = ran();
        if now.is_none() || now != before {
            (since, before) = (Instant::now(), now);
        }
        since.elapsed() >= STILL_FOR
    });
}

/// Waits until no child of this process lives.
pub(crate) fn until_childless() {
    until("no child lives", || {
        children().iter().all(|pid| is_dead(*pid))
    });
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::park_timeout(LOOK);
    }
}

/// Which tasks there are but this one, with how long each has run, nanoseconds; nothing if one of them
/// runs now, or could.
fn ran() -> Option<Vec<(u32, u64)>> {
    let me = rustix::thread::gettid()
        .as_raw_nonzero()
        .get()
        .cast_unsigned();
    let others = tasks(std::process::id()).into_iter().filter(|it| *it != me);
    let living = children().into_iter().filter(|pid| !is_dead(*pid));
    let all = others.chain(living.flat_map(tasks));
    all.map(|task| {
        let asleep = state(task)? == 'S';
        let text = fs::read_to_string(format!("/proc/{task}/schedstat")).ok()?;
        let nanos = text.split(' ').next()?.parse().ok()?;
        asleep.then_some((task, nanos))
    })
    .collect()
}

/// The threads of a process; none if it is gone.
fn tasks(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task"));
    let names = entries.into_iter().flatten().flatten();
    names
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

fn children() -> Vec<u32> {
    let of = |task: u32| fs::read_to_string(format!("/proc/self/task/{task}/children"));
    let lists = tasks(std::process::id()).into_iter().flat_map(of);
    let pids = |list: String| -> Vec<u32> {
        let words = list.split_whitespace();
        words.filter_map(|word| word.parse().ok()).collect()
    };
    lists.flat_map(pids).collect()
}

fn is_dead(pid: u32) -> bool {
    state(pid).is_none_or(|state| matches!(state, 'Z' | 'X'))
}

/// As `/proc/PID/stat` has it; none if it is gone.
fn state(task: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{task}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}
