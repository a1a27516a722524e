//! The host without its containers: what `sysinfo` reads of processors, memory and one disk.
//!
//! Only what is asked for is refreshed: no list of processes, no clock rates, no other disk. The
//! limits of a container are not here (`sysinfo` knows none of its processors, and counts a file
//! cache as memory in use): see `cgroup`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use sysinfo::{
    CpuRefreshKind, Disk, DiskRefreshKind, Disks, MINIMUM_CPU_UPDATE_INTERVAL, MemoryRefreshKind,
    System,
};
use tokio::time::Instant;

/// Processors and memory.
#[derive(Debug)]
pub(super) struct Machine {
    system: System,
    cpu_read: Option<Instant>,
}

impl Machine {
    /// Reads nothing yet. `None` where the system is unknown to `sysinfo`.
    pub(super) fn new() -> Option<Self> {
        let system = System::new().ok()?;
        Some(Self {
            system,
            cpu_read: None,
        })
    }

    /// Share of all processors in use since the reading before, 0 to 1; none for the first
    /// reading, and none for one that comes too soon after another to say anything.
    pub(super) fn cpu(&mut self, now: Instant) -> Option<f64> {
        let before = self.cpu_read;
        let age = before.map(|before| now.saturating_duration_since(before));
        if age.is_some_and(|age| age < MINIMUM_CPU_UPDATE_INTERVAL) {
            return None;
        }
        self.cpu_read = Some(now);
        let usage = CpuRefreshKind::nothing().with_usage();
        self.system.refresh_cpu_specifics(usage);
        let readable = before.is_some() && !self.system.cpus().is_empty();
        readable.then(|| (f64::from(self.system.global_cpu_usage()) / 100.0).clamp(0.0, 1.0))
    }

    /// Memory in use (what is not available to a new program) and memory there is, bytes.
    pub(super) fn memory(&mut self) -> Option<(u64, u64)> {
        let ram = MemoryRefreshKind::nothing().with_ram();
        self.system.refresh_memory_specifics(ram);
        let total = self.system.total_memory();
        let used = total.saturating_sub(self.system.available_memory());
        (total > 0).then_some((used, total))
    }
}

/// The disk that a directory is on.
#[derive(Debug)]
pub(super) enum Volume {
    /// One that `sysinfo` lists.
    Listed(Box<Disk>),
    /// One that it leaves out: in memory, or over a network.
    Unlisted,
}

impl Volume {
    /// Finds the disk of a directory. May block on another, sick one.
    pub(super) fn of(dir: &Path) -> Self {
        listed(dir).map_or(Self::Unlisted, |disk| Self::Listed(Box::new(disk)))
    }

    /// Share that cannot be written any more, 0 to 1: what is kept for root counts as used.
    pub(super) fn used(&mut self, dir: &Path) -> Option<f64> {
        match self {
            Self::Listed(disk) => {
                let storage = DiskRefreshKind::nothing().with_storage();
                disk.refresh_specifics(storage);
                share(disk.available_space(), disk.total_space())
            }
            Self::Unlisted => {
                let disk = rustix::fs::statvfs(dir).ok()?;
                share(disk.f_bavail, disk.f_blocks)
            }
        }
    }
}

/// The innermost mount above a directory, if it is the directory's device.
fn listed(dir: &Path) -> Option<Disk> {
    let dir = fs::canonicalize(dir).ok()?;
    let device = fs::metadata(&dir).ok()?.dev();
    let disks = Disks::new_with_refreshed_list_specifics(DiskRefreshKind::nothing()).ok()?;
    Vec::from(disks)
        .into_iter()
        .filter(|disk| disk.id() == Some(device) && dir.starts_with(disk.mount_point()))
        .max_by_key(|disk| disk.mount_point().as_os_str().len())
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(available: u64, total: u64) -> Option<f64> {
    (total > 0).then(|| 1.0 - available.min(total) as f64 / total as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_say_nothing_at_first_nor_too_soon_and_then_a_share() {
        let mut machine = Machine::new().expect("a system that is known");
        let start = Instant::now();
        assert_eq!(machine.cpu(start), None);
        assert_eq!(machine.cpu(start + MINIMUM_CPU_UPDATE_INTERVAL / 2), None);
        // What `sysinfo` itself holds back is read by its own clock; a share it is all the same.
        let share = machine.cpu(start + MINIMUM_CPU_UPDATE_INTERVAL);
        assert!(share.is_some_and(|share| (0.0..=1.0).contains(&share)));
    }

    #[test]
    fn memory_in_use_is_what_is_not_available() {
        let (used, total) = Machine::new().expect("a system").memory().expect("memory");
        assert!(0 < used && used < total, "{used} of {total}");
    }

    #[test]
    fn nobody_reads_the_list_of_processes() {
        let mut machine = Machine::new().expect("a system that is known");
        machine.cpu(Instant::now());
        machine.memory();
        assert!(machine.system.processes().is_empty());
    }

    #[test]
    fn a_disk_is_found_by_a_directory_on_it_listed_or_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let found = Volume::of(dir.path()).used(dir.path()).expect("a share");
        let asked = Volume::Unlisted.used(dir.path()).expect("a share");
        assert!((found - asked).abs() < 0.05, "{found} and {asked}");
        assert!(matches!(Volume::of(Path::new("/proc")), Volume::Unlisted));
        assert_eq!(Volume::Unlisted.used(Path::new("/nowhere/at/all")), None);
    }

    #[test]
    fn a_disk_is_used_by_what_is_not_free_for_us() {
        assert_eq!(share(25, 100), Some(0.75));
        assert_eq!(share(200, 100), Some(0.0));
        assert_eq!(share(0, 0), None);
    }
}
