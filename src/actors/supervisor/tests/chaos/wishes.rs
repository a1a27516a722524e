//! What an operator asks for, and a healer; and what they excuse from being counted.

use std::collections::BTreeSet;
use std::time::Duration;

use super::laws::Row;
use super::world::{World, wall};
use crate::actors::supervisor::SupervisorError;
use crate::domain::agent::{AgentTarget, InstanceId};
use crate::domain::name::Name;

fn done<T>(world: &World, what: &str, answer: Result<T, SupervisorError>) {
    match answer {
        Ok(_) | Err(SupervisorError::Conflict(_)) => {}
        Err(error) => panic!("CHAOS_SEED={}: {what}: {error}", world.seed),
    }
}

impl World {
    fn meant(&self, target: &AgentTarget) -> Vec<Row> {
        let rows = self.rows.iter().filter(|row| {
            row.instance.agent == target.agent
                && target.index.is_none_or(|index| index == row.instance.index)
        });
        rows.cloned().collect()
    }

    fn stands_alone(&self, agent: &Name) -> bool {
        let declared = self.design.find(agent);
        declared.is_none_or(|spec| spec.group.is_none())
    }

    /// The next life of a replica is nobody's fault; with it restart those that share its restarts.
    pub(super) fn let_off(&self, instance: &InstanceId) {
        let mut pages = self.book.open();
        if self.stands_alone(&instance.agent) {
            pages.budgets.excuse(instance.clone());
        } else {
            pages
                .budgets
                .pardon_agents(&self.design.family(&instance.agent));
        }
        pages.turns.touch(&instance.agent);
    }

    /// An operator starts what does not live, which forgives it everything, and restarts the rest.
    fn takes_over(&self, target: &AgentTarget, restarts: bool) {
        for row in self.meant(target) {
            let instance = &row.instance;
            if !self.stands_alone(&target.agent) || (row.lives && (restarts || row.ending)) {
                self.let_off(instance);
            } else if !row.lives || row.held {
                self.book.open().budgets.pardon(instance);
            }
        }
        self.book.open().turns.touch(&target.agent);
    }

    pub(super) async fn stop(&mut self, target: AgentTarget) {
        self.say(format_args!("stop {target:?}"));
        self.book.open().turns.touch(&target.agent);
        let answer = self.handle.stop(target.clone()).await;
        done(self, "stop", answer);
        let mut pages = self.book.open();
        let asked = pages.asked.get_mut(&target.agent).unwrap();
        match target.index {
            None => (asked.stopped, asked.paused) = (true, None),
            Some(index) => drop(asked.held.insert(index)),
        }
    }

    pub(super) async fn start(&mut self, target: AgentTarget) {
        self.say(format_args!("start {target:?}"));
        self.takes_over(&target, false);
        self.is_to_run(&target, true);
        let answer = self.handle.start(target).await;
        done(self, "start", answer);
    }

    pub(super) async fn restart(&mut self, target: AgentTarget) {
        self.say(format_args!("restart {target:?}"));
        self.takes_over(&target, true);
        self.is_to_run(&target, false);
        let answer = self.handle.restart(target).await;
        done(self, "restart", answer);
    }

    /// What is to run from now on may. Of a stopped agent the others stay down when one replica is
    /// started alone.
    fn is_to_run(&self, target: &AgentTarget, starts: bool) {
        let all: BTreeSet<u32> = self
            .rows
            .iter()
            .filter(|row| row.instance.agent == target.agent)
            .map(|row| row.instance.index)
            .collect();
        let mut pages = self.book.open();
        let asked = pages.asked.get_mut(&target.agent).unwrap();
        let was_stopped = std::mem::replace(&mut asked.stopped, false);
        match target.index {
            Some(index) => {
                if was_stopped {
                    asked.held = all;
                }
                asked.held.remove(&index);
            }
            None if starts || was_stopped => asked.held.clear(),
            None => {}
        }
    }

    pub(super) async fn scale(&mut self, agent: Name, replicas: u32) {
        self.say(format_args!("scale {agent} to {replicas}"));
        let before = {
            let mut pages = self.book.open();
            let asked = pages.asked.get_mut(&agent).unwrap();
            let before = asked.wanted;
            asked.wanted = before.max(replicas);
            for index in before.min(replicas)..super::design::MOST_REPLICAS {
                let agent = agent.clone();
                pages.budgets.pardon(&InstanceId { agent, index });
            }
            before
        };
        if before != replicas {
            let index = 0;
            let instance = InstanceId {
                agent: agent.clone(),
                index,
            };
            if self.stands_alone(&agent) {
                self.book.open().turns.touch(&agent);
            } else {
                self.let_off(&instance);
            }
        }
        let answer = self.handle.scale(&agent, replicas).await;
        done(self, "scale", answer);
        let mut pages = self.book.open();
        let asked = pages.asked.get_mut(&agent).unwrap();
        asked.wanted = replicas;
        asked.held.retain(|index| *index < replicas);
    }

    /// Until it is resumed, or for so long.
    pub(super) async fn pause(&mut self, agent: Name, span: Duration) {
        let until = (!span.is_zero()).then(|| wall().after(span));
        self.say(format_args!("pause {agent} until {until:?}"));
        let answer = self.handle.pause(&agent, until).await;
        let refused = matches!(answer, Err(SupervisorError::Conflict(_)));
        done(self, "pause", answer);
        let mut pages = self.book.open();
        let asked = pages.asked.get_mut(&agent).unwrap();
        if asked.stopped != refused {
            let said = format!("{agent}: a pause was refused: {refused}, {asked:?}");
            return pages.wrong(said);
        }
        if !refused {
            asked.paused = Some(until);
        }
    }

    pub(super) async fn resume(&mut self, agent: Name) {
        self.say(format_args!("resume {agent}"));
        self.book.open().asked.get_mut(&agent).unwrap().paused = None;
        let answer = self.handle.resume(&agent).await;
        done(self, "resume", answer);
    }

    pub(super) async fn revive(&mut self, agent: Name) {
        self.say(format_args!("revive {agent}"));
        let target = AgentTarget { agent, index: None };
        for row in self.meant(&target) {
            if self.stands_alone(&target.agent) {
                self.book.open().budgets.revive(row.instance);
            } else {
                self.let_off(&row.instance);
            }
        }
        self.book.open().turns.touch(&target.agent);
        let answer = self.handle.revive(&target.agent).await;
        done(self, "revive", answer);
    }
}
