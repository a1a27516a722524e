//! What `/proc` says of processes: who descends from whom, since when, and what they use.
//!
//! Every answer is a snapshot; a process that ends meanwhile is simply absent.

use std::fs;

/// Processes looked at in one tree; more are left out of its figures.
const MAX_TREE: usize = 512;

/// One process at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stat {
    /// The process.
    pub(crate) pid: u32,
    /// Dead, but not yet reaped.
    pub(crate) zombie: bool,
    /// Halted by a signal (not by a debugger): it does nothing until another one lets it go on.
    pub(crate) stopped: bool,
    /// Its parent.
    pub(crate) parent: u32,
    /// Its group.
    pub(crate) group: u32,
    /// Its session.
    pub(crate) session: u32,
    /// Processor time, that of its ended children included; clock ticks.
    pub(crate) cpu_ticks: u64,
    /// When it was forked, clock ticks since boot.
    pub(crate) start_ticks: u64,
    /// Resident memory, pages.
    pub(crate) resident_pages: u64,
}

/// What a process tree uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TreeUsage {
    /// Processor time of its living members and of those they have reaped, clock ticks.
    pub(crate) cpu_ticks: u64,
    /// Resident memory, bytes.
    pub(crate) memory_bytes: u64,
    /// The most that each living member ever had resident, summed; bytes.
    pub(crate) peak_memory_bytes: u64,
    /// Read and written, from and to whatever it be, bytes; `None` where the kernel does not say.
    pub(crate) io_bytes: Option<u64>,
}

/// The process `pid`, if there is one.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Reads one line of `/proc/PID/stat`. The name in parentheses may hold anything, so fields are
/// counted from the last parenthesis.
fn parse(pid: u32, line: &str) -> Option<Stat> {
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    // `fields[0]` is field 3 of proc(5).
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let small = |field: usize| u32::try_from(number(field)?).ok();
    Some(Stat {
        pid,
        zombie: matches!(*fields.first()?, "Z" | "X"),
        stopped: *fields.first()? == "T",
        parent: small(4)?,
        group: small(5)?,
        session: small(6)?,
        cpu_ticks: (14..=17).map(number).sum::<Option<u64>>()?,
        start_ticks: number(22)?,
        resident_pages: number(24)?,
    })
}

/// Whether the process `pid` was halted by a signal.
pub(crate) fn is_stopped(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| stat.stopped)
}

/// All processes.
pub(crate) fn all() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(stat)
        .collect()
}

/// Whether the environment that the process was started with holds a line that satisfies `test`.
pub(crate) fn environment_holds(pid: u32, test: impl Fn(&[u8]) -> bool) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(test))
}

/// Names this boot of the machine: a start time means something only together with it.
#[must_use]
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

/// What `pid` and all that descends from it use; `None` if it is gone, or dead and not yet reaped.
pub(crate) fn tree_usage(pid: u32) -> Option<TreeUsage> {
    let leader = stat(pid).filter(|stat| !stat.zombie)?;
    let mut usage = TreeUsage::default();
    usage.add(&leader);
    let mut tree = children(pid);
    let mut seen = 1;
    while let Some(pid) = tree.pop() {
        seen += 1;
        if seen > MAX_TREE {
            break;
        }
        if let Some(stat) = stat(pid) {
            usage.add(&stat);
            tree.extend(children(pid));
        }
    }
    Some(usage)
}

impl TreeUsage {
    fn add(&mut self, stat: &Stat) {
        let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
        let resident = stat.resident_pages * page;
        self.cpu_ticks += stat.cpu_ticks;
        self.memory_bytes += resident;
        self.peak_memory_bytes += peak_memory(stat.pid).unwrap_or(resident).max(resident);
        if let Some(bytes) = io_bytes(stat.pid) {
            *self.io_bytes.get_or_insert(0) += bytes;
        }
    }

    /// Processor time, milliseconds.
    pub(crate) fn cpu_ms(&self) -> u64 {
        self.cpu_ticks * 1_000 / rustix::param::clock_ticks_per_second().max(1)
    }

    /// Processor time, seconds.
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds of processes stay far below 2^52"
    )]
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.cpu_ms() as f64 / 1_000.0
    }
}

/// The most memory that a process ever had resident, bytes.
fn peak_memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    Some(figure(&status, "VmHWM:")? * 1024)
}

/// What a process has read and written, bytes; not told of other users' processes.
fn io_bytes(pid: u32) -> Option<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).ok()?;
    Some(figure(&io, "rchar:")? + figure(&io, "wchar:")?)
}

/// The figure behind a name in a file of names and figures.
fn figure(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The children of every thread of a process; costs two reads, where a scan of `/proc` costs all.
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    threads
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok())
        .flat_map(|list| {
            list.split_ascii_whitespace()
                .filter_map(|word| word.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let line = "7 (a) b) (c) S 1 7 5 0 -1 0 0 0 0 0 3 4 0 0 20 0 1 0 99 8192 12 0";
        let stat = parse(7, line).unwrap();
        assert_eq!((stat.parent, stat.group, stat.session), (1, 7, 5));
        assert_eq!(
            (stat.cpu_ticks, stat.start_ticks, stat.resident_pages),
            (7, 99, 12)
        );
        assert!(!stat.zombie);
    }

    #[test]
    fn this_process_is_found_with_its_memory() {
        let usage = tree_usage(std::process::id()).unwrap();
        assert!(usage.memory_bytes > 0 && usage.peak_memory_bytes >= usage.memory_bytes);
        assert!(usage.io_bytes.unwrap() > 0);
        assert!(all().iter().any(|stat| stat.pid == std::process::id()));
        assert_eq!(tree_usage(u32::MAX), None);
    }
}
