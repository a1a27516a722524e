//! What was measured, as people and programs read it.

use std::time::Duration;

use serde::Serialize;

use super::spread::Spread;

/// What the tasks of a measurement took. As large after a million of them as after one: the memory
/// of this process is measured too.
#[derive(Debug, Default)]
pub(super) struct Samples {
    /// From submission to result, microseconds.
    whole: Spread,
    /// From submission to the agent, microseconds.
    handed: Spread,
    /// Commits that ended meanwhile.
    passed: Spread,
}

impl Samples {
    /// One task: from its submission to its result and, if its agent says so, to its agent, with
    /// the commits that ended meanwhile.
    pub(super) fn add(&self, whole: Duration, handed: Option<(Duration, u64)>) {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        self.whole.add(micros(whole));
        if let Some((span, commits)) = handed {
            self.handed.add(micros(span));
            self.passed.add(commits);
        }
    }
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
    pub(super) fn of(samples: &Samples, submitters: u64, used: &Used) -> Self {
        let Used { took, commits, .. } = *used;
        let Samples {
            whole,
            handed,
            passed,
        } = samples;
        let tasks = whole.count();
        let passed = Some(passed).filter(|_| commits > 0);
        Self {
            name: String::new(),
            tasks,
            submitters,
            seconds: took.as_secs_f64(),
            tasks_per_second: per_second(tasks, took),
            p50_ms: millis(whole.at(50).unwrap_or_default()),
            p99_ms: millis(whole.at(99).unwrap_or_default()),
            handed_p50_ms: handed.at(50).map(millis),
            handed_p99_ms: handed.at(99).map(millis),
            handed_p50_commits: passed.and_then(|passed| passed.at(50)),
            handed_p99_commits: passed.and_then(|passed| passed.at(99)),
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

fn millis(micros: u64) -> f64 {
    f64_of(micros) / 1e3
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
