//! Keeps what the supervisor wants kept, without ever making it wait.
//!
//! Records go onto a bounded queue; one task writes them in order, as a child of the daemon's own tree.
//! Of generations and budgets only the latest counts, and each is written once a second at most, but a
//! mark of generations that must be ahead of the lives; deaths and processes are written at once. What
//! waits outlives a death of the task. When the database is away longer than the queue lasts, the
//! oldest news is lost, and counted: supervision goes on.

mod desk;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, mpsc, oneshot};

use self::desk::Desk;
use super::generations::Aside;
use crate::actors::errand;
use crate::actors::life::ChildFactory;
use crate::actors::supervisor::{Kept, SupervisorRecords};
use crate::domain::name::Name;
use crate::domain::record::{AgentRecord, Overrides, SettingsInForce};
use crate::persistence::{Store, StoreError};

/// Records that may wait.
const MAX_WAITING: usize = 4_096;

/// The supervisor's records, kept in the store.
#[derive(Debug)]
pub(super) struct Records {
    waiting: mpsc::Sender<Order>,
    lost: AtomicU64,
    desk: Arc<Mutex<Desk>>,
}

/// The settings that each agent runs with.
pub(super) type Settings = BTreeMap<Name, SettingsInForce>;

/// What the task is told.
#[derive(Debug)]
enum Order {
    Keep(Kept),
    /// Keep what an operator set, then say how that went.
    Overrides(Name, Overrides, oneshot::Sender<Result<(), StoreError>>),
    /// An agent runs with these settings from now on.
    RunsWith(Name, SettingsInForce),
    /// Reserve numbers for the lives of an agent, then say how that went.
    Reserve(AgentRecord, oneshot::Sender<Result<(), StoreError>>),
    /// These agents are declared from now on.
    Declared(BTreeSet<Name>),
}

impl Records {
    /// Takes what is to be kept; it is written while [`Records::child`] lives.
    pub(super) fn new(store: Store, settings: Settings, aside: Aside) -> Arc<Self> {
        let (waiting, orders) = mpsc::channel(MAX_WAITING);
        let desk = Desk::new(store, settings, aside, orders);
        Arc::new(Self {
            waiting,
            lost: AtomicU64::new(0),
            desk: Arc::new(Mutex::new(desk)),
        })
    }

    /// Reserves numbers for the lives of an agent, before its first one in this daemon begins.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn reserve(&self, agent: &AgentRecord) -> Result<(), StoreError> {
        let mut desk = self.desk.lock().await;
        let (store, mark) = (desk.store(), desk.mark_above(agent));
        drop(desk);
        store
            .save_generation(&agent.name, mark, agent.restarts_total)
            .await
    }

    /// The same of one that is declared while the task writes.
    ///
    /// # Errors
    /// The store's, or that too much waits.
    pub(super) async fn reserve_for_new(&self, agent: &AgentRecord) -> Result<(), StoreError> {
        let (reserved, waiting) = oneshot::channel();
        let order = Order::Reserve(agent.clone(), reserved);
        let overloaded = Err(StoreError::Overloaded {
            operation: "reserve numbers of lives",
        });
        match self.waiting.send(order).await {
            Ok(()) => waiting.await.unwrap_or(overloaded),
            Err(_) => overloaded,
        }
    }

    /// An agent runs with these settings from now on: deaths are kept with them.
    pub(super) async fn runs_with(&self, agent: Name, settings: SettingsInForce) {
        // Refused only when nothing is kept any more.
        let order = Order::RunsWith(agent, settings);
        self.waiting.send(order).await.ok();
    }

    /// These agents are declared from now on; nothing is kept in memory of those who were declared
    /// neither now nor before.
    pub(super) async fn declared(&self, agents: BTreeSet<Name>) {
        // Refused only when nothing is kept any more.
        self.waiting.send(Order::Declared(agents)).await.ok();
    }

    /// The task that writes, as a child for the tree.
    pub(super) fn child(&self) -> Arc<dyn ChildFactory> {
        let desk = self.desk.clone();
        errand::child(move || {
            let desk = desk.clone();
            async move { desk.lock().await.write().await }
        })
    }

    /// Writes everything that waits, without the task, and gives back numbers that no life has used:
    /// for the end, when no life begins any more.
    pub(super) async fn close(&self) {
        self.desk.lock().await.close().await;
    }
}

impl SupervisorRecords for Records {
    fn keep(&self, record: Kept) {
        if self.waiting.try_send(Order::Keep(record)).is_err() {
            let lost = self.lost.fetch_add(1, Ordering::Relaxed) + 1;
            // Every power of two, so that a long outage fills no log.
            if lost.is_power_of_two() {
                tracing::warn!(
                    lost,
                    "the database is too slow: records of agents are not kept"
                );
            }
        }
    }

    fn keep_overrides(
        &self,
        agent: Name,
        overrides: Overrides,
    ) -> BoxFuture<'static, Result<(), StoreError>> {
        let (kept, waiting) = oneshot::channel();
        let order = Order::Overrides(agent, overrides, kept);
        let queued = self.waiting.try_send(order).is_ok();
        async move {
            let refused = Err(StoreError::Overloaded {
                operation: "set overrides",
            });
            if queued {
                waiting.await.unwrap_or(refused)
            } else {
                refused
            }
        }
        .boxed()
    }
}
