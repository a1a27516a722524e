//! Liveness by evidence: what a life's signs say it does, and how many missed signs count.
//!
//! Idle is healthy, however long; alive is not working. Nothing here reads a persisted clock.

use std::time::Duration;

use super::agent::{ProbePolicy, Verdict};

/// What a living agent showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signs {
    /// Tasks it holds.
    pub open_tasks: usize,
    /// Time since it last showed progress on any of them.
    pub since_progress: Option<Duration>,
    /// Time since its processes were last seen at work, or its code to run for a task; see
    /// [`is_active`].
    pub since_activity: Option<Duration>,
    /// What is left of the zone it declared with `busy`.
    pub busy_for: Option<Duration>,
    /// Its process is gone, though its end was not seen yet.
    pub gone: bool,
}

/// What a process tree had used when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Processor time, milliseconds.
    pub cpu_ms: u64,
    /// Read and written, bytes.
    pub io_bytes: u64,
}

/// Of a processor's time between two looks, one part in so many shows work. What a thread costs
/// that only beats now and then stays far below.
pub const ACTIVE_CPU_PART: u64 = 100;
/// Bytes read and written in a second, between two looks, that show work. Answers to pings stay far
/// below.
pub const ACTIVE_IO_RATE: u64 = 1_024;

/// Whether processes worked between two looks.
#[must_use]
pub fn is_active(before: Reading, now: Reading, span: Duration) -> bool {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
    let cpu = now.cpu_ms.saturating_sub(before.cpu_ms);
    let io = now.io_bytes.saturating_sub(before.io_bytes);
    cpu.saturating_mul(ACTIVE_CPU_PART) >= millis
        || io.saturating_mul(1_000) >= millis.saturating_mul(ACTIVE_IO_RATE)
}

/// What the signs of an agent say. Three clocks tell it: that of its process (is it there, does it
/// compute or move bytes), that of its protocol (pings, see [`MissedSigns`]) and that of its
/// progress. With a task open, progress or activity within `stall_timeout` is work. However busy it
/// looks, an attempt ends with its own timeout.
#[must_use]
pub fn verdict(signs: Signs, stall_timeout: Duration) -> Verdict {
    let busy = signs.busy_for.is_some_and(|left| !left.is_zero());
    let fresh = |span: Option<Duration>| span.is_some_and(|span| span < stall_timeout);
    let silent = signs.since_progress.is_some() && !fresh(signs.since_progress);
    match signs.open_tasks {
        _ if signs.gone => Verdict::Dead,
        0 => Verdict::Idle,
        _ if busy => Verdict::Waiting,
        _ if silent && !fresh(signs.since_activity) => Verdict::Stalled,
        _ => Verdict::Working,
    }
}

/// Probes in a row that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MissedSigns(u32);

impl MissedSigns {
    /// Probes in a row that stayed unanswered.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.0
    }

    /// Counts one probe; true if the life now counts as dead. A probe that stays unanswered while
    /// a task is open says nothing: a simple agent that computes cannot answer.
    pub fn record(&mut self, answered: bool, has_open_task: bool, policy: &ProbePolicy) -> bool {
        if answered {
            self.0 = 0;
        } else if !has_open_task {
            self.0 = self.0.saturating_add(1);
        }
        policy.failure_threshold > 0 && self.0 >= policy.failure_threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn signs(open_tasks: usize, silent: u32, busy: Option<u32>) -> Signs {
        Signs {
            open_tasks,
            since_progress: Some(MINUTE * silent),
            busy_for: busy.map(|minutes| MINUTE * minutes),
            ..Signs::default()
        }
    }

    #[test]
    fn a_silent_task_whose_process_computes_or_moves_bytes_is_work() {
        let silent = signs(1, 10, None);
        for (active, gone, wanted) in [
            (None, false, Verdict::Stalled),
            (Some(MINUTE * 3), false, Verdict::Stalled),
            (Some(MINUTE), false, Verdict::Working),
            (Some(MINUTE), true, Verdict::Dead),
        ] {
            let signs = Signs {
                since_activity: active,
                gone,
                ..silent
            };
            assert_eq!(verdict(signs, MINUTE * 2), wanted, "{signs:?}");
        }
    }

    #[test]
    fn a_heartbeat_alone_is_no_work_and_a_hundredth_of_a_processor_is() {
        let after = |cpu_ms, io_bytes| Reading { cpu_ms, io_bytes };
        let ten = Duration::from_secs(10);
        for (now, active) in [
            (after(0, 0), false),
            (after(20, 600), false),
            (after(100, 0), true),
            (after(0, 10_240), true),
        ] {
            assert_eq!(is_active(Reading::default(), now, ten), active, "{now:?}");
        }
        // Figures fall when a child of the tree ends unseen.
        assert!(!is_active(after(500, 5), after(3, 0), ten));
    }

    #[test]
    fn only_silence_with_a_task_open_and_no_declared_zone_is_a_stall() {
        let table = [
            (signs(0, 10_000, None), Verdict::Idle),
            (signs(0, 10_000, Some(1)), Verdict::Idle),
            (signs(1, 1, None), Verdict::Working),
            (signs(1, 2, None), Verdict::Stalled),
            (signs(1, 2, Some(1)), Verdict::Waiting),
            (signs(1, 2, Some(0)), Verdict::Stalled),
        ];
        for (signs, wanted) in table {
            assert_eq!(verdict(signs, MINUTE * 2), wanted, "{signs:?}");
        }
    }

    #[test]
    fn unanswered_probes_count_in_a_row_and_only_without_an_open_task() {
        let policy = ProbePolicy {
            enabled: true,
            period: MINUTE,
            timeout: MINUTE,
            failure_threshold: 3,
            success_threshold: 1,
        };
        let mut missed = MissedSigns::default();
        let probes = [
            (false, false, false),
            (false, false, false),
            (false, true, false),
            (true, false, false),
            (false, false, false),
            (false, false, false),
            (false, false, true),
        ];
        for (nth, (answered, open, dead)) in probes.into_iter().enumerate() {
            assert_eq!(missed.record(answered, open, &policy), dead, "probe {nth}");
        }
    }

    #[test]
    fn without_a_threshold_no_missed_sign_is_a_death() {
        let policy = ProbePolicy {
            enabled: true,
            period: MINUTE,
            timeout: MINUTE,
            failure_threshold: 0,
            success_threshold: 1,
        };
        let mut missed = MissedSigns::default();
        assert!((0..9).all(|_| !missed.record(false, false, &policy)));
    }
}
