//! Whose turn it was: ends in the reverse of the order of starts, nobody before all are down, and who
//! has something outside to end is waited for. Looked at where no operator had a hand in it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::book::Page;
use super::design::Design;
use super::players::Told;
use crate::domain::agent::{AgentProgram, InstanceId};
use crate::domain::name::Name;
use crate::domain::restart::Strategy;

/// An operator's orders to a member have been carried out by then.
const SETTLED: Duration = Duration::from_secs(60);

type Lives = BTreeMap<InstanceId, BTreeMap<u64, Page>>;

#[derive(Debug, Default)]
pub(super) struct Turns {
    touched: BTreeMap<Name, Instant>,
    /// Members told to end since the last start in their group.
    told: BTreeMap<Name, Vec<InstanceId>>,
    last_start: BTreeMap<Name, (usize, Instant)>,
    shutdown: Option<Shutdown>,
}

#[derive(Debug, Default)]
struct Shutdown {
    told: BTreeSet<Name>,
    last: Option<usize>,
}

impl Turns {
    /// Somebody from outside has a hand in it.
    pub(super) fn touch(&mut self, agent: &Name) {
        self.touched.insert(agent.clone(), Instant::now());
    }

    pub(super) fn new_daemon(&mut self) {
        *self = Self::default();
    }

    /// Others are declared from now on: whose turn it was is over.
    pub(super) fn redeclared<'a>(&mut self, everybody: impl Iterator<Item = &'a Name>) {
        self.told.clear();
        self.last_start.clear();
        everybody.for_each(|agent| self.touch(agent));
    }

    /// The daemon stops; those already on their way out have had their turn.
    pub(super) fn shut_down(&mut self, on_their_way: BTreeSet<Name>) {
        self.shutdown = Some(Shutdown {
            told: on_their_way,
            last: None,
        });
    }

    fn is_left_alone(&self, design: &Design, agent: &Name) -> bool {
        let touched = |name: &Name| {
            let last = self.touched.get(name);
            last.is_some_and(|at| at.elapsed() < SETTLED)
        };
        self.shutdown.is_none() && !design.family(agent).iter().any(touched)
    }

    /// A life is told to end; what is wrong with that.
    pub(super) fn told(
        &mut self,
        design: &Design,
        lives: &Lives,
        instance: &InstanceId,
        told: Told,
    ) -> Option<String> {
        let agent = &instance.agent;
        if self.shutdown.is_some() && told != Told::Kill {
            return self.told_at_shutdown(design, agent);
        }
        let group = design.flat_group(agent)?.name.clone();
        if told != Told::Stop || !self.is_left_alone(design, agent) {
            return None;
        }
        self.last_start.remove(&group);
        let before = self.told.entry(group).or_default();
        let rank = design.rank(agent);
        let wrong = before.last().and_then(|last| {
            if design.rank(&last.agent) < rank {
                return Some(format!("{instance} is told to end after {last}"));
            }
            let others = before.iter().filter(|other| other.agent != *agent);
            let mut living = others.filter(|other| is_alive(lives, other));
            let waits =
                last.agent != *agent && !(is_actor(design, agent) && is_actor(design, &last.agent));
            let left = living.next().filter(|_| waits)?;
            Some(format!("{instance} is told to end while {left} lives"))
        });
        before.push(instance.clone());
        wrong
    }

    fn told_at_shutdown(&mut self, design: &Design, agent: &Name) -> Option<String> {
        let shutdown = self.shutdown.as_mut()?;
        design.find(agent)?;
        // Who is needed by one that lives has its turn when that one is down.
        let needed = design.is_needed(agent);
        if !shutdown.told.insert(agent.clone()) || needed {
            return None;
        }
        let rank = design.rank(agent);
        let last = shutdown.last.replace(rank);
        let early = last.is_some_and(|last| last < rank);
        early.then(|| format!("the daemon stops, and {agent} is told after one declared before it"))
    }

    /// A life is started; what is wrong with that.
    pub(super) fn started(
        &mut self,
        design: &Design,
        lives: &Lives,
        instance: &InstanceId,
    ) -> Option<String> {
        let agent = &instance.agent;
        let group = design.flat_group(agent)?;
        if !self.is_left_alone(design, agent) {
            self.told.remove(&group.name);
            return None;
        }
        let told = self.told.remove(&group.name).unwrap_or_default();
        let (rank, now) = (design.rank(agent), Instant::now());
        let last = self.last_start.insert(group.name.clone(), (rank, now));
        let mut left = told.iter().filter(|told| is_alive(lives, told));
        if let (Strategy::OneForAll, Some(left)) = (group.strategy, left.next()) {
            return Some(format!(
                "{instance} is started while {left}, told to end, lives"
            ));
        }
        let early = last.is_some_and(|(last, at)| at == now && last > rank);
        let waits = !design.depends_on(agent).is_empty();
        (early && !waits).then(|| format!("{instance} is started after one declared later"))
    }
}

fn is_alive(lives: &Lives, instance: &InstanceId) -> bool {
    let pages = lives.get(instance).into_iter().flatten();
    let (mut pages, newest) = (pages.clone(), pages.map(|(_, page)| page.epoch).max());
    pages.any(|(_, page)| page.lives && !page.gone && Some(page.epoch) == newest)
}

fn is_actor(design: &Design, agent: &Name) -> bool {
    matches!(design.spec(agent).runs, AgentProgram::Actor { .. })
}
