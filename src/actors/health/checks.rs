//! From what was seen to the result of a check. Pure.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::host::HostSample;
use super::window::{Sample, Window};
use crate::domain::health::agent::{AgentHealthInput, AgentLimits, AgentTrend, judge_agent};
use crate::domain::health::judge::{Threshold, worst_of};
use crate::domain::health::{HealthSettings, HealthStatus};
use crate::domain::query::DatabaseStatus;

/// The result of one check, before it is compared with the last.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judged {
    pub(super) name: String,
    pub(super) component: &'static str,
    pub(super) status: HealthStatus,
    pub(super) message: String,
    pub(super) value: Option<f64>,
    pub(super) threshold: Option<f64>,
    pub(super) took: Duration,
    pub(super) details: Value,
}

impl Judged {
    pub(super) fn unknown(name: String, component: &'static str, message: String) -> Self {
        Self {
            name,
            component,
            status: HealthStatus::Unknown,
            message,
            value: None,
            threshold: None,
            took: Duration::ZERO,
            details: json!({}),
        }
    }

    pub(super) const fn took(mut self, took: Duration) -> Self {
        self.took = took;
        self
    }
}

/// One figure of a check that has several.
struct Part {
    word: &'static str,
    figure: Option<f64>,
    limits: Threshold,
    /// What passes in a moment is no cause for worry until as many samples as must agree show it;
    /// what is full or used up is one at the first look.
    passes: bool,
    /// Whether there are as many samples as must agree.
    is_sustained: bool,
    more: Value,
}

impl Part {
    fn of(
        word: &'static str,
        passes: bool,
        window: &Window,
        figure: impl Fn(&Sample) -> Option<f64>,
        limits: Threshold,
    ) -> Self {
        Self {
            word,
            figure: window.sustained(&figure),
            limits,
            passes,
            is_sustained: window.is_full_of(&figure),
            more: json!({}),
        }
    }

    fn with(mut self, more: Value) -> Self {
        self.more = more;
        self
    }

    fn status(&self) -> HealthStatus {
        if self.passes && !self.is_sustained {
            return HealthStatus::Healthy;
        }
        match self.figure {
            Some(figure) => self.limits.level(figure),
            None => HealthStatus::Unknown,
        }
    }

    fn says(&self) -> String {
        match self.figure {
            Some(figure) => format!("{} {}", self.word, percent(figure)),
            None if self.passes => format!("{} not measured yet", self.word),
            None => format!("{} cannot be read", self.word),
        }
    }

    fn details(&self) -> Value {
        let mut details = json!({
            "ratio": self.figure,
            "status": self.status(),
            "warning": self.limits.warning,
            "critical": self.limits.critical,
        });
        if let (Value::Object(to), Value::Object(from)) = (&mut details, &self.more) {
            to.extend(from.clone());
        }
        details
    }

    /// Worse first, then nearer to its limit.
    fn rank(&self) -> (u8, f64) {
        let figure = self.figure.unwrap_or(0.0);
        (self.status().severity(), figure / self.limits.warning)
    }
}

fn percent(ratio: f64) -> String {
    format!("{:.0} %", ratio * 100.0)
}

/// Joins parts: the worst decides, all are shown.
fn join(name: &str, component: &'static str, parts: &[Part], mut details: Value) -> Judged {
    let worst = parts.iter().max_by(|a, b| {
        a.rank()
            .partial_cmp(&b.rank())
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    if let Value::Object(details) = &mut details {
        details.extend(parts.iter().map(|p| (p.word.to_owned(), p.details())));
    }
    Judged {
        name: name.to_owned(),
        component,
        status: worst_of(parts.iter().map(Part::status)),
        message: parts.iter().map(Part::says).collect::<Vec<_>>().join(", "),
        value: worst.and_then(|part| part.figure),
        threshold: worst.map(|part| part.limits.shown_for(part.status())),
        took: Duration::ZERO,
        details,
    }
}

/// Which limits host figures are measured against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sources {
    pub(super) cpu: &'static str,
    pub(super) memory: &'static str,
}

/// Processors, memory, disk.
pub(super) fn system(
    window: &Window,
    now: Instant,
    settings: &HealthSettings,
    sources: Sources,
) -> Judged {
    use crate::domain::health::SYSTEM_CHECK;
    let Some(newest) = window.newest().filter(|_| !window.is_stale(now)) else {
        let message = "no sample of the host's figures in time".to_owned();
        return Judged::unknown(SYSTEM_CHECK.to_owned(), SYSTEM_CHECK, message);
    };
    let part = |word, passes, figure: fn(&HostSample) -> Option<f64>, limits| {
        Part::of(word, passes, window, |s| figure(&s.host), limits)
    };
    let parts = [
        part("cpu", true, |h| h.cpu, settings.cpu).with(json!({ "source": sources.cpu })),
        part("memory", false, HostSample::memory_ratio, settings.memory).with(json!({
            "source": sources.memory,
            "used_bytes": newest.host.memory.map(|(used, _)| used),
            "limit_bytes": newest.host.memory.map(|(_, limit)| limit),
        })),
        part("disk", false, |h| h.disk, settings.disk),
    ];
    join(
        SYSTEM_CHECK,
        SYSTEM_CHECK,
        &parts,
        json!({ "samples": window.len() }),
    )
}

/// Connection, pool, active connections. `ping` is how long it took, or why it failed.
pub(super) fn database(
    status: &DatabaseStatus,
    ping: Result<Duration, String>,
    window: &Window,
    settings: &HealthSettings,
) -> Judged {
    use crate::domain::health::DATABASE_CHECK;
    let part = |word, figure: fn(&Sample) -> Option<f64>| {
        Part::of(word, true, window, figure, settings.pool)
    };
    let parts = [part("pool", |s| s.readers), part("queue", |s| s.writes)];
    let mut judged = join(DATABASE_CHECK, DATABASE_CHECK, &parts, facts_of(status));
    let failed = match (&ping, status.writable) {
        (Err(error), _) => Some(error.clone()),
        (Ok(_), false) => Some(format!(
            "takes no writes: {}",
            status.last_error.as_deref().unwrap_or("no reason known")
        )),
        (Ok(_), true) => None,
    };
    if let Some(message) = failed {
        judged.status = HealthStatus::Critical;
        (judged.value, judged.threshold) = (None, None);
        judged.message = message;
    } else if let Ok(took) = ping {
        judged.message = format!(
            "answers in {:.1} ms, {} of {} connections active, {} writes waiting",
            took.as_secs_f64() * 1e3,
            status.readers_busy,
            status.readers,
            status.writes_queued
        );
        judged.details["ping_ms"] = json!(took.as_secs_f64() * 1e3);
        weigh(&mut judged, status, settings);
    }
    judged
}

/// A log that is longer than this is held back by something that reads for long.
const LONG_LOG: u64 = 256 * 1024 * 1024;
/// Less room than this on the disk, and a tenth of the database, is little.
const LITTLE_ROOM: u64 = 16 * 1024 * 1024;

/// What the sizes of a database that answers add to its check.
#[expect(clippy::cast_precision_loss, reason = "sizes for people")]
fn weigh(judged: &mut Judged, status: &DatabaseStatus, settings: &HealthSettings) {
    let size = status.size_bytes as f64;
    let level = settings.database.level(size);
    let little = LITTLE_ROOM + status.size_bytes / 10;
    let sizes = [
        (
            level,
            format!("its file has {} MiB", mib(status.size_bytes)),
        ),
        (
            at_worst(status.wal_bytes > LONG_LOG),
            format!("its log has {} MiB", mib(status.wal_bytes)),
        ),
        (
            at_worst(status.disk_free_bytes.is_some_and(|free| free < little)),
            format!(
                "its disk has {} MiB free",
                mib(status.disk_free_bytes.unwrap_or(0))
            ),
        ),
    ];
    for (status, says) in sizes {
        if status != HealthStatus::Healthy {
            judged.message = format!("{}, {says}", judged.message);
            judged.status = worst_of([judged.status, status]);
        }
    }
    if level != HealthStatus::Healthy {
        judged.value = Some(size);
        judged.threshold = Some(settings.database.shown_for(level));
    }
}

const fn at_worst(warns: bool) -> HealthStatus {
    if warns {
        HealthStatus::Warning
    } else {
        HealthStatus::Healthy
    }
}

const fn mib(bytes: u64) -> u64 {
    bytes / (1024 * 1024)
}

fn facts_of(status: &DatabaseStatus) -> Value {
    json!({
        "connected": status.writable,
        "backend": status.backend,
        "schema_version": status.schema_version,
        "active_connections": status.readers_busy,
        "connections": status.readers,
        "writes_queued": status.writes_queued,
        "writes_capacity": status.writes_capacity,
        "size_bytes": status.size_bytes,
        "wal_bytes": status.wal_bytes,
        "free_bytes": status.free_bytes,
        "disk_free_bytes": status.disk_free_bytes,
        "longest_prune_ms": status.longest_prune_ms,
        "last_error": status.last_error,
    })
}

/// Responsiveness, queue depth, error count, uptime.
pub(super) fn agent(input: &AgentHealthInput, trend: AgentTrend, limits: AgentLimits) -> Judged {
    let judgement = judge_agent(input, trend, limits);
    let oldest = input.instances.iter().filter_map(|i| i.uptime).max();
    Judged {
        name: format!("agent.{}", input.name),
        component: "agent",
        status: judgement.status,
        message: judgement.message,
        value: judgement.value,
        threshold: judgement.threshold,
        took: Duration::ZERO,
        details: json!({
            "desired": input.desired,
            "critical": input.critical,
            "ready": input.ready(),
            "replicas": input.instances.len(),
            "queue_depth": input.queue_depth,
            "queue_capacity": input.queue_capacity,
            "running": input.running,
            "spend": input.spend,
            "errors_total": input.errors_total,
            "recent_errors": trend.recent_errors,
            "restarts_total": input.restarts_total,
            "uptime_ms": oldest.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
            "instances": input.instances,
            "hopeless": judgement.hopeless,
        }),
    }
}
