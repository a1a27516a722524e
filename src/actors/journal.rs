//! The journal: facts become rows, and rows are published: one stream, one sequence number.
//!
//! ```text
//! anybody ──record──▶ buffer ─▶ journal actor ─▶ store ──commit──▶ publish ─▶ subscribers, counters
//! writes that bring their own facts ───────────▶ store ──commit──▶ publish ─┘
//! ```
//!
//! Rely on: [`JournalHandle::record`] never blocks and keeps the order of one caller; facts wait
//! here while the database is lost; when the buffer is full, what does not fit is counted and one
//! `gap` stands in its place; subscribers see each entry after its commit, in order. A batch that the
//! store was given is carried to its end though the actor dies meanwhile, so that its next life gives
//! no fact a second time.
//!
//! Not here: reading old entries (`Store::events`), SSE (`http`).

mod buffer;
mod log;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinError;
use tokio::time::sleep;

use self::buffer::Buffer;
pub use self::buffer::{CAPACITY, GAP};
use crate::actors::life::{ChildFactory, Hosted};
use crate::actors::runner::{AgentContext, HostedChild};
use crate::domain::backoff;
use crate::domain::event::{Event, NewEvent};
use crate::domain::restart::RestartPolicy;
use crate::persistence::{EventSink, Store, StoreError};
use crate::telemetry::metrics::record;

/// Entries a subscriber may lag behind before it is told that it missed some.
pub const SUBSCRIBER_LAG: usize = 1024;
/// Delay before the second retry in a row; the first is immediate.
const MIN_BACKOFF: Duration = Duration::from_millis(100);
/// The longest delay between two retries.
const MAX_BACKOFF: Duration = Duration::from_secs(5);

/// The way to the journal. Cheap to clone; good before its actor's first life and after its last.
#[derive(Clone)]
pub struct JournalHandle {
    shared: Arc<Shared>,
}

struct Shared {
    buffer: Mutex<Buffer>,
    arrived: Notify,
    published: broadcast::Sender<Arc<Event>>,
    /// Held while a batch is on its way.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl fmt::Debug for JournalHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JournalHandle")
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

impl crate::actors::supervisor::Facts for JournalHandle {
    fn record(&self, event: NewEvent) {
        Self::record(self, event);
    }
}

impl Default for JournalHandle {
    fn default() -> Self {
        Self::new()
    }
}

impl JournalHandle {
    /// A journal without facts and subscribers.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared {
            buffer: Mutex::default(),
            arrived: Notify::new(),
            published: broadcast::Sender::new(SUBSCRIBER_LAG),
            turn: Arc::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Takes a fact. Never blocks.
    pub fn record(&self, fact: NewEvent) {
        self.shared.buffer.lock().push(fact);
        self.shared.arrived.notify_one();
    }

    /// Entries from now on, each after its commit. A subscriber that lags by more than
    /// [`SUBSCRIBER_LAG`] is told how many it missed.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.shared.published.subscribe()
    }

    /// Facts that wait for their commit.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.buffer.lock().waiting()
    }

    /// [`JournalHandle::record`], for those who want a function.
    #[must_use]
    pub fn fact_sink(&self) -> Arc<dyn Fn(NewEvent) + Send + Sync> {
        let journal = self.clone();
        Arc::new(move |fact| journal.record(fact))
    }

    /// What the store calls after each commit.
    #[must_use]
    pub fn event_sink(&self) -> EventSink {
        let published = self.shared.published.clone();
        Arc::new(move |events| publish(&published, events))
    }

    /// The journal's actor as a child for the tree; it appends to this store. Batches are carried by
    /// the runtime around this call, which no life of the actor takes with it.
    #[must_use]
    pub fn child(&self, store: Store) -> Arc<dyn ChildFactory> {
        let (journal, runtime) = (self.clone(), Handle::current());
        HostedChild::new(move |_| Journal {
            journal: journal.clone(),
            store: store.clone(),
            runtime: runtime.clone(),
        })
    }

    /// Appends what waits, once, without the actor: for the end, before the store is closed.
    ///
    /// # Errors
    /// The store's; what could not be appended still waits.
    pub async fn flush(&self, store: &Store) -> Result<(), StoreError> {
        while self.append(store, &Handle::current()).await? {}
        Ok(())
    }

    /// Appends one batch; says whether there was one. After a temporary error it waits again. If the
    /// caller dies meanwhile, the batch goes on: the store may have committed it, and what was given
    /// a second time would be published twice.
    async fn append(&self, store: &Store, runtime: &Handle) -> Result<bool, StoreError> {
        let turn = self.shared.turn.clone().lock_owned().await;
        let Some(batch) = self.shared.buffer.lock().take() else {
            return Ok(false);
        };
        let taken = Taken {
            shared: self.shared.clone(),
            batch,
        };
        let store = store.clone();
        let carried = runtime.spawn(async move {
            let _turn = turn;
            taken.carry(&store).await
        });
        let lost = |error: JoinError| {
            Err(StoreError::Unavailable {
                operation: "append events",
                message: error.to_string(),
            })
        };
        carried.await.unwrap_or_else(lost).map(|()| true)
    }
}

/// A batch on its way; goes back if nobody says what became of it.
struct Taken {
    shared: Arc<Shared>,
    batch: Vec<NewEvent>,
}

impl Taken {
    async fn carry(self, store: &Store) -> Result<(), StoreError> {
        match store.append_events(self.batch.clone()).await {
            Err(error) if error.is_temporary() => return Err(error),
            Err(error) => {
                // What the database refuses now it refuses always: a gap says that it was there.
                tracing::error!(%error, facts = self.batch.len(), "facts were refused");
                self.lose();
            }
            Ok(()) => self.done(),
        }
        Ok(())
    }

    fn done(mut self) {
        self.batch.clear();
        self.shared.buffer.lock().stored();
    }

    fn lose(mut self) {
        let lost = std::mem::take(&mut self.batch);
        self.shared.buffer.lock().refused(&lost);
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.batch.is_empty() {
            self.shared
                .buffer
                .lock()
                .put_back(std::mem::take(&mut self.batch));
        }
    }
}

/// Counts and hands out what was committed.
fn publish(published: &broadcast::Sender<Arc<Event>>, events: Vec<Event>) {
    record::facts(&events);
    for event in events {
        log::write(&event);
        if published.receiver_count() > 0 {
            // The last of them may have gone since.
            drop(published.send(Arc::new(event)));
        }
    }
}

/// The actor: appends what waits, as long as something does.
struct Journal {
    journal: JournalHandle,
    store: Store,
    runtime: Handle,
}

impl Actor for Journal {
    type Context = AgentContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (journal, store) = (self.journal.clone(), self.store.clone());
        let appending = keep_appending(journal, store, self.runtime.clone());
        ctx.spawn(appending.into_actor(self));
    }
}

impl Hosted for Journal {}

async fn keep_appending(journal: JournalHandle, store: Store, runtime: Handle) {
    let mut failures = 0;
    loop {
        match journal.append(&store, &runtime).await {
            Ok(true) => failures = 0,
            Ok(false) => journal.shared.arrived.notified().await,
            Err(error) => {
                if failures == 0 {
                    let waiting = journal.waiting();
                    tracing::warn!(%error, waiting, "facts wait for the database");
                }
                sleep(backoff::delay(&policy(), failures, rand::random())).await;
                failures = failures.saturating_add(1);
            }
        }
    }
}

fn policy() -> RestartPolicy {
    RestartPolicy {
        min_backoff: MIN_BACKOFF,
        max_backoff: MAX_BACKOFF,
        ..RestartPolicy::default()
    }
}
