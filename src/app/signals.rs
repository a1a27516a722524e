//! The signals that the daemon hears, from before it begins anything: one that comes while it starts
//! is not lost (as process 1 of a container) and ends nothing half-way (anywhere else). Those that mean
//! nothing to it, and would end it where nobody heard them, are logged and no more.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::StartError;

/// What the daemon hears. What came since [`Signals::listen`] is there, however late it is asked for.
pub(super) struct Signals {
    pub(super) end: End,
    /// Read the configuration anew.
    pub(super) hang_up: Signal,
    pub(super) others: Others,
}

/// Both signals that mean "end".
pub(super) struct End {
    terminate: Signal,
    interrupt: Signal,
}

/// Signals of no meaning here: what rotates the logs of others sends them, say.
pub(super) struct Others {
    first: Signal,
    second: Signal,
    alarm: Signal,
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
            others: Others {
                first: hear(SignalKind::user_defined1())?,
                second: hear(SignalKind::user_defined2())?,
                alarm: hear(SignalKind::alarm())?,
            },
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

impl Others {
    /// Says that they mean nothing. Never ends.
    pub(super) async fn come_to_nothing(&mut self) {
        loop {
            let signal = tokio::select! {
                _ = self.first.recv() => "SIGUSR1",
                _ = self.second.recv() => "SIGUSR2",
                _ = self.alarm.recv() => "SIGALRM",
            };
            tracing::warn!(
                signal,
                "means nothing here: SIGTERM drains, SIGHUP reads the configuration anew"
            );
        }
    }
}
