//! Keeps what the supervisor wants kept, without ever making it wait.
//!
//! Records go onto a bounded queue; one task writes them in order. Of generations and budgets only
//! the latest counts, and each is written once a second at most; deaths and processes are written
//! at once. When the database is away longer than the queue lasts, the oldest news is lost, and
//! counted: supervision goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::actors::agent::boot_id;
use crate::actors::supervisor::{Kept, SupervisorRecords};
use crate::domain::name::Name;
use crate::domain::record::{Overrides, SettingsInForce, SpawnedProcess};
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
}

/// The settings that each agent runs with.
pub(super) type Settings = BTreeMap<Name, SettingsInForce>;

/// What the task is told.
enum Order {
    Keep(Kept),
    /// Keep what an operator set, then say how that went.
    Overrides(Name, Overrides, oneshot::Sender<Result<(), StoreError>>),
    /// Write everything that came before, then answer.
    Flush(oneshot::Sender<()>),
}

impl Records {
    /// Starts the task that writes. Needs a running runtime.
    pub(super) fn start(store: Store, settings: Settings) -> Arc<Self> {
        let (waiting, records) = mpsc::channel(MAX_WAITING);
        tokio::spawn(write(store, settings, records));
        Arc::new(Self {
            waiting,
            lost: AtomicU64::new(0),
        })
    }

    /// Resolves when everything that was kept before has been written.
    pub(super) async fn flush(&self) {
        let (written, waiting) = oneshot::channel();
        // The task ends with the daemon only; without it there is nothing to wait for.
        if self.waiting.send(Order::Flush(written)).await.is_ok() {
            waiting.await.ok();
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

/// Writes until nobody can send any more; then what still waits.
async fn write(store: Store, settings: Settings, mut records: mpsc::Receiver<Order>) {
    let boot = boot_id();
    let mut latest: BTreeMap<Owner, Kept> = BTreeMap::new();
    let mut next = Instant::now();
    loop {
        let due = !latest.is_empty();
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(next), if due => {
                keep_all(&store, &mut latest, &boot).await;
                next = Instant::now() + AT_MOST_EVERY;
            }
            order = records.recv() => match order {
                None => break,
                Some(Order::Flush(written)) => {
                    keep_all(&store, &mut latest, &boot).await;
                    // Who asked may have stopped waiting.
                    written.send(()).ok();
                }
                Some(Order::Overrides(agent, overrides, kept)) => {
                    // Who asked may have stopped waiting.
                    kept.send(store.set_overrides(&agent, overrides).await).ok();
                }
                Some(Order::Keep(record)) => match owner(&record) {
                    Some(owner) => { latest.insert(owner, record); }
                    None => keep(&store, sealed(record, &settings), &boot).await,
                },
            },
        }
    }
    keep_all(&store, &mut latest, &boot).await;
}

/// Writes the latest of every owner.
async fn keep_all(store: &Store, latest: &mut BTreeMap<Owner, Kept>, boot: &str) {
    for (_, record) in std::mem::take(latest) {
        keep(store, record, boot).await;
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

async fn keep(store: &Store, record: Kept, boot: &str) {
    let kept = match record {
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
    };
    if let Err(error) = kept {
        tracing::warn!(%error, "a record of an agent was not kept");
    }
}
