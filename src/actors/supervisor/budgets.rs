//! Restart budgets over restarts of the daemon: kept as wall-clock instants, read back clamped, so
//! that no jump of the clock makes a death older than it can be, or puts it ahead. And how each replica
//! ended last, for people.

use std::time::Duration;

use tokio::time::Instant;

use super::Supervisor;
use super::outside::Kept;
use super::replica::LastEnd;
use super::timers::Due;
use super::tree::Slot;
use crate::clock;
use crate::domain::agent::{AgentState, AgentTarget};
use crate::domain::crash::LastDeath;
use crate::domain::record::{RestartBudget, SlowLoop};
use crate::domain::restart::{DeathWindow, GapChain, GroupSpec, Intensity, Ledger};
use crate::domain::timestamp::Timestamp;

/// Spans on the monotonic clock begin here, so that deaths before the start have a place on it.
pub(super) const BEFORE_START: Duration = Duration::from_secs(86_400);

impl Supervisor {
    /// Takes over what earlier daemons left of budgets.
    pub(super) fn restore(&mut self, budgets: Vec<RestartBudget>) {
        for budget in budgets {
            if let Some(group) = budget.owner.strip_prefix('@') {
                self.restore_group(group, &budget);
            } else if let Ok(target) = budget.owner.parse::<AgentTarget>() {
                self.restore_replica(&target, &budget);
            }
        }
    }

    /// A quarantine that goes on from an earlier daemon is seen like any other, and a critical agent
    /// in it is as lost.
    pub(super) fn tell_who_rests_on(&mut self) {
        for slot in self.tree.all_slots() {
            let Some(replica) = self.tree.replica(slot) else {
                continue;
            };
            if let (AgentState::Quarantined, Some(due)) = (replica.state, replica.due) {
                let left = due.saturating_duration_since(Instant::now());
                self.quarantined(slot, "as before the daemon's start", left);
            }
        }
    }

    fn restore_group(&mut self, name: &str, budget: &RestartBudget) {
        let now = self.span();
        let mut groups = 0..self.tree.groups.len();
        let Some(group) = groups.find(|group| self.tree.groups[*group].spec.name.as_str() == name)
        else {
            return;
        };
        let spec = self.tree.groups[group].spec.clone();
        self.tree.groups[group].ledger = ledger(budget, now, spec.intensity);
        if let Some(rest) = rest_left(budget, &spec) {
            self.rest_as_before(group, rest);
        }
    }

    fn restore_replica(&mut self, target: &AgentTarget, budget: &RestartBudget) {
        let (Some(agent), Some(index)) = (self.tree.agent(&target.agent), target.index) else {
            return;
        };
        let slot = Slot {
            agent,
            index: index as usize,
        };
        let now = self.span();
        let rules = self.tree.agents[agent].rules.clone();
        let Some(replica) = self.tree.replica_mut(slot) else {
            return;
        };
        replica.ledger = ledger(budget, now, rules.intensity);
        if let Some(rest) = rest_left(budget, &rules) {
            let due = Instant::now() + rest;
            replica.state = AgentState::Quarantined;
            replica.due = Some(due);
            self.timers.set(due, Due::Rest(slot));
        }
    }

    /// How replicas ended under earlier daemons; who has ended here knows better.
    pub(super) fn recall(&mut self, deaths: Vec<LastDeath>) {
        for LastDeath {
            agent,
            index,
            reason,
            at,
        } in deaths
        {
            let slot = self.tree.agent(&agent).map(|agent| Slot {
                agent,
                index: index as usize,
            });
            let replica = slot.and_then(|slot| self.tree.replica_mut(slot));
            if let Some(replica) = replica.filter(|replica| replica.last.is_none()) {
                replica.last = Some(Box::new(LastEnd { reason, at }));
            }
        }
    }

    /// Keeps the budget of a group that shares restarts.
    pub(super) fn keep_group_budget(&self, group: usize) {
        self.outside.keep(|| {
            let group = &self.tree.groups[group];
            let rests = group.plan.as_ref().and_then(|plan| plan.rests_until());
            let owner = format!("@{}", group.spec.name);
            Kept::Budget(self.record(owner, &group.ledger, rests))
        });
    }

    /// Keeps the budget that a replica's deaths count against.
    pub(super) fn keep_budget(&self, slot: Slot) {
        match self.sharing_group(slot.agent) {
            Some((group, _)) => self.keep_group_budget(group),
            None => self.outside.keep(|| Kept::Budget(self.budget(slot))),
        }
    }

    fn budget(&self, slot: Slot) -> RestartBudget {
        let replica = &self.tree.agents[slot.agent].replicas[slot.index];
        let quarantined = replica.state == AgentState::Quarantined;
        let rests = replica.due.filter(|_| quarantined);
        self.record(self.tree.instance(slot).to_string(), &replica.ledger, rests)
    }

    fn record(&self, owner: String, ledger: &Ledger, rests: Option<Instant>) -> RestartBudget {
        let (now, span) = (clock::now(), self.span());
        let deaths = ledger.window.deaths();
        let until = rests.map(|due| due.saturating_duration_since(Instant::now()));
        RestartBudget {
            owner,
            deaths: deaths.map(|death| before(now, span, death)).collect(),
            quarantined_until: until.map(|left| now.after(left)),
            quarantines: ledger.quarantines,
            on_trial: ledger.on_trial,
            slow_loop: ledger
                .chain
                .parts()
                .map(|(signature, deaths, last)| SlowLoop {
                    signature: signature.to_owned(),
                    deaths,
                    last: before(now, span, last),
                }),
            updated_at: now,
        }
    }
}

/// What is left of a quarantine; no jump of the clock makes it longer than any is.
fn rest_left(budget: &RestartBudget, rules: &GroupSpec) -> Option<Duration> {
    let left = budget.quarantined_until?.since(clock::now());
    (!left.is_zero()).then(|| left.min(rules.quarantine_max))
}

/// When a death was, on the wall clock.
fn before(now: Timestamp, span: Duration, death: Duration) -> Timestamp {
    let age = i64::try_from(span.saturating_sub(death).as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.as_micros().saturating_sub(age))
}

/// A kept budget as a ledger: deaths ahead of the clock count as just now, at most as many as any
/// window holds. A quarantine that ended while no daemon ran is followed by its trial.
fn ledger(budget: &RestartBudget, now: Duration, intensity: Intensity) -> Ledger {
    let Intensity::Limited { max, within } = intensity else {
        return Ledger::default();
    };
    let wall = clock::now();
    let at = |death: Timestamp| now.saturating_sub(wall.since(death));
    let mut deaths: Vec<Duration> = budget
        .deaths
        .iter()
        .map(|death| at(*death))
        .filter(|death| now.saturating_sub(*death) < within)
        .collect();
    deaths.sort_unstable();
    let surplus = deaths.len().saturating_sub(max as usize);
    let window = DeathWindow::of(deaths.split_off(surplus));
    let chain = budget
        .slow_loop
        .as_ref()
        .map(|kept| GapChain::of(&kept.signature, kept.deaths, at(kept.last)));
    let looped = chain.as_ref().and_then(GapChain::parts);
    let mut ledger = Ledger {
        last: window.deaths().last().max(looped.map(|(.., last)| last)),
        in_a_row: u32::try_from(window.deaths().count()).unwrap_or(u32::MAX),
        window,
        chain: chain.unwrap_or_default(),
        on_trial: budget.on_trial,
        quarantines: budget.quarantines,
    };
    let rested = |until: Timestamp| until.since(wall).is_zero();
    if budget.quarantined_until.is_some_and(rested) {
        ledger.begin_trial();
    }
    ledger
}
