//! Giving up: what too many deaths mean for a replica, its group, the groups above and the daemon.
//!
//! Rely on: giving up goes upwards only, each step is a fact, and the daemon ends only when a group
//! or agent says that it must. Not here: which deaths are too many (`domain::restart`).

use serde_json::json;
use tokio::time::Instant;

use super::ends::millis;
use super::groups::Goal;
use super::timers::Due;
use super::tree::{Slot, Unit};
use super::{Escalated, Supervisor};
use crate::domain::exit::ExitReason;
use crate::domain::restart::{Death, GiveUp, Ledger, OnExhausted, Rules, Sequel};

impl Supervisor {
    /// Too many deaths: of a replica, or of the group that shares its restarts.
    pub(super) fn give_up(&mut self, slot: Slot, why: GiveUp) {
        let Some(group) = self.tree.agents[slot.agent].group else {
            return self.gives_up_alone(slot, why);
        };
        match self.tree.groups[group].spec.on_exhausted {
            OnExhausted::Quarantine if self.sharing_group(slot.agent).is_none() => {
                self.quarantine(slot, why);
            }
            _ => self.group_gives_up(group, why),
        }
    }

    /// An agent in no group: what is above it is the daemon.
    fn gives_up_alone(&mut self, slot: Slot, why: GiveUp) {
        match self.tree.agents[slot.agent].rules.on_exhausted {
            OnExhausted::Quarantine => self.quarantine(slot, why),
            OnExhausted::StopGroup => self.failed(slot, why.as_str()),
            OnExhausted::Escalate | OnExhausted::Exit => {
                self.failed(slot, why.as_str());
                let name = self.tree.agents[slot.agent].spec.name.clone();
                self.end_daemon(name.as_str(), why.as_str());
            }
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
        tracing::warn!(group = %spec.name, parent = %self.tree.groups[parent].spec.name,
            "group fails its parent");
        self.outside.fact(
            "agent.failed",
            format!("@{}", spec.name),
            || json!({"why": why.as_str(), "escalated_to": spec.parent}),
        );
        self.begin_budgets_anew(group);
        let position = |unit: &Unit| *unit == Unit::Group(group);
        let unit = self.tree.groups[parent]
            .units
            .iter()
            .position(position)
            .unwrap_or(0);
        let sequel = self.judge_group(parent, &spec.name, why);
        self.keep_group_budget(parent);
        match sequel {
            Sequel::Again { after } => self.restart_units(parent, unit, after),
            _ => self.group_gives_up(parent, why),
        }
    }

    /// What is restarted by its parent has its budgets anew: its own, its agents', its inner groups'.
    fn begin_budgets_anew(&mut self, group: usize) {
        for inner in 0..self.tree.groups.len() {
            let within = self.tree.ancestors(Some(inner)).any(|above| above == group);
            if within {
                self.tree.groups[inner].ledger = Ledger::default();
                self.keep_group_budget(inner);
            }
        }
        for agent in self.tree.agents_from(group, 0) {
            for slot in self.tree.slots(agent) {
                let replica = &mut self.tree.agents[agent].replicas[slot.index];
                if replica.ledger != Ledger::default() {
                    replica.ledger = Ledger::default();
                    self.keep_budget(slot);
                }
            }
        }
    }

    fn judge_group(&mut self, parent: usize, child: &impl ToString, why: GiveUp) -> Sequel {
        let reason = ExitReason::Error {
            message: format!("group {} gave up: {}", child.to_string(), why.as_str()),
        };
        let now = self.span();
        let death = Death {
            reason: &reason,
            // A group has no life of its own: it has stood for as long as nothing fell below it.
            uptime: self.tree.groups[parent].ledger.calm_for(now),
            now,
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
        let lost = &mut self.tree.agents[agent];
        if lost.spec.critical && lost.is_lost() {
            let since = *lost.lost_since.get_or_insert_with(Instant::now);
            self.timers
                .set(since + self.critical_grace, Due::Critical(agent));
            tracing::error!(agent = %lost.spec.name, grace_ms = millis(self.critical_grace),
                "critical agent is lost");
        }
    }

    /// The grace of a critical agent is over.
    pub(super) fn critical_is_due(&mut self, agent: usize) {
        let lost = &self.tree.agents[agent];
        let since = lost.lost_since.filter(|_| lost.is_lost());
        // One that was back in between has its full grace anew.
        let over = since.is_some_and(|since| since.elapsed() >= self.critical_grace);
        if over && self.shutdown.is_none() {
            let name = lost.spec.name.clone();
            self.end_daemon(name.as_str(), "a critical agent is lost");
        }
    }

    /// Nothing in here helps any more: whoever runs the daemon has to end it.
    /// Said once, with the first reason.
    pub(super) fn end_daemon(&mut self, subject: &str, why: &str) {
        if self.outcome.borrow().is_some() {
            return;
        }
        tracing::error!(subject, why, "giving up");
        self.outcome.send_replace(Some(Escalated {
            subject: subject.to_owned(),
            why: why.to_owned(),
        }));
        self.outside.fact(
            "agent.failed",
            subject,
            || json!({"why": why, "escalated": true}),
        );
    }
}
