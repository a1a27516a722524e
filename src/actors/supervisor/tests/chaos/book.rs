//! What really happened, written down by the children themselves, against what may happen.
//!
//! Laws that hold at one instant (a birth, an end, an order) are looked at here; a breach is kept
//! until the next look, since a panic inside a life would only be one more death.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::budget::Budgets;
use super::design::Design;
use super::players::{Reins, Temper, Told};
use super::turns::Turns;
use super::world::wall;
use crate::actors::supervisor::Facts;
use crate::actors::work::{AgentMessage, AgentOutcome, AgentSubmission, ReadyAgent, WorkSink};
use crate::domain::agent::{DependsOn, InstanceId};
use crate::domain::event::NewEvent;
use crate::domain::exit::ExitReason;
use crate::domain::ids::{LeaseId, TaskId};
use crate::domain::name::Name;
use crate::domain::timestamp::Timestamp;

/// Entries of the trace that are kept.
const KEPT: usize = 500;

/// One life, as it really was.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// Which daemon's.
    pub(super) epoch: u32,
    /// Its state exists.
    pub(super) lives: bool,
    pub(super) ready: bool,
    /// When its runner reported its end.
    pub(super) ended: Option<Instant>,
    /// The supervisor has counted it as ended.
    pub(super) gone: bool,
}

/// What the operator asked for, as far as it forbids a life.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    pub(super) stopped: bool,
    pub(super) held: BTreeSet<u32>,
    pub(super) wanted: u32,
    /// Paused, until then if an end was given.
    pub(super) paused: Option<Option<Timestamp>>,
}

impl Asked {
    /// Whether it is to get no new task at this instant.
    pub(super) fn is_paused(&self, now: Timestamp) -> bool {
        match self.paused {
            Some(Some(until)) => now < until,
            Some(None) => true,
            None => false,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Pages {
    pub(super) design: Arc<Design>,
    pub(super) epoch: u32,
    pub(super) lives: BTreeMap<InstanceId, BTreeMap<u64, Page>>,
    pub(super) reins: BTreeMap<InstanceId, Arc<Reins>>,
    pub(super) tempers: BTreeMap<Name, Temper>,
    pub(super) asked: BTreeMap<Name, Asked>,
    pub(super) budgets: Budgets,
    pub(super) turns: Turns,
    /// The last fact that says where a replica stands.
    pub(super) facts: BTreeMap<String, &'static str>,
    pub(super) wrongs: Vec<String>,
    pub(super) trace: Vec<String>,
    /// When the first entry was made.
    begun: Option<Instant>,
    /// The daemon stops: nobody starts.
    pub(super) closing: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Book(Arc<Mutex<Pages>>);

impl Book {
    pub(super) fn open(&self) -> MutexGuard<'_, Pages> {
        self.0.lock()
    }

    pub(super) fn temper(&self, agent: &Name) -> Temper {
        let tempers = &self.open().tempers;
        tempers.get(agent).copied().unwrap_or(Temper::GOOD)
    }

    /// A runner is started by the supervisor.
    pub(super) fn started(&self, instance: &InstanceId, generation: u64) {
        let mut pages = self.open();
        pages.note(format!("start {instance} {generation}"));
        pages.may_live(instance);
        pages.may_start(instance);
        pages.page(instance, generation);
        let Pages {
            turns,
            design,
            lives,
            ..
        } = &mut *pages;
        let wrong = turns.started(design, lives, instance);
        pages.wrongs.extend(wrong);
    }

    /// A life begins, after a start or in place.
    pub(super) fn born(&self, instance: &InstanceId, generation: u64) {
        let mut pages = self.open();
        pages.note(format!("born {instance} {generation}"));
        pages.is_alone(instance, generation);
        pages.page(instance, generation).lives = true;
        let wrong = pages.budgets.born(instance);
        pages.wrongs.extend(wrong);
    }

    pub(super) fn ready(&self, instance: &InstanceId, generation: u64) {
        self.open().page(instance, generation).ready = true;
    }

    /// The state of a life is gone.
    pub(super) fn died(&self, instance: &InstanceId, generation: u64) {
        self.open().page(instance, generation).lives = false;
    }

    /// A runner reports an end.
    pub(super) fn exited(&self, instance: &InstanceId, generation: u64) {
        let mut pages = self.open();
        pages.note(format!("exit {instance} {generation}"));
        pages.budgets.ended(instance);
        let page = pages.page(instance, generation);
        let (lives, again) = (page.lives, page.ended.replace(Instant::now()).is_some());
        if lives {
            pages.wrong(format!(
                "{instance} {generation} is reported as ended and lives"
            ));
        }
        if again {
            pages.wrong(format!(
                "the end of {instance} {generation} is reported twice"
            ));
        }
    }

    pub(super) fn holds(&self, instance: InstanceId, reins: Arc<Reins>) {
        self.open().reins.insert(instance, reins);
    }

    pub(super) fn told(&self, instance: &InstanceId, told: Told) {
        let mut pages = self.open();
        pages.note(format!("{told:?} {instance}"));
        let Pages {
            turns,
            design,
            lives,
            ..
        } = &mut *pages;
        let wrong = turns.told(design, lives, instance, told);
        pages.wrongs.extend(wrong);
    }
}

impl Pages {
    pub(super) fn note(&mut self, what: String) {
        let at = self.begun.get_or_insert_with(Instant::now).elapsed();
        self.trace.push(format!("{:.3} {what}", at.as_secs_f64()));
    }

    pub(super) fn wrong(&mut self, what: String) {
        self.wrongs.push(what);
    }

    fn page(&mut self, instance: &InstanceId, generation: u64) -> &mut Page {
        let epoch = self.epoch;
        let lives = self.lives.entry(instance.clone()).or_default();
        lives.entry(generation).or_insert(Page {
            epoch,
            lives: false,
            ready: false,
            ended: None,
            gone: false,
        })
    }

    /// Whether a life's thread is blocked, so that no order gets through.
    pub(super) fn is_blocked(&self, instance: &InstanceId) -> bool {
        let reins = self.reins.get(instance);
        reins.is_some_and(|reins| reins.is_blocked())
    }

    /// Nothing starts what an operator stopped.
    fn may_live(&mut self, instance: &InstanceId) {
        let Some(asked) = self.asked.get(&instance.agent).cloned() else {
            return;
        };
        let held = asked.held.contains(&instance.index) || instance.index >= asked.wanted;
        if asked.stopped || held || self.closing {
            let closing = self.closing;
            self.wrong(format!(
                "{instance} was stopped and is started: {asked:?}, {closing}"
            ));
        }
    }

    /// Nothing starts before what it depends on. Who died at this very instant may not be known.
    fn may_start(&mut self, instance: &InstanceId) {
        let design = self.design.clone();
        for (on, kind) in design.depends_on(&instance.agent) {
            let wanted = self.asked.get(on).map_or(0, |asked| asked.wanted);
            for index in 0..wanted {
                let agent = on.clone();
                let last = self.lives.get(&InstanceId { agent, index });
                let last = last.and_then(|lives| lives.last_key_value());
                let stands = last.is_some_and(|(_, page)| {
                    let just = page.ended == Some(Instant::now());
                    just || page.ended.is_none() && (*kind != DependsOn::Healthy || page.ready)
                });
                if !stands {
                    self.wrong(format!("{instance} is started before {on}#{index} stands"));
                }
            }
        }
    }

    /// A replica has one life at a time, each with a number of its own.
    fn is_alone(&mut self, instance: &InstanceId, generation: u64) {
        let lives = self.lives.get(instance);
        let others = lives.into_iter().flatten().filter(|(other, page)| {
            let old = page.gone || page.epoch < self.epoch;
            **other != generation && page.lives && !old
        });
        let others: Vec<u64> = others.map(|(other, _)| *other).collect();
        let last = lives.and_then(|lives| lives.keys().next_back().copied());
        let again = lives.and_then(|lives| lives.get(&generation));
        let again = again.is_some_and(|page| page.lives || page.ended.is_some());
        if !others.is_empty() {
            self.wrong(format!(
                "{instance} {generation} is born while {others:?} live"
            ));
        }
        if again || last > Some(generation) {
            self.wrong(format!("{instance} uses the number {generation} again"));
        }
    }
}

impl Pages {
    /// Forgets lives of which everything has been said, but the last of each replica.
    pub(super) fn forget_the_settled(&mut self) {
        let epoch = self.epoch;
        for lives in self.lives.values_mut() {
            let last = lives.keys().next_back().copied();
            let open = |page: &Page| page.lives || (page.epoch == epoch && !page.gone);
            lives.retain(|generation, page| Some(*generation) == last || open(page));
        }
        let surplus = self.trace.len().saturating_sub(KEPT);
        if surplus > KEPT && !super::is_replay() {
            self.trace.drain(..surplus);
        }
    }
}

impl WorkSink for Book {
    fn agent_ready(&self, agent: ReadyAgent) {
        let mut pages = self.open();
        let (instance, generation) = (agent.instance, agent.generation);
        if pages.page(&instance, generation).gone {
            pages.wrong(format!("{instance} {generation} is offered after its end"));
        }
        let asked = pages.asked.get(&instance.agent);
        if asked.is_some_and(|asked| asked.is_paused(wall())) {
            pages.wrong(format!("{instance} {generation} is offered and paused"));
        }
    }
    fn agent_draining(&self, _: &InstanceId, _: u64) {}
    fn agent_gone(&self, instance: &InstanceId, generation: u64, reason: &ExitReason) {
        let mut pages = self.open();
        pages.note(format!("gone {instance} {generation} {}", reason.label()));
        let blocked = pages.is_blocked(instance);
        let page = pages.page(instance, generation);
        let unheard = page.ended.is_none();
        let early = unheard && !blocked;
        if std::mem::replace(&mut page.gone, true) {
            pages.wrong(format!(
                "the end of {instance} {generation} is counted twice"
            ));
        }
        if unheard {
            pages.budgets.ended(instance);
        }
        if early {
            pages.wrong(format!(
                "{instance} {generation} is counted as ended and lives"
            ));
        }
    }
    fn settled(&self, _: &InstanceId, _: TaskId, _: LeaseId, _: AgentOutcome) {}
    fn progress(&self, _: TaskId, _: LeaseId, _: Option<f64>, _: Option<String>) {}
    fn busy(&self, _: TaskId, _: &str, _: Duration) {}
    fn submit(&self, _: AgentSubmission) {}
    fn message(&self, _: AgentMessage) {}
}

impl Facts for Book {
    fn record(&self, event: NewEvent) {
        let mut pages = self.open();
        pages.note(format!("fact {} {}", event.kind, event.subject));
        let rest = event.data["rest_ms"].as_u64().map(Duration::from_millis);
        if event.kind == "agent.failed" && event.subject.starts_with('@') {
            let members = pages.design.family_of_group(&event.subject[1..]);
            pages.budgets.pardon_agents(&members);
        }
        if let Some(rest) = rest {
            pages.budgets.rests(&event.subject, rest);
        }
        if !matches!(event.kind, "agent.crashed" | "agent.restarted") {
            pages.facts.insert(event.subject, event.kind);
        }
    }
}
