//! What was measured, as people and programs read it.

use std::time::Duration;

use serde::Serialize;

/// One task.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// From its submission to its result.
    pub(super) whole: Duration,
    /// From its submission to its agent: time, and commits that ended meanwhile.
    pub(super) handed: Option<(Duration, u64)>,
}

/// What a measurement took.
pub(super) struct Used {
    pub(super) took: Duration,
    pub(super) processor: Duration,
    pub(super) commits: u64,
    /// Resident bytes now and then.
    pub(super) memory: Vec<u64>,
}

/// One measurement.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Figures {
    /// What was measured.
    pub(crate) name: String,
    /// Tasks that came back with their result.
    pub(crate) tasks: u64,
    /// Callers at once.
    pub(crate) submitters: u64,
    /// How long all of it took.
    pub(crate) seconds: f64,
    /// Tasks a second, from submission to result.
    pub(crate) tasks_per_second: f64,
    /// Submission to result, milliseconds.
    pub(crate) p50_ms: f64,
    /// As above.
    pub(crate) p99_ms: f64,
    /// Submission to the agent, milliseconds; absent where the agent does not say.
    pub(crate) handed_p50_ms: Option<f64>,
    /// As above.
    pub(crate) handed_p99_ms: Option<f64>,
    /// Submission to the agent, in commits of the database.
    pub(crate) handed_p50_commits: Option<u64>,
    /// As above.
    pub(crate) handed_p99_commits: Option<u64>,
    /// Processor time of this process for each task, microseconds; the submitters' part included.
    pub(crate) cpu_us_per_task: f64,
    /// Commits of the database meanwhile.
    pub(crate) commits: u64,
    /// Resident memory of this process, at ten points.
    pub(crate) resident_mib: Vec<f64>,
    /// The bar that this is held against: tasks a second, or milliseconds to the agent.
    pub(crate) bar: Option<f64>,
}

/// Everything that was measured.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Report {
    /// Each measurement.
    pub(crate) measurements: Vec<Figures>,
    /// Settled tasks handed in, those that came first included.
    pub(crate) submitted: u64,
    /// Settled tasks that the database held when it was opened again.
    pub(crate) settled_when_reopened: Option<u64>,
}

impl Figures {
    pub(super) fn of(samples: Vec<Sample>, submitters: u64, used: &Used) -> Self {
        let Used { took, commits, .. } = *used;
        let mut whole: Vec<_> = samples.iter().map(|sample| sample.whole).collect();
        whole.sort_unstable();
        let handed = samples.iter().filter_map(|sample| sample.handed);
        let (mut spans, mut passed): (Vec<_>, Vec<_>) = handed.unzip();
        spans.sort_unstable();
        passed.sort_unstable();
        let tasks = samples.len() as u64;
        Self {
            name: String::new(),
            tasks,
            submitters,
            seconds: took.as_secs_f64(),
            tasks_per_second: per_second(tasks, took),
            p50_ms: millis(at(&whole, 50)),
            p99_ms: millis(at(&whole, 99)),
            handed_p50_ms: (!spans.is_empty()).then(|| millis(at(&spans, 50))),
            handed_p99_ms: (!spans.is_empty()).then(|| millis(at(&spans, 99))),
            handed_p50_commits: (commits > 0 && !passed.is_empty()).then(|| at(&passed, 50)),
            handed_p99_commits: (commits > 0 && !passed.is_empty()).then(|| at(&passed, 99)),
            cpu_us_per_task: used.processor.as_secs_f64() * 1e6 / f64_of(tasks.max(1)),
            commits,
            resident_mib: used.memory.iter().copied().map(mebibytes).collect(),
            bar: None,
        }
    }

    pub(super) fn named(mut self, name: &str) -> Self {
        self.name = name.to_owned();
        self
    }

    pub(super) fn held_to(mut self, bar: f64) -> Self {
        self.bar = Some(bar);
        self
    }
}

/// The value below which so many percent lie.
fn at<T: Copy + Default>(sorted: &[T], percent: usize) -> T {
    let place = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().unwrap_or_default()
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

fn per_second(tasks: u64, took: Duration) -> f64 {
    f64_of(tasks) / took.as_secs_f64().max(f64::MIN_POSITIVE)
}

fn mebibytes(bytes: u64) -> f64 {
    f64_of(bytes) / f64::from(1 << 20)
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
const fn f64_of(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let sorted: Vec<u64> = (1..=100).collect();
        assert_eq!((at(&sorted, 50), at(&sorted, 99)), (51, 100));
        assert_eq!(at(&[7_u64], 99), 7);
        assert_eq!(at::<u64>(&[], 50), 0);
    }
}
