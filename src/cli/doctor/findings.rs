//! What was found: how bad it is, and what to do about it.

use serde::Serialize;
use serde_json::{Value, json};

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Level {
    Ok,
    Warning,
    Critical,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) name: String,
    pub(super) status: Level,
    pub(super) message: String,
    pub(super) way_out: Option<String>,
}

impl Finding {
    pub(super) fn ok(name: &str, message: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            status: Level::Ok,
            message: message.into(),
            way_out: None,
        }
    }

    pub(super) fn warning(name: &str, message: impl Into<String>, way_out: &str) -> Self {
        Self::bad(Level::Warning, name, message, way_out)
    }

    pub(super) fn critical(name: &str, message: impl Into<String>, way_out: &str) -> Self {
        Self::bad(Level::Critical, name, message, way_out)
    }

    pub(super) fn bad(level: Level, name: &str, message: impl Into<String>, way_out: &str) -> Self {
        Self {
            status: level,
            way_out: Some(way_out.to_owned()),
            ..Self::ok(name, message)
        }
    }
}

/// All that was looked at, in order.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Finding>);

impl Report {
    pub(super) fn push(&mut self, finding: Finding) {
        self.0.push(finding);
    }

    pub(super) fn extend(&mut self, findings: Vec<Finding>) {
        self.0.extend(findings);
    }

    /// The worst of all.
    pub(super) fn level(&self) -> Level {
        let levels = self.0.iter().map(|finding| finding.status);
        levels.max().unwrap_or(Level::Ok)
    }

    pub(super) fn json(&self) -> Value {
        json!({"status": self.level(), "checks": self.0})
    }
}
