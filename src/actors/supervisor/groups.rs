//! Groups: restarts that siblings share, and giving up upwards.
//!
//! A shared restart is a plan: its agents end in reverse order, one after the other, the replicas
//! of one agent together; when all are down they start afresh in declared order. A plan that an
//! outer group makes takes over those inside it.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::ends::millis;
use super::replica::{Hold, Replica, Then};
use super::timers::Due;
use super::tree::{Slot, Unit};
use super::{Escalated, Supervisor};
use crate::domain::agent::AgentState;
use crate::domain::exit::ExitReason;
use crate::domain::restart::{Death, GiveUp, Ledger, OnExhausted, Rules, Sequel, Strategy};

/// A shared restart under way.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Agents that are still to end, first to start last to end.
    ending: Vec<usize>,
    /// Everybody who takes part.
    agents: BTreeSet<usize>,
    /// When they start, or their trial begins.
    resume: Instant,
    /// What happens when all are down.
    goal: Goal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    Restart,
    Quarantine(GiveUp, Duration),
    Fail,
}

impl Supervisor {
    /// The group restarts because its `unit` died; who else restarts is its strategy's matter.
    pub(super) fn restart_units(&mut self, group: usize, unit: usize, after: Duration) {
        let agents = match self.tree.groups[group].spec.strategy {
            Strategy::OneForAll => self.tree.agents_from(group, 0),
            Strategy::RestForOne => self.tree.agents_from(group, unit),
            Strategy::OneForOne => self.tree.agents_of(self.tree.groups[group].units[unit]),
        };
        let resume = Instant::now() + after;
        self.plan(group, agents, resume, Goal::Restart);
    }

    /// Makes a plan, or widens the one under way.
    fn plan(&mut self, group: usize, agents: Vec<usize>, resume: Instant, goal: Goal) {
        let mut all: BTreeSet<usize> = agents.into_iter().collect();
        for inner in 0..self.tree.groups.len() {
            let within = self.tree.ancestors(Some(inner)).any(|above| above == group);
            if within && let Some(plan) = self.tree.groups[inner].plan.take() {
                all.extend(plan.agents);
            }
        }
        let order = self.tree.agents_from(group, 0);
        let ending: Vec<usize> = order
            .into_iter()
            .filter(|agent| all.contains(agent))
            .collect();
        for slot in ending
            .iter()
            .flat_map(|agent| self.tree.slots(*agent))
            .collect::<Vec<_>>()
        {
            if let Some(replica) = self.tree.replica_mut(slot) {
                replica.join_plan();
            }
        }
        self.tree.groups[group].plan = Some(Plan {
            ending,
            agents: all,
            resume,
            goal,
        });
        self.advance_plan(group);
    }

    /// A member of a plan has ended.
    pub(super) fn advance_plans(&mut self, agent: usize) {
        let groups: Vec<usize> = self.tree.ancestors(self.tree.agents[agent].group).collect();
        for group in groups {
            self.advance_plan(group);
        }
    }

    fn advance_plan(&mut self, group: usize) {
        while let Some(agent) = self.next_to_end(group) {
            let alive: Vec<Slot> = self
                .tree
                .slots(agent)
                .filter(|slot| self.is_to_end(*slot))
                .collect();
            for slot in &alive {
                if !self.tree.agents[slot.agent].replicas[slot.index].is_ending() {
                    self.begin_ending(*slot, Then::Rejoin);
                }
            }
            if !alive.is_empty() {
                return;
            }
            if let Some(plan) = &mut self.tree.groups[group].plan {
                plan.ending.pop();
            }
        }
        self.all_are_down(group);
    }

    fn next_to_end(&self, group: usize) -> Option<usize> {
        self.tree.groups[group]
            .plan
            .as_ref()?
            .ending
            .last()
            .copied()
    }

    /// Whether a replica takes part in a plan and still has a life. One that an operator started
    /// meanwhile takes no part.
    fn is_to_end(&self, slot: Slot) -> bool {
        let member = |replica: &Replica| replica.life.is_some() && replica.is_in_plan();
        self.tree.replica(slot).is_some_and(member)
    }

    fn lives(&self, slot: Slot) -> bool {
        self.tree
            .replica(slot)
            .is_some_and(|replica| replica.life.is_some())
    }

    fn all_are_down(&mut self, group: usize) {
        let Some(plan) = self.tree.groups[group].plan.clone() else {
            return;
        };
        match plan.goal {
            Goal::Restart if plan.resume <= Instant::now() => self.resume(group),
            Goal::Restart => self.timers.set(plan.resume, Due::Group(group)),
            Goal::Quarantine(why, rest) => self.rest_group(group, &plan, why, rest),
            Goal::Fail => {
                self.tree.groups[group].plan = None;
                for slot in self.members(&plan) {
                    self.fail_member(slot);
                }
            }
        }
    }

    /// A member whose group stops; one that an operator stopped stays just that.
    fn fail_member(&mut self, slot: Slot) {
        let replica = &mut self.tree.agents[slot.agent].replicas[slot.index];
        replica.leave_plan();
        if replica.state != AgentState::Stopped {
            self.failed(slot, "its group was stopped");
        }
    }

    fn members(&self, plan: &Plan) -> Vec<Slot> {
        let slots = plan.agents.iter().flat_map(|agent| self.tree.slots(*agent));
        slots
            .filter(|slot| self.tree.replica(*slot).is_some_and(Replica::is_in_plan))
            .collect()
    }

    fn rest_group(&mut self, group: usize, plan: &Plan, why: GiveUp, rest: Duration) {
        for slot in self.members(plan) {
            let replica = &mut self.tree.agents[slot.agent].replicas[slot.index];
            if replica.state == AgentState::Pending {
                replica.state = AgentState::Quarantined;
                replica.due = Some(Instant::now() + rest);
                self.close(slot);
                self.quarantined(slot, why, rest);
            }
        }
        if let Some(plan) = &mut self.tree.groups[group].plan {
            plan.goal = Goal::Restart;
            plan.resume = Instant::now() + rest;
            self.timers.set(plan.resume, Due::Group(group));
        }
    }

    /// A plan's delay is over, or its quarantine.
    pub(super) fn group_is_due(&mut self, group: usize, at: Instant) {
        let plan = self.tree.groups[group].plan.as_ref();
        if plan.is_some_and(|plan| plan.resume == at && plan.ending.is_empty()) {
            self.resume(group);
        }
    }

    /// An operator does not wait for a rest that a group takes.
    pub(super) fn end_rest_of_groups(&mut self, agent: usize) {
        let groups: Vec<usize> = self.tree.ancestors(self.tree.agents[agent].group).collect();
        for group in groups {
            let plan = self.tree.groups[group].plan.as_ref();
            if plan.is_some_and(|plan| plan.ending.is_empty()) {
                self.resume(group);
                self.tree.groups[group].ledger = Ledger::default();
            }
        }
    }

    /// Whether everybody of a shared restart is down and waits for its time.
    pub(super) fn group_rests(&self, group: usize) -> bool {
        let plan = self.tree.groups[group].plan.as_ref();
        plan.is_some_and(|plan| plan.ending.is_empty() && plan.goal == Goal::Restart)
    }

    /// Groups above an agent that rest start now, on trial; says how many replicas have a life.
    pub(super) fn revive_groups(&mut self, agent: usize) -> usize {
        let groups: Vec<usize> = self.tree.ancestors(self.tree.agents[agent].group).collect();
        let mut started = 0;
        for group in groups {
            if self.group_rests(group) {
                self.tree.groups[group].ledger.put_on_trial();
                let slots = self.start_afresh(group);
                started += slots.iter().filter(|slot| self.lives(**slot)).count();
                if let Some(slot) = slots.first() {
                    self.keep_budget(*slot);
                }
            }
        }
        started
    }

    /// A plan's time has come; out of quarantine it is a trial.
    fn resume(&mut self, group: usize) {
        let Some(plan) = &self.tree.groups[group].plan else {
            return;
        };
        let rested = |slot: &Slot| {
            self.tree
                .replica(*slot)
                .is_some_and(|replica| replica.state == AgentState::Quarantined)
        };
        if self.members(plan).iter().any(rested) {
            self.tree.groups[group].ledger.begin_trial();
        }
        self.start_afresh(group);
    }

    /// Everybody of the plan starts afresh, in declared order.
    fn start_afresh(&mut self, group: usize) -> Vec<Slot> {
        let Some(plan) = self.tree.groups[group].plan.take() else {
            return Vec::new();
        };
        let slots = self.members(&plan);
        for slot in &slots {
            self.tree.agents[slot.agent].replicas[slot.index].leave_plan();
        }
        for slot in &slots {
            self.reconcile(*slot);
            if self.lives(*slot) {
                self.restarted(*slot);
            }
        }
        slots
    }

    /// Too many deaths: of a replica, or of the group that shares its restarts.
    pub(super) fn give_up(&mut self, slot: Slot, why: GiveUp) {
        let Some(group) = self.tree.agents[slot.agent].group else {
            return self.quarantine(slot, why);
        };
        match self.tree.groups[group].spec.on_exhausted {
            OnExhausted::Quarantine if self.sharing_group(slot.agent).is_none() => {
                self.quarantine(slot, why);
            }
            _ => self.group_gives_up(group, why),
        }
    }

    fn group_gives_up(&mut self, group: usize, why: GiveUp) {
        let spec = self.tree.groups[group].spec.clone();
        let agents = self.tree.agents_from(group, 0);
        let now = Instant::now();
        tracing::warn!(group = %spec.name, why = why.as_str(), "group gave up");
        match spec.on_exhausted {
            OnExhausted::Quarantine => {
                let rest = self.tree.groups[group].ledger.quarantine(&spec);
                self.plan(group, agents, now, Goal::Quarantine(why, rest));
            }
            OnExhausted::StopGroup => self.plan(group, agents, now, Goal::Fail),
            OnExhausted::Escalate => self.escalate(group, why),
            OnExhausted::Exit => {
                self.plan(group, agents, now, Goal::Fail);
                self.end_daemon(spec.name.as_str(), why.as_str());
            }
        }
    }

    /// The group fails its parent, as a child that died.
    fn escalate(&mut self, group: usize, why: GiveUp) {
        let spec = self.tree.groups[group].spec.clone();
        let Some(parent) = self.tree.groups[group].parent else {
            let agents = self.tree.agents_from(group, 0);
            self.plan(group, agents, Instant::now(), Goal::Fail);
            return self.end_daemon(spec.name.as_str(), why.as_str());
        };
        self.tree.groups[group].ledger = Ledger::default();
        let position = |unit: &Unit| *unit == Unit::Group(group);
        let unit = self.tree.groups[parent]
            .units
            .iter()
            .position(position)
            .unwrap_or(0);
        match self.judge_group(parent, &spec.name, why) {
            Sequel::Again { after } => self.restart_units(parent, unit, after),
            _ => self.group_gives_up(parent, why),
        }
    }

    fn judge_group(&mut self, parent: usize, child: &impl ToString, why: GiveUp) -> Sequel {
        let reason = ExitReason::Error {
            message: format!("group {} gave up: {}", child.to_string(), why.as_str()),
        };
        let death = Death {
            reason: &reason,
            uptime: Duration::ZERO,
            now: self.span(),
            chance: self.draw(),
        };
        let spec = self.tree.groups[parent].spec.clone();
        let rules = Rules {
            rule: &self.group_rule,
            policy: &self.group_policy,
            group: &spec,
        };
        self.tree.groups[parent].ledger.judge(&death, &rules)
    }

    /// A critical agent that is lost gets a grace, then the daemon ends.
    pub(super) fn watch_critical(&mut self, agent: usize) {
        let lost = &self.tree.agents[agent];
        if lost.spec.critical && lost.is_lost() {
            let at = Instant::now() + super::CRITICAL_GRACE;
            self.timers.set(at, Due::Critical(agent));
            tracing::error!(agent = %lost.spec.name, grace_ms = millis(super::CRITICAL_GRACE),
                "critical agent is lost");
        }
    }

    /// The grace of a critical agent is over.
    pub(super) fn critical_is_due(&mut self, agent: usize) {
        let lost = &self.tree.agents[agent];
        if lost.spec.critical && lost.is_lost() && self.shutdown.is_none() {
            let name = lost.spec.name.clone();
            self.end_daemon(name.as_str(), "a critical agent is lost");
        }
    }

    /// Nothing in here helps any more: whoever runs the daemon has to end it.
    pub(super) fn end_daemon(&mut self, subject: &str, why: &str) {
        tracing::error!(subject, why, "giving up");
        let escalated = Escalated {
            subject: subject.to_owned(),
            why: why.to_owned(),
        };
        self.outside.fact(
            "agent.failed",
            subject,
            || json!({"why": why, "escalated": true}),
        );
        self.outcome.send_if_modified(|outcome| {
            let first = outcome.is_none();
            outcome.get_or_insert(escalated);
            first
        });
    }
}

impl Replica {
    /// Takes part in a shared restart, unless it is not to live anyway.
    fn join_plan(&mut self) {
        if self.hold == Hold::None {
            self.hold = Hold::Group;
            self.due = None;
            self.keep_mail = false;
            if self.life.is_none() && self.state != AgentState::Stopped {
                self.state = AgentState::Pending;
            }
        }
    }

    fn is_in_plan(&self) -> bool {
        self.hold == Hold::Group
    }

    fn leave_plan(&mut self) {
        if self.hold == Hold::Group {
            self.hold = Hold::None;
            self.due = None;
            if self.state != AgentState::Stopped {
                self.state = AgentState::Pending;
            }
        }
    }
}
