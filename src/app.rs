//! The composition root: the only room that knows every other. Boot order, signals, drain, exit codes.
//!
//! ```text
//! configuration ─▶ log ─▶ data directory ─▶ ports ─▶ store ─▶ leftovers ended ─▶ session
//!   ─▶ dispatcher ─▶ agents ─▶ health, healer ─▶ HTTP ─▶ ready … signal ─▶ drain ─▶ close
//! ```
//!
//! A user may rely on the exit codes: 0 ended as told, 1 could not start, 70 a critical agent could
//! not be kept up, 75 something had to be killed or the data directory is another daemon's, 78 bad
//! configuration.

pub(crate) mod bench;
mod boot;
pub(crate) mod conformance;
mod control;
mod effects;
mod generations;
mod house;
mod news;
mod parts;
mod ports;
mod records;
mod reload;
mod signals;
mod stop;
mod threads;
mod upkeep;
mod view;

#[cfg(test)]
mod tests;

use std::process::ExitCode;
use std::time::Instant;

use crate::actors::agent::{Registry, UnknownActor};
use crate::actors::supervisor::TreeError;
use crate::config::{Config, EXIT_BAD_CONFIGURATION, LoadRequest};
use crate::persistence::lock::LockError;
use crate::persistence::{OpenError, StoreError};
use crate::telemetry::logging::LoggingError;
use crate::telemetry::metrics::MetricsError;

pub(crate) use crate::http::openapi;

/// How a daemon that had begun ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// As told; everything finished or went back to its queue.
    Drained,
    /// As told, but something had to be killed.
    Leftovers,
    /// A second signal: at once.
    AtOnce,
    /// A critical agent, or a part of the daemon itself, could not be kept up.
    GaveUp,
}

impl Ending {
    const fn exit_code(self) -> u8 {
        match self {
            Self::Drained => 0,
            Self::AtOnce => 1,
            Self::GaveUp => 70,
            Self::Leftovers => 75,
        }
    }
}

/// Why a daemon could not begin.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(transparent)]
    Logging(#[from] LoggingError),
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Ports(#[from] ports::PortError),
    #[error(transparent)]
    Actor(#[from] UnknownActor),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error("{0} came before anything had begun")]
    Told(&'static str),
    #[error("cannot {what}: {source}")]
    System {
        what: &'static str,
        source: std::io::Error,
    },
}

impl StartError {
    const fn exit_code(&self) -> u8 {
        match self {
            Self::Lock(LockError::LockedBy { .. })
            | Self::Open(OpenError::Locked(LockError::LockedBy { .. })) => 75,
            Self::Actor(_) | Self::Tree(_) => EXIT_BAD_CONFIGURATION,
            Self::Told(_) => 0,
            _ => 1,
        }
    }
}

/// Runs the daemon in the foreground until it is told to end.
#[must_use]
pub(crate) fn serve(request: &LoadRequest, registry: Registry) -> ExitCode {
    let begun = Instant::now();
    let request = &LoadRequest {
        actors: Some(registry.names().map(str::to_owned).collect()),
        ..request.clone()
    };
    let config = match Config::load(request.clone()) {
        Ok(config) => config,
        Err(invalid) => {
            eprintln!("{invalid}");
            return ExitCode::from(invalid.exit_code());
        }
    };
    match house::run(config, request.clone(), registry, begun, stop::live) {
        Ok(ending) => ExitCode::from(ending.exit_code()),
        Err(error) => {
            eprintln!("agent-system: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
