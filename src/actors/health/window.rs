//! The last samples of the host's figures and of the database's pool.
//!
//! Samples come on their own timer; checks read them and never add any, so that asking often
//! cannot make a peak look sustained.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::host::HostSample;
use crate::domain::health::judge::sustained;
use crate::domain::query::DatabaseStatus;

/// Sampling intervals without a sample after which nothing is known any more.
const STALE_AFTER: u32 = 3;

/// One sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    pub(super) host: HostSample,
    /// Share of the readers in use.
    pub(super) readers: Option<f64>,
    /// Share of the writer's queue in use.
    pub(super) writes: Option<f64>,
}

impl Sample {
    pub(super) fn new(host: HostSample, status: &DatabaseStatus) -> Self {
        Self {
            host,
            readers: ratio(status.readers_busy.into(), status.readers.into()),
            writes: ratio(status.writes_queued, status.writes_capacity),
        }
    }
}

/// The last samples, oldest first.
#[derive(Debug, Clone)]
pub(super) struct Window {
    samples: VecDeque<Sample>,
    keep: usize,
    interval: Duration,
}

impl Window {
    pub(super) fn new(keep: usize, interval: Duration) -> Self {
        Self {
            samples: VecDeque::new(),
            keep: keep.max(1),
            interval,
        }
    }

    /// Keeps so many, so far apart, from now on.
    pub(super) fn fit(&mut self, keep: usize, interval: Duration) {
        (self.keep, self.interval) = (keep.max(1), interval);
        let surplus = self.samples.len().saturating_sub(self.keep);
        self.samples.drain(..surplus);
    }

    pub(super) fn push(&mut self, sample: Sample) {
        if self.samples.len() == self.keep {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    pub(super) fn newest(&self) -> Option<&Sample> {
        self.samples.back()
    }

    /// Whether the newest sample is too old to judge by.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        self.newest().is_none_or(|sample| {
            now.saturating_duration_since(sample.host.at) > self.interval * STALE_AFTER
        })
    }

    /// The figure to judge by: see [`sustained`].
    pub(super) fn sustained(&self, figure: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        let known: Vec<f64> = self.samples.iter().filter_map(figure).collect();
        sustained(known.into_iter(), self.keep)
    }

    /// Whether there are as many samples of a figure as must agree.
    pub(super) fn is_full_of(&self, figure: impl Fn(&Sample) -> Option<f64>) -> bool {
        self.samples.iter().filter_map(figure).count() >= self.keep
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
