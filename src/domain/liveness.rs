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
    /// What is left of the zone it declared with `busy`.
    pub busy_for: Option<Duration>,
}

/// What the signs of a living agent say.
#[must_use]
pub fn verdict(signs: Signs, stall_timeout: Duration) -> Verdict {
    let busy = signs.busy_for.is_some_and(|left| !left.is_zero());
    let silent = signs
        .since_progress
        .is_some_and(|span| span >= stall_timeout);
    match (signs.open_tasks, busy, silent) {
        (0, ..) => Verdict::Idle,
        (_, true, _) => Verdict::Waiting,
        (_, _, true) => Verdict::Stalled,
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
        }
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
}
