//! What is supervised: groups of all strategies, nested ones, agents of all kinds, drawn from a seed.

use rand::Rng;
use rand::rngs::StdRng;
use std::collections::BTreeMap;
use std::time::Duration;

use super::budget::WINDOW;
use crate::actors::supervisor::tests::policy::process;
use crate::actors::supervisor::tests::script::{SECOND, spec};
use crate::domain::agent::{AgentProgram, AgentSpec, DependsOn, HttpSpec};
use crate::domain::name::Name;
use crate::domain::probe::{ProbeHow, ProbeSpec, Probes};
use crate::domain::restart::{GroupSpec, Intensity, OnExhausted, RestartType, Strategy};

/// More replicas of an agent are never asked for.
pub(super) const MOST_REPLICAS: u32 = 4;

const STRATEGIES: [Strategy; 3] = [
    Strategy::OneForOne,
    Strategy::OneForAll,
    Strategy::RestForOne,
];

#[derive(Debug, Clone, Default)]
pub(super) struct Design {
    /// The rules of agents in no group.
    pub(super) alone: Option<GroupSpec>,
    pub(super) groups: Vec<GroupSpec>,
    pub(super) agents: Vec<AgentSpec>,
}

/// One of these, by chance.
pub(super) fn one_of<T: Copy>(chance: &mut StdRng, choices: &[T]) -> T {
    choices[chance.random_range(0..choices.len())]
}

impl Design {
    pub(super) fn draw(chance: &mut StdRng) -> Self {
        let mut design = Self {
            alone: Some(GroupSpec {
                strategy: Strategy::OneForOne,
                ..rules(chance, "root", None)
            }),
            ..Self::default()
        };
        if chance.random_bool(0.7) {
            design.group(chance, "flat", None);
            for name in ["f1", "f2", "f3"] {
                design.agent(chance, name, Some("flat"));
            }
            if chance.random_bool(0.4) {
                design.waits("f3", "f1", DependsOn::Healthy);
            }
        }
        if chance.random_bool(0.5) {
            design.group(chance, "outer", None);
            design.group(chance, "inner", Some("outer"));
            for (name, group) in [
                ("o1", "outer"),
                ("i1", "inner"),
                ("i2", "inner"),
                ("o2", "outer"),
            ] {
                design.agent(chance, name, Some(group));
            }
        }
        for name in ["s1", "s2", "web"] {
            design.agent(chance, name, None);
        }
        if chance.random_bool(0.5) {
            design.agent(chance, "late", None);
            let kind = one_of(chance, &[DependsOn::Started, DependsOn::Healthy]);
            design.waits("late", "s1", kind);
        }
        design
    }

    fn group(&mut self, chance: &mut StdRng, name: &str, parent: Option<&str>) {
        self.groups.push(rules(chance, name, parent));
    }

    fn agent(&mut self, chance: &mut StdRng, name: &str, group: Option<&str>) {
        use RestartType::{Permanent, Temporary, Transient};
        let mut agent = spec(name);
        agent.group = group.map(|name| name.parse().unwrap());
        agent.replicas = one_of(chance, &[1, 1, 1, 2, 3]);
        agent.restart.kind = one_of(
            chance,
            &[
                Permanent, Permanent, Permanent, Permanent, Transient, Temporary,
            ],
        );
        agent.restart.max_backoff = SECOND * 8;
        agent.restart.full_jitter = chance.random_bool(0.5);
        agent.stop.drain_timeout = one_of(chance, &[Duration::ZERO, SECOND * 3]);
        agent.stop.timeout = SECOND * 2;
        agent.critical = chance.random_bool(0.1);
        agent.liveness.period = SECOND * 20;
        agent.runs = match (name, chance.random_range(0..3)) {
            ("web", _) => AgentProgram::Http(HttpSpec::default()),
            (_, 0) => process(),
            _ => agent.runs,
        };
        agent.probes = match name {
            "web" => Probes {
                liveness: probe(ProbeHow::Http("http://h".to_owned())),
                remote: true,
                ..Probes::default()
            },
            "s2" if chance.random_bool(0.5) => Probes {
                readiness: probe(ProbeHow::Tcp("h:1".to_owned())),
                ..Probes::default()
            },
            _ => Probes::default(),
        };
        self.agents.push(agent);
    }

    fn waits(&mut self, name: &str, on: &str, kind: DependsOn) {
        let mut agents = self.agents.iter_mut();
        let agent = agents.find(|spec| spec.name.as_str() == name).unwrap();
        agent.depends_on.insert(on.parse().unwrap(), kind);
    }

    pub(super) fn spec(&self, name: &Name) -> &AgentSpec {
        &self.agents[self.rank(name)]
    }

    /// The same of one that may be declared no more.
    pub(super) fn find(&self, name: &Name) -> Option<&AgentSpec> {
        self.agents.iter().find(|spec| spec.name == *name)
    }

    /// Its place in the order of starts: nobody waits for one that is declared later.
    pub(super) fn rank(&self, name: &Name) -> usize {
        let mut agents = self.agents.iter();
        agents.position(|spec| spec.name == *name).unwrap()
    }

    pub(super) fn depends_on(&self, name: &Name) -> &BTreeMap<Name, DependsOn> {
        &self.spec(name).depends_on
    }

    fn declared(&self, name: &Name) -> &GroupSpec {
        let mut groups = self.groups.iter();
        groups.find(|group| group.name == *name).unwrap()
    }

    /// The groups around an agent, the innermost first.
    fn around(&self, name: &Name) -> impl Iterator<Item = &GroupSpec> {
        let own = self.find(name).and_then(|spec| spec.group.as_ref());
        let own = own.map(|group| self.declared(group));
        std::iter::successors(own, |group| {
            group.parent.as_ref().map(|above| self.declared(above))
        })
    }

    pub(super) fn is_nested(&self, name: &Name) -> bool {
        let outer = |group: &GroupSpec| group.parent.is_some() || group.name.as_str() == "outer";
        self.around(name).any(outer)
    }

    /// The group that restarts an agent, if its members share restarts and no other group has a say.
    pub(super) fn flat_group(&self, name: &Name) -> Option<&GroupSpec> {
        let group = self.around(name).next()?;
        let shares = group.strategy != Strategy::OneForOne;
        (shares && !self.is_nested(name)).then_some(group)
    }

    /// Who may be restarted together with an agent.
    pub(super) fn family(&self, name: &Name) -> Vec<Name> {
        match self.around(name).last() {
            Some(top) => self.family_of_group(top.name.as_str()),
            None => vec![name.clone()],
        }
    }

    /// Everybody below a group.
    pub(super) fn family_of_group(&self, group: &str) -> Vec<Name> {
        let names = self.agents.iter().map(|spec| spec.name.clone());
        let below = |name: &Name| self.around(name).any(|above| above.name.as_str() == group);
        names.filter(below).collect()
    }

    /// Whether others may need it for as long as they live.
    pub(super) fn is_needed(&self, name: &Name) -> bool {
        let mut others = self.agents.iter();
        let followed = |group: &GroupSpec| group.strategy == Strategy::RestForOne;
        others.any(|spec| spec.depends_on.contains_key(name)) || self.around(name).any(followed)
    }

    /// Restarts of one replica that no window may exceed: its own, and those of groups above.
    pub(super) fn most_restarts(&self, name: &Name) -> u32 {
        let max = |group: &GroupSpec| match group.intensity {
            Intensity::Limited { max, .. } => max,
            Intensity::Unlimited => u32::MAX,
        };
        let alone = self
            .alone
            .as_ref()
            .filter(|_| self.spec(name).group.is_none());
        self.around(name).chain(alone).map(max).sum()
    }
}

fn probe(how: ProbeHow) -> Option<ProbeSpec> {
    Some(ProbeSpec {
        how,
        period: SECOND * 20,
        timeout: SECOND * 3,
        failure_threshold: 2,
        success_threshold: 1,
    })
}

fn rules(chance: &mut StdRng, name: &str, parent: Option<&str>) -> GroupSpec {
    let answers: &[OnExhausted] = match parent {
        Some(_) => &[
            OnExhausted::Escalate,
            OnExhausted::Escalate,
            OnExhausted::Quarantine,
            OnExhausted::StopGroup,
        ],
        None => &[
            OnExhausted::Quarantine,
            OnExhausted::Quarantine,
            OnExhausted::StopGroup,
            OnExhausted::Exit,
        ],
    };
    GroupSpec {
        parent: parent.map(|name| name.parse().unwrap()),
        strategy: one_of(chance, &STRATEGIES),
        intensity: Intensity::Limited {
            max: chance.random_range(2..6),
            within: WINDOW,
        },
        on_exhausted: one_of(chance, answers),
        loop_deaths: one_of(chance, &[4, 10]),
        quarantine_min: SECOND * 90,
        quarantine_max: SECOND * 360,
        ..GroupSpec::alone(name.parse().unwrap())
    }
}
