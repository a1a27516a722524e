//! Probes of a life beside the ping of its protocol: when each is asked, and what follows.
//!
//! ```text
//! own word: ready ─▶ startup probe ─passes─▶ liveness, readiness ─pass─▶ offered for work
//!                                              │         └─fails─▶ unreachable: no new task
//!                                              └─fails─▶ ended, restarted by policy
//! ```
//!
//! Rely on: a probe is never asked twice at once: the next question follows the answer. An answer
//! that belongs to an earlier life changes nothing; the end of a life ends its questions.
//!
//! Not here: how many answers count (`domain::probe`), and how one is got (`actors::probes`).

use std::time::Duration;

use actix::prelude::*;
use serde_json::json;
use tokio::time::Instant;

use super::Supervisor;
use super::ends::millis;
use super::probed::{Asking, ProbeResult, Probed, answer_to};
use super::timers::Due;
use super::tree::Slot;
use crate::actors::awake;
use crate::actors::life::Ready;
use crate::actors::probes::Question;
use crate::actors::runner::AgentContext;
use crate::clock;
use crate::domain::agent::{AgentState, InstanceId};
use crate::domain::exit::ExitReason;
use crate::domain::probe::{ProbeHow, ProbeKind, Turn, is_excused};
use crate::domain::timestamp::Timestamp;

/// The longest that a first question is put off, so that lives that begin together are not asked
/// together: a start must not wait for it.
const FIRST_WITHIN: Duration = Duration::from_secs(1);
/// The longest until a remote service is asked again after a task could not reach it.
const AGAIN_SOON: Duration = Duration::from_secs(1);

/// The answer to a probe.
#[derive(Message)]
#[rtype(result = "()")]
struct ProbeRan {
    /// Places in the tree change while an answer is on its way.
    instance: InstanceId,
    generation: u64,
    kind: ProbeKind,
    asked: Instant,
    at: Timestamp,
    answer: Result<(), String>,
}

impl Handler<ProbeRan> for Supervisor {
    type Result = ();

    fn handle(&mut self, ran: ProbeRan, ctx: &mut AgentContext<Self>) {
        let slot = self.tree.slot(&ran.instance);
        if let Some(slot) = slot.filter(|slot| self.is_asked(*slot, ran.generation)) {
            self.probe_ran(slot, ran);
        }
        self.arm(ctx);
    }
}

impl Supervisor {
    /// A life says that it has come up: its probes have the next word, if it has any.
    pub(super) fn begin_probes(&mut self, slot: Slot, ready: Ready) {
        let spec = self.tree.agents[slot.agent].spec.clone();
        let Some(life) = self.life_mut(slot) else {
            return;
        };
        if !spec.probes.is_empty() {
            life.probed = Some(Box::default());
        }
        match &mut life.probed {
            Some(probed) if spec.probes.startup.is_some() => {
                probed.word = Some(ready);
                self.ask_first(slot, ProbeKind::Startup);
            }
            _ => self.came_up(slot, ready),
        }
    }

    /// A life has come up, by its own word and its startup probe's.
    fn came_up(&mut self, slot: Slot, ready: Ready) {
        let spec = self.tree.agents[slot.agent].spec.clone();
        let Some(life) = self.life_mut(slot) else {
            return;
        };
        life.ready = Some((Instant::now(), ready));
        let book = life.probed.as_ref().map(|probed| probed.book);
        if spec.liveness.enabled {
            // Lives that begin together are not asked together.
            let within = spec.liveness.period.mul_f64(self.draw());
            self.ask_for_sign_after(slot, within);
        }
        for kind in [ProbeKind::Liveness, ProbeKind::Readiness] {
            self.ask_first(slot, kind);
        }
        if book.is_none_or(|book| book.takes_work(&spec.probes)) {
            self.stands(slot);
        }
    }

    /// Whether answers about this life still count.
    fn is_asked(&self, slot: Slot, generation: u64) -> bool {
        let replica = self.tree.replica(slot);
        replica.is_some_and(|replica| {
            let life = replica.life.as_ref();
            let doomed = life.is_some_and(|life| life.cause.is_some());
            replica.is_in(generation) && !replica.is_ending() && !doomed
        })
    }

    /// The first question comes at a moment drawn for this life; the next ones keep the period.
    fn ask_first(&mut self, slot: Slot, kind: ProbeKind) {
        let spec = self.tree.agents[slot.agent].spec.clone();
        let Some(probe) = spec.probes.get(kind) else {
            return;
        };
        let within = match kind {
            ProbeKind::Liveness => probe.period,
            ProbeKind::Startup | ProbeKind::Readiness => (probe.period / 10).min(FIRST_WITHIN),
        };
        let first = Instant::now() + within.mul_f64(self.draw());
        self.ask_at(slot, kind, first);
    }

    fn ask_at(&mut self, slot: Slot, kind: ProbeKind, at: Instant) {
        let generation = self.generation(slot);
        let Some(probed) = self.probed_mut(slot) else {
            return;
        };
        probed.track(kind).next = Some(at);
        self.timers.set(at, Due::RunProbe(slot, generation, kind));
    }

    pub(super) fn probed_mut(&mut self, slot: Slot) -> Option<&mut Probed> {
        self.life_mut(slot)?.probed.as_deref_mut()
    }

    /// A question is due.
    pub(super) fn probe_run_is_due(
        &mut self,
        slot: Slot,
        generation: u64,
        kind: ProbeKind,
        at: Instant,
    ) {
        if !self.is_asked(slot, generation) {
            return;
        }
        let spec = self.tree.agents[slot.agent].spec.clone();
        let due = self.probed_mut(slot).is_some_and(|probed| {
            let may_ask = probed.book.may_ask(kind, &spec.probes);
            let track = probed.track(kind);
            may_ask && track.running.is_none() && track.next == Some(at)
        });
        if !due {
            return;
        }
        let asking = self.ask(slot, kind);
        if let Some(probed) = self.probed_mut(slot) {
            let track = probed.track(kind);
            track.next = None;
            track.running = asking;
        }
    }

    /// Asks; the answer comes as a message.
    fn ask(&mut self, slot: Slot, kind: ProbeKind) -> Option<Asking> {
        let spec = self.tree.agents[slot.agent].spec.clone();
        let (instance, generation) = (self.tree.instance(slot), self.generation(slot));
        let probe = spec.probes.get(kind)?;
        let timeout = probe.timeout;
        let ping = (probe.how == ProbeHow::Protocol)
            .then(|| self.life_mut(slot).map(|life| life.control.probe()))
            .flatten();
        let asked_of = Question {
            how: probe.how.for_replica(instance.index),
            instance: instance.clone(),
            timeout,
            agent: spec.clone(),
        };
        let other = self.outside.prober.as_ref();
        let answer = ping
            .is_none()
            .then(|| other.map(|prober| prober.ask(asked_of)));
        let (me, asked, at) = (self.me.clone(), Instant::now(), clock::now());
        let asking = actix_rt::spawn(async move {
            let question = async {
                match (ping, answer.flatten()) {
                    (Some(ping), _) => match awake::within(timeout, ping).await {
                        Ok(Ok(_evidence)) => Ok(()),
                        _ => Err(format!("no answer to a ping within {timeout:?}")),
                    },
                    (None, Some(answer)) => answer.await,
                    (None, None) => Err("nobody here can ask by this means".to_owned()),
                }
            };
            let answer = answer_to(question).await;
            let ran = ProbeRan {
                instance,
                generation,
                kind,
                asked,
                at,
                answer,
            };
            // Refused only when the supervisor has ended, and then nobody wants to know.
            me.report(ran).ok();
        });
        Some(Asking::of(asking))
    }

    fn probe_ran(&mut self, slot: Slot, ran: ProbeRan) {
        let kind = ran.kind;
        let spec = self.tree.agents[slot.agent].spec.clone();
        let (Some(probe), took) = (spec.probes.get(kind), ran.asked.elapsed()) else {
            return;
        };
        let Some(life) = self.life_mut(slot) else {
            return;
        };
        let signs = life.signs();
        let Some(probed) = life.probed.as_deref_mut() else {
            return;
        };
        let passed = ran.answer.is_ok();
        let track = probed.track(kind);
        // Its task is this message's sender, and has ended.
        track.running = None;
        track.last = Some(ProbeResult {
            passed,
            message: ran.answer.err(),
            at: ran.at,
            took_ms: millis(took),
        });
        if passed && spec.probes.remote {
            life.response = Some(took);
        }
        let soon = self.go_on_asking(slot, kind, passed);
        let period = if soon {
            probe.period.min(AGAIN_SOON)
        } else {
            probe.period
        };
        self.ask_at(slot, kind, (ran.asked + period).max(Instant::now()));
        if passed || !is_excused(kind, &probe.how, signs) {
            self.record_answer(slot, kind, passed);
        }
    }

    /// Whether the next question comes soon: only while a remote service is in doubt.
    fn go_on_asking(&mut self, slot: Slot, kind: ProbeKind, passed: bool) -> bool {
        let Some(probed) = self.probed_mut(slot) else {
            return false;
        };
        if kind == ProbeKind::Liveness {
            let decided = passed || probed.book.standing(kind).passes() == Some(false);
            probed.in_doubt &= !decided;
        }
        probed.in_doubt && kind == ProbeKind::Liveness
    }

    /// A task could not reach its service.
    pub(super) fn service_was_away(&mut self, slot: Slot, message: String) {
        let spec = self.tree.agents[slot.agent].spec.clone();
        let (kind, chance) = (ProbeKind::Liveness, self.draw());
        let Some(probed) = self.probed_mut(slot) else {
            return;
        };
        let asked_about = spec.probes.remote && probed.book.may_ask(kind, &spec.probes);
        if !asked_about || probed.book.standing(kind).passes() == Some(false) {
            return;
        }
        probed.in_doubt = true;
        let track = probed.track(kind);
        let soon = Instant::now() + (AGAIN_SOON / 10).mul_f64(chance);
        let waits = track.running.is_none() && track.next.is_none_or(|next| next > soon);
        track.last = Some(ProbeResult {
            passed: false,
            message: Some(message),
            at: clock::now(),
            took_ms: 0,
        });
        if waits {
            self.ask_at(slot, kind, soon);
        }
        self.record_answer(slot, kind, false);
    }

    /// Counts an answer, and does what follows.
    fn record_answer(&mut self, slot: Slot, kind: ProbeKind, passed: bool) {
        let spec = self.tree.agents[slot.agent].spec.clone();
        let Some(probed) = self.probed_mut(slot) else {
            return;
        };
        let Some(turn) = probed.book.record(kind, passed, &spec.probes) else {
            return;
        };
        let last = probed.track(kind).last.as_ref();
        let message = last
            .and_then(|last| last.message.clone())
            .unwrap_or_default();
        match turn {
            Turn::Started | Turn::StartedReady => {
                if let Some(word) = probed.word.take() {
                    self.came_up(slot, word);
                }
            }
            Turn::Ready => self.stands_again(slot),
            Turn::Unready => self.falls(slot, kind, &message),
            Turn::Dead | Turn::StartFailed => {
                let probe = kind.to_string();
                self.condemn(slot, ExitReason::ProbeFailed { probe, message });
            }
        }
    }

    /// Can take work: for the first time, or after a remote service was away from the start.
    fn stands_again(&mut self, slot: Slot) {
        let word = self.probed_mut(slot).and_then(|probed| probed.word.take());
        match word {
            Some(word) => self.came_up(slot, word),
            None => self.stands(slot),
        }
    }

    /// Takes no work until its probes pass again; what it holds goes on.
    fn falls(&mut self, slot: Slot, kind: ProbeKind, message: &str) {
        let generation = self.generation(slot);
        let instance = self.tree.instance(slot);
        let Some(replica) = self.tree.replica_mut(slot) else {
            return;
        };
        let (stood, known) = (replica.is_ready(), replica.state);
        self.tree.enter(slot, AgentState::Unreachable);
        if stood && let Some(work) = &self.outside.work {
            work.agent_draining(&instance, generation);
        }
        if known != AgentState::Unreachable {
            tracing::warn!(agent = %instance, probe = %kind, message, "agent takes no work");
            self.outside.fact(
                "agent.unreachable",
                &instance,
                || json!({"generation": generation, "probe": kind, "message": message}),
            );
        }
        self.gate_was_given_up(slot);
    }

    /// A remote service that did not come up in time: the other probes look for it.
    fn gate_was_given_up(&mut self, slot: Slot) {
        let spec = self.tree.agents[slot.agent].spec.clone();
        for kind in [ProbeKind::Liveness, ProbeKind::Readiness] {
            let Some(probed) = self.probed_mut(slot) else {
                return;
            };
            let may_ask = probed.book.may_ask(kind, &spec.probes);
            let track = probed.track(kind);
            if may_ask && track.next.is_none() && track.running.is_none() {
                self.ask_first(slot, kind);
            }
        }
    }
}
