//! Health: four levels, checks, and the report that HTTP, CLI and the database share.

use serde::{Deserialize, Serialize};

use super::timestamp::Timestamp;

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
