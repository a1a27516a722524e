//! Pauses: an agent lives on and gets no new task, until an operator resumes it or the time that he
//! gave is over.
//!
//! That time is an instant on the wall clock, kept with the pause; so it ends as well if it passed
//! while no daemon ran. The wall clock may be set: it is read again at least every
//! [`LOOK_AT_CLOCK`], and a pause ends when it says so, never because a span has passed.
//!
//! Rely on: an operator's stop, resume or other pause is what holds, whatever timer was set before.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::replica::Replica;
use super::timers::Due;
use super::tree::Slot;
use super::{Supervisor, SupervisorError};
use crate::domain::agent::Desired;
use crate::domain::timestamp::Timestamp;

/// How long a pause with an end goes on at most before the wall clock is read again.
pub(super) const LOOK_AT_CLOCK: Duration = Duration::from_secs(5);

/// Until when an agent is paused, if its pause has an end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pause {
    pub(super) until: Option<Timestamp>,
    /// When the clock is looked at; only one such timer counts.
    look: Option<Instant>,
}

impl Pause {
    pub(super) fn until(until: Option<Timestamp>) -> Self {
        Self { until, look: None }
    }
}

impl Supervisor {
    /// Gives an agent no new task; of one that is paused only the end changes.
    pub(super) fn pause(
        &mut self,
        index: usize,
        until: Option<Timestamp>,
    ) -> Result<(), SupervisorError> {
        if let Some(until) = until.filter(|until| *until <= self.wall.now()) {
            let said = format!("until: {until} is past");
            return Err(SupervisorError::Invalid(said));
        }
        let agent = &mut self.tree.agents[index];
        let before = std::mem::replace(&mut agent.desired, Desired::Paused);
        let other_end = std::mem::replace(&mut agent.pause.until, until) != until;
        if before == Desired::Paused && !other_end {
            return Ok(());
        }
        let name = &agent.spec.name;
        self.outside
            .fact("agent.paused", name, || json!({"until": until}));
        self.look_at_clock(index);
        if before != Desired::Paused {
            self.withdraw(index);
        }
        Ok(())
    }

    fn withdraw(&mut self, agent: usize) {
        for slot in self.ready_slots(agent) {
            let generation = self.generation(slot);
            if let Some(work) = &self.outside.work {
                work.agent_draining(&self.tree.instance(slot), generation);
            }
            self.offer(slot);
        }
    }

    /// Gives an agent tasks again.
    pub(super) fn resume_work(&mut self, index: usize, why: &'static str) {
        let agent = &mut self.tree.agents[index];
        agent.desired = Desired::Running;
        agent.pause.until = None;
        let name = &agent.spec.name;
        self.outside
            .fact("agent.resumed", name, || json!({"reason": why}));
        for slot in self.ready_slots(index) {
            self.offer(slot);
        }
    }

    /// Ends what is over, and looks at the rest in time: at the start, and when others are declared.
    pub(super) fn look_at_pauses(&mut self) {
        for agent in 0..self.tree.agents.len() {
            self.end_or_look(agent);
        }
    }

    pub(super) fn pause_is_due(&mut self, agent: usize, at: Instant) {
        let pause = &mut self.tree.agents[agent].pause;
        if pause.look == Some(at) {
            pause.look = None;
            self.end_or_look(agent);
        }
    }

    fn end_or_look(&mut self, index: usize) {
        let agent = &self.tree.agents[index];
        // The next daemon ends it; whoever is declared again is looked at then.
        let rests = self.shutdown.is_some() || agent.leaving;
        let Some(until) = agent.pause.until.filter(|_| !rests) else {
            return;
        };
        if until > self.wall.now() {
            return self.look_at_clock(index);
        }
        self.resume_work(index, "its time was over");
        // What is not kept now is over at the next start just as well.
        drop(self.keep_overrides(index));
    }

    /// Sets a timer to the end of a pause, or to the next look at the clock; nothing if one that is
    /// due as soon is set.
    fn look_at_clock(&mut self, index: usize) {
        let pause = &mut self.tree.agents[index].pause;
        let Some(until) = pause.until else {
            return;
        };
        let left = until.since(self.wall.now());
        let at = Instant::now() + left.min(LOOK_AT_CLOCK);
        if pause.look.is_none_or(|set| set > at) {
            pause.look = Some(at);
            self.timers.set(at, Due::Pause(index));
        }
    }

    fn ready_slots(&self, agent: usize) -> Vec<Slot> {
        let ready = |slot: &Slot| self.tree.replica(*slot).is_some_and(Replica::is_ready);
        self.tree.slots(agent).filter(ready).collect()
    }
}
