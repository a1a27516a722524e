//! Storms: the daemon, and its agents, are killed with -9 again and again while they work; then the
//! database must tell that everything that was acknowledged was done, once.
//!
//! Twenty kills here; `scripts/kill-storm` runs two hundred. The seed is printed and decides what is
//! handed in and when is killed (not how the machine interleaves it).

mod agents;
mod load;
mod verdict;

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use self::load::Load;
use crate::daemon::Daemon;

/// How long the daemon works before it is killed, at most.
const LIFE: Duration = Duration::from_millis(350);
/// One kill in so many comes while the daemon starts.
const EARLY: u32 = 4;

fn from_environment(key: &str) -> Option<u64> {
    std::env::var(key).ok()?.parse().ok()
}

/// The seed of this run, said aloud.
fn seed() -> u64 {
    let seed = from_environment("KILL_STORM_SEED").unwrap_or_else(rand::random);
    println!("KILL_STORM_SEED={seed}");
    seed
}

fn cycles() -> u64 {
    from_environment("KILL_STORM_CYCLES").unwrap_or(20)
}

/// Waits without sleeping on a condition.
fn rest(span: Duration) {
    let (lock, bell) = (std::sync::Mutex::new(()), std::sync::Condvar::new());
    let held = lock.lock().unwrap();
    drop(bell.wait_timeout_while(held, span, |()| true).unwrap());
}

fn configuration() -> String {
    let agent = |name: &str, more: &str| {
        let binary = crate::daemon::binary();
        format!(
            "[agents.{name}]\nkind = 'process'\ncommand = ['{}', 'sample-agent', '{}']\n\
             restart = {{ min_backoff = '10ms', max_backoff = '50ms' }}\n{more}\n",
            binary.display(),
            if name == "list" { "echo" } else { name },
        )
    };
    [
        agent("echo", "role = 'worker'\nconcurrency = 4"),
        agent("list", "concurrency = 4\nqueue = 'bulk'"),
        agent("flaky", "concurrency = 4"),
        "[queues.bulk]\nconcurrency = 3\nper_key = { concurrency = 1 }".to_owned(),
        "[schedules.tick]\nevery = '1s'\nagent = 'echo'\npayload = { tick = true }\n\
         overlap = 'allow'"
            .to_owned(),
        "[groups.all]\nintensity = 'unlimited'".to_owned(),
    ]
    .join("\n")
}

#[test]
fn a_storm_of_kills_loses_no_task_and_finishes_none_twice() {
    let (seed, cycles) = (seed(), cycles());
    let mut draw = StdRng::seed_from_u64(seed);
    let mut daemon = Daemon::configured(&configuration());
    let load = Load::begin(&daemon.api, seed);
    let mut kills = Vec::new();
    for _ in 0..cycles {
        rest(draw.random_range(Duration::ZERO..LIFE));
        daemon.signal("KILL");
        load.nowhere();
        kills.push(SystemTime::now());
        daemon.wait();
        if draw.random_range(0..EARLY) == 0 {
            daemon.launch();
            rest(draw.random_range(Duration::ZERO..LIFE / 2));
            daemon.signal("KILL");
            daemon.wait();
        }
        daemon.start_again();
        load.moved_to(&daemon.api);
    }
    load.stop.store(true, Ordering::Release);
    let acknowledged = load.end();
    verdict::everything_ends(&daemon);
    daemon.signal("TERM");
    daemon.wait();
    let told = verdict::read(&daemon.database(), &acknowledged, &kills);
    println!("{cycles} kills: {told}");
}
