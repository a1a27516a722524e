//! Figures of the container or host: processors, memory, the data directory's disk.
//!
//! The limits of a cgroup (version 2 or 1) come before those of the host, which `sysinfo` reads:
//! inside a container the host's figures mean nothing. Which source holds is found once, at the start. Memory in use is
//! the working set: what the kernel would give back at once does not count.
//!
//! Reading may block on a sick disk; callers read on a thread for that.

mod cgroup;
mod machine;

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use tokio::time::Instant;

use cgroup::Cgroup;
use machine::{Machine, disk_used};

/// Seconds of processor time below which a share would only be noise.
const MIN_CPU_SECONDS: f64 = 0.1;

/// Figures at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HostSample {
    /// When.
    pub at: Instant,
    /// Share of the processors in use since the sample before, 0 to 1; absent right after the start.
    pub cpu: Option<f64>,
    /// Memory in use and memory there is, bytes.
    pub memory: Option<(u64, u64)>,
    /// Share of the disk in use, 0 to 1.
    pub disk: Option<f64>,
}

impl HostSample {
    /// Share of the memory in use, 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub fn memory_ratio(&self) -> Option<f64> {
        let (used, limit) = self.memory?;
        (limit > 0).then(|| used as f64 / limit as f64)
    }
}

/// Where figures come from.
pub trait HostProbe: Send + Debug {
    /// Reads them now. May block.
    fn sample(&mut self) -> HostSample;
    /// `cgroup2`, `cgroup1` or `host`.
    fn memory_source(&self) -> &'static str;
    /// `cgroup2`, `cgroup1` or `host`.
    fn cpu_source(&self) -> &'static str;
}

/// The machine or container this process runs in.
#[derive(Debug)]
pub struct Host {
    data_dir: PathBuf,
    machine: Option<Machine>,
    cgroup: Option<Cgroup>,
    before: Option<CpuReading>,
}

/// Processor time used and available so far, seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct CpuReading {
    used: f64,
    available: f64,
}

impl Host {
    /// Finds out which limits hold, and takes the first reading of the processors.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        let mut machine = Machine::new();
        let memory = machine.as_mut().and_then(Machine::memory);
        let mut host = Self {
            data_dir: data_dir.to_owned(),
            machine,
            cgroup: Cgroup::find(Path::new("/"), memory.map(|(_, total)| total)),
            before: None,
        };
        host.cpu(Instant::now());
        host
    }

    /// Share of the processors that may be used, by the source that holds.
    fn cpu(&mut self, now: Instant) -> Option<f64> {
        match self.cgroup.as_ref().and_then(Cgroup::cpu) {
            Some((used, processors)) => self.cpu_of_limit(CpuReading {
                used,
                available: processors * seconds_since_first(now),
            }),
            None => self.machine.as_mut()?.cpu(now),
        }
    }

    fn cpu_of_limit(&mut self, now: CpuReading) -> Option<f64> {
        let cpu = self.before.and_then(|before| share(before, now));
        if cpu.is_some() || self.before.is_none() {
            self.before = Some(now);
        }
        cpu
    }

    fn memory(&mut self) -> Option<(u64, u64)> {
        let limited = self.cgroup.as_ref().and_then(Cgroup::memory);
        limited.or_else(|| self.machine.as_mut()?.memory())
    }
}

impl HostProbe for Host {
    fn sample(&mut self) -> HostSample {
        let at = Instant::now();
        HostSample {
            at,
            cpu: self.cpu(at),
            memory: self.memory(),
            disk: disk_used(&self.data_dir),
        }
    }

    fn memory_source(&self) -> &'static str {
        self.cgroup
            .as_ref()
            .and_then(Cgroup::memory_source)
            .unwrap_or("host")
    }

    fn cpu_source(&self) -> &'static str {
        self.cgroup
            .as_ref()
            .and_then(Cgroup::cpu_source)
            .unwrap_or("host")
    }
}

/// Seconds on a clock that never goes back, from any fixed point.
fn seconds_since_first(now: Instant) -> f64 {
    static FIRST: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    now.saturating_duration_since(*FIRST.get_or_init(|| now))
        .as_secs_f64()
}

fn share(before: CpuReading, now: CpuReading) -> Option<f64> {
    let available = now.available - before.available;
    (available >= MIN_CPU_SECONDS).then(|| ((now.used - before.used) / available).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_used_by_the_share_of_the_time_it_allows() {
        let reading = |used, available| CpuReading { used, available };
        let (before, now) = (reading(10.0, 100.0), reading(12.5, 105.0));
        assert_eq!(share(before, now), Some(0.5));
        assert_eq!(share(before, before), None, "the same instant says nothing");
    }

    #[test]
    fn this_very_host_has_memory_and_a_disk() {
        let dir = tempfile::tempdir().expect("a directory");
        let sample = Host::new(dir.path()).sample();
        let memory = sample.memory_ratio().expect("memory");
        assert!(memory > 0.0 && memory <= 1.0, "{memory}");
        assert!((0.0..=1.0).contains(&sample.disk.expect("a disk")));
    }
}
