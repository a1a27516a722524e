//! One life that takes work: its slots and what it holds.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use crate::actors::work::{ReadyAgent, TaskPort};
use crate::domain::agent::InstanceId;
use crate::domain::ids::{LeaseId, TaskId};
use crate::domain::name::Name;
use crate::domain::query::{ClaimedTask, SlotOffer};
use crate::domain::spend::Reserve;
use crate::domain::task::{Progress, Target};

/// A task that an agent holds.
#[derive(Debug, Clone)]
pub(in crate::actors::dispatcher) struct Held {
    pub(in crate::actors::dispatcher) task: TaskId,
    pub(in crate::actors::dispatcher) attempt: u32,
    /// It runs alone.
    pub(in crate::actors::dispatcher) alone: bool,
    /// Its agent was asked to give it up.
    pub(in crate::actors::dispatcher) cancelling: bool,
    /// It is settled; only its agent has not let it go.
    pub(in crate::actors::dispatcher) ended: bool,
    /// When its progress was last kept.
    pub(in crate::actors::dispatcher) progress_at: Option<Instant>,
    /// What it said last since then.
    pub(in crate::actors::dispatcher) unkept: Option<Progress>,
}

/// A life that takes work.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) generation: u64,
    role: Option<Name>,
    queue: Name,
    pub(super) concurrency: u32,
    pub(super) port: Arc<dyn TaskPort>,
    /// It takes new tasks.
    pub(super) taking: bool,
    /// Slots held for tasks on their way.
    pub(super) reserved: u32,
    pub(super) held: HashMap<LeaseId, Held>,
    /// Claimed tasks that wait until they, or others, can run alone.
    pub(super) parked: VecDeque<ClaimedTask>,
    /// The count of news that its open claim knows.
    pub(super) asked_at: u64,
    /// The count of news at which no task was left for it.
    pub(super) dry_at: Option<u64>,
}

impl Worker {
    pub(super) fn new(agent: ReadyAgent) -> Self {
        Self {
            generation: agent.generation,
            role: agent.role,
            queue: agent.queue,
            concurrency: agent.concurrency,
            port: agent.port,
            taking: true,
            reserved: 0,
            held: HashMap::new(),
            parked: VecDeque::new(),
            asked_at: 0,
            dry_at: None,
        }
    }

    /// The same life says again that it takes work (after a pause).
    pub(super) fn update(&mut self, agent: ReadyAgent) {
        self.role = agent.role;
        self.queue = agent.queue;
        self.concurrency = agent.concurrency;
        self.port = agent.port;
        self.taking = true;
        self.dry_at = None;
    }

    /// Whether it takes what is addressed like this.
    pub(super) fn takes(&self, instance: &InstanceId, target: &Target) -> bool {
        match target {
            Target::Agent(agent) => *agent == instance.agent,
            Target::Role(role) => *role == instance.agent || self.role.as_ref() == Some(role),
            Target::Queue(queue) => *queue == self.queue,
        }
    }

    /// Who it takes tasks of.
    pub(super) fn sources(&self, instance: &InstanceId) -> impl Iterator<Item = Target> {
        let own = &instance.agent;
        let role = self.role.clone().filter(|role| role != own);
        [
            Target::Agent(own.clone()),
            Target::Role(own.clone()),
            Target::Queue(self.queue.clone()),
        ]
        .into_iter()
        .chain(role.map(Target::Role))
    }

    /// Slots that may be offered now: none while something must run alone.
    pub(super) fn free(&self) -> u32 {
        if !self.taking || !self.parked.is_empty() || self.holds_alone() {
            return 0;
        }
        let held = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
        self.concurrency
            .saturating_sub(held)
            .saturating_sub(self.reserved)
    }

    pub(super) fn offer(
        &self,
        instance: &InstanceId,
        free: u32,
        reserve: Option<Reserve>,
    ) -> SlotOffer {
        SlotOffer {
            instance: instance.clone(),
            role: self.role.clone(),
            queue: self.queue.clone(),
            free,
            reserve,
        }
    }

    /// Whether a claimed task can begin, none being put beside before it.
    pub(super) fn has_room_for(&self, task: &ClaimedTask) -> bool {
        self.parked.is_empty() && self.has_room_beside(task)
    }

    /// Whether a task can begin beside what is held.
    pub(super) fn has_room_beside(&self, task: &ClaimedTask) -> bool {
        if task.alone {
            self.held.is_empty()
        } else {
            !self.holds_alone()
        }
    }

    pub(super) fn hold(&mut self, task: &ClaimedTask) {
        let held = Held {
            task: task.id,
            attempt: task.attempt,
            alone: task.alone,
            cancelling: false,
            ended: false,
            progress_at: None,
            unkept: None,
        };
        self.held.insert(task.lease_id, held);
    }

    fn holds_alone(&self) -> bool {
        self.held.values().any(|held| held.alone)
    }
}
