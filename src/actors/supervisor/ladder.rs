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
        // One that is being killed already is not asked again, nor given more time.
        let doomed = life.cause.is_some();
        let stage = if doomed {
            Stage::Killing
        } else {
            Stage::Draining
        };
        life.ending = Some(Ending { stage, then });
        let generation = self.generation(slot);
        if let Some(work) = &self.outside.work {
            work.agent_draining(&self.tree.instance(slot), generation);
        }
        if doomed {
            self.stopping(slot);
        } else if drains {
            self.drain(slot, drain);
        } else {
            self.stop_now(slot);
        }
    }

    fn drain(&mut self, slot: Slot, at_most: Duration) {
        self.tree.enter(slot, AgentState::Draining);
        if let Some(life) = self.life_mut(slot) {
            life.control.drain(at_most);
        }
        self.set_deadline(slot, at_most);
        self.outside.fact(
            "agent.draining",
            self.tree.instance(slot),
            || json!({"at_most_ms": millis(at_most)}),
        );
    }

    /// Tells a life to end now, whatever it holds.
    pub(super) fn stop_now(&mut self, slot: Slot) {
        if let Some(life) = self.life_mut(slot) {
            if let Some(ending) = &mut life.ending {
                ending.stage = Stage::Stopping;
            }
            life.control.stop();
        }
        self.set_deadline(slot, self.stop_time(slot));
        self.stopping(slot);
    }

    fn stopping(&mut self, slot: Slot) {
        self.tree.enter(slot, AgentState::Stopping);
        self.outside
            .fact("agent.stopping", self.tree.instance(slot), || json!({}));
    }

    /// Gives the present step of a life's end so much time. The timer is set once a replica: one
    /// that comes too early sets the next.
    pub(super) fn set_deadline(&mut self, slot: Slot, left: Duration) {
        let at = Instant::now() + left;
        if let Some(life) = self.life_mut(slot) {
            life.deadline = Some(at);
            self.watch_deadline(slot, at);
        }
    }

    fn watch_deadline(&mut self, slot: Slot, at: Instant) {
        let Some(replica) = self.tree.replica_mut(slot) else {
            return;
        };
        if replica.deadline_watched.is_none_or(|set| at < set) {
            replica.deadline_watched = Some(at);
            self.timers.set(at, Due::Deadline(slot));
        }
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
        self.set_deadline(slot, super::KILL_GRACE);
        let instance = self.tree.instance(slot);
        tracing::warn!(agent = %instance, generation, "agent did not end in time and is killed");
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.killed.push(instance);
        }
    }

    /// A step of a life's end may be over while the life is still there.
    pub(super) fn deadline_is_due(&mut self, slot: Slot, at: Instant) {
        let Some(replica) = self.tree.replica_mut(slot) else {
            return;
        };
        if replica.deadline_watched != Some(at) {
            return;
        }
        replica.deadline_watched = None;
        let Some(life) = &replica.life else {
            return;
        };
        let stage = life.ending.map(|ending| ending.stage);
        match (life.deadline, stage) {
            (None, _) => {}
            (Some(deadline), _) if deadline > at => self.watch_deadline(slot, deadline),
            _ if life.cause.is_some() => self.write_off(slot),
            (_, Some(Stage::Draining)) => self.stop_now(slot),
            (_, Some(Stage::Stopping)) => self.kill_now(slot),
            (_, Some(Stage::Killing)) => self.write_off(slot),
            (_, None) => {}
        }
    }

    /// Even killing did not end it (its thread is blocked): from now on it counts as ended, and
    /// whatever it reports later is stale.
    fn write_off(&mut self, slot: Slot) {
        let generation = self.generation(slot);
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
