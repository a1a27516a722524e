//! The host without its containers: processors and memory by `sysinfo`, and a directory's disk.
//!
//! Only what is asked for is refreshed: no list of processes, no clock rates. The
//! limits of a container are not here (`sysinfo` knows none of its processors, and counts a file
//! cache as memory in use): see `cgroup`.

use std::path::Path;

use sysinfo::{CpuRefreshKind, MINIMUM_CPU_UPDATE_INTERVAL, MemoryRefreshKind, System};
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

/// Share of a directory's disk in use, 0 to 1, as `df` counts: blocks kept for root are neither
/// used nor free. (`sysinfo` tells only what is there and what is available: where much is kept
/// back, a disk with room would look full.)
pub(super) fn disk_used(dir: &Path) -> Option<f64> {
    crate::persistence::disk::used_ratio(dir)
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
    fn a_disk_is_found_by_a_directory_on_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let share = disk_used(dir.path()).expect("a share");
        assert!((0.0..=1.0).contains(&share), "{share}");
        assert_eq!(disk_used(Path::new("/nowhere/at/all")), None);
    }
}
