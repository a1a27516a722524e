//! How an agent stands, told for an explanation: everything the supervisor knows of why.

use std::time::Duration;

use actix::prelude::*;
use tokio::time::Instant;

use super::ends::millis;
use super::replica::{Hold, Replica, Shown};
use super::{Supervisor, SupervisorError};
use crate::actors::runner::AgentContext;
use crate::clock;
use crate::domain::agent::{AgentSpec, AgentState};
use crate::domain::exit::ExitReason;
use crate::domain::explain::{
    BudgetUse, Died, FailingProbe, GroupStanding, Held, LastEnd, ReplicaStanding, ShownEvidence,
    Standing, Together, WaitsFor,
};
use crate::domain::name::Name;
use crate::domain::restart::{GroupSpec, Intensity, Ledger};
use crate::domain::timestamp::Timestamp;

/// How an agent stands.
#[derive(Message)]
#[rtype(result = "Result<Standing, SupervisorError>")]
pub(super) struct GetStanding(pub(super) Name);

impl Handler<GetStanding> for Supervisor {
    type Result = Result<Standing, SupervisorError>;

    fn handle(
        &mut self,
        GetStanding(name): GetStanding,
        _: &mut AgentContext<Self>,
    ) -> Self::Result {
        Ok(self.standing(self.agent_index(&name)?))
    }
}

impl Supervisor {
    fn standing(&self, index: usize) -> Standing {
        let status = self.status(index);
        let agent = &self.tree.agents[index];
        Standing {
            name: status.name,
            kind: status.kind,
            queue: status.queue_name,
            desired: status.desired,
            state: status.state,
            replicas_desired: status.replicas.desired,
            replicas_ready: status.replicas.ready,
            overrides: status.overrides,
            restart_type: agent.spec.restart.kind.as_str(),
            start_timeout_ms: millis(agent.spec.start_timeout),
            replicas: (0..)
                .zip(&agent.replicas)
                .map(|(index, replica)| replica_standing(index, replica, &agent.spec))
                .collect(),
            waits_for: self.waits_for(index),
            group: self.group_standing(index),
            budget: self.budget_use(index),
            shutting_down: self.shutdown.is_some(),
        }
    }

    /// What an agent depends on and is not there.
    fn waits_for(&self, agent: usize) -> Vec<WaitsFor> {
        let needs = self.tree.agents[agent].spec.depends_on.iter();
        let missing = needs.filter_map(|(name, wanted)| {
            let on = self.tree.agent(name)?;
            (!self.tree.agents[on].has(*wanted)).then(|| WaitsFor {
                agent: name.clone(),
                wanted: *wanted,
                state: self.status(on).state,
            })
        });
        missing.collect()
    }

    fn group_standing(&self, agent: usize) -> Option<GroupStanding> {
        let group = self.tree.agents[agent].group?;
        let spec = &self.tree.groups[group].spec;
        let regroups = self.regroups_with(agent);
        let outermost = self.tree.ancestors(Some(group)).last();
        Some(GroupStanding {
            name: spec.name.clone(),
            strategy: word(&spec.strategy),
            on_exhausted: word(&spec.on_exhausted),
            restarts: regroups.is_some(),
            together: regroups.map(|group| {
                let spec = &self.tree.groups[group].spec;
                Together {
                    group: spec.name.clone(),
                    strategy: word(&spec.strategy),
                }
            }),
            died: regroups.or(outermost).and_then(|group| self.died(group)),
        })
    }

    /// The last death in a group: what it restarted, rested or was stopped for, or one since.
    fn died(&self, group: usize) -> Option<Died> {
        let agents = self.tree.agents_from(group, 0).into_iter();
        let ends = agents.flat_map(|agent| {
            let agent = &self.tree.agents[agent];
            let ends = agent.replicas.iter().filter_map(|it| it.last.as_deref());
            ends.map(|end| (&agent.spec.name, end))
        });
        let died = |end: &super::replica::LastEnd| {
            !end.reason.is_normal() && end.reason != ExitReason::Killed
        };
        let last = ends
            .filter(|(_, end)| died(end))
            .max_by_key(|(_, end)| end.at);
        last.map(|(name, end)| Died {
            agent: name.clone(),
            message: end.reason.to_string(),
        })
    }

    /// The budget that counts for an agent: that of the group it restarts or rests with, its own
    /// group's, or that of its replica with most deaths.
    fn budget_use(&self, index: usize) -> BudgetUse {
        let shared = || self.sharing_group(index).map(|(group, _)| group);
        if let Some(group) = self.regroups_with(index).or_else(shared) {
            let group = &self.tree.groups[group];
            let owner = format!("@{}", group.spec.name);
            return self.use_of(owner, &group.ledger, &group.spec);
        }
        let agent = &self.tree.agents[index];
        let uses = (0..).zip(&agent.replicas).map(|(index, replica)| {
            let owner = format!("{}#{index}", agent.spec.name);
            self.use_of(owner, &replica.ledger, &agent.rules)
        });
        uses.max_by_key(|used| (used.deaths, used.quarantines))
            .unwrap_or_default()
    }

    fn use_of(&self, owner: String, ledger: &Ledger, rules: &GroupSpec) -> BudgetUse {
        let (max, within) = match rules.intensity {
            Intensity::Limited { max, within } => (Some(max), within),
            Intensity::Unlimited => (None, Duration::ZERO),
        };
        BudgetUse {
            owner,
            deaths: ledger.window.count(self.span(), rules.intensity),
            max,
            within_ms: millis(within),
            slow_loop: ledger
                .chain
                .parts()
                .map(|(signature, deaths, _)| (signature.to_owned(), deaths)),
            quarantines: ledger.quarantines,
            on_trial: ledger.on_trial,
        }
    }
}

fn replica_standing(index: u32, replica: &Replica, spec: &AgentSpec) -> ReplicaStanding {
    let life = replica.life.as_deref();
    let left = replica
        .due
        .map(|due| due.saturating_duration_since(Instant::now()));
    ReplicaStanding {
        index,
        state: replica.state,
        verdict: life.map_or(crate::domain::agent::Verdict::Dead, |life| life.verdict),
        generation: replica.generation,
        pid: life.and_then(|life| life.pid),
        uptime_ms: life.map_or(0, |life| millis(life.begun.elapsed())),
        held: held(replica.hold),
        why: replica.why,
        next_at: left.map(|left| clock::now().after(left)),
        last_end: replica.last.as_deref().map(|last| LastEnd {
            kind: last.reason.label(),
            message: last.reason.to_string(),
            at: last.at,
        }),
        probe: failing(replica, spec),
        rests_until: life
            .and_then(|life| life.probed.as_deref()?.rests_until)
            .and_then(ahead),
        missed_probes: life.map_or(0, |life| life.missed.count()),
        failure_threshold: spec.liveness.failure_threshold,
        evidence: life
            .and_then(|life| life.evidence.as_deref())
            .map(Shown::in_figures),
    }
}

const fn held(hold: Hold) -> Held {
    match hold {
        Hold::None => Held::No,
        Hold::Operator => Held::Operator,
        Hold::Done(_) => Held::Done,
        Hold::Failed => Held::Failed,
        Hold::Group => Held::Group,
    }
}

/// The probe that keeps work from a life: one that says no, or while it starts, one that has not
/// said yes.
fn failing(replica: &Replica, spec: &AgentSpec) -> Option<FailingProbe> {
    let probed = replica.life.as_deref()?.probed.as_deref()?;
    let starting = replica.state == AgentState::Starting;
    let said_no = |passes: Option<bool>| passes == Some(false) || (starting && passes.is_none());
    let mut all = probed.status(&spec.probes).into_iter();
    let failing = all.find(|probe| said_no(probe.passes) && probe.last.is_some())?;
    let rule = spec.probes.get(failing.probe)?;
    let last = failing.last?;
    let run = |counts: bool| if counts { failing.in_a_row } else { 0 };
    Some(FailingProbe {
        probe: failing.probe.to_string(),
        by: failing.by,
        in_a_row: run(!last.passed),
        failure_threshold: rule.failure_threshold,
        passed: run(last.passed),
        success_threshold: rule.success_threshold,
        next_at: probed.next_of(failing.probe).and_then(ahead),
        message: last.message,
    })
}

/// An instant on the wall clock, if it is still to come.
fn ahead(due: Instant) -> Option<Timestamp> {
    let left = due.saturating_duration_since(Instant::now());
    (!left.is_zero()).then(|| clock::now().after(left))
}

impl Shown {
    /// As figures that count up to now.
    fn in_figures(&self) -> ShownEvidence {
        let age = self.at.elapsed();
        let since = |span: Option<Duration>| span.map(|span| millis(span + age));
        ShownEvidence {
            age_ms: millis(age),
            open_tasks: self.open_tasks.len() as u64,
            since_progress_ms: since(self.since_progress),
            since_sign_ms: since(self.since_sign),
            since_activity_ms: since(self.since_activity),
            busy_for_ms: self.busy_for.map(|left| millis(left.saturating_sub(age))),
            cpu_seconds: self.cpu_seconds,
            io_bytes: self.io_bytes,
            memory_bytes: self.memory_bytes,
            peak_memory_bytes: self.peak_memory_bytes,
        }
    }
}

/// The word of a setting, as it is written in a file.
fn word(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
