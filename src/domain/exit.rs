//! How a life ended: the one value that restart policy, crash records and metrics read.
//!
//! Not here: whether a restart follows, see [`super::restart`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why a life of an agent ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ExitReason {
    /// Ended by itself, with success.
    Normal,
    /// Ended because it was told to.
    Shutdown,
    /// Ended by itself, with an error.
    Error {
        /// What it said.
        message: String,
    },
    /// A panic in a handler, hook, timer or linked future.
    Panic {
        /// The panic's text.
        message: String,
        /// `file:line:column`, if known.
        place: String,
    },
    /// A process ended with a code that is no success.
    ExitCode {
        /// The code.
        code: i32,
    },
    /// A process was ended by a signal that the daemon did not send.
    Signal {
        /// The signal's number.
        signal: i32,
        /// Whether the kernel's out-of-memory killer sent it.
        oom: bool,
    },
    /// Ended by the supervisor by force (stop deadline, operator, reconciler).
    Killed,
    /// The factory, the spawn or the start hook failed.
    StartFailed {
        /// What went wrong.
        message: String,
    },
    /// Not ready within its start timeout.
    StartTimeout,
    /// A handler blocked its thread, or an answer to a ping stayed away.
    Stuck {
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// Its startup or liveness probe failed too often in a row.
    ProbeFailed {
        /// Which.
        probe: String,
        /// What its last answer was.
        message: String,
    },
    /// The thread it lived on was written off because of another.
    ArbiterGone,
    /// It broke the protocol in a way that cannot be passed over.
    Protocol {
        /// How.
        message: String,
    },
}

impl ExitReason {
    /// Whether the end was wanted: success or an obeyed order.
    #[must_use]
    pub const fn is_normal(&self) -> bool {
        matches!(self, Self::Normal | Self::Shutdown)
    }

    /// A bounded word for metrics labels.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Shutdown => "shutdown",
            Self::Error { .. } => "error",
            Self::Panic { .. } => "panic",
            Self::ExitCode { .. } => "exit_code",
            Self::Signal { oom: true, .. } => "oom",
            Self::Signal { .. } => "signal",
            Self::Killed => "killed",
            Self::StartFailed { .. } => "start_failed",
            Self::StartTimeout => "start_timeout",
            Self::Stuck { .. } => "stuck",
            Self::ProbeFailed { .. } => "probe_failed",
            Self::ArbiterGone => "arbiter_gone",
            Self::Protocol { .. } => "protocol",
        }
    }

    /// What two ends must share to count as the same fault; `None` for ends that say nothing of
    /// the agent (wanted ends, an outside SIGKILL, a neighbour's fault).
    #[must_use]
    pub fn signature(&self) -> Option<String> {
        match self {
            Self::Normal | Self::Shutdown | Self::Killed | Self::ArbiterGone => None,
            Self::Signal {
                signal: 9,
                oom: false,
            } => None,
            Self::Panic { place, .. } => Some(format!("panic:{place}")),
            Self::Error { message } => Some(format!("error:{}", first_words(message))),
            Self::StartFailed { message } => Some(format!("start_failed:{}", first_words(message))),
            Self::ExitCode { code } => Some(format!("exit_code:{code}")),
            Self::Signal { signal, oom } => Some(format!("signal:{signal}:{oom}")),
            Self::ProbeFailed { probe, .. } => Some(format!("probe_failed:{probe}")),
            Self::StartTimeout | Self::Stuck { .. } | Self::Protocol { .. } => {
                Some(self.label().to_owned())
            }
        }
    }

    /// The same end with its texts changed: where secrets are taken out of them.
    #[must_use]
    pub fn map_text(mut self, change: impl Fn(&str) -> String) -> Self {
        match &mut self {
            Self::Error { message }
            | Self::Panic { message, .. }
            | Self::StartFailed { message }
            | Self::ProbeFailed { message, .. }
            | Self::Protocol { message } => *message = change(message),
            _ => {}
        }
        self
    }

    /// The reason for a stuck life.
    #[must_use]
    pub fn stuck(span: Duration) -> Self {
        Self::Stuck {
            for_ms: u64::try_from(span.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// The part of an error text that stays the same from one failure to the next.
fn first_words(message: &str) -> String {
    let upto = message
        .find(|c: char| c.is_ascii_digit())
        .unwrap_or(message.len());
    message[..upto].chars().take(80).collect()
}

impl std::fmt::Display for ExitReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Normal => write!(f, "ended normally"),
            Self::Shutdown => write!(f, "ended as told"),
            Self::Error { message } => write!(f, "error: {message}"),
            Self::Panic { message, place } if place.is_empty() => write!(f, "panic: {message}"),
            Self::Panic { message, place } => write!(f, "panic at {place}: {message}"),
            Self::ExitCode { code } => write!(f, "exit code {code}"),
            Self::Signal { signal, oom: true } => {
                write!(f, "signal {signal}, sent for lack of memory")
            }
            Self::Signal { signal, .. } => write!(f, "signal {signal}"),
            Self::Killed => write!(f, "killed by the supervisor"),
            Self::StartFailed { message } => write!(f, "start failed: {message}"),
            Self::StartTimeout => write!(f, "not ready in time"),
            Self::Stuck { for_ms } => write!(f, "stuck for {for_ms} ms"),
            Self::ProbeFailed { probe, message } => write!(f, "{probe} probe failed: {message}"),
            Self::ArbiterGone => write!(f, "its thread was written off"),
            Self::Protocol { message } => write!(f, "broke the protocol: {message}"),
        }
    }
}
