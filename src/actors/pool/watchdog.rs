//! The thread that notices a blocked arbiter.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::Pool;
use super::beat::Seen;
use crate::domain::restart::{DEFAULT_INTENSITY, DeathWindow};

/// How often the watchdog looks.
pub const WATCHDOG_PERIOD: Duration = Duration::from_millis(250);

/// How long an arbiter may show no step before it counts as blocked: a block is promised to be
/// noticed within 3 s, and up to two looks pass beside this.
pub const WATCHDOG_LIMIT: Duration = Duration::from_millis(2_500);

/// A watchdog that looks this much later than it meant to was not awake: nor was anybody else.
const OVERSLEPT: Duration = Duration::from_secs(1);

/// An arbiter that makes no step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocked {
    /// The arbiter.
    pub arbiter: u64,
    /// The runner whose code holds the thread ([`Grant::runner`](crate::actors::runner::Grant::runner));
    /// `None` if it is nobody's that is supervised.
    pub runner: Option<u64>,
    /// For how long.
    pub span: Duration,
}

/// What a watchdog has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sighting {
    /// An arbiter makes no step; said once for each time it blocks.
    Blocked(Blocked),
    /// It has panicked again and again, and looks no more. The last thing it says.
    Blind,
}

/// Watches a pool from a thread of its own until the pool is gone. One that panics begins anew, as
/// often as a part of the daemon is restarted.
///
/// # Errors
/// If the thread cannot be started.
pub fn watch(
    pool: &Arc<Pool>,
    limit: Duration,
    mut report: impl FnMut(Sighting) + Send + 'static,
) -> std::io::Result<()> {
    let pool = Arc::downgrade(pool);
    let watcher = move || {
        let (begun, mut panics) = (Instant::now(), DeathWindow::default());
        let mut look = || look_until_gone(&pool, limit, &mut report);
        while catch_unwind(AssertUnwindSafe(&mut look)).is_err() {
            tracing::error!("the watchdog of blocked handlers panicked and begins anew");
            if panics.record(begun.elapsed(), DEFAULT_INTENSITY) {
                return report(Sighting::Blind);
            }
            std::thread::park_timeout(WATCHDOG_PERIOD);
        }
    };
    let thread = std::thread::Builder::new().name("watchdog".to_owned());
    thread.spawn(watcher).map(drop)
}

/// Looks again and again until the pool is gone.
fn look_until_gone(pool: &Weak<Pool>, limit: Duration, report: &mut impl FnMut(Sighting)) {
    let mut watch = Watch::new(limit);
    while let Some(blocked) = watch.round(pool, Instant::now()) {
        let blocked = blocked.into_iter().map(Sighting::Blocked);
        blocked.for_each(&mut *report);
        std::thread::park_timeout(WATCHDOG_PERIOD);
    }
}

/// What was seen of each arbiter, and when it last changed.
struct Watch {
    limit: Duration,
    seen: HashMap<u64, Mark>,
    looked: Option<Instant>,
}

struct Mark {
    seen: Seen,
    since: Instant,
    reported: bool,
}

impl Watch {
    fn new(limit: Duration) -> Self {
        Self {
            limit,
            seen: HashMap::new(),
            looked: None,
        }
    }

    /// Looks at every arbiter; `None` if the pool is gone.
    fn round(&mut self, pool: &Weak<Pool>, now: Instant) -> Option<Vec<Blocked>> {
        let arbiters = pool.upgrade()?.arbiters();
        self.seen
            .retain(|id, _| arbiters.iter().any(|arbiter| arbiter.id == *id));
        self.forgive(now);
        let looks = arbiters
            .iter()
            .map(|arbiter| (arbiter.id, arbiter.beat.look()));
        Some(
            looks
                .filter_map(|(id, seen)| self.judge(id, seen, now))
                .collect(),
        )
    }

    /// After a sleep of the whole process (a paused container, a machine that was suspended) the time
    /// of everybody counts anew: nobody could have made a step.
    fn forgive(&mut self, now: Instant) {
        let looked = self.looked.replace(now);
        let gap = looked.map(|looked| now.saturating_duration_since(looked));
        if gap.is_some_and(|gap| gap >= WATCHDOG_PERIOD + OVERSLEPT) {
            self.seen.values_mut().for_each(|mark| mark.since = now);
        }
    }

    fn judge(&mut self, id: u64, seen: Seen, now: Instant) -> Option<Blocked> {
        let fresh = Mark {
            seen,
            since: now,
            reported: false,
        };
        let mark = self.seen.entry(id).or_insert(fresh);
        if seen.moved_since(mark.seen) {
            *mark = Mark {
                seen,
                since: now,
                reported: false,
            };
        }
        let span = now.saturating_duration_since(mark.since);
        if span < self.limit || std::mem::replace(&mut mark.reported, span >= self.limit) {
            return None;
        }
        Some(Blocked {
            arbiter: id,
            runner: seen.at_work(),
            span,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(3);

    fn seen(steps: u64, pulses: u64) -> Seen {
        Seen::of(steps, pulses, 7)
    }

    /// What is reported when an arbiter is looked at every second and shows these beats.
    fn reports(looks: &[Seen]) -> Vec<Option<Blocked>> {
        let (mut watch, begun) = (Watch::new(LIMIT), Instant::now());
        let seconds = (0..).map(|second| begun + Duration::from_secs(second));
        let pairs = looks.iter().zip(seconds);
        pairs
            .map(|(seen, now)| watch.judge(1, *seen, now))
            .collect()
    }

    #[test]
    fn an_arbiter_that_steps_or_pulses_is_never_reported() {
        let stepping: Vec<Seen> = (0..10).map(|step| seen(step, 0)).collect();
        let pulsing: Vec<Seen> = (0..10).map(|pulse| seen(1, pulse)).collect();
        assert!(reports(&stepping).iter().all(Option::is_none));
        assert!(reports(&pulsing).iter().all(Option::is_none));
    }

    #[test]
    fn a_blocked_arbiter_is_reported_once_at_the_limit_with_whoever_holds_it() {
        for (steps, runner) in [(1, Some(7)), (2, None)] {
            let reported = reports(&[seen(steps, 0); 8]);
            let wanted = Blocked {
                arbiter: 1,
                runner,
                span: LIMIT,
            };
            assert_eq!(reported[3], Some(wanted));
            assert_eq!(reported.iter().flatten().count(), 1);
        }
    }

    #[test]
    fn a_watchdog_that_slept_itself_blames_nobody_for_that_time() {
        let (mut watch, begun) = (Watch::new(LIMIT), Instant::now());
        let mut reported_at = |millis| {
            let now = begun + Duration::from_millis(millis);
            watch.forgive(now);
            watch.judge(1, seen(1, 0), now).is_some()
        };
        let looks = [0, 250, 500, 60_000, 60_250, 61_250, 62_250];
        assert_eq!(looks.map(&mut reported_at), [false; 7]);
        assert!(reported_at(63_000), "blocked for 3 s since it woke");
    }

    #[actix_rt::test]
    async fn a_watchdog_that_panics_begins_anew_and_says_at_last_that_it_is_blind() {
        let (pool, (said, heard)) = (Pool::start(1), std::sync::mpsc::channel());
        // Whoever hears of a blocked arbiter panics, on the watchdog's thread.
        let report = move |sighting| {
            said.send(sighting).unwrap();
            assert_eq!(sighting, Sighting::Blind, "the watchdog fails");
        };
        watch(&pool, Duration::ZERO, report).unwrap();
        let within = Duration::from_secs(90);
        for _ in 0..6 {
            let seen = heard.recv_timeout(within).unwrap();
            assert!(matches!(seen, Sighting::Blocked(_)), "{seen:?}");
        }
        assert_eq!(heard.recv_timeout(within).unwrap(), Sighting::Blind);
        assert!(heard.recv_timeout(within).is_err(), "its thread has ended");
        pool.stop();
    }

    #[test]
    fn an_arbiter_that_comes_back_and_blocks_again_is_reported_again() {
        let blocked = [seen(1, 0); 4];
        let again = [seen(3, 0); 4];
        let reported = reports(&[blocked, again].concat());
        assert_eq!(reported.iter().flatten().count(), 2);
    }
}
