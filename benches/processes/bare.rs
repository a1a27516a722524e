//! The least that can be done: a loop of posix_spawn through `exec-agent`, and one thread that
//! waits for one child and spawns the next.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::fleet::BINARY;
use super::stamps::{Stamps, now, until_last};
use super::still::until_still;

/// A child through `exec-agent`, with the pipes and the environment that an agent has.
fn spawn(program: &Path, stamps: &Path) -> Child {
    let life = format!("bench:{}:0", std::process::id());
    let path = std::env::var_os("PATH").unwrap_or_default();
    Command::new(BINARY)
        .arg("exec-agent")
        .args(["--parent", &std::process::id().to_string()])
        .args(["--life", &life, "--input", "none", "--"])
        .args([program, stamps])
        .env_clear()
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("a child")
}

/// So many in a loop, until the last has begun.
pub(crate) fn start(program: &Path, stamps: &mut Stamps, count: usize) -> Duration {
    let begun = now();
    let path = stamps.path.clone();
    let mut children: Vec<_> = (0..count).map(|_| spawn(program, &path)).collect();
    let span = until_last(begun, &stamps.take(count));
    for child in &mut children {
        child.kill().expect("it is killed");
        child.wait().expect("it ends");
    }
    span
}

/// From a kill to the first instruction of the next, with a thread that waits for nothing else.
pub(crate) fn kills(program: &Path, stamps: &mut Stamps, count: usize) -> Vec<Duration> {
    let path = stamps.path.clone();
    let mut child = spawn(program, &path);
    let mut alive = stamps.next();
    let spans = (0..count)
        .map(|_| {
            let killer = std::thread::spawn(move || {
                until_still();
                let begun = now();
                super::kill(alive.pid);
                begun
            });
            child.wait().expect("it ends");
            // By this thread: a child dies with the thread that spawned it.
            child = spawn(program, &path);
            alive = stamps.next();
            let begun = killer.join().expect("the killer");
            Duration::from_nanos(alive.at.saturating_sub(begun))
        })
        .collect();
    child.kill().expect("it is killed");
    child.wait().expect("it ends");
    spans
}
