//! What the evidence says a life does; how it is drawn stands in [`crate::domain::liveness`].

use serde::{Deserialize, Serialize};

/// What the evidence says a ready life does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Holds no task.
    Idle,
    /// Holds a task and shows progress.
    Working,
    /// Holds a task inside a zone it declared with `busy`.
    Waiting,
    /// Holds a task and has shown nothing for `stall_timeout`.
    Stalled,
    /// No life.
    Dead,
}

impl Verdict {
    /// Every verdict, for tables and metrics.
    pub const ALL: [Self; 5] = [
        Self::Idle,
        Self::Working,
        Self::Waiting,
        Self::Stalled,
        Self::Dead,
    ];

    /// The word used in JSON, metrics and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Working => "working",
            Self::Waiting => "waiting",
            Self::Stalled => "stalled",
            Self::Dead => "dead",
        }
    }
}
