//! How many tasks wait for whom, well enough to refuse what is too many.
//!
//! Counted from the database only when the count since the last look could reach the capacity, so
//! that a submission costs an addition; while a queue stays full, at most every [`LOOK_PERIOD`].

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use super::{DispatchError, Result};
use crate::domain::name::Name;
use crate::domain::queue::QueueSpec;
use crate::domain::task::{DEFAULT_QUEUE, Target};
use crate::persistence::Store;

/// The least time between two looks at the database.
const LOOK_PERIOD: Duration = Duration::from_millis(50);

/// How many tasks wait for whom.
#[derive(Debug)]
pub(super) struct Depths {
    capacity: u64,
    /// Of queues that are configured otherwise; agents and roles have that of `default`.
    capacities: RwLock<HashMap<Name, u64>>,
    /// Upper bounds of what waits.
    at_most: Mutex<Option<HashMap<Target, u64>>>,
    /// When the database was looked at last; held while somebody looks, so that others wait for
    /// what is found instead of being refused.
    looked_at: tokio::sync::Mutex<Option<Instant>>,
}

impl Depths {
    /// Lets `capacity` tasks wait for each agent, role and queue.
    pub(super) fn new(capacity: u64) -> Self {
        Self {
            capacity,
            capacities: RwLock::default(),
            at_most: Mutex::default(),
            looked_at: tokio::sync::Mutex::default(),
        }
    }

    /// Lets one more task wait, or says that too many do.
    pub(super) async fn admit(&self, store: &Store, target: &Target) -> Result<()> {
        if self.count(target) {
            return Ok(());
        }
        let mut looked_at = self.looked_at.lock().await;
        if self.count(target) {
            return Ok(());
        }
        let now = Instant::now();
        if looked_at.is_none_or(|at| now.duration_since(at) >= LOOK_PERIOD) {
            let waiting = store.queue_depths().await?;
            *looked_at = Some(now);
            *self.at_most.lock() = Some(waiting.into_iter().collect());
            if self.count(target) {
                return Ok(());
            }
        }
        Err(DispatchError::QueueFull {
            target: describe(target),
            capacity: self.capacity(target),
        })
    }

    /// What is configured.
    pub(super) fn set<'a>(&self, specs: impl Iterator<Item = &'a QueueSpec>) {
        let specs = specs.map(|spec| (spec.name.clone(), spec.capacity));
        *self.capacities.write() = specs.collect();
    }

    /// Tasks that may wait for a target.
    pub(super) fn capacity(&self, target: &Target) -> u64 {
        let queue = match target {
            Target::Agent(_) | Target::Role(_) => DEFAULT_QUEUE,
            Target::Queue(queue) => queue.as_str(),
        };
        let known = self.capacities.read();
        known
            .iter()
            .find(|(name, _)| name.as_str() == queue)
            .map_or(self.capacity, |(_, capacity)| *capacity)
    }

    /// Refuses more work for targets for which as much waits as may.
    pub(super) async fn admit_all<'t>(
        &self,
        store: &Store,
        targets: impl Iterator<Item = &'t Target>,
    ) -> Result<()> {
        for target in targets {
            self.admit(store, target).await?;
        }
        Ok(())
    }

    /// A task that was let in does not wait after all.
    pub(super) fn forget(&self, target: &Target) {
        let mut known = self.at_most.lock();
        if let Some(count) = known.as_mut().and_then(|at_most| at_most.get_mut(target)) {
            *count = count.saturating_sub(1);
        }
    }

    fn count(&self, target: &Target) -> bool {
        let capacity = self.capacity(target);
        let mut known = self.at_most.lock();
        // Until the database was looked at, nobody knows what an earlier life left waiting.
        let Some(at_most) = known.as_mut() else {
            return false;
        };
        let count = at_most.entry(target.clone()).or_default();
        let fits = *count < capacity;
        *count += u64::from(fits);
        fits
    }
}

fn describe(target: &Target) -> String {
    match target {
        Target::Agent(agent) => format!("agent '{agent}'"),
        Target::Role(role) => format!("role '{role}'"),
        Target::Queue(queue) => format!("queue '{queue}'"),
    }
}
