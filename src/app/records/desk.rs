//! What is written of the supervisor's records, and when; it outlives each life of the task that writes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Order, Settings};
use crate::actors::agent::boot_id;
use crate::actors::supervisor::Kept;
use crate::app::generations::{Aside, Generations};
use crate::domain::name::Name;
use crate::domain::record::{AgentRecord, SpawnedProcess};
use crate::domain::redaction::Redactor;
use crate::persistence::{Store, StoreError};

/// How often the latest generation or budget of one owner is written.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// What one owner's latest record is filed under.
type Owner = String;

/// What outlives one life of the task.
#[derive(Debug)]
pub(super) struct Desk {
    store: Store,
    settings: Settings,
    declared: BTreeSet<Name>,
    aside: Aside,
    boot: String,
    orders: mpsc::Receiver<Order>,
    latest: BTreeMap<Owner, Kept>,
    generations: Generations,
    /// The database did not take the last one.
    behind: bool,
    next: Instant,
}

impl Desk {
    pub(super) fn new(
        store: Store,
        settings: Settings,
        aside: Aside,
        orders: mpsc::Receiver<Order>,
    ) -> Self {
        Self {
            store,
            declared: settings.keys().cloned().collect(),
            settings,
            aside,
            boot: boot_id(),
            orders,
            latest: BTreeMap::new(),
            generations: Generations::default(),
            behind: false,
            next: Instant::now(),
        }
    }

    pub(super) fn store(&self) -> Store {
        self.store.clone()
    }

    /// Reserves numbers for the lives of an agent; the mark is to be stored.
    pub(super) fn mark_above(&mut self, agent: &AgentRecord) -> u64 {
        self.generations.used(&agent.name, agent.generation).mark
    }

    /// Writes what waits, and gives back numbers that no life has used.
    pub(super) async fn close(&mut self) {
        while let Ok(order) = self.orders.try_recv() {
            self.carry_out(order).await;
        }
        self.keep_all().await;
        for (agent, reserved, used) in self.generations.give_back() {
            self.give_back(&agent, reserved, used).await;
        }
    }

    /// Writes until nobody can send any more; then what still waits.
    pub(super) async fn write(&mut self) {
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
            Order::Declared(agents) => self.forget_others(agents).await,
            Order::Reserve(agent, reserved) => {
                let mark = self.mark_above(&agent);
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

    /// Who was declared before may still be ending; of all others nothing more comes.
    async fn forget_others(&mut self, declared: BTreeSet<Name>) {
        let before = std::mem::replace(&mut self.declared, declared);
        let stays = |agent: &Name| self.declared.contains(agent) || before.contains(agent);
        self.settings.retain(|agent, _| stays(agent));
        let gone = self.generations.agents().filter(|agent| !stays(agent));
        for agent in gone.cloned().collect::<Vec<_>>() {
            if let Some((reserved, used)) = self.generations.forget(&agent) {
                self.give_back(&agent, reserved, used).await;
            }
        }
    }

    /// Numbers that no life has used.
    async fn give_back(&self, agent: &Name, reserved: u64, used: u64) {
        let given = self.store.give_back_generations(agent, reserved, used);
        if let Err(error) = given.await {
            tracing::debug!(%agent, %error, "numbers of lives are skipped");
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
        self.aside.clear();
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
            if let Kept::Generation {
                agent, generation, ..
            } = &record
            {
                self.aside.keep(agent, *generation);
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::record::SettingsInForce;
    use crate::domain::timestamp::Timestamp;
    use crate::persistence::SqliteOptions;

    #[tokio::test]
    async fn of_agents_that_are_declared_no_more_nothing_stays_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        let options = SqliteOptions::new(dir.path().join("agent-system.db"));
        let store = Store::open(options).await.unwrap();
        let (_orders, waiting) = mpsc::channel(1);
        let aside = Aside::open(dir.path());
        let mut desk = Desk::new(store, Settings::new(), aside, waiting);
        for n in 0..100 {
            let agent: Name = format!("agent-{n}").parse().unwrap();
            let settings = SettingsInForce {
                hash: "0".repeat(64),
                since: Timestamp::default(),
            };
            desk.generations.used(&agent, 1);
            let runs = Order::RunsWith(agent.clone(), settings);
            desk.carry_out(runs).await;
            desk.carry_out(Order::Declared(BTreeSet::from([agent])))
                .await;
            let kept = (desk.settings.len(), desk.generations.agents().count());
            // This one, and the one before, which may still be ending.
            let most = if n == 0 { 1 } else { 2 };
            assert_eq!(kept, (most, most));
        }
    }
}
