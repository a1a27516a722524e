//! Groups: restarts that siblings share.
//!
//! A shared restart is a plan: its agents are told to end in the reverse of the order in which they
//! start; when all are down they start afresh. Replicas of one agent, and actors that nobody depends
//! on, are told in a row; processes, and what others depend on, only when those told before are down. A plan that an
//! outer group makes takes over those inside it.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::Supervisor;
use super::replica::{Hold, Replica, Then};
use super::revive::Revival;
use super::timers::Due;
use super::tree::{Group, Slot};
use crate::domain::agent::{AgentProgram, AgentState};
use crate::domain::restart::{GiveUp, Ledger, Strategy};

/// A shared restart under way.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Who is to end, in that order.
    pub(super) order: Vec<Slot>,
    /// So many of them have been told.
    pub(super) told: usize,
    /// So many of them are known to be down.
    pub(super) down: usize,
    /// Everybody who takes part.
    pub(super) agents: BTreeSet<usize>,
    /// When they start, or their trial begins.
    pub(super) resume: Instant,
    /// What happens when all are down.
    pub(super) goal: Goal,
    /// All are down, in quarantine.
    pub(super) quarantined: bool,
}

impl Plan {
    /// Until when everybody rests in quarantine, if so.
    pub(super) fn rests_until(&self) -> Option<Instant> {
        self.quarantined.then_some(self.resume)
    }

    /// Whether nobody is left to end.
    fn is_down(&self) -> bool {
        self.down == self.order.len()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
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
    pub(super) fn plan(&mut self, group: usize, agents: Vec<usize>, resume: Instant, goal: Goal) {
        let mut all: BTreeSet<usize> = agents.into_iter().collect();
        for inner in 0..self.tree.groups.len() {
            let within = self.tree.ancestors(Some(inner)).any(|above| above == group);
            if within && let Some(plan) = self.tree.groups[inner].plan.take() {
                all.extend(plan.agents);
            }
        }
        let mut ending: Vec<usize> = all.iter().copied().collect();
        ending.sort_by_key(|agent| std::cmp::Reverse(self.tree.rank[*agent]));
        let slots = ending.iter().flat_map(|agent| self.tree.slots(*agent));
        let order: Vec<Slot> = slots.collect();
        for slot in &order {
            if let Some(replica) = self.tree.replica_mut(*slot) {
                replica.join_plan();
            }
        }
        self.tree.groups[group].plan = Some(Plan {
            order,
            told: 0,
            down: 0,
            agents: all,
            resume,
            goal,
            quarantined: false,
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

    /// Tells whoever may be told by now; goes on when everybody is down. Each member is looked at
    /// once, however many ends there are.
    pub(super) fn advance_plan(&mut self, group: usize) {
        let Some(mut plan) = self.tree.groups[group].plan.take() else {
            return;
        };
        while let Some(slot) = self.next_to_tell(&mut plan) {
            if self.is_to_end(slot)
                && !self.tree.agents[slot.agent].replicas[slot.index].is_ending()
            {
                self.begin_ending(slot, Then::Rejoin);
            }
        }
        let over = plan.is_down();
        self.tree.groups[group].plan = Some(plan);
        if over {
            self.all_are_down(group);
        }
    }

    fn next_to_tell(&self, plan: &mut Plan) -> Option<Slot> {
        while plan.down < plan.told && !self.is_to_end(plan.order[plan.down]) {
            plan.down += 1;
        }
        let next = *plan.order.get(plan.told)?;
        let alone = plan.down == plan.told;
        if !alone && !self.ends_beside(plan.order[plan.told - 1], next) {
            return None;
        }
        plan.told += 1;
        Some(next)
    }

    /// Whether a member may be told before those told so far are down: replicas of one agent, and
    /// actors that nobody declared to depend on. They end in the order told on each arbiter. Whoever
    /// has something outside to end, a process or a remote service, is waited for.
    fn ends_beside(&self, before: Slot, next: Slot) -> bool {
        let agents = &self.tree.agents;
        let is_actor = |agent: usize| matches!(agents[agent].spec.runs, AgentProgram::Actor { .. });
        let mut dependents = agents[next.agent].dependents.iter();
        before.agent == next.agent
            || is_actor(before.agent)
                && is_actor(next.agent)
                && dependents.all(|dependent| agents[*dependent].alive == 0)
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
        let mut agents: Vec<usize> = plan.agents.iter().copied().collect();
        agents.sort_by_key(|agent| self.tree.rank[*agent]);
        let slots = agents.iter().flat_map(|agent| self.tree.slots(*agent));
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
                self.quarantined(slot, why.as_str(), rest);
            }
        }
        if let Some(plan) = &mut self.tree.groups[group].plan {
            plan.goal = Goal::Restart;
            plan.resume = Instant::now() + rest;
            plan.quarantined = true;
            self.timers.set(plan.resume, Due::Group(group));
        }
        self.keep_group_budget(group);
    }

    /// A quarantine that an earlier daemon began goes on.
    pub(super) fn rest_as_before(&mut self, group: usize, rest: Duration) {
        let agents: BTreeSet<usize> = self.tree.agents_from(group, 0).into_iter().collect();
        let resume = Instant::now() + rest;
        for agent in &agents {
            for replica in &mut self.tree.agents[*agent].replicas {
                replica.join_plan();
                if replica.is_in_plan() {
                    replica.state = AgentState::Quarantined;
                    replica.due = Some(resume);
                }
            }
        }
        self.timers.set(resume, Due::Group(group));
        self.tree.groups[group].plan = Some(Plan {
            order: Vec::new(),
            told: 0,
            down: 0,
            agents,
            resume,
            goal: Goal::Restart,
            quarantined: true,
        });
    }

    /// A plan's delay is over, or its quarantine.
    pub(super) fn group_is_due(&mut self, group: usize, at: Instant) {
        let plan = self.tree.groups[group].plan.as_ref();
        if plan.is_some_and(|plan| plan.resume == at && plan.is_down()) {
            self.resume(group);
        }
    }

    /// An operator does not wait for a rest that a group takes.
    pub(super) fn end_rest_of_groups(&mut self, agent: usize) {
        let groups: Vec<usize> = self.tree.ancestors(self.tree.agents[agent].group).collect();
        for group in groups {
            let plan = self.tree.groups[group].plan.as_ref();
            if plan.is_some_and(|plan| plan.is_down()) {
                self.resume(group);
                self.tree.groups[group].ledger = Ledger::default();
                self.keep_group_budget(group);
            }
        }
    }

    /// Whether an agent takes part in a shared restart.
    pub(super) fn is_regrouping(&self, agent: usize) -> bool {
        self.regroups_with(agent).is_some()
    }

    /// The group whose shared restart, or rest, it is part of: its own or one above.
    pub(super) fn regroups_with(&self, agent: usize) -> Option<usize> {
        let mut above = self.tree.ancestors(self.tree.agents[agent].group);
        above.find(|group| {
            let plan = self.tree.groups[*group].plan.as_ref();
            plan.is_some_and(|plan| plan.agents.contains(&agent))
        })
    }

    /// Whether everybody of a shared restart is down and waits for its time.
    pub(super) fn group_rests(&self, group: usize) -> bool {
        let plan = self.tree.groups[group].plan.as_ref();
        plan.is_some_and(|plan| plan.is_down() && plan.goal == Goal::Restart)
    }

    /// Groups above an agent that rest start now, out of quarantine on trial; says how many replicas
    /// have a life.
    pub(super) fn revive_groups(&mut self, agent: usize) -> Revival {
        let mut done = Revival::default();
        let groups: Vec<usize> = self.tree.ancestors(self.tree.agents[agent].group).collect();
        for group in groups {
            if !self.group_rests(group) {
                continue;
            }
            let plan = self.tree.groups[group].plan.as_ref();
            let on_trial = plan.is_some_and(|plan| plan.quarantined);
            if on_trial {
                self.tree.groups[group].ledger.put_on_trial();
            }
            let slots = self.start_afresh(group);
            let started = slots.iter().filter(|slot| self.lives(**slot)).count();
            let count = match on_trial {
                true => &mut done.on_trial,
                false => &mut done.early,
            };
            *count += started;
            self.keep_group_budget(group);
        }
        done
    }

    /// A plan's time has come; out of quarantine it is a trial.
    fn resume(&mut self, group: usize) {
        let Some(plan) = &self.tree.groups[group].plan else {
            return;
        };
        let rested = plan.quarantined;
        if rested {
            self.tree.groups[group].ledger.begin_trial();
        }
        self.start_afresh(group);
        if rested {
            self.keep_group_budget(group);
        }
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
            self.start_again(*slot);
        }
        slots
    }
}

impl Group {
    /// Whether a shared restart of its own is under way, which no quarantine came before.
    pub(super) fn restarts_its_own(&self) -> bool {
        let plan = self.plan.as_ref();
        plan.is_some_and(|plan| plan.goal == Goal::Restart && !plan.quarantined)
    }
}

impl Replica {
    /// Takes part in a shared restart, unless it is not to live anyway.
    pub(super) fn join_plan(&mut self) {
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

    /// Has no part in a shared restart any more, which may have come anywhere with it.
    pub(super) fn quit_plan(&mut self) {
        if self.life.is_none() {
            self.leave_plan();
        } else if self.hold == Hold::Group {
            self.hold = Hold::None;
        }
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
