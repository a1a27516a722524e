//! How agents stand, as others see it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Supervisor;
use super::ends::millis;
use super::probed::{ProbeStatus, Probed};
use super::replica::Replica;
use super::tree::{Agent, Unit};
use crate::clock;
use crate::domain::agent::{AgentKind, AgentSpec, AgentState, Desired, Verdict};
use crate::domain::exit::ExitReason;
use crate::domain::name::Name;
use crate::domain::record::Overrides;
use crate::domain::restart::{Ledger, Strategy};
use crate::domain::timestamp::Timestamp;

/// Replicas asked for and ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ReplicaCount {
    /// Asked for.
    pub desired: u32,
    /// Ready for work.
    pub ready: u32,
}

/// Restarts of an agent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RestartStatus {
    /// All of them.
    pub total: u64,
    /// Deaths inside the window of its intensity: of its group where restarts are shared, else of
    /// the replica with the most.
    pub window: u32,
    /// How its last life ended.
    pub last_reason: Option<String>,
    /// When the next life begins, if it waits for that.
    pub next_at: Option<Timestamp>,
    /// `closed`, `half_open` (on trial) or `open` (in quarantine).
    pub breaker: &'static str,
}

/// What an agent uses, as far as its lives have shown it: right after a start nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Default)]
pub struct Usage {
    /// Processor time since its start, seconds.
    pub cpu_seconds: Option<f64>,
    /// Resident memory, bytes.
    pub memory_bytes: Option<u64>,
}

/// How a replica's last life ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LastExit {
    /// Why.
    pub reason: ExitReason,
    /// For people.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// One replica.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstanceStatus {
    /// Which, from 0.
    pub index: u32,
    /// Its process, if it has one.
    pub pid: Option<u32>,
    /// Which life.
    pub generation: u64,
    /// Where it stands.
    pub state: AgentState,
    /// What the evidence says it does.
    pub verdict: Verdict,
    /// When its life began.
    pub started_at: Option<Timestamp>,
    /// How long its life has lasted.
    pub uptime_ms: u64,
    /// Restarts since the daemon's start.
    pub restarts: u64,
    /// Errors in this life.
    pub errors: u64,
    /// Messages that wait for it.
    pub mailbox_depth: u64,
    /// Tasks it held when it last showed a sign.
    pub running: u64,
    /// How long its last answer to a probe took.
    #[serde(skip)]
    pub response: Option<Duration>,
    /// Probes in a row that stayed unanswered.
    pub missed_probes: u32,
    /// Missed probes that count as dead.
    #[serde(skip)]
    pub failure_threshold: u32,
    /// What its probes say, beside the ping of its protocol.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<ProbeStatus>,
    /// When its next life begins, if it waits for that.
    pub next_at: Option<Timestamp>,
    /// How its last life ended.
    pub last_exit: Option<LastExit>,
}

/// One agent: the Agent object of the API, without its health and queue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgentStatus {
    /// Its name.
    pub name: Name,
    /// What runs.
    pub kind: AgentKind,
    /// Its role.
    pub role: Option<Name>,
    /// Its group.
    pub group: Option<Name>,
    /// What was asked for.
    pub desired: Desired,
    /// What is: of several replicas, the one worst off.
    pub state: AgentState,
    /// How many replicas.
    pub replicas: ReplicaCount,
    /// Each replica.
    pub instances: Vec<InstanceStatus>,
    /// Of replica 0.
    pub generation: u64,
    /// Of replica 0.
    pub pid: Option<u32>,
    /// Of replica 0.
    pub started_at: Option<Timestamp>,
    /// Of replica 0.
    pub uptime_ms: u64,
    /// Its restarts.
    pub restarts: RestartStatus,
    /// Errors that ended none of its lives, since the daemon's start.
    #[serde(skip)]
    pub errors_total: u64,
    /// Whether the daemon is not ready without it.
    pub critical: bool,
    /// Tasks a life takes at once.
    pub concurrency: u32,
    /// The queue it takes tasks from beside its own.
    pub queue_name: Name,
    /// Free words for filtering.
    pub labels: BTreeMap<String, String>,
    /// Of all replicas.
    pub usage: Usage,
    /// What an operator set, where it differs from the file.
    pub overrides: Overrides,
    /// Replicas that the file asks for.
    pub declared_replicas: u32,
}

/// A part of the tree.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TreeNode {
    /// Its name; the root has none.
    pub name: String,
    /// `root`, `group` or `agent`.
    pub node: &'static str,
    /// A group's strategy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// An agent's state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<AgentState>,
    /// An agent's replicas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<ReplicaCount>,
    /// What stands below, in declared order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<TreeNode>,
}

impl AgentStatus {
    /// The same as JSON, for who adds to it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_else(|_| json!({"name": self.name}))
    }

    /// Whether a critical agent lacks a ready replica that it should have.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.critical
            && self.desired != Desired::Stopped
            && self.replicas.ready == 0
            && self.replicas.desired > 0
    }
}

impl Supervisor {
    pub(super) fn status(&self, index: usize) -> AgentStatus {
        let agent = &self.tree.agents[index];
        let instances: Vec<InstanceStatus> = (0_u32..)
            .zip(&agent.replicas)
            .map(|(index, replica)| instance(index, replica, &agent.spec))
            .collect();
        let first = instances.first();
        AgentStatus {
            name: agent.spec.name.clone(),
            kind: agent.spec.runs.kind(),
            role: agent.spec.role.clone(),
            group: agent.spec.group.clone(),
            desired: agent.desired,
            state: agent.state(),
            replicas: ReplicaCount {
                desired: count(agent.wanted),
                ready: count(agent.ready),
            },
            generation: first.map_or(0, |first| first.generation),
            pid: first.and_then(|first| first.pid),
            started_at: first.and_then(|first| first.started_at),
            uptime_ms: first.map_or(0, |first| first.uptime_ms),
            restarts: self.restart_status(index),
            errors_total: agent.errors,
            critical: agent.spec.critical,
            concurrency: agent.spec.concurrency,
            queue_name: agent.spec.queue.clone(),
            labels: agent.spec.labels.clone(),
            usage: usage(agent),
            overrides: agent.overrides(),
            declared_replicas: agent.spec.replicas,
            instances,
        }
    }

    /// What the deaths of an agent count against: its group's ledger where restarts are shared, or
    /// its replicas' own.
    pub(super) fn ledgers(&self, agent: usize) -> impl Iterator<Item = &Ledger> + Clone {
        let sharing = self.sharing_group(agent);
        let shared = sharing.map(|(group, _)| &self.tree.groups[group].ledger);
        let own = self.tree.agents[agent].replicas.iter();
        let own = own.filter(move |_| sharing.is_none());
        shared.into_iter().chain(own.map(|replica| &replica.ledger))
    }

    fn restart_status(&self, index: usize) -> RestartStatus {
        let (now, agent) = (self.span(), &self.tree.agents[index]);
        let replicas = || agent.replicas.iter();
        let ledgers = self.ledgers(index);
        let on_trial = ledgers.clone().any(|ledger| ledger.on_trial);
        let windows = ledgers.map(|ledger| ledger.window.count(now, agent.rules.intensity));
        let last = replicas().filter_map(|replica| replica.last.as_deref());
        RestartStatus {
            total: agent.restarts,
            window: windows.max().unwrap_or(0),
            last_reason: last
                .max_by_key(|last| last.at)
                .map(|last| last.reason.to_string()),
            next_at: replicas().filter_map(|replica| wall(replica.due)).min(),
            breaker: breaker(agent, on_trial),
        }
    }

    pub(super) fn tree_node(&self) -> TreeNode {
        TreeNode {
            name: String::new(),
            node: "root",
            strategy: Some(Strategy::OneForOne),
            state: None,
            replicas: None,
            children: self.tree.root.iter().map(|unit| self.node(*unit)).collect(),
        }
    }

    fn node(&self, unit: Unit) -> TreeNode {
        match unit {
            Unit::Agent(agent) => {
                let status = self.status(agent);
                TreeNode {
                    name: status.name.to_string(),
                    node: "agent",
                    strategy: None,
                    state: Some(status.state),
                    replicas: Some(status.replicas),
                    children: Vec::new(),
                }
            }
            Unit::Group(group) => {
                let group = &self.tree.groups[group];
                TreeNode {
                    name: group.spec.name.to_string(),
                    node: "group",
                    strategy: Some(group.spec.strategy),
                    state: None,
                    replicas: None,
                    children: group.units.iter().map(|unit| self.node(*unit)).collect(),
                }
            }
        }
    }
}

impl Agent {
    /// The state of the replica worst off.
    fn state(&self) -> AgentState {
        let rank = |state: &AgentState| match state {
            AgentState::Failed => 10,
            AgentState::Quarantined => 9,
            AgentState::Unreachable => 8,
            AgentState::Backoff => 7,
            AgentState::Starting => 6,
            AgentState::Pending => 5,
            AgentState::Draining => 4,
            AgentState::Stopping => 3,
            AgentState::Ready => 2,
            AgentState::Paused => 1,
            AgentState::Stopped => 0,
        };
        let states = self.replicas.iter().map(|replica| replica.state);
        states.max_by_key(rank).unwrap_or(AgentState::Stopped)
    }
}

fn instance(index: u32, replica: &Replica, spec: &AgentSpec) -> InstanceStatus {
    let life = replica.life.as_deref();
    let shown = life.and_then(|life| life.evidence.as_deref());
    InstanceStatus {
        index,
        pid: life.and_then(|life| life.pid),
        generation: replica.generation,
        state: replica.state,
        verdict: life.map_or(Verdict::Dead, |life| life.verdict),
        started_at: life.map(|life| life.begun_at),
        uptime_ms: life.map_or(0, |life| millis(life.begun.elapsed())),
        restarts: replica.restarts,
        errors: life.map_or(0, |life| life.errors),
        mailbox_depth: life.map_or(0, |life| life.control.mailbox_depth() as u64),
        running: shown.map_or(0, |shown| shown.open_tasks.len() as u64),
        response: life.and_then(|life| life.response),
        missed_probes: life.map_or(0, |life| life.missed.count()),
        failure_threshold: spec.liveness.failure_threshold,
        probes: life
            .and_then(|life| life.probed.as_deref())
            .map_or_else(Vec::new, |probed| probed.status(&spec.probes)),
        next_at: wall(replica.due),
        last_exit: replica.last.as_deref().map(|last| LastExit {
            reason: last.reason.clone(),
            message: last.reason.to_string(),
            at: last.at,
        }),
    }
}

fn breaker(agent: &Agent, on_trial: bool) -> &'static str {
    let replicas = agent.replicas.iter();
    let remote = agent.spec.probes.remote;
    let away = |replica: &&Replica| remote && replica.state == AgentState::Unreachable;
    let returns = replicas.clone().filter(away).any(|replica| {
        let life = replica.life.as_deref();
        let probed = life.and_then(|life| life.probed.as_deref());
        probed.is_some_and(Probed::answers_again)
    });
    if replicas
        .clone()
        .any(|replica| replica.state == AgentState::Quarantined || (away(&replica) && !returns))
    {
        "open"
    } else if returns || on_trial {
        "half_open"
    } else {
        "closed"
    }
}

fn usage(agent: &Agent) -> Usage {
    let lives = agent
        .replicas
        .iter()
        .filter_map(|replica| replica.life.as_deref());
    lives
        .filter_map(|life| life.evidence.as_deref())
        .fold(Usage::default(), |sum, shown| Usage {
            cpu_seconds: total(sum.cpu_seconds, shown.cpu_seconds),
            memory_bytes: total(sum.memory_bytes, shown.memory_bytes),
        })
}

/// What is known of both; nothing if neither is.
fn total<T: std::ops::Add<Output = T>>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one + other),
        (one, other) => one.or(other),
    }
}

fn count(replicas: usize) -> u32 {
    u32::try_from(replicas).unwrap_or(u32::MAX)
}

/// An instant ahead on the wall clock.
fn wall(due: Option<Instant>) -> Option<Timestamp> {
    let left: Duration = due?.saturating_duration_since(Instant::now());
    Some(clock::now().after(left))
}
