//! Agents as the API shows them: supervision, work and health of each in one view.

use std::collections::BTreeMap;

use futures_util::FutureExt as _;

use crate::actors::dispatcher::{AgentLoad, DispatcherHandle};
use crate::actors::health::HealthHandle;
use crate::actors::supervisor::{AgentStatus, InstanceStatus, SupervisorError, SupervisorHandle};
use crate::domain::agent::{AgentKind, AgentTarget, Verdict};
use crate::domain::health::{HealthReport, HealthStatus};
use crate::domain::name::Name;
use crate::http::{
    AgentCommand, AgentHealth, AgentView, Agents, Answer, InstanceView, Problem, QueueView,
    Replicas, Restarts, Usage,
};

/// Log lines shown at most.
const LOG_TAIL: usize = 1_000;

/// The supervision tree, with work and health of each agent.
#[derive(Debug, Clone)]
pub(in crate::app) struct AgentsFace {
    pub(in crate::app) supervisor: SupervisorHandle,
    pub(in crate::app) dispatcher: DispatcherHandle,
    pub(in crate::app) health: HealthHandle,
}

impl AgentsFace {
    async fn view(&self, status: AgentStatus) -> AgentView {
        let loads = self.loads().await;
        let report = self.health.report();
        view(status, &loads, report.as_deref())
    }

    /// What agents carry; unknown loads are shown as none rather than failing the whole view.
    async fn loads(&self) -> BTreeMap<Name, AgentLoad> {
        let loads = self.dispatcher.loads().await.unwrap_or_default();
        loads
            .into_iter()
            .map(|load| (load.agent.clone(), load))
            .collect()
    }

    async fn carry_out(
        &self,
        target: AgentTarget,
        command: AgentCommand,
    ) -> Result<AgentStatus, SupervisorError> {
        let supervisor = &self.supervisor;
        match command {
            AgentCommand::Start => supervisor.start(target).await,
            AgentCommand::Stop => supervisor.stop(target).await,
            AgentCommand::Restart => supervisor.restart(target).await,
            AgentCommand::Pause => supervisor.pause(&target.agent).await,
            AgentCommand::Resume => supervisor.resume(&target.agent).await,
            AgentCommand::Scale(replicas) => supervisor.scale(&target.agent, replicas).await,
        }
    }
}

impl Agents for AgentsFace {
    fn agents(&self) -> Answer<'_, Vec<AgentView>> {
        async {
            let statuses = self.supervisor.agents().await.map_err(problem)?;
            let loads = self.loads().await;
            let report = self.health.report();
            let views = statuses
                .into_iter()
                .map(|status| view(status, &loads, report.as_deref()));
            Ok(views.collect())
        }
        .boxed()
    }

    fn agent<'a>(&'a self, name: &'a Name) -> Answer<'a, AgentView> {
        async move {
            let status = self.supervisor.agent(name).await.map_err(problem)?;
            Ok(self.view(status).await)
        }
        .boxed()
    }

    fn tree(&self) -> Answer<'_, serde_json::Value> {
        async {
            let tree = self.supervisor.tree().await.map_err(problem)?;
            serde_json::to_value(tree).map_err(|error| Problem::internal(error.to_string()))
        }
        .boxed()
    }

    fn command(&self, target: AgentTarget, command: AgentCommand) -> Answer<'_, AgentView> {
        async move {
            let status = self.carry_out(target, command).await.map_err(problem)?;
            Ok(self.view(status).await)
        }
        .boxed()
    }

    fn logs(&self, target: AgentTarget) -> Answer<'_, Vec<String>> {
        async move {
            self.supervisor
                .logs(&target, LOG_TAIL)
                .await
                .map_err(problem)
        }
        .boxed()
    }
}

fn view(
    status: AgentStatus,
    loads: &BTreeMap<Name, AgentLoad>,
    report: Option<&HealthReport>,
) -> AgentView {
    let load = loads.get(&status.name);
    let with_process = status.kind != AgentKind::Actor;
    AgentView {
        health: health(&status, report),
        queue: QueueView {
            depth: load.map_or(0, |load| load.depth),
            running: load.map_or(0, |load| load.running),
            capacity: load.map_or(0, |load| load.capacity),
        },
        usage: Usage {
            cpu_percent: with_process.then(|| cpu_percent(&status)).flatten(),
            cpu_seconds: with_process.then_some(status.usage.cpu_seconds),
            memory_bytes: with_process.then_some(status.usage.memory_bytes),
        },
        restarts: Restarts {
            total: status.restarts.total,
            window: status.restarts.window.into(),
            last_reason: status.restarts.last_reason,
            next_at: status.restarts.next_at,
            breaker: status.restarts.breaker.to_owned(),
        },
        replicas: Replicas {
            desired: status.replicas.desired,
            ready: status.replicas.ready,
        },
        uptime_ms: status.started_at.is_some().then_some(status.uptime_ms),
        instances: status.instances.into_iter().map(instance).collect(),
        name: status.name,
        kind: status.kind,
        role: status.role,
        group: status.group,
        critical: status.critical,
        desired: status.desired,
        state: status.state,
        generation: status.generation,
        pid: status.pid,
        started_at: status.started_at,
        labels: status.labels,
    }
}

/// The mean over its life; a rate over the last moments would need two looks.
fn cpu_percent(status: &AgentStatus) -> Option<f64> {
    let lived = f64::from(
        u32::try_from(status.uptime_ms)
            .ok()
            .filter(|span| *span > 0)?,
    ) / 1_000.0;
    Some((status.usage.cpu_seconds / lived * 1_000.0).round() / 10.0)
}

fn health(status: &AgentStatus, report: Option<&HealthReport>) -> AgentHealth {
    let name = format!("agent.{}", status.name);
    let check = report.and_then(|report| report.checks.iter().find(|check| check.name == name));
    let verdicts = status.instances.iter().map(|instance| instance.verdict);
    AgentHealth {
        status: check.map_or(HealthStatus::Unknown, |check| check.status),
        verdict: verdicts
            .max_by_key(|verdict| severity(*verdict))
            .unwrap_or(Verdict::Dead),
        checks: vec![name],
    }
}

const fn severity(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Idle => 0,
        Verdict::Working => 1,
        Verdict::Waiting => 2,
        Verdict::Stalled => 3,
        Verdict::Dead => 4,
    }
}

fn instance(status: InstanceStatus) -> InstanceView {
    InstanceView {
        index: status.index,
        pid: status.pid,
        generation: status.generation,
        state: status.state,
        verdict: status.verdict,
        uptime_ms: status.started_at.is_some().then_some(status.uptime_ms),
        started_at: status.started_at,
        restarts: status.restarts,
        last_reason: status.last_exit.map(|last| last.message),
        errors: status.errors,
        running: status.running,
        next_at: status.next_at,
    }
}

/// What a caller is told when the supervisor refuses.
fn problem(error: SupervisorError) -> Problem {
    match error {
        SupervisorError::NotFound { name, nearest } => {
            Problem::not_found("agent", &name, nearest.as_deref())
        }
        error @ (SupervisorError::NotRunning { .. } | SupervisorError::Conflict(_)) => {
            Problem::conflict(error.to_string())
        }
        SupervisorError::Invalid(detail) => Problem::validation(detail),
        error @ (SupervisorError::Busy
        | SupervisorError::Unavailable
        | SupervisorError::Timeout
        | SupervisorError::NotKept(_)) => Problem::unavailable(error.to_string()),
    }
}
