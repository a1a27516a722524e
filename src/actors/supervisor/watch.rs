//! Watching the living: ready, signs of life, verdicts.
//!
//! Not here: handlers that block their thread, see `threads`.

use std::time::Duration;

use actix::prelude::*;
use serde_json::json;
use tokio::time::Instant;

use super::Supervisor;
use super::outside::Kept;
use super::probed::answer_to;
use super::replica::Shown;
use super::timers::Due;
use super::tree::Slot;
use crate::actors::awake;
use crate::actors::life::{Evidence, LifeNote, Ready, TailOf};
use crate::actors::runner::AgentContext;
use crate::actors::work::ReadyAgent;
use crate::domain::agent::{AgentState, Desired, InstanceId, OnStall, Verdict};
use crate::domain::exit::ExitReason;
use crate::domain::liveness::verdict;

/// The answer to a probe, or that none came in time.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct ProbeEnded {
    /// Places in the tree change while an answer is on its way.
    instance: InstanceId,
    generation: u64,
    answer: Option<Evidence>,
    /// The life itself said that it shows no sign: no task excuses that.
    refused: bool,
    took: Duration,
}

impl Handler<ProbeEnded> for Supervisor {
    type Result = ();

    fn handle(&mut self, ended: ProbeEnded, ctx: &mut AgentContext<Self>) {
        if let Some(slot) = self.current(&ended.instance, ended.generation) {
            self.probe_ended(slot, ended);
        }
        self.arm(ctx);
    }
}

impl Supervisor {
    /// A life can take work.
    pub(super) fn on_ready(&mut self, slot: Slot, generation: u64, ready: Ready) {
        let Some(replica) = self.tree.replica_mut(slot) else {
            return;
        };
        if !replica.is_in(generation) || replica.state != AgentState::Starting {
            return;
        }
        self.begin_probes(slot, ready);
    }

    /// A life can take work, by its own word and its probes'.
    pub(super) fn stands(&mut self, slot: Slot) {
        let Some(replica) = self.tree.replica_mut(slot) else {
            return;
        };
        let generation = replica.generation;
        let backing_off = replica.ledger.in_a_row > 0 || replica.ledger.on_trial;
        self.tree.enter(slot, AgentState::Ready);
        if backing_off || self.sharing_group(slot.agent).is_some() {
            self.watch_stable(slot);
        }
        self.outside.fact(
            "agent.ready",
            self.tree.instance(slot),
            || json!({"generation": generation}),
        );
        self.tree.agents[slot.agent].lost_since = None;
        self.offer(slot);
        self.wake_dependents(slot.agent);
    }

    /// Offers a ready life's slots, unless its agent is paused.
    pub(super) fn offer(&mut self, slot: Slot) {
        let replica = &self.tree.agents[slot.agent].replicas[slot.index];
        let Some((_, ready)) = replica.life.as_ref().and_then(|life| life.ready.clone()) else {
            return;
        };
        let generation = replica.generation;
        let paused = self.tree.agents[slot.agent].desired == Desired::Paused;
        if paused {
            return self.tree.enter(slot, AgentState::Paused);
        }
        self.tree.enter(slot, AgentState::Ready);
        if self.rests(slot) {
            return;
        }
        let instance = self.tree.instance(slot);
        let (Some(work), Some(port)) = (&self.outside.work, ready.port) else {
            return;
        };
        let spec = self.tree.agents[slot.agent].spec.clone();
        work.agent_ready(ReadyAgent {
            instance,
            generation,
            role: spec.role.clone(),
            queue: spec.queue.clone(),
            concurrency: ready.concurrency.unwrap_or(spec.concurrency),
            port,
        });
    }

    /// A life says something on the way.
    pub(super) fn on_noted(&mut self, slot: Slot, generation: u64, note: LifeNote) {
        let current = self
            .tree
            .replica(slot)
            .is_some_and(|replica| replica.is_in(generation));
        let Some(life) = self.life_mut(slot).filter(|_| current) else {
            return;
        };
        match note {
            LifeNote::Spawned { pid, start_ticks } => {
                life.pid = Some(pid);
                let instance = self.tree.instance(slot);
                self.outside.keep(|| Kept::Spawned {
                    instance,
                    generation,
                    pid,
                    start_ticks,
                });
            }
            LifeNote::Error => {
                life.errors += 1;
                self.tree.agents[slot.agent].errors += 1;
            }
            LifeNote::Unreachable { message } => self.service_was_away(slot, message),
            LifeNote::Rests { span } => self.service_rests(slot, span),
            LifeNote::Tail(tail) => self.has_tail(slot, tail),
            LifeNote::LastWords(words) => life.evidence = Some(Shown::now(words)),
        }
    }

    fn has_tail(&mut self, slot: Slot, tail: TailOf) {
        if let Some(replica) = self.tree.replica_mut(slot) {
            replica.tail = Some(tail);
        }
    }

    /// Sets the timer for a start, unless one is set.
    pub(super) fn watch_start(&mut self, slot: Slot) {
        let timeout = self.tree.agents[slot.agent].spec.start_timeout;
        let Some(replica) = self.tree.replica_mut(slot) else {
            return;
        };
        let Some(begun) = replica.life.as_ref().map(|life| life.begun) else {
            return;
        };
        if !std::mem::replace(&mut replica.start_watched, true) {
            self.timers.set(begun + timeout, Due::StartTimeout(slot));
        }
    }

    /// A life should be ready by now; a later life gets its full time, and so does one whose `ready`
    /// nobody was awake to hear.
    pub(super) fn start_is_due(&mut self, slot: Slot, at: Instant) {
        let timeout = self.tree.agents[slot.agent].spec.start_timeout;
        let Some(replica) = self.tree.replica_mut(slot) else {
            return;
        };
        if awake::overslept(at) {
            return self
                .timers
                .set(Instant::now() + timeout, Due::StartTimeout(slot));
        }
        replica.start_watched = false;
        let starting = replica.state == AgentState::Starting && !replica.is_ending();
        // What its probes wait for has thresholds of its own.
        let Some(life) = replica.life.as_ref().filter(|_| starting) else {
            return;
        };
        if life.ready.is_some() || life.probed.is_some() {
            return;
        }
        if life.begun.elapsed() < timeout {
            self.watch_start(slot);
        } else if life.cause.is_none() {
            self.condemn(slot, ExitReason::StartTimeout);
        }
    }

    /// Sets the timer for a stable run, unless one is set.
    fn watch_stable(&mut self, slot: Slot) {
        let stable_after = self.tree.agents[slot.agent].spec.restart.stable_after;
        let Some(replica) = self.tree.replica_mut(slot) else {
            return;
        };
        let Some(since) = replica.ready_since() else {
            return;
        };
        if !std::mem::replace(&mut replica.stable_watched, true) {
            self.timers.set(since + stable_after, Due::Stable(slot));
        }
    }

    /// A life may have been ready for as long as a stable one.
    pub(super) fn stable_is_due(&mut self, slot: Slot) {
        let stable_after = self.tree.agents[slot.agent].spec.restart.stable_after;
        let Some(replica) = self.tree.replica_mut(slot) else {
            return;
        };
        replica.stable_watched = false;
        let Some(since) = replica.ready_since() else {
            return;
        };
        if since.elapsed() < stable_after {
            return self.watch_stable(slot);
        }
        if let Some((group, _)) = self.sharing_group(slot.agent) {
            return self.group_may_be_stable(slot, group);
        }
        self.tree.agents[slot.agent].replicas[slot.index]
            .ledger
            .stood_firm();
        let leave = self.leave(slot);
        if let Some(life) = self.life_mut(slot) {
            life.grant.refill(leave);
        }
        self.keep_budget(slot);
    }

    /// One member has been ready for that long; the group is stable only if none has died meanwhile.
    fn group_may_be_stable(&mut self, slot: Slot, group: usize) {
        let stable_after = self.tree.agents[slot.agent].spec.restart.stable_after;
        let now = self.span();
        let ledger = &mut self.tree.groups[group].ledger;
        let calm = ledger.calm_for(now);
        if calm < stable_after {
            let at = Instant::now() + (stable_after - calm);
            self.tree.agents[slot.agent].replicas[slot.index].stable_watched = true;
            return self.timers.set(at, Due::Stable(slot));
        }
        if ledger.stood_firm() {
            self.keep_group_budget(group);
        }
    }

    /// A life is asked for a sign after so long. The timer is set once a replica, so a life that
    /// follows soon after another may be asked up to one period late.
    pub(super) fn ask_for_sign_after(&mut self, slot: Slot, span: Duration) {
        let at = Instant::now() + span;
        if let Some(life) = self.life_mut(slot) {
            life.sign_at = Some(at);
            self.watch_sign(slot, at);
        }
    }

    fn watch_sign(&mut self, slot: Slot, at: Instant) {
        let Some(replica) = self.tree.replica_mut(slot) else {
            return;
        };
        if !std::mem::replace(&mut replica.sign_watched, true) {
            self.timers.set(at, Due::Sign(slot));
        }
    }

    /// Asks a life for a sign. The next question follows the answer, so none is ever doubled.
    pub(super) fn sign_is_due(&mut self, slot: Slot) {
        let liveness = self.tree.agents[slot.agent].spec.liveness;
        let timeout = liveness.timeout;
        let Some(replica) = self.tree.replica_mut(slot) else {
            return;
        };
        replica.sign_watched = false;
        let (up, generation) = (replica.is_up() && liveness.enabled, replica.generation);
        let Some(life) = replica.life.as_mut().filter(|_| up) else {
            return;
        };
        match life.sign_at {
            None => return,
            Some(at) if at > Instant::now() => return self.watch_sign(slot, at),
            Some(_) => life.sign_at = None,
        }
        let (answer, me) = (life.control.probe(), self.me.clone());
        let (instance, asked) = (self.tree.instance(slot), Instant::now());
        actix_rt::spawn(async move {
            let answer = answer_to(async { Ok(awake::within(timeout, answer).await) }).await;
            let refused = matches!(answer, Ok(Ok(Err(_))));
            let ended = ProbeEnded {
                instance,
                generation,
                refused,
                answer: answer.ok().and_then(Result::ok).and_then(Result::ok),
                took: asked.elapsed(),
            };
            // Refused only when the supervisor has ended, and then nobody wants to know.
            me.report(ended).ok();
        });
    }

    fn probe_ended(&mut self, slot: Slot, ended: ProbeEnded) {
        let ProbeEnded {
            answer,
            refused,
            took,
            ..
        } = ended;
        let spec = self.tree.agents[slot.agent].spec.clone();
        self.ask_for_sign_after(slot, spec.liveness.period);
        let Some(life) = self.life_mut(slot) else {
            return;
        };
        let answered = answer.is_some();
        life.response = answered.then_some(took).or(life.response);
        let dead = life
            .missed
            .record(answered, life.has_open_task() && !refused, &spec.liveness);
        if let Some(evidence) = answer {
            self.weigh(slot, evidence);
        } else if dead {
            let span = spec.liveness.period * spec.liveness.failure_threshold.max(1);
            self.condemn(slot, ExitReason::stuck(span));
        }
    }

    /// Draws the verdict from the evidence and says so where it changes.
    fn weigh(&mut self, slot: Slot, evidence: Evidence) {
        let spec = self.tree.agents[slot.agent].spec.clone();
        let signs = evidence.signs();
        let silent = evidence.since_progress.unwrap_or_default();
        let broke_its_word = evidence.busy_over;
        let Some(life) = self.life_mut(slot) else {
            return;
        };
        life.evidence = Some(Shown::now(evidence));
        let now = verdict(signs, spec.stall_timeout);
        let before = std::mem::replace(&mut life.verdict, now);
        if before != now {
            self.verdict_changed(slot, before, now, silent);
        }
        // The zone's length was its own word: past it, and silent as long as a stall, it is stuck.
        if now == Verdict::Stalled && broke_its_word {
            self.condemn(slot, ExitReason::stuck(silent));
        }
    }

    fn verdict_changed(&mut self, slot: Slot, before: Verdict, now: Verdict, silent: Duration) {
        let kind = match (before, now) {
            (_, Verdict::Stalled) => "agent.stalled",
            (Verdict::Idle, _) => "agent.busy",
            (_, Verdict::Idle) => "agent.idle",
            _ => return,
        };
        let instance = self.tree.instance(slot);
        self.outside.fact(
            kind,
            &instance,
            || json!({"verdict": now, "silent_ms": super::ends::millis(silent)}),
        );
        if now == Verdict::Stalled {
            tracing::warn!(agent = %instance, "agent stalled: a task is open and nothing moves");
            if self.tree.agents[slot.agent].spec.on_stall == OnStall::Restart {
                self.condemn(slot, ExitReason::stuck(silent));
            }
        }
    }
}
