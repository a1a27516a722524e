//! Every metric: its name, kind, labels and help text; the recorder; the text that is scraped.
//!
//! Rely on: base units, `_total` on counters, and labels with few values only: never an id, a path
//! with ids, or an error's text. Agents beyond [`MAX_AGENT_LABELS`] share the label `other`; an agent that
//! is gone takes its series with it. Upkeep must run ([`Metrics::upkeep`]), or histograms grow without end while nobody scrapes.
//!
//! Not here: the port that the text is served on. Functions that record stand in [`record`].

pub mod record;
mod series;

use std::time::Duration;

use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use super::process::ProcessFigures;

/// Agents with series of their own.
pub const MAX_AGENT_LABELS: usize = 1_000;
/// Names under which one agent reports figures of its own.
pub const MAX_REPORTED: usize = 32;
/// From one upkeep to the next: until then each value of a histogram is kept, 16 bytes each.
pub const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);

/// What a metric counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

impl Kind {
    /// Whether it only grows.
    const fn counts(self) -> bool {
        matches!(self, Self::Counter)
    }
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its full name.
    pub name: &'static str,
    /// What it counts.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it says, for people.
    pub help: &'static str,
}

macro_rules! metrics_table {
    ($($id:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(#[doc = $help] pub const $id: &str = $name;)*
        /// Every metric there is, beside the standard `process_*`.
        pub const ALL: &[Metric] = &[
            $(Metric { name: $id, kind: Kind::$kind, labels: &[$($label),*], help: $help }),*
        ];
    };
}

metrics_table! {
    AGENTS = Gauge "agent_system_agents" ["state", "kind"] "Replicas of agents by state and kind.";
    AGENT_UP = Gauge "agent_system_agent_up" ["agent"] "Whether at least one replica can work.";
    AGENT_RESTARTS = Counter "agent_system_agent_restarts_total" ["agent", "reason"] "Restarts by the reason of the end before.";
    AGENT_CRASHES = Counter "agent_system_agent_crashes_total" ["agent", "reason"] "Abnormal ends by their reason.";
    AGENT_VERDICTS = Gauge "agent_system_agent_verdicts" ["verdict"] "Replicas by what the evidence says they do.";
    ARBITERS_ABANDONED = Counter "agent_system_arbiters_abandoned_total" [] "Threads written off because a handler blocked them.";
    AGENT_UPTIME = Gauge "agent_system_agent_uptime_seconds" ["agent"] "Age of the agent's oldest life in seconds.";
    AGENT_QUEUE_DEPTH = Gauge "agent_system_agent_queue_depth" ["agent"] "Tasks waiting for the agent.";
    AGENT_ERRORS = Counter "agent_system_agent_errors_total" ["agent"] "Errors of the agent that did not end it.";
    AGENT_RESPONSE = Histogram "agent_system_agent_response_seconds" ["agent"] "How long the agent took to answer a probe, in seconds.";
    AGENT_CPU = Counter "agent_system_agent_cpu_seconds_total" ["agent"] "Processor time of the agent's processes in seconds.";
    AGENT_MEMORY = Gauge "agent_system_agent_memory_bytes" ["agent"] "Resident memory of the agent's processes in bytes.";
    AGENT_TOKENS = Counter "agent_system_agent_tokens_total" ["agent", "type"] "Tokens that the agent reported, input and output.";
    AGENT_COST = Counter "agent_system_agent_cost_usd_total" ["agent"] "What the agent reported to have cost, in US dollars.";
    AGENT_SPEND_RATIO = Gauge "agent_system_agent_spend_ratio" ["agent"] "Share of the agent's spend ceiling in use, of money or tokens the greater.";
    AGENT_REPORTED = Gauge "agent_system_agent_reported" ["agent", "metric"] "What the agent itself last reported under this name.";
    TASKS = Gauge "agent_system_tasks" ["queue", "state"] "Stored tasks by queue and state.";
    TASKS_SUBMITTED = Counter "agent_system_tasks_submitted_total" ["queue"] "Tasks accepted.";
    TASKS_FINISHED = Counter "agent_system_tasks_finished_total" ["queue", "outcome"] "Tasks that became final.";
    TASK_WAIT = Histogram "agent_system_task_wait_seconds" ["queue"] "From accepted or due to handed out, in seconds.";
    TASK_DURATION = Histogram "agent_system_task_duration_seconds" ["queue"] "How long one execution took, in seconds.";
    TASK_RESCUES = Counter "agent_system_task_rescues_total" ["reason"] "Executions taken back from lost sessions and agents.";
    QUEUE_OLDEST = Gauge "agent_system_queue_oldest_seconds" ["queue"] "Age of the oldest queued task in seconds.";
    DEAD_LETTERS = Gauge "agent_system_dead_letters" [] "Dead tasks that are kept.";
    WORKFLOWS = Gauge "agent_system_workflows" ["state"] "Stored workflows by state.";
    HEALTH_STATUS = Gauge "agent_system_health_status" ["check"] "0 healthy, 1 warning, 2 critical, 3 unknown.";
    HEALTH_CHECK_DURATION = Histogram "agent_system_health_check_duration_seconds" ["check"] "How long a check took, in seconds.";
    HEALTH_UNHANDLED = Gauge "agent_system_health_unhandled_critical" [] "Critical checks that no recovery action answers.";
    RECOVERY_RUNS = Counter "agent_system_recovery_runs_total" ["action", "outcome"] "Recovery runs by outcome.";
    SYSTEM_CPU = Gauge "agent_system_system_cpu_ratio" [] "Share of the container's or host's processors in use.";
    SYSTEM_MEMORY_USED = Gauge "agent_system_system_memory_used_bytes" [] "Memory in use in bytes.";
    SYSTEM_MEMORY_LIMIT = Gauge "agent_system_system_memory_limit_bytes" ["source"] "Memory there is, by the cgroup or the host, in bytes.";
    SYSTEM_DISK = Gauge "agent_system_system_disk_used_ratio" ["mount"] "Share of the disk in use.";
    DATABASE_CONNECTIONS = Gauge "agent_system_database_connections" ["state"] "Connections that read, idle and busy.";
    DATABASE_COMMIT = Histogram "agent_system_database_commit_seconds" [] "How long a commit took, in seconds.";
    DATABASE_BATCH = Histogram "agent_system_database_batch_size" [] "Writes in one commit.";
    DATABASE_SIZE = Gauge "agent_system_database_size_bytes" [] "Size of the database in bytes.";
    DATABASE_WAL = Gauge "agent_system_database_wal_bytes" [] "Size of the write-ahead log in bytes.";
    DATABASE_FREE = Gauge "agent_system_database_free_bytes" [] "Bytes of the database's file that wait to be used again.";
    DATABASE_DISK_FREE = Gauge "agent_system_database_disk_free_bytes" [] "Bytes that are free on the database's disk.";
    DATABASE_ROWS = Gauge "agent_system_database_rows" ["table"] "Rows of each table, as last counted.";
    DATABASE_PRUNE_HOLD = Gauge "agent_system_database_prune_hold_seconds" [] "The longest that one write of retention held the writer, in seconds.";
    ARTIFACTS_BYTES = Gauge "agent_system_artifacts_bytes" [] "Bytes of all artifacts, as last counted.";
    DATABASE_WRITES_QUEUED = Gauge "agent_system_database_writes_queued" [] "Writes waiting for the writer.";
    SCHEMA_VERSION = Gauge "agent_system_schema_version" [] "Version of the database's schema.";
    CACHE_REQUESTS = Counter "agent_system_cache_requests_total" ["result"] "Look-ups in the cache, hit or miss.";
    RATE_LIMITED = Counter "agent_system_rate_limited_total" [] "Requests refused because their caller makes too many; none in this version.";
    AUTH_FAILURES = Counter "agent_system_auth_failures_total" ["reason"] "Requests refused for want of credentials; none in this version.";
    HTTP_REQUESTS = Counter "agent_system_http_requests_total" ["method", "route", "status"] "Requests answered.";
    HTTP_DURATION = Histogram "agent_system_http_request_duration_seconds" ["method", "route"] "How long an answer took, in seconds.";
    EVENTS = Counter "agent_system_events_total" ["type"] "Facts recorded in the journal.";
    LEADER = Gauge "agent_system_leader" [] "1 where this daemon leads; with an embedded database it always does.";
    BUILD_INFO = Gauge "agent_system_build_info" ["version"] "Always 1; its label is the version.";
}

/// Upper bounds of seconds between a millisecond and ten seconds: answers.
const ANSWER_BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Upper bounds of seconds up to the longest default attempt: work.
const WORK_BUCKETS: &[f64] = &[
    0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0,
];
/// Upper bounds of seconds of a commit.
const COMMIT_BUCKETS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0,
];
/// Upper bounds of writes in a batch.
const BATCH_BUCKETS: &[f64] = &[
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
];

fn buckets(name: &str) -> &'static [f64] {
    match name {
        TASK_WAIT | TASK_DURATION => WORK_BUCKETS,
        DATABASE_COMMIT => COMMIT_BUCKETS,
        DATABASE_BATCH => BATCH_BUCKETS,
        _ => ANSWER_BUCKETS,
    }
}

/// Why metrics cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The recorder refused its settings.
    #[error("metrics recorder: {0}")]
    Build(#[from] BuildError),
    /// Somebody else records metrics in this process.
    #[error("metrics are already recorded in this process")]
    Installed,
}

/// The way to what was recorded. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Records from now on, for the whole process.
    ///
    /// # Errors
    /// [`MetricsError::Installed`] the second time.
    pub fn install() -> Result<Self, MetricsError> {
        let recorder = recorder()?;
        let handle = recorder.handle();
        ::metrics::set_global_recorder(recorder).map_err(|_| MetricsError::Installed)?;
        describe();
        Ok(Self { handle })
    }

    /// A recorder of a test's own, and the way to what it recorded.
    #[cfg(test)]
    pub(crate) fn for_test() -> (PrometheusRecorder, Self) {
        let recorder = recorder().expect("buckets");
        let handle = recorder.handle();
        (recorder, Self { handle })
    }

    /// All metrics as Prometheus text, the process's own figures read now.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = self.handle.render();
        series::render(&mut text);
        if let Some(figures) = ProcessFigures::read() {
            figures.render(&mut text);
        }
        text
    }

    /// Folds what histograms hold, again and again, whether anybody scrapes or not. Never ends.
    pub async fn upkeep(self) {
        loop {
            tokio::time::sleep(UPKEEP_INTERVAL).await;
            self.handle.run_upkeep();
        }
    }
}

fn recorder() -> Result<PrometheusRecorder, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for metric in ALL.iter().filter(|m| m.kind == Kind::Histogram) {
        let matcher = Matcher::Full(metric.name.to_owned());
        builder = builder.set_buckets_for_metric(matcher, buckets(metric.name))?;
    }
    Ok(builder.build_recorder())
}

/// Gives the recorder every help text, and the version.
fn describe() {
    for metric in ALL {
        match metric.kind {
            Kind::Counter => ::metrics::describe_counter!(metric.name, metric.help),
            Kind::Gauge => ::metrics::describe_gauge!(metric.name, metric.help),
            Kind::Histogram => ::metrics::describe_histogram!(metric.name, metric.help),
        }
    }
    // What is to be alarmed about is there from the start, at nothing.
    ::metrics::counter!(ARBITERS_ABANDONED).increment(0);
    ::metrics::counter!(RATE_LIMITED).increment(0);
    ::metrics::counter!(AUTH_FAILURES, "reason" => "missing").increment(0);
    for reason in ["interrupted", "daemon_lost"] {
        ::metrics::counter!(TASK_RESCUES, "reason" => reason).increment(0);
    }
    for result in ["hit", "miss"] {
        ::metrics::counter!(CACHE_REQUESTS, "result" => result).increment(0);
    }
    ::metrics::gauge!(LEADER).set(1.0);
    ::metrics::gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

#[cfg(test)]
mod tests;
