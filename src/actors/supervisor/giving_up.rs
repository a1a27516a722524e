//! Giving up: what too many deaths mean for a replica, its group, the groups above and the daemon.
//!
//! Rely on: giving up goes upwards only, each step is a fact, and the daemon ends only when a group
//! or agent says that it must. Not here: which deaths are too many (`domain::restart`).

use std::time::Duration;

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
