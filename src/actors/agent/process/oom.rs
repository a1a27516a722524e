//! Whether the kernel's out-of-memory killer was at work: it counts what it kills in the victim's
//! control group, which agents share with the daemon.
//!
//! Version 1 of control groups, version 2, and machines without either are understood. An agent
//! that moves itself into a group of its own dies of a plain SIGKILL as far as can be seen here.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The out-of-memory kills near this process; each explains one death.
#[derive(Debug)]
pub(crate) struct OomKills {
    file: Option<PathBuf>,
    explained: AtomicU64,
}

impl OomKills {
    /// Counts from now on.
    pub(crate) fn from_now() -> Self {
        Self::counted_in(counter(Path::new("/")))
    }

    fn counted_in(file: Option<PathBuf>) -> Self {
        let explained = AtomicU64::new(file.as_deref().and_then(kills).unwrap_or(0));
        Self { file, explained }
    }

    /// Whether there was a kill that explains no other death.
    pub(super) fn take_one(&self) -> bool {
        let now = self.file.as_deref().and_then(kills).unwrap_or(0);
        let next = |explained| (explained < now).then_some(explained + 1);
        self.explained
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, next)
            .is_ok()
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

    #[test]
    fn a_kill_for_lack_of_memory_explains_one_death() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let say = |text: &str| fs::write(file.path(), text).unwrap();
        say("oom 3\noom_kill 1\noom_group_kill 0\n");
        let kills = OomKills::counted_in(Some(file.path().to_owned()));
        assert!(!kills.take_one());
        say("oom 4\noom_kill 2\noom_group_kill 0\n");
        assert!(kills.take_one());
        assert!(!kills.take_one());
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
