//! Keeps what the supervisor wants kept, without ever making it wait.
//!
//! Records go onto a bounded queue; one task writes them in order, as a child of the daemon's own tree.
//! Of generations and budgets only the latest counts, and each is written once a second at most, but a
//! mark of generations that must be ahead of the lives; deaths and processes are written at once. What
//! waits outlives a death of the task. When the database is away longer than the queue lasts, the
//! oldest news is lost, and counted: supervision goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::Instant;

use super::generations::Generations;
use crate::actors::agent::boot_id;
use crate::actors::errand;
use crate::actors::life::ChildFactory;
use crate::actors::supervisor::{Kept, SupervisorRecords};
use crate::domain::name::Name;
use crate::domain::record::{AgentRecord, Overrides, SettingsInForce, SpawnedProcess};
use crate::domain::redaction::Redactor;
use crate::persistence::{Store, StoreError};

/// Records that may wait.
const MAX_WAITING: usize = 4_096;
/// How often the latest generation or budget of one owner is written.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);

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
}

impl Records {
    /// Takes what is to be kept; it is written while [`Records::child`] lives.
    pub(super) fn new(store: Store, settings: Settings) -> Arc<Self> {
        let (waiting, orders) = mpsc::channel(MAX_WAITING);
        let desk = Desk {
            store,
            settings,
            boot: boot_id(),
            orders,
            latest: BTreeMap::new(),
            generations: Generations::default(),
            behind: false,
            next: Instant::now(),
        };
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
        let mark = desk.generations.used(&agent.name, agent.generation).mark;
        let store = desk.store.clone();
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
        let mut desk = self.desk.lock().await;
        while let Ok(order) = desk.orders.try_recv() {
            desk.carry_out(order).await;
        }
        desk.keep_all().await;
        for (agent, reserved, used) in desk.generations.give_back() {
            let given = desk.store.give_back_generations(&agent, reserved, used);
            if let Err(error) = given.await {
                tracing::debug!(%error, "numbers of lives are skipped");
            }
        }
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

/// What one owner's latest record is filed under.
type Owner = String;

/// What outlives one life of the task.
#[derive(Debug)]
struct Desk {
    store: Store,
    settings: Settings,
    boot: String,
    orders: mpsc::Receiver<Order>,
    latest: BTreeMap<Owner, Kept>,
    generations: Generations,
    /// The database did not take the last one.
    behind: bool,
    next: Instant,
}

impl Desk {
    /// Writes until nobody can send any more; then what still waits.
    async fn write(&mut self) {
        loop {
            let due = !self.latest.is_empty();
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(self.next), if due => {
                    self.keep_all().await;
                    self.next = Instant::now() + AT_MOST_EVERY;
                }
                order = self.orders.recv() => match order {
                    None => break,
                    Some(order) => self.carry_out(order).await,
                },
            }
        }
        self.keep_all().await;
    }

    /// Writes what must not wait.
    async fn carry_out(&mut self, order: Order) {
        match order {
            Order::Overrides(agent, overrides, kept) => {
                // Who asked may have stopped waiting.
                kept.send(self.store.set_overrides(&agent, overrides).await)
                    .ok();
            }
            Order::RunsWith(agent, settings) => {
                self.settings.insert(agent, settings);
            }
            Order::Reserve(agent, reserved) => {
                let mark = self.generations.used(&agent.name, agent.generation).mark;
                let (name, restarts) = (&agent.name, agent.restarts_total);
                let kept = self.store.save_generation(name, mark, restarts).await;
                // As above.
                reserved.send(kept).ok();
            }
            Order::Keep(mut record) => {
                let ahead = self.moves_ahead(&mut record);
                match owner(&record) {
                    Some(owner) if ahead => self.keep_latest(owner, record).await,
                    Some(owner) => {
                        self.latest.insert(owner, record);
                    }
                    None => {
                        let record = sealed(record, &self.settings);
                        if let Err(error) = keep(&self.store, record, &self.boot).await {
                            tracing::warn!(%error, "a record of an agent was not kept");
                        }
                    }
                }
            }
        }
    }

    /// Of generations the mark is kept; says whether it has moved.
    fn moves_ahead(&mut self, record: &mut Kept) -> bool {
        let Kept::Generation {
            agent, generation, ..
        } = record
        else {
            return false;
        };
        let reserved = self.generations.used(agent, *generation);
        *generation = reserved.mark;
        reserved.is_new
    }

    /// Writes the latest of every owner, until the database takes no more.
    async fn keep_all(&mut self) {
        let mut owners: Vec<Owner> = self.latest.keys().cloned().collect();
        while let Some(owner) = owners.pop()
            && let Some(record) = self.latest.remove(&owner)
        {
            self.keep_latest(owner, record).await;
            if self.behind {
                return;
            }
        }
    }

    /// Writes an owner's latest; what the database does not take now is tried again.
    async fn keep_latest(&mut self, owner: Owner, record: Kept) {
        let kept = keep(&self.store, record.clone(), &self.boot).await;
        let away = kept.as_ref().is_err_and(StoreError::is_temporary);
        match kept {
            // Said once, until something is kept again.
            Err(error) if !away || !self.behind => {
                tracing::warn!(%error, "a record of an agent was not kept");
            }
            _ => {}
        }
        self.behind = away;
        if away {
            self.latest.entry(owner).or_insert(record);
        }
    }
}

/// Whose latest record it is; `None` for one that must not be skipped.
fn owner(record: &Kept) -> Option<Owner> {
    match record {
        Kept::Generation { agent, .. } => Some(format!("generation {agent}")),
        Kept::Budget(budget) => Some(format!("budget {}", budget.owner)),
        Kept::Crash(_) | Kept::Spawned { .. } | Kept::Ended { .. } => None,
    }
}

/// A black box as it is kept: bounded, without secrets, with the settings of its agent.
fn sealed(record: Kept, settings: &Settings) -> Kept {
    let Kept::Crash(mut crash) = record else {
        return record;
    };
    let known = settings.get(&crash.agent);
    crash.config_hash = known.map(|settings| settings.hash.clone());
    crash.config_since = known.map(|settings| settings.since);
    crash.seal(&Redactor::default());
    Kept::Crash(crash)
}

async fn keep(store: &Store, record: Kept, boot: &str) -> Result<(), StoreError> {
    match record {
        Kept::Generation {
            agent,
            generation,
            restarts_total,
        } => {
            store
                .save_generation(&agent, generation, restarts_total)
                .await
        }
        Kept::Budget(budget) => store.save_restart_budget(budget).await,
        Kept::Crash(crash) => store.log_crash(*crash).await,
        Kept::Spawned {
            instance,
            generation,
            pid,
            start_ticks,
        } => {
            let process = SpawnedProcess {
                agent: instance.agent,
                index: instance.index,
                generation,
                pid,
                start_ticks,
                boot_id: boot.to_owned(),
            };
            store.process_spawned(process).await
        }
        Kept::Ended {
            instance,
            generation,
        } => store.process_ended(&instance, generation).await,
    }
}
