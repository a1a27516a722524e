//! Other settings: while the daemon lives, or with its next start.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;

use super::book::Asked;
use super::design::{Design, MOST_REPLICAS};
use super::players::Troupe;
use super::world::World;
use crate::actors::life::ChildFactory;
use crate::actors::supervisor::{Declaration, Redeclared};
use crate::domain::agent::{AgentProgram, AgentSpec, InstanceId};
use crate::domain::name::Name;
use crate::domain::reload::{Does, touch};
use crate::domain::restart::Intensity;

impl World {
    /// The daemon comes back with other settings.
    pub(super) async fn reload(&mut self) {
        let mut design = (*self.design).clone();
        let name = self.any(&design);
        self.edit(&mut design, &name);
        self.design = Arc::new(design);
        self.book.open().design = self.design.clone();
        self.crash_daemon().await;
    }

    /// The daemon takes over other settings while it lives.
    pub(super) async fn redeclare(&mut self) {
        let mut design = (*self.design).clone();
        for _ in 0..self.chance.random_range(1..4) {
            match self.chance.random_range(0..12) {
                10 | 11 => self.move_one(&mut design),
                0..5 => {
                    let name = self.any(&design);
                    self.edit(&mut design, &name);
                }
                5 | 6 => self.remove(&mut design),
                7 | 8 => self.add_again(&mut design),
                _ => self.edit_rules(&mut design),
            }
        }
        self.take_over(design).await;
    }

    fn any(&mut self, design: &Design) -> Name {
        let nth = self.chance.random_range(0..design.agents.len());
        design.agents[nth].name.clone()
    }

    fn edit(&mut self, design: &mut Design, name: &Name) {
        let spec = design
            .agents
            .iter_mut()
            .find(|it| it.name == *name)
            .unwrap();
        let before = spec.replicas;
        match self.chance.random_range(0..3) {
            0 => spec.replicas = self.chance.random_range(1..MOST_REPLICAS),
            1 => spec.stop.timeout = Duration::from_secs(self.chance.random_range(1..4)),
            _ => rewrite(&mut spec.runs, self.step),
        }
        if spec.replicas == before {
            return;
        }
        // What an operator scaled is over when the file's number changes.
        if let Some(set) = self.store.overrides.lock().get_mut(name) {
            set.replicas = None;
        }
        let mut pages = self.book.open();
        if let Some(asked) = pages.asked.get_mut(name) {
            asked.wanted = spec.replicas;
            asked.held.retain(|index| *index < spec.replicas);
        }
    }

    /// One on which nobody depends is declared no more.
    fn remove(&mut self, design: &mut Design) {
        let name = self.any(design);
        let mut others = design.agents.iter();
        let needed = others.any(|spec| spec.depends_on.contains_key(&name));
        if needed || design.agents.len() < 3 {
            return;
        }
        let spec = design.agents.remove(design.rank(&name));
        let never = Asked {
            stopped: true,
            ..Asked::default()
        };
        let asked = self.book.open().asked.insert(name, never).unwrap();
        self.bench.push((spec, asked));
    }

    /// One leaves its group for none, or comes into one; those of nested groups stay.
    fn move_one(&mut self, design: &mut Design) {
        let name = self.any(design);
        if design.is_nested(&name) {
            return;
        }
        let flat = design.groups.iter().find(|it| it.name.as_str() == "flat");
        let flat = flat.map(|group| group.name.clone());
        let mut agents = design.agents.iter_mut();
        let spec = agents.find(|spec| spec.name == name).unwrap();
        spec.group = match spec.group {
            Some(_) => None,
            None => flat,
        };
    }

    fn add_again(&mut self, design: &mut Design) {
        let there = |spec: &AgentSpec| {
            let mut on = spec.depends_on.keys();
            on.all(|name| design.find(name).is_some())
        };
        let Some(nth) = self.bench.iter().position(|(spec, _)| there(spec)) else {
            return;
        };
        let (spec, asked) = self.bench.remove(nth);
        self.book.open().asked.insert(spec.name.clone(), asked);
        design.agents.push(spec);
    }

    fn edit_rules(&mut self, design: &mut Design) {
        let most = design.groups.len();
        if most == 0 {
            return;
        }
        let nth = self.chance.random_range(0..most);
        if let Intensity::Limited { max, .. } = &mut design.groups[nth].intensity {
            *max = self.chance.random_range(2..6);
        }
    }

    async fn take_over(&mut self, design: Design) {
        let before = self.design.clone();
        let mut troupes = BTreeMap::new();
        let mut agents = Vec::new();
        for spec in &design.agents {
            let known = before.find(&spec.name);
            let anew = known.is_none_or(|known| touch(known, spec) == Does::Restart);
            let factory = anew.then(|| Troupe::new(&self.book));
            if let Some(factory) = &factory {
                troupes.insert(spec.name.clone(), factory.clone());
            }
            agents.push(Redeclared {
                record: known.is_none().then(|| self.store.record(spec)),
                factory: factory.map(|troupe| -> Arc<dyn ChildFactory> { troupe }),
                spec: spec.clone(),
            });
        }
        let names: Vec<Name> = design.agents.iter().map(|spec| spec.name.clone()).collect();
        self.say(format_args!(
            "other settings: {names:?}, anew: {:?}",
            troupes.keys()
        ));
        self.design = Arc::new(design);
        self.excuse_whom_that_concerns(&before);
        let declared = Declaration {
            groups: self.design.groups.clone(),
            agents,
            budgets: self.store.budgets(),
            deaths: Vec::new(),
            alone: self.design.alone.clone(),
            critical_grace: None,
        };
        let seed = self.seed;
        let done = self.handle.redeclare(declared).await;
        assert_eq!(done, Ok(()), "CHAOS_SEED={seed}");
        self.troupes.retain(|name, _| names.contains(name));
        self.troupes.extend(troupes);
        let there = self.handle.agents().await.unwrap().into_iter();
        let there: Vec<Name> = there.map(|status| status.name).collect();
        assert_eq!(there, names, "CHAOS_SEED={seed}");
    }

    /// Lives that end and begin now are nobody's fault.
    fn excuse_whom_that_concerns(&mut self, before: &Design) {
        let mut pages = self.book.open();
        pages.design = self.design.clone();
        pages.budgets.redeclared(&self.design);
        let all = before.agents.iter().chain(&self.design.agents);
        let all: Vec<&AgentSpec> = all.collect();
        pages.turns.redeclared(all.iter().map(|spec| &spec.name));
        for spec in all {
            let alone = spec.group.is_none();
            let same = (before.find(&spec.name), self.design.find(&spec.name));
            let unchanged = same.0.zip(same.1).is_some_and(|(before, after)| {
                touch(before, after) != Does::Restart && before.replicas == after.replicas
            });
            if !alone {
                pages
                    .budgets
                    .pardon_agents(std::slice::from_ref(&spec.name));
                continue;
            }
            for index in (0..MOST_REPLICAS).filter(|_| !unchanged) {
                let agent = spec.name.clone();
                pages.budgets.revive(InstanceId { agent, index });
            }
        }
    }
}

/// The same program with other settings.
fn rewrite(runs: &mut AgentProgram, revision: usize) {
    match runs {
        AgentProgram::Actor { settings, .. } => *settings = serde_json::json!(revision),
        AgentProgram::Process(process) => process.settings = serde_json::json!(revision),
        AgentProgram::Http(remote) => remote.url = format!("http://h/{revision}"),
    }
}
