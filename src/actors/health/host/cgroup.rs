//! The limits that a container gives this process: cgroup version 2, else version 1.
//!
//! A limit may stand at any level between this process's group and the root; the smallest counts,
//! and what is used is read at the level where it stands. A memory limit above the host's memory
//! is none.

use std::fs;
use std::path::{Path, PathBuf};

/// Which version a limit was found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Version {
    const fn as_str(self) -> &'static str {
        match self {
            Self::One => "cgroup1",
            Self::Two => "cgroup2",
        }
    }
}

/// Limits found at the start.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Cgroup {
    memory: Option<(Version, PathBuf, u64)>,
    cpu: Option<(Version, PathBuf, f64)>,
}

impl Cgroup {
    /// Looks for limits under the file system at `root`; `None` if there are none.
    pub(super) fn find(root: &Path, host_memory: Option<u64>) -> Option<Self> {
        let own = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
        let mount = root.join("sys/fs/cgroup");
        let mut found = Self::default();
        for (version, controller, levels) in own.lines().filter_map(|line| levels(&mount, line)) {
            let memory = || smallest(&levels, |dir| memory_limit(version, dir));
            let cpu = || smallest(&levels, |dir| cpu_limit(version, dir));
            if controller.is_empty() || controller.split(',').any(|c| c == "memory") {
                found.memory = found.memory.or_else(|| {
                    let (dir, limit) = memory()?;
                    (host_memory.is_none_or(|host| limit < host)).then_some((version, dir, limit))
                });
            }
            if controller.is_empty() || controller.split(',').any(|c| c == "cpu") {
                found.cpu = found
                    .cpu
                    .or_else(|| cpu().map(|(dir, limit)| (version, dir, limit)));
            }
        }
        (found != Self::default()).then_some(found)
    }

    pub(super) fn memory_source(&self) -> Option<&'static str> {
        self.memory.as_ref().map(|(version, ..)| version.as_str())
    }

    pub(super) fn cpu_source(&self) -> Option<&'static str> {
        self.cpu.as_ref().map(|(version, ..)| version.as_str())
    }

    /// Working set and limit, bytes.
    pub(super) fn memory(&self) -> Option<(u64, u64)> {
        let (version, dir, limit) = self.memory.as_ref()?;
        let (current, inactive) = match version {
            Version::Two => ("memory.current", "inactive_file "),
            Version::One => ("memory.usage_in_bytes", "total_inactive_file "),
        };
        let current: u64 = read(&dir.join(current))?.parse().ok()?;
        let reclaimable = fs::read_to_string(dir.join("memory.stat"))
            .ok()
            .and_then(|stat| field(&stat, inactive))
            .unwrap_or(0);
        Some((current.saturating_sub(reclaimable), *limit))
    }

    /// Processor time used so far, seconds, and processors allowed.
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    pub(super) fn cpu(&self) -> Option<(f64, f64)> {
        let (version, dir, processors) = self.cpu.as_ref()?;
        let used = match version {
            Version::Two => {
                let stat = fs::read_to_string(dir.join("cpu.stat")).ok()?;
                field(&stat, "usage_usec ")? as f64 / 1e6
            }
            Version::One => read(&dir.join("cpuacct.usage"))?.parse::<u64>().ok()? as f64 / 1e9,
        };
        Some((used, *processors))
    }
}

/// From a line of `/proc/self/cgroup` the directories from the own group up to the root.
fn levels<'a>(mount: &Path, line: &'a str) -> Option<(Version, &'a str, Vec<PathBuf>)> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let (version, base) = if controllers.is_empty() {
        (Version::Two, mount.to_owned())
    } else {
        (Version::One, mount.join(controllers))
    };
    // Inside a container the path may be the host's: then only the root is there.
    let own = Path::new(path.trim_start_matches('/'));
    let levels = own
        .ancestors()
        .map(|level| base.join(level))
        .filter(|dir| dir.is_dir())
        .collect();
    Some((version, controllers, levels))
}

fn smallest<T: PartialOrd + Copy>(
    levels: &[PathBuf],
    limit: impl Fn(&Path) -> Option<T>,
) -> Option<(PathBuf, T)> {
    levels
        .iter()
        .filter_map(|dir| Some((dir.clone(), limit(dir)?)))
        .reduce(|a, b| if b.1 < a.1 { b } else { a })
}

/// `max`, and version 1's huge number, mean none.
fn memory_limit(version: Version, dir: &Path) -> Option<u64> {
    let file = match version {
        Version::Two => "memory.max",
        Version::One => "memory.limit_in_bytes",
    };
    read(&dir.join(file))?
        .parse()
        .ok()
        .filter(|limit| *limit > 0 && *limit < 1 << 60)
}

/// In processors; `max` and −1 mean none.
#[expect(clippy::cast_precision_loss, reason = "a handful of processors")]
fn cpu_limit(version: Version, dir: &Path) -> Option<f64> {
    let (quota, period) = match version {
        Version::Two => {
            let text = read(&dir.join("cpu.max"))?;
            let (quota, period) = text.split_once(' ')?;
            (quota.parse::<u64>().ok()?, period.parse::<u64>().ok()?)
        }
        Version::One => (
            read(&dir.join("cpu.cfs_quota_us"))?.parse().ok()?,
            read(&dir.join("cpu.cfs_period_us"))?.parse().ok()?,
        ),
    };
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

fn read(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name))?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file system with these files.
    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        }
        root
    }

    #[test]
    fn a_containers_own_limits_count_and_its_file_cache_does_not() {
        let root = tree(&[
            ("proc/self/cgroup", "0::/\n"),
            ("sys/fs/cgroup/memory.max", "1000\n"),
            ("sys/fs/cgroup/memory.current", "900\n"),
            ("sys/fs/cgroup/memory.stat", "anon 1\ninactive_file 300\n"),
            ("sys/fs/cgroup/cpu.max", "50000 100000\n"),
            ("sys/fs/cgroup/cpu.stat", "usage_usec 2500000\n"),
        ]);
        let found = Cgroup::find(root.path(), Some(5000)).expect("limits");
        assert_eq!(found.memory(), Some((600, 1000)));
        assert_eq!(found.cpu(), Some((2.5, 0.5)));
        assert_eq!(found.memory_source(), Some("cgroup2"));
    }

    #[test]
    fn max_is_no_limit_and_neither_is_more_than_the_host_has() {
        for limit in ["max", "6000"] {
            let root = tree(&[
                ("proc/self/cgroup", "0::/\n"),
                ("sys/fs/cgroup/memory.max", limit),
                ("sys/fs/cgroup/cpu.max", "max 100000\n"),
            ]);
            assert_eq!(Cgroup::find(root.path(), Some(5000)), None, "{limit}");
        }
    }

    #[test]
    fn the_smallest_limit_on_the_way_to_the_root_counts() {
        let root = tree(&[
            ("proc/self/cgroup", "0::/slice/service\n"),
            ("sys/fs/cgroup/slice/memory.max", "500\n"),
            ("sys/fs/cgroup/slice/memory.current", "450\n"),
            ("sys/fs/cgroup/slice/service/memory.max", "max\n"),
            ("sys/fs/cgroup/slice/service/memory.current", "10\n"),
        ]);
        let found = Cgroup::find(root.path(), None).expect("a limit");
        assert_eq!(found.memory(), Some((450, 500)));
    }

    #[test]
    fn version_one_has_a_directory_for_each_controller_and_a_huge_number_for_none() {
        let root = tree(&[
            (
                "proc/self/cgroup",
                "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n",
            ),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "200000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "3000000000\n"),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
        ]);
        let found = Cgroup::find(root.path(), Some(5000)).expect("a limit");
        assert_eq!(found.cpu(), Some((3.0, 2.0)));
        assert_eq!(found.memory(), None);
        assert_eq!(found.cpu_source(), Some("cgroup1"));
    }

    #[test]
    fn without_groups_there_are_no_limits() {
        assert_eq!(Cgroup::find(tree(&[]).path(), None), None);
    }
}
