//! What the end of a process means, and whether the kernel's out-of-memory killer was at work.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::actors::agent::exec;
use crate::domain::exit::ExitReason;

/// What is known of an end beside its status.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances<'a> {
    /// It was told to end.
    pub(super) told: bool,
    /// What `exec-agent` said when it could not become the program.
    pub(super) exec_failure: Option<&'a str>,
    /// Codes that are a success.
    pub(super) success: &'a [i32],
    /// The out-of-memory killer was at work.
    pub(super) oom: bool,
}

/// The reason that a status means.
pub(super) fn reason(status: ExitStatus, known: Circumstances<'_>) -> ExitReason {
    const KILL: i32 = 9;
    match (status.code(), status.signal(), known.exec_failure) {
        (Some(code), _, Some(message)) if exec::is_failure_code(code) => ExitReason::StartFailed {
            message: message.to_owned(),
        },
        _ if known.told => ExitReason::Shutdown,
        (Some(code), ..) if known.success.contains(&code) => ExitReason::Normal,
        (Some(code), ..) => ExitReason::ExitCode { code },
        (None, signal, _) => {
            let signal = signal.unwrap_or_default();
            ExitReason::Signal {
                signal,
                oom: signal == KILL && known.oom,
            }
        }
    }
}

/// The out-of-memory kills of this control group; each explains one death.
#[derive(Debug)]
pub(crate) struct OomKills {
    file: Option<PathBuf>,
    explained: AtomicU64,
}

impl OomKills {
    /// Counts from now on.
    pub(crate) fn from_now() -> Self {
        let file = events_file();
        let explained = AtomicU64::new(file.as_ref().and_then(kills).unwrap_or(0));
        Self { file, explained }
    }

    /// Whether there was a kill that explains no other death.
    pub(super) fn take_one(&self) -> bool {
        let now = self.file.as_ref().and_then(kills).unwrap_or(0);
        let next = |explained| (explained < now).then_some(explained + 1);
        self.explained
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, next)
            .is_ok()
    }
}

/// Where the unified hierarchy counts this process' group's events.
fn events_file() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(
        PathBuf::from("/sys/fs/cgroup")
            .join(group)
            .join("memory.events"),
    )
}

fn kills(file: &PathBuf) -> Option<u64> {
    parse_kills(&fs::read_to_string(file).ok()?)
}

fn parse_kills(events: &str) -> Option<u64> {
    let count = events
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "))?;
    count.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(told: bool, oom: bool, exec_failure: Option<&str>) -> Circumstances<'_> {
        Circumstances {
            told,
            exec_failure,
            success: &[0, 3],
            oom,
        }
    }

    #[test]
    fn every_status_has_one_meaning() {
        let exited = |code: i32| ExitStatus::from_raw(code << 8);
        let killed = ExitStatus::from_raw(9);
        let signal = |signal, oom| ExitReason::Signal { signal, oom };
        let failed = || ExitReason::StartFailed {
            message: "why".into(),
        };
        for (status, known, expected) in [
            (exited(0), known(false, false, None), ExitReason::Normal),
            (exited(3), known(false, false, None), ExitReason::Normal),
            (
                exited(1),
                known(false, false, None),
                ExitReason::ExitCode { code: 1 },
            ),
            (exited(1), known(true, false, None), ExitReason::Shutdown),
            (
                exited(127),
                known(false, false, None),
                ExitReason::ExitCode { code: 127 },
            ),
            (exited(127), known(false, false, Some("why")), failed()),
            (exited(127), known(true, false, Some("why")), failed()),
            (
                exited(1),
                known(false, false, Some("why")),
                ExitReason::ExitCode { code: 1 },
            ),
            (killed, known(false, false, None), signal(9, false)),
            (killed, known(false, true, None), signal(9, true)),
            (
                ExitStatus::from_raw(15),
                known(false, true, None),
                signal(15, false),
            ),
            (
                ExitStatus::from_raw(15),
                known(true, false, None),
                ExitReason::Shutdown,
            ),
        ] {
            assert_eq!(reason(status, known), expected, "{status} {known:?}");
        }
    }

    #[test]
    fn a_kill_for_lack_of_memory_explains_one_death() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "oom 3\noom_kill 1\noom_group_kill 0\n").unwrap();
        let kills = OomKills {
            file: Some(file.path().to_owned()),
            explained: AtomicU64::new(0),
        };
        assert!(kills.take_one());
        assert!(!kills.take_one());
    }
}
