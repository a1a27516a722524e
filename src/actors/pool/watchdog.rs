//! The thread that notices a blocked arbiter.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::Pool;
use super::beat::Seen;

/// How often the watchdog looks.
pub const WATCHDOG_PERIOD: Duration = Duration::from_millis(250);

/// How long an arbiter may show no step before it counts as blocked.
pub const WATCHDOG_LIMIT: Duration = Duration::from_secs(3);

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

/// Watches a pool from a thread of its own until the pool is gone; calls `report` once for each
/// arbiter that blocks.
///
/// # Errors
/// If the thread cannot be started.
pub fn watch(
    pool: &Arc<Pool>,
    limit: Duration,
    mut report: impl FnMut(Blocked) + Send + 'static,
) -> std::io::Result<()> {
    let pool = Arc::downgrade(pool);
    let watcher = move || {
        let mut watch = Watch::new(limit);
        while let Some(blocked) = watch.round(&pool, Instant::now()) {
            blocked.into_iter().for_each(&mut report);
            std::thread::park_timeout(WATCHDOG_PERIOD);
        }
    };
    let thread = std::thread::Builder::new().name("watchdog".to_owned());
    thread.spawn(watcher).map(drop)
}

/// What was seen of each arbiter, and when it last changed.
struct Watch {
    limit: Duration,
    seen: HashMap<u64, Mark>,
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
        }
    }

    /// Looks at every arbiter; `None` if the pool is gone.
    fn round(&mut self, pool: &Weak<Pool>, now: Instant) -> Option<Vec<Blocked>> {
        let arbiters = pool.upgrade()?.arbiters();
        self.seen
            .retain(|id, _| arbiters.iter().any(|arbiter| arbiter.id == *id));
        let looks = arbiters
            .iter()
            .map(|arbiter| (arbiter.id, arbiter.beat.look()));
        Some(
            looks
                .filter_map(|(id, seen)| self.judge(id, seen, now))
                .collect(),
        )
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
