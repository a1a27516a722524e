//! Everything one life of a process agent started, and how to end all of it.
//!
//! A process belongs to a life if it is the leader, shares its group or session, descends from one
//! that does, or carries the life's mark in its environment. The mark also finds what was forked
//! twice into a session of its own. Who has none of these signs any more is a stray, see
//! [`super::children`].

mod sweeper;

use std::collections::HashSet;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::children;
use super::exec::{LIFE_VARIABLE, mark_of};
use super::proc::{self, Stat};
use crate::domain::record::SpawnedProcess;
pub(crate) use sweeper::Sweeper;

/// How long ended processes are waited for.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks at what is left.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The processes of one life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Family {
    leader: u32,
    start_ticks: u64,
    mark: Vec<u8>,
}

impl Family {
    /// The family of the leader `pid`, started by the daemon that `owner` names.
    pub(crate) fn new(owner: &str, pid: u32, start_ticks: u64) -> Self {
        let mark = format!("{LIFE_VARIABLE}={}", mark_of(owner, pid, start_ticks));
        Self {
            leader: pid,
            start_ticks,
            mark: mark.into_bytes(),
        }
    }

    /// Its leader has been reaped.
    pub(super) fn has_no_leader(&self) {
        children::ended(self.leader, self.start_ticks);
    }

    /// Whether `stat` shares its group or session.
    fn has_by_number(&self, stat: &Stat, reused: bool) -> bool {
        // A number is given anew only when no group and no session has it any more.
        let by_number = stat.group == self.leader || stat.session == self.leader;
        by_number && !reused && stat.start_ticks >= self.start_ticks
    }

    /// Whether its leader's number has another bearer.
    fn is_reused(&self, all: &[Stat]) -> bool {
        all.iter()
            .any(|stat| stat.pid == self.leader && stat.start_ticks != self.start_ticks)
    }
}

/// The living members of families among `all`: one look at each process, however many families.
fn members(families: &[Family], all: &[Stat]) -> Vec<u32> {
    let marks: HashSet<&[u8]> = families.iter().map(|it| it.mark.as_slice()).collect();
    let reused: Vec<bool> = families.iter().map(|it| it.is_reused(all)).collect();
    let eldest = families.iter().map(|it| it.start_ticks).min().unwrap_or(0);
    with_descendants(all, |stat| {
        let mut each = families.iter().zip(&reused);
        each.any(|(family, reused)| family.has_by_number(stat, *reused))
            || (stat.start_ticks >= eldest
                && proc::environment_holds(stat.pid, |line| marks.contains(line)))
    })
}

/// The living processes that satisfy `belongs`, and all that descend from them; never this one.
fn with_descendants(all: &[Stat], belongs: impl Fn(&Stat) -> bool) -> Vec<u32> {
    let ours = std::process::id();
    let mut members: HashSet<u32> = all
        .iter()
        .filter(|stat| stat.pid != ours && belongs(stat))
        .map(|stat| stat.pid)
        .collect();
    loop {
        let before = members.len();
        let children = all
            .iter()
            .filter(|stat| stat.pid != ours && members.contains(&stat.parent))
            .map(|stat| stat.pid);
        members.extend(children.collect::<Vec<_>>());
        if members.len() == before {
            break;
        }
    }
    all.iter()
        .filter(|stat| !stat.zombie && members.contains(&stat.pid))
        .map(|stat| stat.pid)
        .collect()
}

/// Sends `signal` to the group of `leader`; a group that is gone is no error.
pub(crate) fn signal_group(leader: u32, signal: Signal) {
    if let Some(group) = as_pid(leader) {
        // The only failures are "no such group" and "not ours": both mean nothing is left to do.
        let _gone = kill_process_group(group, signal);
    }
}

fn as_pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

fn kill_all(pids: &[u32]) {
    for pid in pids.iter().filter_map(|pid| as_pid(*pid)) {
        // Ended meanwhile, or not ours.
        let _gone = kill_process(pid, Signal::KILL);
    }
}

/// What ending leftovers did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeftoversEnded {
    /// Processes that were killed.
    pub killed: usize,
    /// Processes that would not go (uninterruptible, or another user's).
    pub surviving: Vec<u32>,
}

/// Kills what `find` finds until it finds nothing more, for at most [`GONE_WITHIN`].
async fn end_all(find: impl Fn() -> Vec<u32> + Send + Clone + 'static) -> LeftoversEnded {
    let deadline = tokio::time::Instant::now() + GONE_WITHIN;
    let mut killed = HashSet::new();
    loop {
        let find = find.clone();
        let look = tokio::task::spawn_blocking(move || {
            let found = find();
            kill_all(&found);
            found
        });
        let found = match look.await {
            Ok(found) => found,
            // Nothing was seen; that is not to have seen nobody.
            Err(error) if tokio::time::Instant::now() < deadline => {
                tracing::error!(%error, "a look at the processes failed and is taken again");
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            Err(_) => Vec::new(),
        };
        killed.extend(found.iter().copied());
        if found.is_empty() || tokio::time::Instant::now() >= deadline {
            return LeftoversEnded {
                killed: killed.len(),
                surviving: found,
            };
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Ends what is left of ended lives, and strays that nobody living can have started.
async fn end_families(families: Vec<Family>) -> LeftoversEnded {
    let families = std::sync::Arc::new(families);
    end_all(move || {
        let all = proc::all();
        let mut found = members(&families, &all);
        found.extend(with_descendants(&all, children::is_lost));
        found.sort_unstable();
        found.dedup();
        found
    })
    .await
}

/// Ends what lives that are all over left behind.
pub(crate) async fn end_strays() -> LeftoversEnded {
    end_families(Vec::new()).await
}

/// Ends what earlier lives of the daemon left behind: what was recorded, and what carries this
/// data directory's mark although its record was never written. To be called while the data
/// directory is locked and before the first agent is started.
pub async fn end_leftovers(owner: &str, recorded: &[SpawnedProcess]) -> LeftoversEnded {
    let boot_id = proc::boot_id();
    let families: Vec<Family> = recorded
        .iter()
        .filter(|process| process.boot_id == boot_id)
        .map(|process| Family::new(owner, process.pid, process.start_ticks))
        .collect();
    let any_life = format!("{LIFE_VARIABLE}={owner}:").into_bytes();
    end_all(move || {
        let all = proc::all();
        let marked =
            |stat: &Stat| proc::environment_holds(stat.pid, |line| line.starts_with(&any_life));
        let mut found = with_descendants(&all, marked);
        found.extend(members(&families, &all));
        found.sort_unstable();
        found.dedup();
        found
    })
    .await
}

/// Names a data directory in the marks of the processes started for it.
#[must_use]
pub fn owner_of(data_dir: &std::path::Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let path = std::fs::canonicalize(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    let digest = crate::persistence::artifacts::sha256_hex(path.as_os_str().as_bytes());
    digest.chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(pid: u32, parent: u32, group: u32, start_ticks: u64) -> Stat {
        Stat {
            pid,
            zombie: false,
            stopped: false,
            parent,
            group,
            session: 1,
            cpu_ticks: 0,
            start_ticks,
            resident_pages: 0,
        }
    }

    // Numbers above the kernel's limit, so that no real process is asked for its environment.
    const LEADER: u32 = 5_000_000;

    #[test]
    fn group_members_and_their_descendants_belong_to_a_life() {
        let family = Family::new("o", LEADER, 10);
        let all = [
            stat(LEADER, 1, LEADER, 10),
            stat(LEADER + 1, LEADER, LEADER, 11),
            stat(LEADER + 2, LEADER + 1, LEADER + 2, 12),
            stat(LEADER + 3, 1, LEADER + 3, 12),
        ];
        assert_eq!(members(&[family], &all), [LEADER, LEADER + 1, LEADER + 2]);
    }

    #[tokio::test]
    async fn a_look_at_the_processes_that_panics_is_taken_again() {
        let looks = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let counted = looks.clone();
        let find = move || {
            let look = counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            assert!(look > 0, "the first look fails");
            // One that is not there: to kill it does nothing.
            (look == 1).then_some(LEADER).into_iter().collect()
        };
        let ended = end_all(find).await;
        assert_eq!((ended.killed, ended.surviving), (1, Vec::new()));
        assert_eq!(looks.load(std::sync::atomic::Ordering::Relaxed), 3);
    }

    #[test]
    fn a_number_that_was_given_anew_protects_its_new_bearer() {
        let family = Family::new("o", LEADER, 10);
        let of = |all: &[Stat]| members(std::slice::from_ref(&family), all);
        assert!(of(&[stat(LEADER, 1, LEADER, 99)]).is_empty());
        assert!(of(&[stat(LEADER + 1, 1, LEADER, 5)]).is_empty());
    }
}
