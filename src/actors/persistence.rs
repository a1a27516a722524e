//! The persistence actor: owns the life of the store's writer thread and the state of the database.
//!
//! ```text
//! handles ──writes──▶ queue ─▶ writer thread ─▶ commit ─▶ answers      (no actor in this path)
//! writer thread ──ended──▶ persistence actor ──restart──▶ writer thread
//!                              └─ database.lost, database.restored ─▶ journal
//! ```
//!
//! Rely on: when the writer ends, the next one starts at once and takes over what waits; if the
//! database cannot be opened, what waits is answered, what comes is refused, and restarts follow
//! with growing delays until one succeeds. A full disk is a lost database that still takes what ends work;
//! it is restored when there is room again. A death of the actor in the middle of that is no news of
//! the database: its next life goes on with the same loss. Who asks for the database to be opened anew
//! (`Store::reconnect`) waits for no delay. Writes and reads go through [`PersistenceHandle`].
//!
//! Not here: how writes are batched and committed (`crate::persistence`), retention's timer (`app`).

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use crate::actors::life::{ChildFactory, Hosted};
use crate::actors::runner::{AgentContext, HostedChild};
use crate::clock;
use crate::domain::backoff;
use crate::domain::event::NewEvent;
use crate::domain::restart::RestartPolicy;
use crate::persistence::{Condition, WriterExit, WriterKeeper};
pub use crate::persistence::{Store as PersistenceHandle, StoreError, artifacts, backup, offline};

/// Delay before the second restart of the writer in a row; the first is immediate.
pub const MIN_BACKOFF: Duration = Duration::from_millis(200);
/// The longest delay between two restarts of the writer.
pub const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// How often a full disk is looked at for room.
pub const ROOM_EVERY: Duration = Duration::from_secs(1);
/// A writer that lasted this long starts the count of restarts anew.
pub const STABLE_AFTER: Duration = Duration::from_secs(30);

/// Where facts go. Never blocks.
pub type FactSink = Arc<dyn Fn(NewEvent) + Send + Sync>;

/// What outlives one life of the actor.
struct Keeping {
    keeper: tokio::sync::Mutex<WriterKeeper>,
    restarts: Mutex<Restarts>,
    /// While the database is lost, as was told: tries so far.
    tries: Mutex<Option<u32>>,
    facts: FactSink,
}

/// Restarts in a row.
struct Restarts {
    count: u32,
    since: Instant,
}

/// The actor.
struct Persistence {
    keeping: Arc<Keeping>,
}

/// The persistence actor as a child for the tree; `None` if this store has one already.
#[must_use]
pub fn child(store: &PersistenceHandle, facts: FactSink) -> Option<Arc<dyn ChildFactory>> {
    let keeping = Arc::new(Keeping {
        keeper: tokio::sync::Mutex::new(store.keeper()?),
        restarts: Mutex::new(Restarts {
            count: 0,
            since: Instant::now(),
        }),
        tries: Mutex::new(None),
        facts,
    });
    Some(HostedChild::new(move |_| Persistence {
        keeping: keeping.clone(),
    }))
}

impl Actor for Persistence {
    type Context = AgentContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let keeping = self.keeping.clone();
        ctx.spawn(async move { keeping.keep().await }.into_actor(self));
    }
}

impl Hosted for Persistence {}

impl Keeping {
    /// Starts one writer after the other until the store is closed.
    async fn keep(&self) {
        let mut keeper = self.keeper.lock().await;
        let room = keeper.room();
        let mut condition = keeper.watch();
        loop {
            // A database may be lost to new work and yet have a writer: its disk is full.
            let lost = self.is_lost();
            let back = async {
                // Never ends in an error: the keeper holds the other side.
                condition.wait_for(|now| *now == Condition::Open).await.ok();
                room.is_back(ROOM_EVERY).await;
            };
            tokio::select! {
                biased;
                exit = keeper.ended() => {
                    if exit == WriterExit::Closed {
                        return;
                    }
                    self.reopen(&mut keeper, exit).await;
                    if !room.is_full() {
                        self.restored();
                    }
                }
                () = room.is_gone(), if !lost => self.lost("the disk is full"),
                () = back, if lost => self.restored(),
            }
        }
    }

    /// After the end of a writer: the next one.
    async fn reopen(&self, keeper: &mut WriterKeeper, exit: WriterExit) {
        let reason = match exit {
            WriterExit::Relieved | WriterExit::Closed => match keeper.restart().await {
                Ok(()) => {
                    tracing::info!("the database was closed and opened again, as asked");
                    return;
                }
                Err(error) => error.to_string(),
            },
            WriterExit::Lost { message } => message,
            WriterExit::Panicked => "the writer panicked".to_owned(),
        };
        self.lost(&reason);
        self.restore(keeper).await;
    }

    fn is_lost(&self) -> bool {
        self.tries.lock().is_some()
    }

    /// Says so, if it was lost.
    fn restored(&self) {
        if let Some(attempts) = self.tries.lock().take() {
            self.fact("database.restored", json!({ "attempts": attempts }));
            tracing::info!(attempts, "the database takes writes again");
        }
    }

    /// Restarts the writer until that succeeds.
    async fn restore(&self, keeper: &mut WriterKeeper) {
        loop {
            let delay = self.next_delay();
            if !delay.is_zero() {
                keeper.refuse();
                keeper.rest(delay).await;
            }
            let attempts = self.tries.lock().map_or(1, |tries| tries + 1);
            *self.tries.lock() = Some(attempts);
            match keeper.restart().await {
                Ok(()) => return,
                Err(error) if attempts == 1 => {
                    tracing::error!(%error, "the database stays lost; trying again until it is back");
                }
                Err(error) => tracing::debug!(%error, attempts, "the database is still lost"),
            }
        }
    }

    /// How long to wait before the next restart: nothing for the first in a row.
    fn next_delay(&self) -> Duration {
        let mut restarts = self.restarts.lock();
        if restarts.since.elapsed() >= STABLE_AFTER {
            restarts.count = 0;
        }
        let delay = backoff::delay(&policy(), restarts.count, rand::random());
        restarts.count = restarts.count.saturating_add(1);
        restarts.since = Instant::now() + delay;
        delay
    }

    /// Says so, unless that is known.
    fn lost(&self, reason: &str) {
        let known = {
            let mut tries = self.tries.lock();
            let known = tries.is_some();
            tries.get_or_insert(0);
            known
        };
        if known {
            return;
        }
        tracing::error!(reason, "the database takes no writes");
        self.fact("database.lost", json!({ "reason": reason }));
    }

    fn fact(&self, kind: &'static str, data: serde_json::Value) {
        (self.facts)(NewEvent {
            kind,
            subject: "database".into(),
            at: clock::now(),
            data,
        });
    }
}

fn policy() -> RestartPolicy {
    RestartPolicy {
        min_backoff: MIN_BACKOFF,
        max_backoff: MAX_BACKOFF,
        ..RestartPolicy::default()
    }
}
