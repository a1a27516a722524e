//! Why a question has no answer.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::Answer;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not a URL that can be asked.
    #[error("'{url}' cannot be asked: {why}")]
    BadUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// No connection, or one that broke off.
    #[error("no daemon answers at {url}: {why}; is `agent-system serve` running?")]
    Unreachable {
        /// Where.
        url: String,
        /// The system's words.
        why: String,
    },
    /// No answer in time; whether it was done is not known.
    #[error("the daemon at {url} did not answer within {patience:?}")]
    Timeout {
        /// Where.
        url: String,
        /// How long it was waited for.
        patience: Duration,
    },
    /// An answer that says no.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// A file of this side that cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// The system's words.
        source: std::io::Error,
    },
}

/// An answer that says no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// The word a program may match on.
    pub code: String,
    /// For people.
    pub detail: String,
    /// Places of the body and what is wrong there.
    pub faults: Vec<(String, String)>,
}

impl Refusal {
    /// Whether it is about this place of the body.
    #[must_use]
    pub fn is_about(&self, pointer: &str) -> bool {
        self.faults.iter().any(|(place, _)| place == pointer)
    }

    /// Reads a problem document; what is none becomes one.
    pub(super) fn read(answer: &Answer) -> Self {
        let text = |key: &str| answer.value[key].as_str().map(str::to_owned);
        let fault = |fault: &Value| {
            let part = |key: &str| fault[key].as_str().unwrap_or_default().to_owned();
            (part("pointer"), part("detail"))
        };
        let faults = answer.value["errors"].as_array();
        Self {
            status: answer.status,
            code: text("code").unwrap_or_else(|| "unknown".to_owned()),
            detail: text("detail").unwrap_or_else(|| format!("status {}", answer.status)),
            faults: faults
                .map(|all| all.iter().map(fault).collect())
                .unwrap_or_default(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        // One fault is already the detail.
        for (pointer, detail) in self.faults.iter().filter(|_| self.faults.len() > 1) {
            write!(f, "\n  {pointer}: {detail}")?;
        }
        Ok(())
    }
}
