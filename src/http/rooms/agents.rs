//! The supervisor; what it says of an agent, joined with the agent's health and work.

use futures_util::FutureExt;
use serde_json::{Value, json};

use crate::actors::dispatcher::{AgentLoad, DispatcherHandle};
use crate::actors::health::HealthHandle;
use crate::actors::supervisor::{
    AgentStatus, InstanceStatus, SupervisorError, SupervisorHandle, Usage as Used,
};
use crate::domain::agent::{AgentTarget, Verdict};
use crate::domain::explain::{Paused, Standing, WorkStanding};
use crate::domain::health::HealthStatus;
use crate::domain::health::agent::best_level;
use crate::domain::health::judge::worst_of;
use crate::domain::name::Name;
use crate::domain::query::QueueState;
use crate::http::agents::view::{
    AgentHealth, AgentView, InstanceView, QueueView, Replicas, Restarts, Usage,
};
use crate::http::handles::{AgentCommand, Agents, Answer};
use crate::http::problem::Problem;

/// Log lines that are asked of an agent.
const LOG_LINES: usize = 500;

/// The agents, as supervisor, dispatcher and health monitor see them.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Where they stand.
    pub supervisor: SupervisorHandle,
    /// What they carry.
    pub dispatcher: DispatcherHandle,
    /// How they are doing.
    pub health: HealthHandle,
}

impl Fleet {
    async fn view(&self, status: AgentStatus) -> AgentView {
        self.views(vec![status]).await.remove(0)
    }

    /// With the depth of queues; without it while the database is away.
    async fn views(&self, all: Vec<AgentStatus>) -> Vec<AgentView> {
        let loads = match self.dispatcher.loads().await {
            Ok(loads) => loads,
            Err(error) => {
                tracing::debug!(%error, "agents are shown without what waits for them");
                self.dispatcher.loads_without_depth()
            }
        };
        let view = |status: AgentStatus| {
            let load = loads.iter().find(|load| load.agent == status.name);
            let health = self.health_of(&status);
            view(status, load, health)
        };
        all.into_iter().map(view).collect()
    }

    /// What its work does; without its queue while the database is away.
    async fn work_of(&self, of: &Standing) -> WorkStanding {
        let loads = match self.dispatcher.loads().await {
            Ok(loads) => loads,
            Err(_) => self.dispatcher.loads_without_depth(),
        };
        let load = loads.iter().find(|load| load.agent == of.name);
        let queue = self.dispatcher.queue_state(&of.queue).await.ok();
        let running = |state: &QueueState| state.stats.tasks.get("running").copied();
        WorkStanding {
            queue: of.queue.to_string(),
            paused: queue
                .as_ref()
                .and_then(|state| state.pause.as_ref())
                .map(|pause| Paused {
                    at: pause.paused_at,
                    until: pause.until,
                    reason: pause.reason.clone(),
                }),
            limit: queue.as_ref().and_then(|state| {
                let most = state.spec.limits.concurrency?;
                Some((running(state).unwrap_or(0), u64::from(most)))
            }),
            depth: load.map_or(0, |load| load.depth),
            running: load.map_or(0, |load| load.running),
            capacity: load.map_or(0, |load| load.capacity),
            spend: load.and_then(|load| load.spend.clone()),
        }
    }

    fn health_of(&self, status: &AgentStatus) -> AgentHealth {
        let name = format!("agent.{}", status.name);
        let report = self.health.report();
        let checks = report.iter().flat_map(|report| &report.checks);
        let own = checks.clone().find(|check| check.name == name);
        // The check may be of half a minute ago, the state is of now.
        let allowed = best_level(status.desired, status.state, status.replicas.ready);
        let checked = own.map_or(HealthStatus::Unknown, |check| check.status);
        AgentHealth {
            status: worst_of([checked, allowed]),
            verdict: verdict(&status.instances),
            checks: own.map(|check| check.name.clone()).into_iter().collect(),
        }
    }
}

/// Of several replicas, the one worth the most attention.
fn verdict(instances: &[InstanceStatus]) -> Verdict {
    const BY_ATTENTION: [Verdict; 5] = [
        Verdict::Stalled,
        Verdict::Dead,
        Verdict::Working,
        Verdict::Waiting,
        Verdict::Idle,
    ];
    let has = |wanted: &Verdict| instances.iter().any(|instance| instance.verdict == *wanted);
    BY_ATTENTION.into_iter().find(has).unwrap_or(Verdict::Dead)
}

fn view(status: AgentStatus, load: Option<&AgentLoad>, health: AgentHealth) -> AgentView {
    let restarts = status.restarts;
    AgentView {
        usage: usage(status.usage, &status.instances),
        name: status.name,
        kind: status.kind,
        role: status.role,
        group: status.group,
        critical: status.critical,
        desired: status.desired,
        paused_until: status.overrides.paused_until,
        state: status.state,
        replicas: Replicas {
            desired: status.replicas.desired,
            ready: status.replicas.ready,
        },
        instances: status.instances.into_iter().map(instance).collect(),
        health,
        generation: status.generation,
        pid: status.pid,
        started_at: status.started_at,
        uptime_ms: status.started_at.map(|_| status.uptime_ms),
        restarts: Restarts {
            total: restarts.total,
            window: restarts.window.into(),
            last_reason: restarts.last_reason,
            next_at: restarts.next_at,
            breaker: restarts.breaker.to_owned(),
        },
        queue: QueueView {
            depth: load.map_or(0, |load| load.depth),
            running: load.map_or(0, |load| load.running),
            capacity: load.map_or(0, |load| load.capacity),
        },
        spend: load.and_then(|load| load.spend.clone()),
        labels: status.labels,
    }
}

/// Processor share as `ps` shows it: over the whole life. Of processes only, and once they were seen.
fn usage(used: Used, instances: &[InstanceStatus]) -> Usage {
    let processes = instances.iter().any(|instance| instance.pid.is_some());
    let lived = instances
        .iter()
        .map(|instance| instance.uptime_ms)
        .max()
        .unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "a share to be read by people")]
    let seconds = lived as f64 / 1000.0;
    let cpu_seconds = used.cpu_seconds.filter(|_| processes);
    Usage {
        cpu_percent: cpu_seconds
            .filter(|_| seconds > 0.0)
            .map(|cpu| 100.0 * cpu / seconds),
        cpu_seconds,
        memory_bytes: used.memory_bytes.filter(|_| processes),
    }
}

fn instance(status: InstanceStatus) -> InstanceView {
    InstanceView {
        index: status.index,
        pid: status.pid,
        generation: status.generation,
        state: status.state,
        verdict: status.verdict,
        started_at: status.started_at,
        uptime_ms: status.started_at.map(|_| status.uptime_ms),
        restarts: status.restarts,
        errors: status.errors,
        running: status.running,
        probes: status.probes.iter().map(|probe| json!(probe)).collect(),
        next_at: status.next_at,
        last_reason: status.last_exit.map(|exit| exit.message),
    }
}

impl Agents for Fleet {
    fn agents(&self) -> Answer<'_, Vec<AgentView>> {
        async move { Ok(self.views(self.supervisor.agents().await?).await) }.boxed()
    }

    fn agent<'a>(&'a self, name: &'a Name) -> Answer<'a, AgentView> {
        async move { Ok(self.view(self.supervisor.agent(name).await?).await) }.boxed()
    }

    fn tree(&self) -> Answer<'_, Value> {
        async move {
            let tree = self.supervisor.tree().await?;
            serde_json::to_value(tree).map_err(|error| Problem::internal(error.to_string()))
        }
        .boxed()
    }

    fn command(&self, target: AgentTarget, command: AgentCommand) -> Answer<'_, AgentView> {
        let supervisor = &self.supervisor;
        async move {
            let status = match command {
                AgentCommand::Start => supervisor.start(target).await?,
                AgentCommand::Stop => supervisor.stop(target).await?,
                AgentCommand::Restart => supervisor.restart(target).await?,
                AgentCommand::Pause(until) => supervisor.pause(&target.agent, until).await?,
                AgentCommand::Resume => supervisor.resume(&target.agent).await?,
                AgentCommand::Scale(replicas) => supervisor.scale(&target.agent, replicas).await?,
            };
            Ok(self.view(status).await)
        }
        .boxed()
    }

    fn standing<'a>(&'a self, name: &'a Name) -> Answer<'a, (Standing, WorkStanding)> {
        async move {
            let standing = self.supervisor.standing(name).await?;
            let work = self.work_of(&standing).await;
            Ok((standing, work))
        }
        .boxed()
    }

    fn logs(&self, target: AgentTarget) -> Answer<'_, Vec<String>> {
        async move { Ok(self.supervisor.logs(&target, LOG_LINES).await?) }.boxed()
    }
}

impl From<SupervisorError> for Problem {
    fn from(error: SupervisorError) -> Self {
        let detail = error.to_string();
        match error {
            SupervisorError::NotFound { name, nearest } => {
                Self::not_found("agent", &name, nearest.as_deref())
            }
            SupervisorError::NotRunning { .. } | SupervisorError::Conflict(_) => {
                Self::conflict(detail)
            }
            SupervisorError::Invalid(_) => Self::validation(detail),
            SupervisorError::Busy | SupervisorError::Unavailable => Self::unavailable(detail),
            SupervisorError::Timeout => Self::deadline_exceeded(detail),
            SupervisorError::NotKept(_) => Self::database_unavailable(detail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(pid: Option<u32>) -> InstanceStatus {
        InstanceStatus {
            index: 0,
            pid,
            generation: 1,
            state: crate::domain::agent::AgentState::Ready,
            verdict: Verdict::Idle,
            started_at: None,
            uptime_ms: 2_000,
            restarts: 0,
            errors: 0,
            mailbox_depth: 0,
            running: 0,
            response: None,
            missed_probes: 0,
            failure_threshold: 3,
            probes: Vec::new(),
            next_at: None,
            last_exit: None,
        }
    }

    #[test]
    fn a_process_nobody_has_looked_at_uses_what_nobody_knows_and_not_nothing() {
        let measured = Used {
            cpu_seconds: Some(1.0),
            memory_bytes: Some(2048),
        };
        let cases = [
            (Used::default(), Some(7), (None, None, None)),
            (measured, Some(7), (Some(50.0), Some(1.0), Some(2048))),
            (measured, None, (None, None, None)),
        ];
        for (used, pid, wanted) in cases {
            let Usage {
                cpu_percent,
                cpu_seconds,
                memory_bytes,
            } = usage(used, &[life(pid)]);
            assert_eq!((cpu_percent, cpu_seconds, memory_bytes), wanted, "{pid:?}");
        }
    }
}
