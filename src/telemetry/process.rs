//! The daemon's own process, read from `/proc`: the figures behind the standard `process_*` metrics.
//!
//! Where there is no `/proc`, there are no figures. Not here: agents' processes.

use std::fmt::Write as _;
use std::fs;

/// Figures of this process at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProcessFigures {
    /// Processor time so far, user and system, seconds.
    pub cpu_seconds: f64,
    /// Resident memory, bytes.
    pub resident_bytes: u64,
    /// Address space, bytes.
    pub virtual_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// When it started, seconds since the epoch.
    pub start_seconds: f64,
    /// Open file descriptors.
    pub open_fds: u64,
    /// File descriptors it may open.
    pub max_fds: Option<u64>,
}

impl ProcessFigures {
    /// Reads them now.
    #[must_use]
    pub fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let boot = boot_seconds(&fs::read_to_string("/proc/stat").ok()?)?;
        let mut figures = Self::parse(
            &stat,
            boot,
            rustix::param::clock_ticks_per_second(),
            rustix::param::page_size() as u64,
        )?;
        figures.open_fds = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
        figures.max_fds = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        Some(figures)
    }

    /// From the line of `/proc/PID/stat`; its second field may hold spaces and parentheses.
    #[expect(clippy::cast_precision_loss, reason = "seconds for people")]
    fn parse(stat: &str, boot: u64, ticks: u64, page: u64) -> Option<Self> {
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Field 3 of the manual page is the first one here.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let seconds = |n: u64| n as f64 / ticks as f64;
        Some(Self {
            cpu_seconds: seconds(field(14)? + field(15)?),
            threads: field(20)?,
            start_seconds: boot as f64 + seconds(field(22)?),
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * page,
            open_fds: 0,
            max_fds: None,
        })
    }

    /// As Prometheus text, under the names that every client library uses.
    pub(super) fn render(&self, text: &mut String) {
        let mut family = |name: &str, kind: &str, help: &str, value: &dyn std::fmt::Display| {
            // Writing to a String cannot fail.
            writeln!(
                text,
                "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
            )
            .ok();
        };
        family(
            "process_cpu_seconds_total",
            "counter",
            "Processor time of the daemon, user and system, in seconds.",
            &self.cpu_seconds,
        );
        family(
            "process_resident_memory_bytes",
            "gauge",
            "Resident memory of the daemon in bytes.",
            &self.resident_bytes,
        );
        family(
            "process_virtual_memory_bytes",
            "gauge",
            "Address space of the daemon in bytes.",
            &self.virtual_bytes,
        );
        family(
            "process_threads",
            "gauge",
            "Threads of the daemon.",
            &self.threads,
        );
        family(
            "process_start_time_seconds",
            "gauge",
            "When the daemon started, in seconds since the epoch.",
            &self.start_seconds,
        );
        family(
            "process_open_fds",
            "gauge",
            "Open file descriptors of the daemon.",
            &self.open_fds,
        );
        if let Some(max) = self.max_fds {
            family(
                "process_max_fds",
                "gauge",
                "File descriptors that the daemon may open.",
                &max,
            );
        }
    }
}

/// When the host booted, from `/proc/stat`.
fn boot_seconds(stat: &str) -> Option<u64> {
    stat.lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_spaces_and_parentheses_shifts_no_field() {
        let stat = "42 (a) (b c)) S 1 2 3 4 5 6 7 8 9 10 150 50 13 14 15 16 9 18 1000 4096 3 rest";
        let figures = ProcessFigures::parse(stat, 100, 100, 4096).expect("figures");
        assert_eq!(figures.cpu_seconds, 2.0);
        assert_eq!(figures.threads, 9);
        assert_eq!(figures.start_seconds, 110.0);
        assert_eq!(
            (figures.virtual_bytes, figures.resident_bytes),
            (4096, 12_288)
        );
    }

    #[test]
    fn this_very_process_has_memory_descriptors_and_a_start_in_the_past() {
        let figures = ProcessFigures::read().expect("a /proc");
        assert!(figures.resident_bytes > 0 && figures.open_fds >= 3);
        let now = crate::clock::now().as_micros() as f64 / 1e6;
        assert!(figures.start_seconds > 0.0 && figures.start_seconds < now + 1.0);
        let mut text = String::new();
        figures.render(&mut text);
        assert!(
            text.contains("# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total ")
        );
    }
}
