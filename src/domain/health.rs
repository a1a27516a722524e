//! Health: four levels, checks, and the report that HTTP, CLI and the database share.
//!
//! A report lists the worst first: critical, unknown, warning, healthy. How a figure becomes a
//! level stands in [`judge`], what an agent's evidence says in [`agent`], when a check counts as
//! flapping in [`flap`].
//!
//! Not here: measuring. Every function takes figures and times as arguments.

pub mod agent;
pub mod flap;
pub mod judge;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::timestamp::Timestamp;
use judge::Threshold;

/// The check of the host's or container's figures.
pub const SYSTEM_CHECK: &str = "system";
/// The check of the database.
pub const DATABASE_CHECK: &str = "database";
/// What the name of an agent's check begins with.
pub const AGENT_CHECK_PREFIX: &str = "agent.";
/// Under this name one compact record of each round is kept; it is no check.
pub const ROUND_RECORD: &str = "overall";

/// In the details of a check: seen between two rounds, worse than in the last one.
pub const BETWEEN_ROUNDS: &str = "between_rounds";

/// How a part is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// Within its limits.
    Healthy,
    /// Still working, worth a look.
    Warning,
    /// Not doing its job; recovery follows.
    Critical,
    /// Could not be told.
    Unknown,
}

impl HealthStatus {
    /// Every level, for tables and tests.
    pub const ALL: [Self; 4] = [Self::Healthy, Self::Warning, Self::Critical, Self::Unknown];

    /// The word used in the database, JSON, metrics and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Unknown => "unknown",
        }
    }

    /// The order in reports: critical, unknown, warning, healthy.
    #[must_use]
    pub const fn severity(self) -> u8 {
        match self {
            Self::Critical => 3,
            Self::Unknown => 2,
            Self::Warning => 1,
            Self::Healthy => 0,
        }
    }

    /// The figure of the `health_status` metric.
    #[must_use]
    pub const fn gauge(self) -> f64 {
        match self {
            Self::Healthy => 0.0,
            Self::Warning => 1.0,
            Self::Critical => 2.0,
            Self::Unknown => 3.0,
        }
    }
}

/// One check's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// `system`, `database`, `agent.echo`, …
    pub name: String,
    /// What it looks at: `system`, `database`, `agent`.
    pub component: String,
    /// The level.
    pub status: HealthStatus,
    /// One line for people.
    pub message: String,
    /// The figure it was judged by.
    pub value: Option<f64>,
    /// The limit it was judged against.
    pub threshold: Option<f64>,
    /// Since when the level is what it is.
    pub since: Timestamp,
    /// How long the check took.
    pub duration_ms: u64,
    /// More figures.
    pub details: serde_json::Value,
}

impl HealthCheck {
    /// Whether it was seen between two rounds, worse than in the last one.
    #[must_use]
    pub fn is_early(&self) -> bool {
        self.details.get(BETWEEN_ROUNDS).is_some()
    }
}

/// All checks of one round, the worst first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthReport {
    /// The worst level.
    pub status: HealthStatus,
    /// When the round ended.
    pub checked_at: Timestamp,
    /// The worst first.
    pub checks: Vec<HealthCheck>,
}

impl HealthReport {
    /// Puts the worst first and names the worst level.
    #[must_use]
    pub fn of(mut checks: Vec<HealthCheck>, checked_at: Timestamp) -> Self {
        checks.sort_by(|a, b| {
            (b.status.severity(), a.name.as_str()).cmp(&(a.status.severity(), b.name.as_str()))
        });
        Self {
            status: judge::worst_of(checks.iter().map(|check| check.status)),
            checked_at,
            checks,
        }
    }

    /// The check of that name.
    #[must_use]
    pub fn check(&self, name: &str) -> Option<&HealthCheck> {
        self.checks.iter().find(|check| check.name == name)
    }
}

/// How often is checked, how long a check may take, and where the limits lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HealthSettings {
    /// From one round to the next.
    pub interval: Duration,
    /// From one sample of the host's figures to the next.
    pub sample_interval: Duration,
    /// The longest that one check may take; then it is unknown.
    pub check_timeout: Duration,
    /// Share of the processors in use.
    pub cpu: Threshold,
    /// Share of the memory in use.
    pub memory: Threshold,
    /// Share of the data directory's disk in use.
    pub disk: Threshold,
    /// Share of the database's readers, and of the writer's queue, in use.
    pub pool: Threshold,
    /// Bytes of the database's file.
    pub database: Threshold,
    /// Samples in a row of a host figure that must be past a limit.
    pub sustained: usize,
    /// Limits of every agent.
    pub agent: agent::AgentLimits,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            sample_interval: Duration::from_secs(5),
            check_timeout: Duration::from_secs(3),
            cpu: Threshold::DEFAULT,
            memory: Threshold::DEFAULT,
            disk: Threshold::DEFAULT,
            pool: Threshold::DEFAULT,
            database: Threshold {
                warning: 10.0 * 1_073_741_824.0,
                critical: 50.0 * 1_073_741_824.0,
            },
            sustained: judge::SUSTAINED_SAMPLES,
            agent: agent::AgentLimits::DEFAULT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, status: HealthStatus) -> HealthCheck {
        HealthCheck {
            name: name.to_owned(),
            component: "agent".to_owned(),
            status,
            message: String::new(),
            value: None,
            threshold: None,
            since: Timestamp::default(),
            duration_ms: 0,
            details: serde_json::Value::Null,
        }
    }

    #[test]
    fn a_report_lists_critical_unknown_warning_healthy_and_equals_by_name() {
        let report = HealthReport::of(
            vec![
                check("a", HealthStatus::Healthy),
                check("d", HealthStatus::Warning),
                check("c", HealthStatus::Unknown),
                check("z", HealthStatus::Critical),
                check("b", HealthStatus::Warning),
            ],
            Timestamp::default(),
        );
        let names: Vec<_> = report.checks.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["z", "c", "b", "d", "a"]);
        assert_eq!(report.status, HealthStatus::Critical);
    }

    #[test]
    fn unknown_outranks_warning_but_not_critical() {
        let of = |statuses: &[HealthStatus]| judge::worst_of(statuses.iter().copied());
        use HealthStatus::{Critical, Healthy, Unknown, Warning};
        assert_eq!(of(&[Healthy, Warning, Unknown]), Unknown);
        assert_eq!(of(&[Unknown, Critical]), Critical);
        assert_eq!(of(&[]), Unknown, "nothing checked is nothing known");
    }
}
