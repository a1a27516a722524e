//! Figures of the container or host: processors, memory, the data directory's disk.
//!
//! The limits of a cgroup (version 2 or 1) come before those of the host: inside a container the
//! host's figures mean nothing. Which source holds is found once, at the start. Memory in use is
//! the working set: what the kernel would give back at once does not count.
//!
//! Reading may block on a sick disk; callers read on a thread for that.

mod cgroup;

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use tokio::time::Instant;

use cgroup::Cgroup;

/// Ticks of processor time below which a share would only be noise.
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
        let mut host = Self {
            data_dir: data_dir.to_owned(),
            cgroup: Cgroup::find(Path::new("/"), host_memory().map(|(_, total)| total)),
            before: None,
        };
        host.before = host.read_cpu(Instant::now());
        host
    }

    fn read_cpu(&self, now: Instant) -> Option<CpuReading> {
        match self.cgroup.as_ref().and_then(Cgroup::cpu) {
            Some((used, processors)) => Some(CpuReading {
                used,
                available: processors * seconds_since_first(now),
            }),
            None => parse_stat(&fs::read_to_string("/proc/stat").ok()?),
        }
    }
}

impl HostProbe for Host {
    fn sample(&mut self) -> HostSample {
        let at = Instant::now();
        let reading = self.read_cpu(at);
        let cpu = match (self.before, reading) {
            (Some(before), Some(now)) => share(before, now),
            _ => None,
        };
        if cpu.is_some() || self.before.is_none() {
            self.before = reading;
        }
        HostSample {
            at,
            cpu,
            memory: match self.cgroup.as_ref().and_then(Cgroup::memory) {
                Some(memory) => Some(memory),
                None => host_memory(),
            },
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

/// The first line of `/proc/stat`: ticks of all processors by what they did.
#[expect(clippy::cast_precision_loss, reason = "a share")]
fn parse_stat(stat: &str) -> Option<CpuReading> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line
        .split_ascii_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; what guests used is in user already.
    let total: u64 = ticks.iter().take(8).sum();
    let idle = ticks.get(3)? + ticks.get(4).copied().unwrap_or(0);
    let second = rustix::param::clock_ticks_per_second() as f64;
    Some(CpuReading {
        used: total.saturating_sub(idle) as f64 / second,
        available: total as f64 / second,
    })
}

/// Memory in use and memory there is on the host.
fn host_memory() -> Option<(u64, u64)> {
    parse_meminfo(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn parse_meminfo(text: &str) -> Option<(u64, u64)> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    };
    let total = field("MemTotal:")?;
    Some((total.saturating_sub(field("MemAvailable:")?), total))
}

/// As `df` counts: blocks kept for root are neither used nor free.
#[expect(clippy::cast_precision_loss, reason = "a share")]
fn disk_used(path: &Path) -> Option<f64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    let used = disk.f_blocks.saturating_sub(disk.f_bfree);
    let all = used + disk.f_bavail;
    (all > 0).then(|| used as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_busy_by_the_share_of_ticks_that_were_not_idle() {
        let before = parse_stat("cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 1").expect("a reading");
        let now = parse_stat("cpu  150 0 150 750 150 0 0 0 90 0\n").expect("a reading");
        assert_eq!(share(before, now), Some(0.5));
    }

    #[test]
    fn two_readings_in_the_same_instant_say_nothing() {
        let reading = parse_stat("cpu  100 0 100 700 100 0 0 0 50 0\n").expect("a reading");
        assert_eq!(share(reading, reading), None);
    }

    #[test]
    fn memory_in_use_is_what_is_not_available() {
        let text = "MemTotal:       1000 kB\nMemFree: 10 kB\nMemAvailable:    400 kB\n";
        assert_eq!(parse_meminfo(text), Some((600 * 1024, 1000 * 1024)));
        assert_eq!(parse_meminfo("MemTotal: max\n"), None);
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
