//! The daemon stops: everybody ends, those others wait for last, within fixed spans.

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

/// A shutdown under way.
#[derive(Debug)]
pub(super) struct Shutdown {
    drain_until: Instant,
    stop_until: Instant,
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
        let drain_until = Instant::now() + spans.drain;
        let stop_until = drain_until + spans.stop;
        self.timers.set(drain_until, Due::LastDrain);
        self.timers.set(stop_until, Due::LastStop);
        self.shutdown = Some(Shutdown {
            drain_until,
            stop_until,
            killed: Vec::new(),
            done: vec![done],
        });
    }

    /// Ends whoever nobody waits for any more; says so when all are down.
    pub(super) fn advance_shutdown(&mut self) {
        if self.shutdown.is_none() {
            return;
        }
        for agent in (0..self.tree.agents.len()).rev() {
            let mut dependents = self.tree.agents[agent].dependents.iter();
            if dependents.all(|dependent| self.is_down(*dependent)) {
                for slot in self.tree.slots(agent) {
                    self.reconcile(slot);
                }
            }
        }
        if (0..self.tree.agents.len()).all(|agent| self.is_down(agent)) {
            self.all_down();
        }
    }

    fn is_down(&self, agent: usize) -> bool {
        self.tree.agents[agent].alive == 0
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
        for slot in self.tree.all_slots() {
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
        for slot in self.tree.all_slots() {
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
