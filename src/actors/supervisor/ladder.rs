//! How a life is ended: drain, then stop, then kill, each with its deadline.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::Supervisor;
use super::ends::millis;
use super::replica::{Ending, Running, Stage, Then};
use super::timers::Due;
use super::tree::Slot;
use crate::domain::agent::AgentState;
use crate::domain::exit::ExitReason;

impl Supervisor {
    pub(super) fn life_mut(&mut self, slot: Slot) -> Option<&mut Running> {
        self.tree.replica_mut(slot)?.life.as_deref_mut()
    }

    /// Tells a life to end. From here on no life follows in place.
    pub(super) fn begin_ending(&mut self, slot: Slot, then: Then) {
        let drain = match then {
            Then::AsWanted => self.drain_time(slot),
            Then::GivesUp(_) | Then::Rejoin => Duration::ZERO,
        };
        self.begin_ending_within(slot, then, drain);
    }

    /// The same, with so much time for what it holds.
    pub(super) fn begin_ending_within(&mut self, slot: Slot, then: Then, drain: Duration) {
        let Some(life) = self.life_mut(slot) else {
            return;
        };
        life.grant.revoke();
        let drains = life.ready.is_some() && !drain.is_zero();
        life.ending = Some(Ending {
            stage: Stage::Draining,
            then,
        });
        let generation = self.generation(slot);
        if let Some(work) = &self.outside.work {
            work.agent_draining(&self.tree.instance(slot), generation);
        }
        if drains {
            self.drain(slot, drain);
        } else {
            self.stop_now(slot);
        }
    }

    fn drain(&mut self, slot: Slot, at_most: Duration) {
        let generation = self.generation(slot);
        if let Some(replica) = self.tree.replica_mut(slot) {
            replica.state = AgentState::Draining;
        }
        if let Some(life) = self.life_mut(slot) {
            life.control.drain(at_most);
        }
        self.timers
            .set(Instant::now() + at_most, Due::DrainOver(slot, generation));
        self.outside.fact(
            "agent.draining",
            self.tree.instance(slot),
            || json!({"at_most_ms": millis(at_most)}),
        );
    }

    /// Tells a life to end now, whatever it holds.
    pub(super) fn stop_now(&mut self, slot: Slot) {
        let generation = self.generation(slot);
        let timeout = self.stop_time(slot);
        let Some(replica) = self.tree.replica_mut(slot) else {
            return;
        };
        replica.state = AgentState::Stopping;
        if let Some(life) = &mut replica.life {
            if let Some(ending) = &mut life.ending {
                ending.stage = Stage::Stopping;
            }
            life.control.stop();
        }
        self.timers
            .set(Instant::now() + timeout, Due::StopOver(slot, generation));
        self.outside
            .fact("agent.stopping", self.tree.instance(slot), || json!({}));
    }

    /// Ends a life that did not end as told.
    pub(super) fn kill_now(&mut self, slot: Slot) {
        let generation = self.generation(slot);
        let Some(life) = self.life_mut(slot) else {
            return;
        };
        if let Some(ending) = &mut life.ending {
            ending.stage = Stage::Killing;
        }
        life.control.kill();
        self.timers.set(
            Instant::now() + super::KILL_GRACE,
            Due::KillOver(slot, generation),
        );
        let instance = self.tree.instance(slot);
        tracing::warn!(agent = %instance, generation, "agent did not end in time and is killed");
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.killed.push(instance);
        }
    }

    /// A step of the ladder is over and the life is still there.
    pub(super) fn ladder_is_due(&mut self, slot: Slot, generation: u64, stage: Stage) {
        let Some(replica) = self.tree.replica(slot) else {
            return;
        };
        let at = replica
            .life
            .as_ref()
            .and_then(|life| life.ending)
            .map(|ending| ending.stage);
        if !replica.is_in(generation) || at != Some(stage) {
            return;
        }
        match stage {
            Stage::Draining => self.stop_now(slot),
            Stage::Stopping => self.kill_now(slot),
            Stage::Killing => self.write_off(slot, generation),
        }
    }

    /// Even killing did not end it (its thread is blocked): from now on it counts as ended, and
    /// whatever it reports later is stale.
    pub(super) fn write_off(&mut self, slot: Slot, generation: u64) {
        let Some(replica) = self.tree.replica_mut(slot) else {
            return;
        };
        if !replica.is_in(generation) {
            return;
        }
        self.on_exited(slot, generation, ExitReason::Killed);
    }

    /// A told life had just begun its next one: tell that one.
    pub(super) fn repeat_order(&mut self, slot: Slot) {
        let stage = self
            .life_mut(slot)
            .and_then(|life| life.ending)
            .map(|ending| ending.stage);
        match stage {
            Some(Stage::Killing) => self.kill_now(slot),
            Some(_) => self.stop_now(slot),
            None => {}
        }
    }

    pub(super) fn generation(&self, slot: Slot) -> u64 {
        self.tree
            .replica(slot)
            .map_or(0, |replica| replica.generation)
    }

    fn drain_time(&self, slot: Slot) -> Duration {
        let own = self.tree.agents[slot.agent].spec.stop.drain_timeout;
        self.shutdown
            .as_ref()
            .map_or(own, |shutdown| own.min(shutdown.left_to_drain()))
    }

    fn stop_time(&self, slot: Slot) -> Duration {
        let own = self.tree.agents[slot.agent].spec.stop.timeout;
        self.shutdown
            .as_ref()
            .map_or(own, |shutdown| own.min(shutdown.left_to_stop()))
    }
}
