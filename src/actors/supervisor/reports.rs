//! What lives and the watchdog report. Their number is bounded by the number of lives, so none is
//! ever refused.

use actix::prelude::*;

use super::Supervisor;
use super::tree::Slot;
use crate::actors::life::{LifeNote, LifeSink, Ready};
use crate::actors::pool::Sighting;
use crate::actors::runner::{Address, AgentContext};
use crate::domain::agent::InstanceId;
use crate::domain::exit::ExitReason;

/// A life can take work.
#[derive(Message)]
#[rtype(result = "()")]
struct AgentReady {
    instance: InstanceId,
    generation: u64,
    ready: Ready,
}

/// A life says something on the way.
#[derive(Message)]
#[rtype(result = "()")]
struct AgentNoted {
    instance: InstanceId,
    generation: u64,
    note: LifeNote,
}

/// A life has ended.
#[derive(Message)]
#[rtype(result = "()")]
struct AgentExited {
    instance: InstanceId,
    generation: u64,
    reason: ExitReason,
}

/// What the watchdog of the arbiters has to say.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Watched(pub(super) Sighting);

/// A life does not obey and is to be ended by force.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct EndLife {
    pub(super) instance: InstanceId,
    pub(super) generation: u64,
}

impl Handler<EndLife> for Supervisor {
    type Result = ();

    fn handle(&mut self, end: EndLife, ctx: &mut AgentContext<Self>) {
        if let Some(slot) = self.current(&end.instance, end.generation) {
            self.condemn(slot, ExitReason::Killed);
        }
        self.arm(ctx);
    }
}

impl Supervisor {
    /// Where a life stands, if it is still the present one of its replica.
    pub(super) fn current(&self, instance: &InstanceId, generation: u64) -> Option<Slot> {
        let slot = self.tree.slot(instance)?;
        let replica = self.tree.replica(slot)?;
        replica.is_in(generation).then_some(slot)
    }
}

/// Where lives report to.
#[derive(Debug)]
pub(super) struct Reports(pub(super) Address<Supervisor>);

// A report is refused only when the supervisor has ended; then nobody wants to know.
impl LifeSink for Reports {
    fn ready(&self, instance: &InstanceId, generation: u64, ready: Ready) {
        let instance = instance.clone();
        let report = AgentReady {
            instance,
            generation,
            ready,
        };
        self.0.report(report).ok();
    }

    fn noted(&self, instance: &InstanceId, generation: u64, note: LifeNote) {
        let instance = instance.clone();
        let report = AgentNoted {
            instance,
            generation,
            note,
        };
        self.0.report(report).ok();
    }

    fn exited(&self, instance: &InstanceId, generation: u64, reason: ExitReason) {
        let instance = instance.clone();
        let report = AgentExited {
            instance,
            generation,
            reason,
        };
        self.0.report(report).ok();
    }
}

impl Handler<AgentReady> for Supervisor {
    type Result = ();

    fn handle(&mut self, report: AgentReady, ctx: &mut AgentContext<Self>) {
        if let Some(slot) = self.tree.slot(&report.instance) {
            self.on_ready(slot, report.generation, report.ready);
        }
        self.arm(ctx);
    }
}

impl Handler<AgentNoted> for Supervisor {
    type Result = ();

    fn handle(&mut self, report: AgentNoted, ctx: &mut AgentContext<Self>) {
        if let Some(slot) = self.tree.slot(&report.instance) {
            self.on_noted(slot, report.generation, report.note);
        }
        self.arm(ctx);
    }
}

impl Handler<AgentExited> for Supervisor {
    type Result = ();

    fn handle(&mut self, report: AgentExited, ctx: &mut AgentContext<Self>) {
        if let Some(slot) = self.tree.slot(&report.instance) {
            self.on_exited(slot, report.generation, report.reason);
        }
        self.arm(ctx);
    }
}

impl Handler<Watched> for Supervisor {
    type Result = ();

    fn handle(&mut self, Watched(sighting): Watched, ctx: &mut AgentContext<Self>) {
        match sighting {
            Sighting::Blocked(blocked) => self.on_blocked(blocked),
            Sighting::Blind => self.on_blind(),
        }
        self.arm(ctx);
    }
}
