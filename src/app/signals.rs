//! The signals that the daemon hears, from before it begins anything: one that comes while it starts
//! is not lost (as process 1 of a container) and ends nothing half-way (anywhere else).

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::StartError;

/// What the daemon hears. What came since [`Signals::listen`] is there, however late it is asked for.
pub(super) struct Signals {
    pub(super) end: End,
    /// Read the configuration anew.
    pub(super) hang_up: Signal,
}

/// Both signals that mean "end".
pub(super) struct End {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Needs a running runtime.
    pub(super) fn listen() -> Result<Self, StartError> {
        let hear = |kind| {
            signal(kind).map_err(|source| StartError::System {
                what: "hear signals",
                source,
            })
        };
        Ok(Self {
            end: End {
                terminate: hear(SignalKind::terminate())?,
                interrupt: hear(SignalKind::interrupt())?,
            },
            hang_up: hear(SignalKind::hangup())?,
        })
    }
}

impl End {
    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
