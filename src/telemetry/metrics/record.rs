//! Recording: one function a fact, so that names and labels stand in one place.
//!
//! Before [`super::Metrics::install`] these do nothing.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use super::*;
use crate::domain::event::{self, Event};
use crate::domain::health::HealthStatus;
use crate::domain::spend::{Usage, dollars};

/// The type of what stands for facts that were lost, the only one that is in no list.
const GAP: &str = "gap";

/// A request was answered. `route` is the route's template, never the path.
pub fn http_request(method: &'static str, route: &'static str, status: u16, took: Duration) {
    counter!(HTTP_REQUESTS, "method" => method, "route" => route, "status" => status.to_string())
        .increment(1);
    histogram!(HTTP_DURATION, "method" => method, "route" => route).record(took);
}

/// Facts were committed: counts them, and what only facts tell of.
pub fn facts(facts: &[Event]) {
    let mut counts: Vec<(&'static str, u64)> = Vec::new();
    for fact in facts {
        let known = event::TYPES.iter().find(|kind| **kind == fact.kind);
        let kind = known.copied().unwrap_or(GAP);
        match counts.iter_mut().find(|(counted, _)| *counted == kind) {
            Some((_, count)) => *count += 1,
            None => counts.push((kind, 1)),
        }
        if kind == "agent.restarted" || kind == "agent.crashed" {
            let data = fact.data.value();
            let reason = data["reason"].as_str().unwrap_or("unknown");
            let agent = fact.subject.split('#').next().unwrap_or_default();
            if kind == "agent.restarted" {
                agent_restarted(agent, reason);
            } else {
                agent_crashed(agent, reason);
            }
        }
    }
    for (kind, count) in counts {
        counter!(EVENTS, "type" => kind).increment(count);
    }
}

/// A life of an agent ended abnormally; `reason` is the label of the end.
pub fn agent_crashed(agent: &str, reason: &str) {
    series::add_to_agent(AGENT_CRASHES, agent, reason, 1.0);
}

/// Sets how many replicas do one thing, by the evidence.
pub fn verdicts(verdict: &'static str, count: usize) {
    gauge!(AGENT_VERDICTS, "verdict" => verdict).set(small(count));
}

/// A thread was written off because a handler blocked it.
pub fn arbiter_abandoned() {
    counter!(ARBITERS_ABANDONED).increment(1);
}

/// An agent was restarted; `reason` is the label of the end before, one of a few words.
pub fn agent_restarted(agent: &str, reason: &str) {
    series::add_to_agent(AGENT_RESTARTS, agent, reason, 1.0);
}

/// An agent answered a probe.
pub fn agent_answered(agent: &str, took: Duration) {
    series::observe_agent(AGENT_RESPONSE, agent, took);
}

/// How an agent stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AgentGauges {
    /// Whether at least one replica can work.
    pub up: bool,
    /// Age of its oldest life.
    pub uptime: Duration,
    /// Tasks waiting for it.
    pub queue_depth: u64,
    /// Errors so far.
    pub errors_total: u64,
    /// Processor time of its processes, seconds; stays as it was while nobody knows.
    pub cpu_seconds: Option<f64>,
    /// Resident memory of its processes, bytes; stays as it was while nobody knows.
    pub memory_bytes: Option<u64>,
}

/// Sets an agent's gauges.
#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
pub fn agent(name: &str, figures: AgentGauges) {
    let known = [
        (AGENT_UP, f64::from(u8::from(figures.up))),
        (AGENT_UPTIME, figures.uptime.as_secs_f64()),
        (AGENT_QUEUE_DEPTH, figures.queue_depth as f64),
        (AGENT_ERRORS, figures.errors_total as f64),
    ];
    let measured = [
        (AGENT_MEMORY, figures.memory_bytes.map(|bytes| bytes as f64)),
        (AGENT_CPU, figures.cpu_seconds),
    ];
    let measured = measured
        .into_iter()
        .filter_map(|(metric, figure)| Some((metric, figure?)));
    let figures: Vec<_> = known.into_iter().chain(measured).collect();
    series::set_of_agent(name, &figures);
}

/// An agent said what it has spent.
#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
pub fn agent_spent(name: &str, usage: Usage) {
    for (kind, tokens) in [
        ("input", usage.input_tokens),
        ("output", usage.output_tokens),
    ] {
        if let Some(tokens) = tokens {
            series::add_to_agent(AGENT_TOKENS, name, kind, tokens as f64);
        }
    }
    if let Some(micros) = usage.cost_micros {
        series::add_to_agent(AGENT_COST, name, "", dollars(micros));
    }
}

/// The shares of their ceilings that agents have used; whoever is not named has no ceiling.
pub fn spend_ratios<'a>(ratios: impl Iterator<Item = (&'a str, f64)>) {
    series::only_these(AGENT_SPEND_RATIO, ratios);
}

/// An agent reports a figure under a name of its own; `false` if it has [`MAX_REPORTED`] others.
#[must_use]
pub fn agent_reported(name: &str, metric: &str, value: f64) -> bool {
    series::set_named(AGENT_REPORTED, name, metric, value, MAX_REPORTED)
}

/// Only these agents are supervised: the series of all others go, and their places are given back.
pub fn only_agents(is_there: impl Fn(&str) -> bool) {
    series::retain(is_there);
}

/// Sets how many replicas of a kind are in a state.
pub fn agents(state: &'static str, kind: &'static str, count: usize) {
    gauge!(AGENTS, "state" => state, "kind" => kind).set(small(count));
}

/// What one commit did to the tasks of a queue.
#[derive(Debug, Default)]
pub struct QueueTally {
    /// Tasks accepted.
    pub submitted: u64,
    /// How long each task that was handed out had waited.
    pub waited: Vec<Duration>,
    /// How long each execution took that ended.
    pub took: Vec<Duration>,
    /// Tasks that became final, by state.
    outcomes: Vec<(&'static str, u64)>,
}

impl QueueTally {
    /// A task became final; `outcome` is its state.
    pub fn finished(&mut self, outcome: &'static str) {
        match self.outcomes.iter_mut().find(|(word, _)| *word == outcome) {
            Some((_, count)) => *count += 1,
            None => self.outcomes.push((outcome, 1)),
        }
    }
}

/// A commit changed tasks of this queue.
pub fn tasks_of_commit(queue: &str, tally: &QueueTally) {
    if tally.submitted > 0 {
        counter!(TASKS_SUBMITTED, "queue" => queue.to_owned()).increment(tally.submitted);
    }
    if !tally.waited.is_empty() {
        let waits = histogram!(TASK_WAIT, "queue" => queue.to_owned());
        tally.waited.iter().for_each(|waited| waits.record(*waited));
    }
    if !tally.took.is_empty() {
        let durations = histogram!(TASK_DURATION, "queue" => queue.to_owned());
        tally.took.iter().for_each(|took| durations.record(*took));
    }
    for (outcome, count) in &tally.outcomes {
        counter!(TASKS_FINISHED, "queue" => queue.to_owned(), "outcome" => *outcome)
            .increment(*count);
    }
}

/// Executions were taken back: `daemon_lost` or `interrupted`.
pub fn tasks_rescued(reason: &'static str, count: u64) {
    counter!(TASK_RESCUES, "reason" => reason).increment(count);
}

/// Sets how many tasks of a queue are in a state.
#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
pub fn tasks(queue: &str, state: &'static str, count: u64) {
    gauge!(TASKS, "queue" => queue.to_owned(), "state" => state).set(count as f64);
}

/// Sets the age of a queue's oldest task; zero if none waits.
pub fn queue_oldest(queue: &str, age: Duration) {
    gauge!(QUEUE_OLDEST, "queue" => queue.to_owned()).set(age.as_secs_f64());
}

/// Sets how many dead tasks are kept.
#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
pub fn dead_letters(count: u64) {
    gauge!(DEAD_LETTERS).set(count as f64);
}

/// Sets how many workflows are in a state.
#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
pub fn workflows(state: &'static str, count: u64) {
    gauge!(WORKFLOWS, "state" => state).set(count as f64);
}

/// A check has a result.
pub fn health_check(check: &str, status: HealthStatus, took: Duration) {
    let level = (HEALTH_STATUS, status.gauge());
    series::set_of_check(check, level, (HEALTH_CHECK_DURATION, took));
}

/// Sets how many critical checks no recovery action answers.
pub fn health_unhandled(count: usize) {
    gauge!(HEALTH_UNHANDLED).set(small(count));
}

/// There is a recovery action: its runs can be looked for before the first.
pub fn recovery_action(action: &str) {
    for outcome in ["succeeded", "failed"] {
        counter!(RECOVERY_RUNS, "action" => action.to_owned(), "outcome" => outcome).increment(0);
    }
}

/// A recovery run ended.
pub fn recovery_run(action: &str, outcome: &'static str) {
    counter!(RECOVERY_RUNS, "action" => action.to_owned(), "outcome" => outcome).increment(1);
}

/// Sets the share of the processors in use.
pub fn system_cpu(ratio: f64) {
    gauge!(SYSTEM_CPU).set(ratio);
}

/// Sets the memory in use and the memory there is, by `source` (`cgroup2`, `cgroup1`, `host`).
#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
pub fn system_memory(used: u64, limit: u64, source: &'static str) {
    gauge!(SYSTEM_MEMORY_USED).set(used as f64);
    gauge!(SYSTEM_MEMORY_LIMIT, "source" => source).set(limit as f64);
}

/// Sets the share of a disk in use; `mount` is the word for what lies on it (`data`).
pub fn system_disk(mount: &'static str, ratio: f64) {
    gauge!(SYSTEM_DISK, "mount" => mount).set(ratio);
}

/// A commit ended.
#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
pub fn database_commit(took: Duration, writes: usize) {
    histogram!(DATABASE_COMMIT).record(took);
    histogram!(DATABASE_BATCH).record(writes as f64);
}

/// Sets the database's gauges.
#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
pub fn database(status: &crate::domain::query::DatabaseStatus) {
    let idle = status.readers.saturating_sub(status.readers_busy);
    gauge!(DATABASE_CONNECTIONS, "state" => "busy").set(f64::from(status.readers_busy));
    gauge!(DATABASE_CONNECTIONS, "state" => "idle").set(f64::from(idle));
    gauge!(DATABASE_SIZE).set(status.size_bytes as f64);
    gauge!(DATABASE_WAL).set(status.wal_bytes as f64);
    gauge!(DATABASE_FREE).set(status.free_bytes as f64);
    if let Some(free) = status.disk_free_bytes {
        gauge!(DATABASE_DISK_FREE).set(free as f64);
    }
    gauge!(DATABASE_PRUNE_HOLD).set(status.longest_prune_ms / 1e3);
    gauge!(DATABASE_WRITES_QUEUED).set(status.writes_queued as f64);
    gauge!(SCHEMA_VERSION).set(f64::from(status.schema_version));
}

/// Sets what is counted now and then: rows of tables, bytes of artifacts.
#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
pub fn census(rows: &std::collections::BTreeMap<String, u64>, artifacts_bytes: u64) {
    for (table, rows) in rows {
        gauge!(DATABASE_ROWS, "table" => table.clone()).set(*rows as f64);
    }
    gauge!(ARTIFACTS_BYTES).set(artifacts_bytes as f64);
}

/// Something was looked up in the cache.
pub fn cache_request(hit: bool) {
    counter!(CACHE_REQUESTS, "result" => if hit { "hit" } else { "miss" }).increment(1);
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
const fn small(count: usize) -> f64 {
    count as f64
}
