//! Buries orphans: what agents leave behind becomes a child of the daemon (see [`super::children`]),
//! and stays a zombie, with its number, until that one waits for it.
//!
//! Rely on: a child of the daemon's own is never taken. Only a zombie that was there at two looks is, as
//! one that was just started may be not known yet.

use std::collections::HashSet;
use std::time::Duration;

use rustix::process::{Pid, WaitOptions, waitpid};
use tokio::signal::unix::{SignalKind, signal};

use super::{children, proc};

/// Between the end of a child and the first look, and between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Buries orphans. Never ends, unless it cannot hear of ends.
pub(crate) async fn bury_orphans() {
    bury(LOOK_EVERY).await;
}

/// Waits for ends of children, then looks until no zombie is left.
async fn bury(look_every: Duration) {
    let mut ended = match signal(SignalKind::child()) {
        Ok(ended) => ended,
        Err(error) => {
            tracing::warn!(%error, "orphans of agents will not be reaped");
            return;
        }
    };
    while ended.recv().await.is_some() {
        let mut seen = HashSet::new();
        loop {
            tokio::time::sleep(look_every).await;
            let zombies = zombies();
            zombies.intersection(&seen).for_each(|pid| reap(*pid));
            if zombies.is_empty() {
                break;
            }
            seen = zombies;
        }
    }
}

/// The dead children that nobody has waited for yet.
fn zombies() -> HashSet<u32> {
    let ours = std::process::id();
    let all = proc::all().into_iter();
    all.filter(|stat| stat.zombie && stat.parent == ours)
        .map(|stat| stat.pid)
        .filter(|pid| !children::is_own(*pid))
        .collect()
}

fn reap(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // An error means that somebody else has waited for it meanwhile.
    waitpid(pid, WaitOptions::NOHANG).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_orphan_is_buried() {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
        tokio::spawn(bury(Duration::from_millis(20)));
        let mut parent = tokio::process::Command::new("sh");
        // The shell's child outlives it by a moment and becomes ours.
        parent.args(["-c", "sleep 0.1 & echo $!"]);
        let output = parent.output().await.unwrap().stdout;
        let orphan: u32 = String::from_utf8(output).unwrap().trim().parse().unwrap();
        let gone = async {
            while proc::stat(orphan).is_some() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(90), gone)
            .await
            .unwrap();
    }
}
