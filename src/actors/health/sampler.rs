//! Figures for Prometheus and for charts: gauges set, rows made.
//!
//! Host and agents are set with every round; the rest is read when somebody scrapes, so that
//! nobody who does not look pays for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::checks::Sources;
use super::host::HostSample;
use super::seams::{AgentsView, HealthStore};
use crate::domain::agent::{AgentKind, AgentState, Verdict};
use crate::domain::health::agent::AgentHealthInput;
use crate::domain::query::QueueStats;
use crate::domain::record::{AgentMetrics, SystemMetrics};
use crate::domain::task::TaskState;
use crate::domain::timestamp::Timestamp;
use crate::domain::workflow::WorkflowState;
use crate::telemetry::metrics::{Metrics, record};
use crate::telemetry::process::ProcessFigures;

/// The longest that a scrape waits for figures; what is late keeps its last value.
const SCRAPE_DEADLINE: Duration = Duration::from_secs(2);
/// Scrapes closer together than this share their figures.
const MIN_AGE: Duration = Duration::from_secs(1);

/// Answers scrapes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MetricsSampler {
    metrics: Metrics,
    store: Arc<dyn HealthStore>,
    view: Arc<dyn AgentsView>,
    last: Arc<tokio::sync::Mutex<Option<Instant>>>,
}

impl MetricsSampler {
    /// A sampler that has read nothing yet.
    #[must_use]
    pub fn new(metrics: Metrics, store: Arc<dyn HealthStore>, view: Arc<dyn AgentsView>) -> Self {
        Self {
            metrics,
            store,
            view,
            last: Arc::default(),
        }
    }

    /// All metrics as Prometheus text, fresh. With a database or agents that do not answer, their
    /// figures are the last ones.
    pub async fn scrape(&self) -> String {
        self.refresh().await;
        self.metrics.render()
    }

    async fn refresh(&self) {
        let mut last = self.last.lock().await;
        if last.is_some_and(|at| at.elapsed() < MIN_AGE) {
            return;
        }
        record::database(&self.store.status());
        let reading = futures_util::future::join3(
            timeout(SCRAPE_DEADLINE, self.view.snapshot()),
            timeout(SCRAPE_DEADLINE, self.store.queues()),
            timeout(SCRAPE_DEADLINE, self.store.workflow_counts()),
        );
        let (inputs, stats, counts) = reading.await;
        if let Ok(Ok(inputs)) = inputs {
            agents(&inputs);
        }
        if let Ok(Ok(stats)) = stats {
            queues(&stats, crate::clock::now());
        }
        if let Ok(Ok(counts)) = counts {
            workflows(&counts);
        }
        *last = Some(Instant::now());
    }
}

/// Sets every gauge of agents; the series of those who are not here any more go.
pub(super) fn agents(inputs: &[AgentHealthInput]) {
    let here: BTreeSet<&str> = inputs.iter().map(|input| input.name.as_ref()).collect();
    record::only_agents(|agent| here.contains(agent));
    let mut counts: BTreeMap<(AgentState, &'static str), usize> = BTreeMap::new();
    for input in inputs {
        for instance in &input.instances {
            *counts
                .entry((instance.state, kind_word(input.kind)))
                .or_default() += 1;
        }
        // Processes that have just started are not at nothing, but not known yet.
        let idle = input.instances.iter().all(|one| one.pid.is_none());
        record::agent(
            input.name.as_ref(),
            record::AgentGauges {
                up: input.ready() > 0,
                uptime: input
                    .instances
                    .iter()
                    .filter_map(|i| i.uptime)
                    .max()
                    .unwrap_or_default(),
                queue_depth: input.queue_depth,
                errors_total: input.errors_total,
                cpu_seconds: input.cpu_seconds.or(idle.then_some(0.0)),
                memory_bytes: input.memory_bytes.or(idle.then_some(0)),
            },
        );
    }
    let instances = || inputs.iter().flat_map(|input| &input.instances);
    for verdict in Verdict::ALL {
        let count = instances().filter(|one| one.verdict == verdict).count();
        record::verdicts(verdict.as_str(), count);
    }
    // States that nobody is in any more must fall to zero.
    for kind in [AgentKind::Actor, AgentKind::Process, AgentKind::Http].map(kind_word) {
        for state in AgentState::ALL {
            record::agents(
                state.as_str(),
                kind,
                counts.get(&(state, kind)).copied().unwrap_or(0),
            );
        }
    }
}

/// Records how long each replica took to answer its last probe; once a round.
pub(super) fn responses(inputs: &[AgentHealthInput]) {
    for input in inputs {
        for took in input.instances.iter().filter_map(|i| i.response) {
            record::agent_answered(input.name.as_ref(), took);
        }
    }
}

const fn kind_word(kind: AgentKind) -> &'static str {
    match kind {
        AgentKind::Actor => "actor",
        AgentKind::Process => "process",
        AgentKind::Http => "http",
    }
}

/// Sets every gauge of the host.
pub(super) fn host(sample: &HostSample, sources: Sources) {
    if let Some(cpu) = sample.cpu {
        record::system_cpu(cpu);
    }
    if let Some((used, limit)) = sample.memory {
        record::system_memory(used, limit, sources.memory);
    }
    if let Some(disk) = sample.disk {
        record::system_disk("data", disk);
    }
}

fn queues(stats: &[QueueStats], now: Timestamp) {
    let mut dead = 0;
    for stats in stats {
        let count = |state: TaskState| stats.tasks.get(state.as_str()).copied().unwrap_or(0);
        for state in TaskState::ALL {
            record::tasks(stats.queue.as_ref(), state.as_str(), count(state));
        }
        dead += count(TaskState::Dead);
        let age = stats
            .oldest_queued_at
            .map_or(Duration::ZERO, |oldest| now.since(oldest));
        record::queue_oldest(stats.queue.as_ref(), age);
    }
    record::dead_letters(dead);
}

fn workflows(counts: &[(WorkflowState, u64)]) {
    for state in WorkflowState::ALL {
        let count = counts
            .iter()
            .find(|(s, _)| *s == state)
            .map_or(0, |(_, count)| *count);
        record::workflows(state.as_str(), count);
    }
}

/// An agent's figures as a row.
pub(super) fn agent_row(input: &AgentHealthInput, at: Timestamp) -> AgentMetrics {
    AgentMetrics {
        agent: input.name.clone(),
        at,
        cpu_seconds: input.cpu_seconds.unwrap_or_default(),
        memory_bytes: input.memory_bytes.unwrap_or_default(),
        queue_depth: input.queue_depth,
        running: input.running,
        errors_total: input.errors_total,
        restarts_total: input.restarts_total,
    }
}

/// The host's figures as a row.
pub(super) fn system_row(sample: &HostSample, at: Timestamp) -> SystemMetrics {
    let (used, limit) = sample.memory.unwrap_or_default();
    SystemMetrics {
        at,
        cpu_ratio: sample.cpu.unwrap_or_default(),
        memory_used_bytes: used,
        memory_limit_bytes: limit,
        disk_used_ratio: sample.disk.unwrap_or_default(),
        process_memory_bytes: ProcessFigures::read().map_or(0, |figures| figures.resident_bytes),
    }
}
