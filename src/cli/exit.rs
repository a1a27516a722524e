//! Exit codes: what scripts rely on.

use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::client::ClientError;

/// Something went wrong that has no code of its own.
pub const FAILED: u8 = 1;
/// The command line cannot be read.
pub const USAGE: u8 = 2;
/// What was named does not exist.
pub const NOT_FOUND: u8 = 3;
/// Unauthenticated or forbidden.
pub const FORBIDDEN: u8 = 4;
/// Impossible in the present state.
pub const CONFLICT: u8 = 5;
/// Something is critical, or what was waited for did not succeed.
pub const UNHEALTHY: u8 = 6;
/// Not in time.
pub const TIMEOUT: u8 = 7;
/// No daemon answers.
pub const UNREACHABLE: u8 = 69;
/// The daemon ended because a critical agent failed for good.
pub const CRITICAL_AGENT_FAILED: u8 = 70;
/// The daemon ended, but something had to be killed; or another one runs here.
pub const LEFTOVERS: u8 = 75;
/// The configuration has problems.
pub const BAD_CONFIGURATION: u8 = 78;

/// Why a command ends without success: a code, and what is said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What goes to stderr; nothing if empty.
    pub message: String,
}

impl Failure {
    /// With a code of its own.
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// 1.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(FAILED, message)
    }

    /// 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(USAGE, message)
    }

    /// Says it, and gives the code.
    pub(crate) fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            use io::Write as _;
            // Nobody is left to tell when stderr is closed.
            drop(writeln!(io::stderr().lock(), "error: {}", self.message));
        }
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let code = match &error {
            ClientError::BadUrl { .. } => USAGE,
            ClientError::Unreachable { .. } => UNREACHABLE,
            ClientError::Timeout { .. } => TIMEOUT,
            ClientError::File { .. } => FAILED,
            ClientError::Refused(refusal) => match refusal.status {
                401 | 403 => FORBIDDEN,
                404 => NOT_FOUND,
                408 | 504 => TIMEOUT,
                409 => CONFLICT,
                _ => FAILED,
            },
        };
        Self::new(code, error.to_string())
    }
}

impl From<io::Error> for Failure {
    /// Output that nobody reads any more is no failure worth a word.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(0, ""),
            _ => Self::failed(error.to_string()),
        }
    }
}
