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
//! it is restored when there is room again. Who asks for the database to be opened anew
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
pub use crate::persistence::{Store as PersistenceHandle, StoreError, artifacts, backup, offline};
use crate::persistence::{WriterExit, WriterKeeper};

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
    facts: FactSink,
}

/// What came of the end of a writer.
enum Reopened {
    /// There is to be no other.
    Closed,
    /// The next one writes, as somebody asked.
    AsAsked,
    /// The next one writes, after so many tries.
    Lost(u32),
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
        // Tries that a database took which is lost to new work still: its disk is full.
        let mut owed = None;
        loop {
            tokio::select! {
                biased;
                exit = keeper.ended() => match self.reopen(&mut keeper, exit, owed).await {
                    Reopened::Closed => return,
                    Reopened::AsAsked => {}
                    Reopened::Lost(attempts) if room.is_full() => owed = Some(attempts),
                    Reopened::Lost(attempts) => {
                        owed = None;
                        self.restored(attempts);
                    }
                },
                () = room.is_gone(), if owed.is_none() => {
                    self.lost("the disk is full");
                    owed = Some(0);
                }
                () = room.is_back(ROOM_EVERY), if owed.is_some() => {
                    self.restored(owed.take().unwrap_or_default());
                }
            }
        }
    }

    /// After the end of a writer: the next one.
    async fn reopen(
        &self,
        keeper: &mut WriterKeeper,
        exit: WriterExit,
        owed: Option<u32>,
    ) -> Reopened {
        let reason = match exit {
            WriterExit::Closed => return Reopened::Closed,
            WriterExit::Relieved => match keeper.restart().await {
                Ok(()) => {
                    tracing::info!("the database was closed and opened again, as asked");
                    return Reopened::AsAsked;
                }
                Err(error) => error.to_string(),
            },
            WriterExit::Lost { message } => message,
            WriterExit::Panicked => "the writer panicked".to_owned(),
        };
        if owed.is_none() {
            self.lost(&reason);
        }
        Reopened::Lost(owed.unwrap_or(0) + self.restore(keeper).await)
    }

    fn restored(&self, attempts: u32) {
        self.fact("database.restored", json!({ "attempts": attempts }));
        tracing::info!(attempts, "the database takes writes again");
    }

    /// Restarts the writer until that succeeds; says how many tries it took.
    async fn restore(&self, keeper: &mut WriterKeeper) -> u32 {
        let mut attempts = 0;
        loop {
            let delay = self.next_delay();
            if !delay.is_zero() {
                keeper.refuse();
                keeper.rest(delay).await;
            }
            attempts += 1;
            match keeper.restart().await {
                Ok(()) => return attempts,
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

    fn lost(&self, reason: &str) {
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
