//! The agents as health sees them: supervision and work of each in one entry, from memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::actors::dispatcher::{AgentLoad, DispatcherHandle, QUEUE_CAPACITY};
use crate::actors::health::seams::{AgentsView, ViewUnavailable};
use crate::actors::supervisor::{AgentStatus, InstanceStatus, SupervisorHandle};
use crate::domain::health::agent::{AgentHealthInput, InstanceHealth};
use crate::domain::name::Name;

/// Supervisor and dispatcher, seen together.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) supervisor: SupervisorHandle,
    pub(super) dispatcher: DispatcherHandle,
}

impl View {
    /// Of these two.
    pub(super) fn of(supervisor: &SupervisorHandle, dispatcher: &DispatcherHandle) -> Arc<Self> {
        Arc::new(Self {
            supervisor: supervisor.clone(),
            dispatcher: dispatcher.clone(),
        })
    }
}

impl AgentsView for View {
    fn snapshot(&self) -> BoxFuture<'static, Result<Vec<AgentHealthInput>, ViewUnavailable>> {
        let this = self.clone();
        async move {
            let statuses = this.supervisor.agents().await;
            let statuses = statuses.map_err(|error| ViewUnavailable(error.to_string()))?;
            let loads = this.dispatcher.loads().await;
            let loads = loads.map_err(|error| ViewUnavailable(error.to_string()))?;
            let loads: BTreeMap<Name, AgentLoad> = loads
                .into_iter()
                .map(|load| (load.agent.clone(), load))
                .collect();
            Ok(statuses
                .into_iter()
                .map(|status| input(status, &loads))
                .collect())
        }
        .boxed()
    }
}

fn input(status: AgentStatus, loads: &BTreeMap<Name, AgentLoad>) -> AgentHealthInput {
    let load = loads.get(&status.name);
    let window = status.restarts.window;
    AgentHealthInput {
        kind: status.kind,
        desired: status.desired,
        critical: status.critical,
        queue_depth: load.map_or(0, |load| load.depth),
        queue_capacity: QUEUE_CAPACITY,
        held_back: load.is_some_and(|load| load.held_back),
        spend: load.and_then(|load| load.spend.clone()),
        running: load.map_or(0, |load| load.running),
        errors_total: status.errors_total,
        restarts_total: status.restarts.total,
        cpu_seconds: status.usage.cpu_seconds,
        memory_bytes: status.usage.memory_bytes,
        instances: status
            .instances
            .into_iter()
            .map(|one| instance(one, window))
            .collect(),
        name: status.name,
    }
}

fn instance(status: InstanceStatus, restarts_in_window: u32) -> InstanceHealth {
    let ended_normally = status
        .last_exit
        .as_ref()
        .is_some_and(|last| last.reason.is_normal());
    let away = status
        .probes
        .iter()
        .find(|probe| probe.passes == Some(false));
    InstanceHealth {
        unreachable: away.map(|probe| {
            let last = probe.last.as_ref().and_then(|last| last.message.as_deref());
            format!(
                "{} by {}: {}",
                probe.probe,
                probe.by,
                last.unwrap_or("fails")
            )
        }),
        index: status.index,
        state: status.state,
        verdict: status.verdict,
        pid: status.pid,
        uptime: status
            .started_at
            .map(|_| Duration::from_millis(status.uptime_ms)),
        response: status.response,
        missed_probes: status.missed_probes,
        failure_threshold: status.failure_threshold,
        restarts_in_window,
        last_reason: status.last_exit.map(|last| last.message),
        ended_normally,
    }
}
