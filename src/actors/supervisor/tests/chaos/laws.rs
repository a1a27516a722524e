//! What must hold after each step: inside the supervisor, and between it and what really lives.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::book::{Page, Pages};
use super::world::wall;
use crate::actors::supervisor::Supervisor;
use crate::actors::supervisor::replica::{Hold, Replica};
use crate::actors::supervisor::tree::Slot;
use crate::domain::agent::{AgentState, Desired, InstanceId};
use crate::domain::name::Name;
use crate::domain::restart::Intensity;

/// One replica, as the supervisor sees it.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) instance: InstanceId,
    pub(super) generation: u64,
    pub(super) state: AgentState,
    pub(super) lives: bool,
    pub(super) ending: bool,
    pub(super) held: bool,
    pub(super) wanted: bool,
    pub(super) arbiter: Option<u64>,
    pub(super) runner: Option<u64>,
}

/// What a look at the supervisor shows.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) rows: Vec<Row>,
    pub(super) wrongs: Vec<String>,
    /// What it takes to be asked of each agent.
    pub(super) desired: BTreeMap<Name, Desired>,
    /// The supervisor has given up: whoever runs the daemon ends it.
    pub(super) escalated: bool,
}

/// Looks at everything inside.
pub(super) fn inside(supervisor: &mut Supervisor) -> Seen {
    let mut seen = Seen {
        escalated: supervisor.outcome.borrow().is_some(),
        ..Seen::default()
    };
    for slot in supervisor.tree.all_slots() {
        let (row, wrong) = look_at(supervisor, slot);
        let wrong = wrong.map(|what| format!("{}: {what}; {row:?}", row.instance));
        seen.wrongs.extend(wrong);
        seen.rows.push(row);
    }
    for agent in 0..supervisor.tree.agents.len() {
        let wrong = counted(supervisor, agent)
            .or_else(|| shown(supervisor, agent))
            .or_else(|| goes(supervisor, agent));
        let name = &supervisor.tree.agents[agent].spec.name;
        if !supervisor.tree.agents[agent].leaving {
            let desired = supervisor.tree.agents[agent].desired;
            seen.desired.insert(name.clone(), desired);
        }
        seen.wrongs
            .extend(wrong.map(|what| format!("{name}: {what}")));
    }
    let (timers, bound) = (supervisor.timers.len(), 6 * seen.rows.len() + 20);
    if timers > bound {
        seen.wrongs
            .push(format!("{timers} timers, more than {bound}"));
    }
    seen
}

fn look_at(supervisor: &Supervisor, slot: Slot) -> (Row, Option<&'static str>) {
    let replica = supervisor.tree.replica(slot).unwrap();
    let life = replica.life.as_deref();
    let row = Row {
        instance: supervisor.tree.instance(slot),
        generation: replica.generation,
        state: replica.state,
        lives: life.is_some(),
        ending: replica.is_ending(),
        held: replica.hold != Hold::None,
        wanted: supervisor.is_wanted(slot),
        arbiter: life.and_then(|life| life.place.arbiter()),
        runner: life.map(|life| life.grant.runner()),
    };
    let wrong = stands_right(&row)
        .or_else(|| rests_right(supervisor, slot, replica))
        .or_else(|| ends_right(replica));
    (row, wrong)
}

/// Desired against actual.
fn stands_right(row: &Row) -> Option<&'static str> {
    use AgentState::{Draining, Failed, Paused, Ready, Starting, Stopped, Stopping, Unreachable};
    let states = [Starting, Ready, Paused, Unreachable, Draining, Stopping];
    match (row.wanted, row.lives, row.state) {
        (_, true, state) if !states.contains(&state) => Some("lives in a state of the dead"),
        (_, false, state) if states.contains(&state) => Some("is dead in a state of the living"),
        (false, true, _) if !row.ending => Some("is not wanted and not told to end"),
        (false, false, Stopped | Failed) => None,
        (false, false, _) => Some("is not wanted and not at rest"),
        (true, false, Stopped | Failed) => Some("is wanted and counts as ended"),
        _ => None,
    }
}

/// Who is wanted and does not live has a reason for it, and an end of it.
fn rests_right(supervisor: &Supervisor, slot: Slot, replica: &Replica) -> Option<&'static str> {
    let regroups = replica.hold == Hold::Group;
    if regroups && !supervisor.is_regrouping(slot.agent) {
        return Some("waits for a group that does not restart");
    }
    if !supervisor.is_wanted(slot) || replica.life.is_some() {
        return None;
    }
    let due = replica.due.is_some_and(|due| due >= Instant::now());
    match replica.state {
        AgentState::Pending if regroups => None,
        AgentState::Pending if supervisor.tree.may_start(slot.agent) => {
            Some("could start and does not")
        }
        AgentState::Backoff | AgentState::Quarantined if !due => Some("rests without an end"),
        _ => None,
    }
}

fn ends_right(replica: &Replica) -> Option<&'static str> {
    let life = replica.life.as_deref()?;
    let told = life.ending.is_some() || life.cause.is_some();
    let due = life.deadline.is_some_and(|due| due >= Instant::now());
    (told && !due).then_some("is told to end without a deadline")
}

/// What is counted is so, and no window holds more deaths than allowed.
fn counted(supervisor: &Supervisor, index: usize) -> Option<&'static str> {
    let agent = &supervisor.tree.agents[index];
    let alive = agent.replicas.iter().filter(|it| it.life.is_some()).count();
    let ready = agent.replicas.iter().filter(|it| it.is_ready()).count();
    let Intensity::Limited { max, .. } = agent.rules.intensity else {
        return None;
    };
    let now = supervisor.span();
    let windows = supervisor
        .ledgers(index)
        .map(|ledger| ledger.window.count(now, agent.rules.intensity));
    let window = windows.max().unwrap_or(0);
    if (alive, ready) != (agent.alive, agent.ready) {
        Some("is counted wrong")
    } else if window > max {
        Some("has more deaths in its window than allowed")
    } else {
        None
    }
}

/// Whose settings hold no more has its turn to end, and who is declared no more goes with its last
/// life.
fn goes(supervisor: &Supervisor, index: usize) -> Option<&'static str> {
    let agent = &supervisor.tree.agents[index];
    let mut replicas = agent.replicas.iter();
    if agent.leaving && agent.alive == 0 {
        Some("is declared no more, has no life and is not forgotten")
    } else if !supervisor.renewing && replicas.any(Replica::waits_to_end) {
        Some("lives on with settings that hold no more")
    } else {
        None
    }
}

/// Who rests in quarantine is seen to.
fn shown(supervisor: &Supervisor, index: usize) -> Option<&'static str> {
    let replicas = supervisor.tree.agents[index].replicas.iter();
    let mut states = replicas.map(|replica| replica.state);
    if !states.any(|state| state == AgentState::Quarantined) {
        return None;
    }
    let status = supervisor.status(index);
    let given_up = matches!(status.state, AgentState::Quarantined | AgentState::Failed);
    let open = status.restarts.breaker == "open" && status.restarts.next_at.is_some();
    (!given_up || !open).then_some("rests in quarantine unseen")
}

impl Pages {
    /// What the supervisor sees is what there is.
    pub(super) fn compare(&mut self, rows: &[Row]) {
        for row in rows {
            self.compare_row(row);
        }
        let seen = |instance: &InstanceId, generation: u64| {
            let mut rows = rows.iter();
            rows.any(|row| row.lives && row.instance == *instance && row.generation == generation)
        };
        let mut wrongs = Vec::new();
        for (instance, lives) in &self.lives {
            for (generation, page) in lives {
                if page.epoch != self.epoch {
                    continue;
                }
                if page.ended.is_some() && !page.gone {
                    wrongs.push(format!("the end of {instance} {generation} is not counted"));
                }
                if page.lives && !page.gone && !seen(instance, *generation) {
                    wrongs.push(format!("{instance} {generation} lives and nobody knows"));
                }
            }
        }
        self.wrongs.extend(wrongs);
    }

    /// Who was stopped is to be so, and who was paused until it is resumed or that is over.
    pub(super) fn compare_wishes(&mut self, desired: &BTreeMap<Name, Desired>) {
        for (name, has) in desired {
            let Some(asked) = self.asked.get(name) else {
                continue;
            };
            let should = match (asked.stopped, asked.is_paused(wall())) {
                (true, _) => Desired::Stopped,
                (false, true) => Desired::Paused,
                (false, false) => Desired::Running,
            };
            if *has != should {
                let wrong = format!("{name} is to be {has:?}, and {asked:?} was asked");
                self.wrongs.push(wrong);
            }
        }
    }

    fn compare_row(&mut self, row: &Row) {
        let page = self.lives.get(&row.instance);
        let page = page.and_then(|lives| lives.get(&row.generation));
        let here = |page: &&Page| page.epoch == self.epoch;
        let page = page.filter(here);
        let lives = page.is_some_and(|page| page.ended.is_none() && !page.gone);
        if row.lives != lives {
            self.wrong(format!("{}: it is not so: {row:?}, {page:?}", row.instance));
        }
        let told = self.facts.get(&row.instance.to_string()).copied();
        let wanted = match row.state {
            AgentState::Pending => return,
            AgentState::Paused => "agent.ready".to_owned(),
            state => format!("agent.{}", state.as_str()),
        };
        if told != Some(wanted.as_str()) {
            self.wrong(format!(
                "{} is {}, and told last was {told:?}",
                row.instance,
                row.state.as_str()
            ));
        }
    }
}
