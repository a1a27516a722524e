//! How many tasks wait for whom, well enough to refuse what is too many.
//!
//! Counted from the database only when the count since the last look could reach the capacity, so
//! that a submission costs an addition; while a queue stays full, at most every [`LOOK_PERIOD`].

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{DispatchError, Result};
use crate::domain::task::Target;
use crate::persistence::Store;

/// The least time between two looks at the database.
const LOOK_PERIOD: Duration = Duration::from_millis(250);

/// How many tasks wait for whom.
#[derive(Debug)]
pub(super) struct Depths {
    capacity: u64,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// An upper bound of what waits.
    at_most: HashMap<Target, u64>,
    looked_at: Option<Instant>,
}

impl Depths {
    /// Lets `capacity` tasks wait for each agent, role and queue.
    pub(super) fn new(capacity: u64) -> Self {
        Self {
            capacity,
            counts: Mutex::default(),
        }
    }

    /// Lets one more task wait, or says that too many do.
    pub(super) async fn admit(&self, store: &Store, target: &Target) -> Result<()> {
        if self.count(target) {
            return Ok(());
        }
        let now = Instant::now();
        if self.may_look(now) {
            let waiting = store.queue_depths().await?;
            self.counts.lock().at_most = waiting.into_iter().collect();
            if self.count(target) {
                return Ok(());
            }
        }
        Err(DispatchError::QueueFull {
            target: describe(target),
            capacity: self.capacity,
        })
    }

    fn count(&self, target: &Target) -> bool {
        let mut counts = self.counts.lock();
        let count = counts.at_most.entry(target.clone()).or_default();
        let fits = *count < self.capacity;
        *count += u64::from(fits);
        fits
    }

    fn may_look(&self, now: Instant) -> bool {
        let mut counts = self.counts.lock();
        let may = counts
            .looked_at
            .is_none_or(|at| now.duration_since(at) >= LOOK_PERIOD);
        if may {
            counts.looked_at = Some(now);
        }
        may
    }
}

fn describe(target: &Target) -> String {
    match target {
        Target::Agent(agent) => format!("agent '{agent}'"),
        Target::Role(role) => format!("role '{role}'"),
        Target::Queue(queue) => format!("queue '{queue}'"),
    }
}
