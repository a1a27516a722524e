//! What `/proc` showed of a life's processes, from one look to the next.
//!
//! Rely on: what was seen last is kept after the processes are gone, so that the black box of a
//! death can tell the most memory they used; between two looks nothing is read.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::actors::agent::proc::{self, TreeUsage};
use crate::actors::life::Evidence;
use crate::domain::liveness::{Reading, is_active};

/// The last look, and what all looks add up to.
#[derive(Debug, Default)]
pub(super) struct Vitals(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    last: Option<(Instant, TreeUsage)>,
    peak_memory: u64,
    /// When the processes were last seen at work.
    active: Option<Instant>,
    gone: bool,
}

impl Vitals {
    /// Looks at a process and all that descends from it, unless somebody did within this span.
    pub(super) fn look(&self, leader: u32, within: Duration) {
        let last = self.0.lock().last.map(|(at, _)| at);
        if last.is_some_and(|at| at.elapsed() < within) {
            return;
        }
        let usage = proc::tree_usage(leader);
        self.saw(usage, Instant::now());
    }

    fn saw(&self, usage: Option<TreeUsage>, now: Instant) {
        let mut seen = self.0.lock();
        seen.gone = usage.is_none();
        let Some(usage) = usage else { return };
        seen.peak_memory = seen.peak_memory.max(usage.peak_memory_bytes);
        let before = seen.last.replace((now, usage));
        // The first look shows what the start cost, and a start is work.
        let active = before.is_none_or(|(at, before)| {
            let span = now.saturating_duration_since(at);
            is_active(reading(&before), reading(&usage), span)
        });
        if active {
            seen.active = Some(now);
        }
    }

    /// Adds what was seen to what a life shows.
    pub(super) fn add_to(&self, shown: &mut Evidence) {
        let seen = self.0.lock();
        shown.gone = seen.gone;
        let Some((_, usage)) = &seen.last else { return };
        shown.cpu_seconds = Some(usage.cpu_seconds());
        shown.memory_bytes = Some(usage.memory_bytes);
        shown.peak_memory_bytes = Some(seen.peak_memory);
        shown.io_bytes = usage.io_bytes;
        shown.since_activity = seen.active.map(|at| at.elapsed());
    }
}

fn reading(usage: &TreeUsage) -> Reading {
    Reading {
        cpu_ms: usage.cpu_ms(),
        io_bytes: usage.io_bytes.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(cpu_ticks: u64, peak: u64) -> Option<TreeUsage> {
        Some(TreeUsage {
            cpu_ticks,
            memory_bytes: peak / 2,
            peak_memory_bytes: peak,
            io_bytes: Some(0),
        })
    }

    fn shown(vitals: &Vitals) -> Evidence {
        let mut shown = Evidence::default();
        vitals.add_to(&mut shown);
        shown
    }

    #[tokio::test(start_paused = true)]
    async fn processes_that_compute_are_active_and_those_that_wait_are_not() {
        let vitals = Vitals::default();
        let second = Duration::from_secs(1);
        vitals.saw(used(0, 8), Instant::now());
        tokio::time::advance(10 * second).await;
        vitals.saw(used(900, 8), Instant::now());
        assert_eq!(shown(&vitals).since_activity, Some(Duration::ZERO));
        tokio::time::advance(10 * second).await;
        vitals.saw(used(901, 8), Instant::now());
        assert_eq!(shown(&vitals).since_activity, Some(10 * second));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_seen_is_kept_when_the_processes_are_gone() {
        let vitals = Vitals::default();
        vitals.saw(used(0, 800), Instant::now());
        vitals.saw(used(0, 200), Instant::now());
        vitals.saw(None, Instant::now());
        let shown = shown(&vitals);
        assert!(shown.gone);
        assert_eq!(shown.peak_memory_bytes, Some(800));
        assert_eq!(shown.memory_bytes, Some(100));
    }
}
