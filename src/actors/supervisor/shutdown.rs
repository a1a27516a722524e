//! The daemon stops: everybody ends, in the reverse of the order in which they started, each with its
//! own deadlines, within fixed spans.
//!
//! ```text
//! told ─▶ down ─▶ the next is told       whoever does not hurry is waited for SIBLING_PATIENCE
//!   └─ needed by one that lives ─▶ told when that one is down, or the drain is over
//! ```
//!
//! Rely on: no naughty child takes more than a moment of anybody's time to drain, except of those
//! that it depends on; all of them together take a quarter of it at most.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Supervisor;
use super::replica::Stage;
use super::timers::Due;
use crate::actors::runner::AgentContext;
use crate::domain::agent::InstanceId;

/// What a shutdown had to do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShutdownReport {
    /// Replicas that did not end in time and were killed.
    pub killed: Vec<InstanceId>,
}

/// How long a shutdown may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownSpans {
    /// For finishing open tasks.
    pub drain: Duration,
    /// From then on, for ending by itself.
    pub stop: Duration,
}

impl Default for ShutdownSpans {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(12),
            stop: Duration::from_secs(8),
        }
    }
}

/// End everybody; answered when all are down.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct ShutDown {
    pub(super) spans: ShutdownSpans,
    pub(super) done: oneshot::Sender<ShutdownReport>,
}

/// How long a child that was told to end is waited for before the next one is told.
pub const SIBLING_PATIENCE: Duration = Duration::from_millis(100);

/// A shutdown under way.
#[derive(Debug)]
pub(super) struct Shutdown {
    begun: Instant,
    drain_until: Instant,
    stop_until: Instant,
    patience: Duration,
    /// Agents that are to be told, the next one first.
    queue: VecDeque<usize>,
    /// Agents whose turn has come while somebody needs them.
    needed: Vec<usize>,
    /// Agents that have a life.
    alive: BTreeSet<usize>,
    /// Agents that were told and have a life.
    told: BTreeSet<usize>,
    /// How many have been told.
    count: u32,
    pub(super) killed: Vec<InstanceId>,
    done: Vec<oneshot::Sender<ShutdownReport>>,
}

impl Shutdown {
    pub(super) fn left_to_drain(&self) -> Duration {
        self.drain_until.saturating_duration_since(Instant::now())
    }

    pub(super) fn left_to_stop(&self) -> Duration {
        self.stop_until.saturating_duration_since(Instant::now())
    }
}

impl Handler<ShutDown> for Supervisor {
    type Result = ();

    fn handle(&mut self, ShutDown { spans, done }: ShutDown, ctx: &mut AgentContext<Self>) {
        match &mut self.shutdown {
            Some(shutdown) => shutdown.done.push(done),
            None => self.begin_shutdown(spans, done),
        }
        self.advance_shutdown();
        self.arm(ctx);
    }
}

impl Supervisor {
    fn begin_shutdown(&mut self, spans: ShutdownSpans, done: oneshot::Sender<ShutdownReport>) {
        let begun = Instant::now();
        let drain_until = begun + spans.drain;
        let stop_until = drain_until + spans.stop;
        self.timers.set(drain_until, Due::LastDrain);
        self.timers.set(stop_until, Due::LastStop);
        let order = self.tree.order.iter().rev().copied();
        let (alive, down): (Vec<usize>, Vec<usize>) =
            order.partition(|agent| self.tree.agents[*agent].alive > 0);
        let queue = VecDeque::from(alive);
        let count = u32::try_from(queue.len()).unwrap_or(u32::MAX).max(1);
        self.shutdown = Some(Shutdown {
            begun,
            drain_until,
            stop_until,
            patience: SIBLING_PATIENCE.min(spans.drain / 4 / count),
            alive: queue.iter().copied().collect(),
            queue,
            needed: Vec::new(),
            told: BTreeSet::new(),
            count: 0,
            killed: Vec::new(),
            done: vec![done],
        });
        for agent in down {
            self.reconcile_agent(agent);
        }
    }

    /// The last life of an agent has ended.
    pub(super) fn agent_is_down(&mut self, agent: usize) {
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.alive.remove(&agent);
            shutdown.told.remove(&agent);
            self.advance_shutdown();
        }
    }

    /// Tells whoever's turn it is to end; says so when all are down.
    pub(super) fn advance_shutdown(&mut self) {
        let needed = self
            .shutdown
            .as_mut()
            .map(|it| std::mem::take(&mut it.needed));
        for agent in needed.into_iter().flatten() {
            self.tell_unless_needed(agent);
        }
        while let Some(agent) = self.next_to_stop() {
            self.tell_unless_needed(agent);
        }
        if self.shutdown.as_ref().is_some_and(|it| it.alive.is_empty()) {
            self.all_down();
        }
    }

    /// Who is told now: when all before are down, or have been waited for.
    fn next_to_stop(&mut self) -> Option<usize> {
        let shutdown = self.shutdown.as_mut()?;
        let due = shutdown.begun + shutdown.patience * shutdown.count;
        if !shutdown.told.is_empty() && Instant::now() < due {
            if !shutdown.queue.is_empty() {
                self.timers.set(due, Due::NextToStop);
            }
            return None;
        }
        shutdown.queue.pop_front()
    }

    fn tell_unless_needed(&mut self, agent: usize) {
        let is_needed = self.tree.is_needed(agent);
        let Some(shutdown) = &mut self.shutdown else {
            return;
        };
        if !shutdown.alive.contains(&agent) {
            return;
        }
        if is_needed {
            return shutdown.needed.push(agent);
        }
        shutdown.told.insert(agent);
        shutdown.count = shutdown.count.saturating_add(1);
        self.reconcile_agent(agent);
    }

    fn all_down(&mut self) {
        let Some(shutdown) = &mut self.shutdown else {
            return;
        };
        let report = ShutdownReport {
            killed: shutdown.killed.clone(),
        };
        for done in shutdown.done.drain(..) {
            // Whoever asked may have stopped waiting.
            done.send(report.clone()).ok();
        }
    }

    /// Nothing may drain any longer.
    pub(super) fn last_drain(&mut self) {
        for slot in self.tree.slots_in_reverse() {
            let stage = self
                .life_mut(slot)
                .map(|life| life.ending.map(|ending| ending.stage));
            match stage {
                Some(None) => self.begin_ending(slot, super::replica::Then::AsWanted),
                Some(Some(Stage::Draining)) => self.stop_now(slot),
                _ => {}
            }
        }
    }

    /// Nothing may live any longer.
    pub(super) fn last_stop(&mut self) {
        for slot in self.tree.slots_in_reverse() {
            let stage = self
                .life_mut(slot)
                .and_then(|life| life.ending)
                .map(|ending| ending.stage);
            if matches!(stage, Some(Stage::Draining | Stage::Stopping)) {
                self.kill_now(slot);
            }
        }
    }
}
