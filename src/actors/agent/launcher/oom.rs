//! Whether the kernel's out-of-memory killer was at work: it counts what it kills in the victim's
//! control group, which agents share with the daemon.
//!
//! Version 1 of control groups, version 2, and machines without either are understood. An agent
//! that moves itself into a group of its own dies of a plain SIGKILL as far as can be seen here.
//!
//! Rely on: each kill explains one death, and none that comes [`FRESH`] or more after the kill was
//! seen: a grandchild that was killed long ago does not explain a `kill -9` of today.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long after it was seen first a kill explains a death.
const FRESH: Duration = Duration::from_secs(5);

/// The out-of-memory kills near this process; each explains one death.
#[derive(Debug)]
pub(crate) struct OomKills {
    file: Option<PathBuf>,
    told: Mutex<Told>,
}

/// Kills that were seen, and how many of them explain a death.
#[derive(Debug, Clone, Copy)]
struct Told {
    seen: u64,
    explained: u64,
    /// When `seen` last grew.
    grew: Instant,
}

impl Told {
    /// Takes in what the kernel counts now.
    fn see(&mut self, count: u64, now: Instant) {
        if now.saturating_duration_since(self.grew) >= FRESH {
            self.explained = self.seen;
        }
        if count > self.seen {
            self.seen = count;
            self.grew = now;
        }
    }

    /// Whether a kill explains one more death.
    fn take_one(&mut self) -> bool {
        let explains = self.explained < self.seen;
        self.explained += u64::from(explains);
        explains
    }
}

impl OomKills {
    /// Counts from now on.
    pub(crate) fn from_now() -> Self {
        Self::counted_in(counter(Path::new("/")))
    }

    fn counted_in(file: Option<PathBuf>) -> Self {
        let count = file.as_deref().and_then(kills).unwrap_or(0);
        let told = Told {
            seen: count,
            explained: count,
            grew: Instant::now(),
        };
        Self {
            file,
            told: Mutex::new(told),
        }
    }

    /// Whether there was a kill just now that explains no other death.
    pub(crate) fn take_one(&self) -> bool {
        let mut told = self.told.lock();
        self.look(&mut told);
        told.take_one()
    }

    /// Looks, so that what happened up to now explains only what ends soon.
    pub(crate) fn look_on(&self) {
        self.look(&mut self.told.lock());
    }

    fn look(&self, told: &mut Told) {
        if let Some(count) = self.file.as_deref().and_then(kills) {
            told.see(count, Instant::now());
        }
    }
}

/// The file below `root` in which kills near this process are counted.
fn counter(root: &Path) -> Option<PathBuf> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mount = root.join("sys/fs/cgroup");
    let of_groups = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        let (base, name) = match controllers {
            "" => (mount.clone(), "memory.events"),
            "memory" => (mount.join("memory"), "memory.oom_control"),
            _ => return None,
        };
        // Inside a container the path may be the host's: then only the root is there.
        let own = base.join(group).join(name);
        Some([own, base.join(name)])
    });
    // Of the whole machine: another's kill may explain a death of ours.
    let last = root.join("proc/vmstat");
    let mut all = of_groups.flatten().chain([last]);
    all.find(|file| kills(file).is_some())
}

fn kills(file: &Path) -> Option<u64> {
    let counts = fs::read_to_string(file).ok()?;
    let count = counts
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "))?;
    count.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_kill_for_lack_of_memory_explains_one_death_and_only_one_that_follows_soon() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let count = |count: u64| {
            let text = format!("oom 3\noom_kill {count}\noom_group_kill 0\n");
            fs::write(file.path(), text).unwrap();
        };
        count(1);
        let kills = OomKills::counted_in(Some(file.path().to_owned()));
        assert!(!kills.take_one(), "what was before counts for nothing");
        count(3);
        assert!(kills.take_one() && kills.take_one() && !kills.take_one());
        count(4);
        kills.look_on();
        tokio::time::advance(FRESH).await;
        assert!(!kills.take_one(), "that kill was another's");
        count(5);
        assert!(kills.take_one());
    }

    #[test]
    fn the_count_is_found_in_both_versions_of_control_groups_and_without_any() {
        let events = "low 0\noom 3\noom_kill 1\n";
        let control = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n";
        let (one, two) = ("9:cpu:/\n4:memory:/a/b\n0::/x\n", "0::/a/b\n");
        for (groups, there, wanted) in [
            (two, "sys/fs/cgroup/a/b/memory.events", Some(1)),
            (two, "sys/fs/cgroup/memory.events", Some(1)),
            (one, "sys/fs/cgroup/memory/a/b/memory.oom_control", Some(2)),
            (one, "sys/fs/cgroup/memory/memory.oom_control", Some(2)),
            ("", "proc/vmstat", Some(1)),
            (two, "proc/nothing", None),
        ] {
            let root = tempfile::tempdir().unwrap();
            let write = |path: &str, text: &str| {
                let path = root.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            };
            write("proc/self/cgroup", groups);
            let text = if there.ends_with("control") {
                control
            } else {
                events
            };
            write(there, text);
            let found = counter(root.path()).and_then(|file| kills(&file));
            assert_eq!(found, wanted, "{there}");
        }
    }
}
