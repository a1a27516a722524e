//! Who is ready, who holds what, and how many slots are free: the dispatcher's memory.
//!
//! Plain state without clock, store or actor; every change is one short call. An instant that
//! matters is an argument.

mod giving_back;
mod worker;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;

use self::giving_back::{ended, interrupted};
pub(super) use self::worker::Held;
use self::worker::Worker;
use super::spends::Spends;
use crate::actors::work::{ReadyAgent, TaskPort};
use crate::domain::agent::InstanceId;
use crate::domain::exit::ExitReason;
use crate::domain::ids::{LeaseId, TaskId};
use crate::domain::name::Name;
use crate::domain::query::{ClaimedTask, SlotOffer};
use crate::domain::spend::SpendView;
use crate::domain::task::{Outcome, Target};

/// What an agent carries.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgentLoad {
    /// The agent.
    pub agent: Name,
    /// Tasks that wait for it.
    pub depth: u64,
    /// Tasks its lives hold.
    pub running: u64,
    /// Tasks its ready lives can hold.
    pub capacity: u64,
    /// Executions that failed, since the daemon's start.
    pub errors: u64,
    /// A slot is free and the store hands nothing out to it: what waits is held back by a pause or
    /// a limit.
    #[serde(skip)]
    pub held_back: bool,
    /// What it has spent and may, if anybody counts.
    pub spend: Option<SpendView>,
}

/// The end of an execution that the desk decided.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ended {
    pub(super) task: TaskId,
    pub(super) lease: LeaseId,
    pub(super) attempt: u32,
    pub(super) outcome: Outcome,
}

/// Where a claimed task went.
#[derive(Debug)]
pub(super) enum Placed {
    /// To its agent.
    Begun(Arc<dyn TaskPort>),
    /// Beside: it must run alone, or something there does.
    Parked,
    /// Nowhere.
    Ended(Ended),
}

/// A slot that is held for a task on its way.
#[derive(Debug, Clone)]
pub(super) struct Reserved {
    pub(super) offer: SlotOffer,
    pub(super) generation: u64,
}

/// The dispatcher's memory.
#[derive(Debug, Default)]
pub(super) struct Desk {
    workers: BTreeMap<InstanceId, Worker>,
    holders: HashMap<LeaseId, InstanceId>,
    errors: HashMap<Name, u64>,
    /// Cancels that came before the hand-over they are meant for.
    early_cancels: HashSet<LeaseId>,
    /// Results on their way into the database.
    pub(super) settling: HashSet<LeaseId>,
    /// Grows when tasks may have been queued for someone; a worker that found nothing is not
    /// offered before that.
    news: HashMap<Target, u64>,
    news_for_all: u64,
    /// Nothing new is handed out.
    pub(super) draining: bool,
    /// What agents may spend.
    pub(super) spends: Spends,
}

impl Desk {
    /// A life takes work. Gives back what an earlier life of this replica still held.
    pub(super) fn ready(&mut self, agent: ReadyAgent) -> Vec<Ended> {
        let instance = agent.instance.clone();
        let earlier = self
            .workers
            .get(&instance)
            .filter(|known| known.generation < agent.generation)
            .map(|known| known.generation);
        let left = earlier.map_or_else(Vec::new, |generation| {
            self.gone(&instance, generation, &ExitReason::ArbiterGone)
        });
        match self.workers.get_mut(&instance) {
            Some(known) if known.generation == agent.generation => known.update(agent),
            Some(_) => {}
            None => {
                self.workers.insert(instance, Worker::new(agent));
            }
        }
        left
    }

    /// Tasks may have been queued for these.
    pub(super) fn news(&mut self, targets: impl IntoIterator<Item = Target>) {
        for target in targets {
            *self.news.entry(target).or_default() += 1;
        }
    }

    /// Tasks may have been queued for anyone.
    pub(super) fn news_for_all(&mut self) {
        self.news_for_all += 1;
    }

    /// Holds a slot for a task that is being submitted, if one is free: the least loaded replica.
    pub(super) fn reserve(&mut self, target: &Target) -> Option<Reserved> {
        if self.draining {
            return None;
        }
        let (instance, worker) = self
            .workers
            .iter_mut()
            .filter(|(instance, worker)| worker.takes(instance, target) && worker.free() > 0)
            .filter(|(instance, _)| self.spends.room(&instance.agent) > 0)
            .max_by_key(|(_, worker)| worker.free())?;
        worker.reserved += 1;
        let offer = worker.offer(instance, 1, self.spends.offer(&instance.agent, 1));
        Some(Reserved {
            offer,
            generation: worker.generation,
        })
    }

    /// Holds every free slot for which tasks may wait.
    pub(super) fn reserve_all(&mut self) -> Vec<Reserved> {
        if self.draining {
            return Vec::new();
        }
        let mut all = Vec::new();
        for (instance, worker) in &mut self.workers {
            let free = worker.free().min(self.spends.room(&instance.agent));
            if free == 0 {
                continue;
            }
            let heard = |target: Target| self.news.get(&target).copied().unwrap_or(0);
            let news = worker.sources(instance).map(heard).sum::<u64>() + self.news_for_all;
            if worker.dry_at != Some(news) {
                worker.reserved += free;
                worker.asked_at = news;
                let reserve = self.spends.offer(&instance.agent, free);
                let offer = worker.offer(instance, free, reserve);
                all.push(Reserved {
                    offer,
                    generation: worker.generation,
                });
            }
        }
        all
    }

    /// Whether somebody takes work, and no free slot would be claimed for now.
    #[cfg(test)]
    pub(super) fn asks_nothing(&self) -> bool {
        let asks = |(instance, worker): (&InstanceId, &Worker)| {
            let free = worker.free().min(self.spends.room(&instance.agent));
            free > 0 && !self.is_dry(instance, worker)
        };
        !self.workers.is_empty() && !self.workers.iter().any(asks)
    }

    /// Whether the store had nothing to hand out to it, and there has been no news since.
    fn is_dry(&self, instance: &InstanceId, worker: &Worker) -> bool {
        let heard = |target: Target| self.news.get(&target).copied().unwrap_or(0);
        let news = worker.sources(instance).map(heard).sum::<u64>() + self.news_for_all;
        worker.dry_at == Some(news)
    }

    /// Lets held slots go; that no task is left is remembered until there is news.
    pub(super) fn release(&mut self, reserved: &Reserved, dry: bool) {
        let instance = &reserved.offer.instance;
        self.spends.withdraw(&instance.agent, reserved.offer.free);
        if let Some(worker) = self.worker(instance, reserved.generation) {
            worker.reserved = worker.reserved.saturating_sub(reserved.offer.free);
            if dry {
                worker.dry_at = Some(worker.asked_at);
            }
        }
    }

    /// Takes a claimed task in.
    pub(super) fn place(&mut self, task: &ClaimedTask) -> Placed {
        if self.early_cancels.remove(&task.lease_id) {
            return Placed::Ended(ended(task, Outcome::Cancelled));
        }
        if self.draining {
            return Placed::Ended(interrupted(task, "the daemon is stopping"));
        }
        let Some(worker) = self
            .workers
            .get_mut(&task.instance)
            .filter(|worker| worker.taking)
        else {
            return Placed::Ended(interrupted(task, "its agent has gone"));
        };
        self.spends.open(task);
        if !worker.has_room_for(task) {
            worker.parked.push_back(task.clone());
            return Placed::Parked;
        }
        self.begin(task)
    }

    /// Gives a task to its worker, whatever waits beside.
    pub(super) fn begin(&mut self, task: &ClaimedTask) -> Placed {
        let Some(worker) = self.workers.get_mut(&task.instance) else {
            return Placed::Ended(interrupted(task, "its agent has gone"));
        };
        self.holders.insert(task.lease_id, task.instance.clone());
        self.spends.delivered(task.lease_id, true);
        worker.hold(task);
        Placed::Begun(worker.port.clone())
    }

    /// The next task that was put beside and can begin now.
    pub(super) fn next_parked(&mut self, instance: &InstanceId) -> Option<ClaimedTask> {
        let worker = self.workers.get_mut(instance)?;
        let task = worker.parked.front()?;
        if worker.has_room_beside(task) {
            worker.parked.pop_front()
        } else {
            None
        }
    }

    /// An agent has let a task go.
    pub(super) fn let_go(&mut self, lease: LeaseId) -> Option<Held> {
        let instance = self.holders.remove(&lease)?;
        self.workers.get_mut(&instance)?.held.remove(&lease)
    }

    /// An execution failed.
    pub(super) fn count_error(&mut self, agent: &Name) {
        *self.errors.entry(agent.clone()).or_default() += 1;
    }

    /// Who holds a lease, and what.
    pub(super) fn held(
        &mut self,
        lease: LeaseId,
    ) -> Option<(InstanceId, u64, Arc<dyn TaskPort>, &mut Held)> {
        let instance = self.holders.get(&lease)?.clone();
        let worker = self.workers.get_mut(&instance)?;
        let (generation, port) = (worker.generation, worker.port.clone());
        let held = worker.held.get_mut(&lease)?;
        Some((instance, generation, port, held))
    }

    /// Whether this daemon's life knows of a lease.
    pub(super) fn knows(&self, lease: LeaseId) -> bool {
        let parked = |worker: &Worker| worker.parked.iter().any(|task| task.lease_id == lease);
        self.holders.contains_key(&lease)
            || self.settling.contains(&lease)
            || self.workers.values().any(parked)
    }

    /// Forgets cancels whose hand-over never came.
    pub(super) fn forget_early_cancels(&mut self) {
        self.early_cancels.clear();
    }

    /// Whether no task is held, on its way, or being settled.
    pub(super) fn is_idle(&self) -> bool {
        let idle = |worker: &Worker| {
            worker.parked.is_empty()
                && worker.reserved == 0
                && worker.held.values().all(|it| it.ended)
        };
        self.settling.is_empty() && self.spends.is_kept() && self.workers.values().all(idle)
    }

    /// What each agent carries; `depth` is the caller's to fill in.
    pub(super) fn loads(&self, known: impl Iterator<Item = Name>) -> Vec<AgentLoad> {
        let none = |agent: Name| AgentLoad {
            agent,
            depth: 0,
            running: 0,
            capacity: 0,
            errors: 0,
            held_back: false,
            spend: None,
        };
        let mut loads: BTreeMap<Name, AgentLoad> =
            known.map(|agent| (agent.clone(), none(agent))).collect();
        for (instance, worker) in &self.workers {
            let agent = instance.agent.clone();
            let load = loads.entry(agent.clone()).or_insert_with(|| none(agent));
            load.running += worker.held.len() as u64;
            load.held_back |= worker.free() > 0 && self.is_dry(instance, worker);
            load.capacity += if worker.taking {
                u64::from(worker.concurrency)
            } else {
                0
            };
        }
        for load in loads.values_mut() {
            load.errors = self.errors.get(&load.agent).copied().unwrap_or(0);
            load.spend = self.spends.view(&load.agent);
            load.held_back |= load.spend.as_ref().is_some_and(|spend| spend.held);
        }
        loads.into_values().collect()
    }

    fn worker(&mut self, instance: &InstanceId, generation: u64) -> Option<&mut Worker> {
        self.workers
            .get_mut(instance)
            .filter(|worker| worker.generation == generation)
    }
}
