//! Restarts that nobody asked for, counted from outside: no window ever holds more than allowed,
//! and who rests in quarantine rests, over restarts of the daemon too.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::design::Design;
use crate::domain::agent::{AgentTarget, InstanceId};
use crate::domain::name::Name;

/// The window of every budget in this claim.
pub(super) const WINDOW: Duration = Duration::from_secs(60);
/// Wall clocks, which budgets are kept by, run on beside the paused one.
const SLACK: Duration = Duration::from_secs(2);
/// How long after the death that a group counts its last member may be down.
const LAG: Duration = Duration::from_secs(20);

#[derive(Debug, Default)]
pub(super) struct Budgets {
    /// The most restarts in a window, for each agent.
    most: BTreeMap<Name, u32>,
    /// Agents in no nested group: of them it is known who restarts them.
    plain: BTreeSet<Name>,
    /// Agents in no group.
    alone: BTreeSet<Name>,
    /// Deaths that a restart followed.
    deaths: BTreeMap<InstanceId, VecDeque<Instant>>,
    last_end: BTreeMap<InstanceId, Instant>,
    /// Whose next life is somebody's wish.
    excused: BTreeSet<InstanceId>,
    resting: BTreeMap<InstanceId, (Instant, Duration)>,
}

impl Budgets {
    pub(super) fn of(design: &Design) -> Self {
        let names = || design.agents.iter().map(|spec| spec.name.clone());
        Self {
            most: names()
                .map(|name| (name.clone(), design.most_restarts(&name)))
                .collect(),
            alone: names()
                .filter(|name| design.spec(name).group.is_none())
                .collect(),
            plain: names().filter(|name| !design.is_nested(name)).collect(),
            ..Self::default()
        }
    }

    /// Others are declared from now on.
    pub(super) fn redeclared(&mut self, design: &Design) {
        let Self {
            most, plain, alone, ..
        } = Self::of(design);
        (self.most, self.plain, self.alone) = (most, plain, alone);
    }

    /// The next life of this replica is no restart.
    pub(super) fn excuse(&mut self, instance: InstanceId) {
        self.excused.insert(instance);
    }

    /// Somebody who may has forgiven this replica everything.
    pub(super) fn pardon(&mut self, instance: &InstanceId) {
        self.deaths.remove(instance);
        self.resting.remove(instance);
        self.excuse(instance.clone());
    }

    pub(super) fn pardon_agents(&mut self, agents: &[Name]) {
        for agent in agents {
            for index in 0..super::design::MOST_REPLICAS {
                let agent = agent.clone();
                self.pardon(&InstanceId { agent, index });
            }
        }
    }

    /// A healer may start it before its rest is over, and forgives nothing.
    pub(super) fn revive(&mut self, instance: InstanceId) {
        self.resting.remove(&instance);
        self.excuse(instance);
    }

    /// A new daemon starts everybody but those who rest.
    pub(super) fn new_daemon(&mut self, everybody: impl Iterator<Item = InstanceId>) {
        let now = Instant::now();
        for instance in everybody {
            let rests = self.resting.get(&instance);
            if rests.is_none_or(|(since, rest)| now >= *since + *rest) {
                self.resting.remove(&instance);
                self.excused.insert(instance);
            }
        }
    }

    pub(super) fn rests(&mut self, subject: &str, rest: Duration) {
        let Ok(target) = subject.parse::<AgentTarget>() else {
            return;
        };
        if let (Some(index), true) = (target.index, self.plain.contains(&target.agent)) {
            let agent = target.agent;
            let since = (Instant::now(), rest);
            self.resting.insert(InstanceId { agent, index }, since);
        }
    }

    /// A life has ended.
    pub(super) fn ended(&mut self, instance: &InstanceId) {
        self.last_end.insert(instance.clone(), Instant::now());
    }

    /// A life begins; what is wrong with that.
    pub(super) fn born(&mut self, instance: &InstanceId) -> Option<String> {
        let now = Instant::now();
        let excused = self.excused.remove(instance);
        if let Some((since, rest)) = self.resting.remove(instance) {
            self.deaths.remove(instance);
            let early = now + SLACK < since + rest;
            let left = (since + rest).saturating_duration_since(now);
            return early.then(|| format!("{instance} lives while it rests for {left:?} more"));
        }
        if excused {
            return None;
        }
        let alone = self.alone.contains(&instance.agent);
        let slack = if alone { SLACK } else { LAG };
        let ended = self.last_end.get(instance).copied().unwrap_or(now);
        let deaths = self.deaths.entry(instance.clone()).or_default();
        if now > ended + WINDOW {
            // It has rested, or waited for another: whatever it died of is out of any window.
            deaths.clear();
            return None;
        }
        deaths.push_back(ended);
        while deaths
            .front()
            .is_some_and(|death| *death + WINDOW <= ended + slack)
        {
            deaths.pop_front();
        }
        let (count, most) = (deaths.len(), self.most.get(&instance.agent).copied());
        let too_many = most.is_some_and(|most| count > most as usize);
        too_many.then(|| format!("{instance} is restarted after {count} deaths within {WINDOW:?}"))
    }
}
