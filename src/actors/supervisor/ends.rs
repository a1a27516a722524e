//! A life has ended: record it, judge it, and see to what follows.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::Supervisor;
use super::outside::{Exit, Kept};
use super::replica::{Hold, LastEnd, Running, Then};
use super::timers::Due;
use super::tree::{Group, Slot};
use crate::clock;
use crate::domain::agent::{AgentState, Verdict};
use crate::domain::crash::{Crash, LastUsage, Seen};
use crate::domain::exit::ExitReason;
use crate::domain::ids::CrashId;
use crate::domain::restart::{Death, GiveUp, RestartType, Rules, Sequel};

/// A life that has just ended.
#[derive(Debug)]
pub(super) struct End {
    reason: ExitReason,
    generation: u64,
    /// Since it began.
    age: Duration,
    /// Since it was ready; zero if it never was.
    uptime: Duration,
    /// The life as it was; what is left of its runner if that goes on with another life.
    was: Box<Running>,
    in_place: bool,
}

impl Supervisor {
    /// A runner reports the end of a life. Ends of lives that are known to be over change nothing.
    pub(super) fn on_exited(&mut self, slot: Slot, generation: u64, reason: ExitReason) {
        let current = self
            .tree
            .replica(slot)
            .is_some_and(|replica| replica.is_in(generation));
        if !current {
            return;
        }
        let Some(end) = self.take_end(slot, reason) else {
            return;
        };
        self.tree.agents[slot.agent].alive -= usize::from(!end.in_place);
        self.record_end(slot, &end);
        let told = end.was.ending.map(|ending| ending.then);
        if end.in_place {
            self.go_on_in_place(slot, &end);
        }
        let regrouping = self.tree.agents[slot.agent].replicas[slot.index].hold == Hold::Group;
        match told {
            // It took its leave just before that was revoked; the order stands for its next life.
            Some(_) if end.in_place => self.repeat_order(slot),
            // Its group has not come to it yet; its next life is told when it does.
            None if regrouping && end.in_place => {}
            _ if regrouping => {
                self.let_go_of_temporary(slot, &end);
                self.after_ordered_end(slot, Then::Rejoin);
            }
            Some(then) => self.after_ordered_end(slot, then),
            None if self.tree.agents[slot.agent].leaving => {
                self.after_ordered_end(slot, Then::AsWanted);
            }
            None => self.after_death(slot, &end),
        }
    }

    /// Takes the ended life out of its replica.
    fn take_end(&mut self, slot: Slot, reason: ExitReason) -> Option<End> {
        let now = Instant::now();
        self.tree.enter(slot, AgentState::Pending);
        let replica = self.tree.replica_mut(slot)?;
        let mut was = replica.life.take()?;
        let generation = replica.generation;
        let forced = matches!(reason, ExitReason::Killed | ExitReason::Shutdown);
        let reason = was
            .cause
            .take()
            .filter(|_| forced)
            .map_or(reason, |cause| *cause);
        replica.last = Some(Box::new(LastEnd {
            reason: reason.clone(),
            at: clock::now(),
        }));
        Some(End {
            reason,
            generation,
            age: now.saturating_duration_since(was.begun),
            uptime: was.ready.as_ref().map_or(Duration::ZERO, |(since, _)| {
                now.saturating_duration_since(*since)
            }),
            in_place: was.grant.generation() > generation,
            was,
        })
    }

    /// Tells everybody who has to know.
    fn record_end(&self, slot: Slot, end: &End) {
        let instance = self.tree.instance(slot);
        if let Some(work) = &self.outside.work {
            work.agent_gone(&instance, end.generation, &end.reason);
        }
        self.outside.exited(|| Exit {
            instance: instance.clone(),
            generation: end.generation,
            reason: end.reason.clone(),
            uptime: end.uptime,
        });
        if end.was.pid.is_some() {
            self.outside.keep(|| Kept::Ended {
                instance: instance.clone(),
                generation: end.generation,
            });
        }
        let told = end.was.ending.is_some() && end.reason == ExitReason::Killed;
        if end.reason.is_normal() || told {
            return;
        }
        self.outside.fact("agent.crashed", &instance, || {
            json!({
                "generation": end.generation,
                "reason": end.reason.label(),
                "message": end.reason.to_string(),
                "uptime_ms": millis(end.uptime),
            })
        });
        self.outside
            .keep(|| Kept::Crash(Box::new(self.black_box(slot, end))));
    }

    fn black_box(&self, slot: Slot, end: &End) -> Crash {
        let shown = end.was.evidence.as_deref();
        let replica = self.tree.replica(slot);
        let tail = replica.and_then(|replica| replica.tail.as_ref());
        let instance = self.tree.instance(slot);
        let at = clock::now();
        Crash {
            id: CrashId::from_bytes(clock::new_id()),
            agent: instance.agent,
            index: instance.index,
            generation: end.generation,
            reason: end.reason.clone(),
            message: end.reason.to_string(),
            signature: end.reason.signature(),
            // Who keeps the box knows the boxes before.
            new_signature: false,
            seen: Seen::once(at),
            config_hash: None,
            config_since: None,
            config_changed: false,
            at,
            uptime_ms: millis(end.age),
            tasks: shown.map_or_else(Vec::new, |shown| shown.open_tasks.clone()),
            usage: shown.map_or_else(LastUsage::default, |shown| LastUsage {
                peak_memory_bytes: shown.peak_memory_bytes,
                cpu_seconds: shown.cpu_seconds,
                io_bytes: shown.io_bytes,
            }),
            log: tail.map_or_else(Vec::new, |tail| tail.0.log()),
            frames: tail.map_or_else(Vec::new, |tail| tail.0.frames()),
        }
    }

    /// The runner has begun another life by itself.
    fn go_on_in_place(&mut self, slot: Slot, end: &End) {
        let life = Running {
            ending: end.was.ending,
            outdated: end.was.outdated,
            ..Running::new(
                end.was.control.clone(),
                end.was.grant.clone(),
                end.was.place.clone(),
            )
        };
        let replica = &mut self.tree.agents[slot.agent].replicas[slot.index];
        replica.generation += 1;
        replica.state = AgentState::Starting;
        replica.life = Some(Box::new(life));
        self.life_began(slot);
    }

    /// A temporary agent has no second life, also where its group has ended the first one; only
    /// what starts the whole group anew starts it again.
    fn let_go_of_temporary(&mut self, slot: Slot, end: &End) {
        let agent = &mut self.tree.agents[slot.agent];
        let temporary = agent.rule.kind == RestartType::Temporary;
        let group = agent.group.map(|group| &self.tree.groups[group]);
        if temporary && group.is_some_and(Group::restarts_its_own) {
            let success = end.was.ending.is_none() && end.reason.is_normal();
            agent.replicas[slot.index].hold = Hold::Done(success);
        }
    }

    /// A life ended that was told to.
    fn after_ordered_end(&mut self, slot: Slot, then: Then) {
        let replica = &mut self.tree.agents[slot.agent].replicas[slot.index];
        replica.state = AgentState::Pending;
        match then {
            Then::AsWanted => {
                self.reconcile(slot);
                self.drop_surplus(slot.agent);
            }
            Then::GivesUp(why) if self.is_wanted(slot) => {
                self.give_up(slot, why);
                self.keep_budget(slot);
            }
            // Meanwhile nobody wants it any more.
            Then::GivesUp(_) => self.reconcile(slot),
            Then::Rejoin => {
                self.reconcile(slot);
                self.advance_plans(slot.agent);
            }
        }
        self.end_was_seen_to(slot);
    }

    /// The last step after an end: a shutdown goes on when nobody of the agent is left.
    fn end_was_seen_to(&mut self, slot: Slot) {
        if self.tree.agents[slot.agent].alive == 0 {
            self.agent_is_down(slot.agent);
        }
        self.advance_renewal();
    }

    /// A life ended that was not told to.
    fn after_death(&mut self, slot: Slot, end: &End) {
        let sequel = match self.judge(slot, end) {
            Sequel::Again { .. } if self.holds_too_many_threads(slot) => {
                Sequel::GivesUp(GiveUp::Threads)
            }
            judged => judged,
        };
        match (sequel, end.in_place) {
            (Sequel::Again { .. }, true) => self.restarted(slot),
            (Sequel::Again { after }, false) => self.restart(slot, after),
            (Sequel::GivesUp(why), true) => self.begin_ending(slot, Then::GivesUp(why)),
            (Sequel::GivesUp(why), false) => self.give_up(slot, why),
            (Sequel::Over, _) => self.ended_for_good(slot, Hold::Done(end.reason.is_normal())),
            (Sequel::Fatal, _) => self.failed(slot, "an exit code that is never retried"),
        }
        self.keep_budget(slot);
        self.end_was_seen_to(slot);
    }

    /// What follows, by the replica's ledger or its group's.
    fn judge(&mut self, slot: Slot, end: &End) -> Sequel {
        let death = Death {
            reason: &end.reason,
            uptime: end.uptime,
            now: self.span(),
            chance: self.draw(),
        };
        let sharing = self.sharing_group(slot.agent);
        let agent = &mut self.tree.agents[slot.agent];
        let rules = Rules {
            rule: &agent.rule,
            policy: &agent.spec.restart,
            group: &agent.rules,
        };
        match sharing {
            Some((group, _)) => self.tree.groups[group].ledger.judge(&death, &rules),
            None => agent.replicas[slot.index].ledger.judge(&death, &rules),
        }
    }

    /// A life is to follow in a new runner.
    fn restart(&mut self, slot: Slot, after: Duration) {
        if let Some((group, unit)) = self.sharing_group(slot.agent) {
            return self.restart_units(group, unit, after);
        }
        if after.is_zero() {
            let wanted = &mut self.tree.agents[slot.agent].replicas[slot.index];
            wanted.state = AgentState::Pending;
            self.start_again(slot);
            return;
        }
        let due = Instant::now() + after;
        let replica = &mut self.tree.agents[slot.agent].replicas[slot.index];
        replica.state = AgentState::Backoff;
        replica.due = Some(due);
        self.timers.set(due, Due::Rest(slot));
        self.outside.fact(
            "agent.backoff",
            self.tree.instance(slot),
            || json!({"delay_ms": millis(after)}),
        );
    }

    /// Starts the life after a crash, as soon as what it depends on stands.
    pub(super) fn start_again(&mut self, slot: Slot) {
        self.tree.agents[slot.agent].replicas[slot.index].follows_crash = true;
        self.reconcile(slot);
    }

    /// A life has followed a crash.
    pub(super) fn restarted(&mut self, slot: Slot) {
        let leave = self.leave(slot);
        let agent = &mut self.tree.agents[slot.agent];
        agent.restarts += 1;
        let replica = &mut agent.replicas[slot.index];
        replica.restarts += 1;
        let (generation, restarts) = (replica.generation, replica.restarts);
        if let Some(life) = &replica.life {
            life.grant.refill(leave);
        }
        let reason = replica.last.as_ref().map_or("", |last| last.reason.label());
        self.outside.fact(
            "agent.restarted",
            self.tree.instance(slot),
            || json!({"generation": generation, "restarts": restarts, "reason": reason}),
        );
        self.keep_generation(slot.agent);
    }

    /// No life follows, and none is missed.
    fn ended_for_good(&mut self, slot: Slot, hold: Hold) {
        let replica = &mut self.tree.agents[slot.agent].replicas[slot.index];
        replica.hold = hold;
        replica.state = AgentState::Pending;
        self.reconcile(slot);
        self.drop_surplus(slot.agent);
        self.wake_dependents(slot.agent);
    }

    /// No life follows, and one is missed.
    pub(super) fn failed(&mut self, slot: Slot, why: &'static str) {
        let replica = &mut self.tree.agents[slot.agent].replicas[slot.index];
        replica.hold = Hold::Failed;
        replica.state = AgentState::Failed;
        replica.why = Some(why);
        replica.due = None;
        self.close(slot);
        tracing::error!(agent = %self.tree.instance(slot), why, "agent failed");
        self.outside.fact(
            "agent.failed",
            self.tree.instance(slot),
            || json!({"why": why}),
        );
        self.watch_critical(slot.agent);
    }

    /// A replica rests in quarantine.
    pub(super) fn quarantine(&mut self, slot: Slot, why: GiveUp) {
        let rules = self.tree.agents[slot.agent].rules.clone();
        let replica = &mut self.tree.agents[slot.agent].replicas[slot.index];
        let rest = replica.ledger.quarantine(&rules);
        let due = Instant::now() + rest;
        replica.state = AgentState::Quarantined;
        replica.due = Some(due);
        self.timers.set(due, Due::Rest(slot));
        self.close(slot);
        self.quarantined(slot, why.as_str(), rest);
    }

    /// Says so.
    pub(super) fn quarantined(&mut self, slot: Slot, why: &'static str, rest: Duration) {
        if let Some(replica) = self.tree.replica_mut(slot) {
            replica.why = Some(why);
        }
        let instance = self.tree.instance(slot);
        tracing::warn!(agent = %instance, why, rest_ms = millis(rest), "agent quarantined");
        self.outside.fact(
            "agent.quarantined",
            instance,
            || json!({"why": why, "rest_ms": millis(rest)}),
        );
        self.watch_critical(slot.agent);
    }

    /// Ends a life by force, for a reason that its end is reported with.
    pub(super) fn condemn(&mut self, slot: Slot, cause: ExitReason) {
        let Some(life) = self.life_mut(slot) else {
            return;
        };
        life.cause = Some(Box::new(cause));
        life.verdict = Verdict::Dead;
        life.grant.revoke();
        life.control.kill();
        self.set_deadline(slot, super::KILL_GRACE);
    }
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
