//! What the end of a process means.
//!
//! Not here: whether the kernel's out-of-memory killer was at work, see `oom`.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use crate::actors::agent::exec;
use crate::domain::exit::ExitReason;

/// What is known of an end beside its status.
#[derive(Debug, Clone, Copy)]
pub(super) struct Circumstances<'a> {
    /// It was told to end.
    pub(super) told: bool,
    /// What `exec-agent` said when it could not become the program.
    pub(super) exec_failure: Option<&'a str>,
    /// Codes that are a success.
    pub(super) success: &'a [i32],
    /// The out-of-memory killer was at work.
    pub(super) oom: bool,
}

/// The reason that a status means.
pub(super) fn reason(status: ExitStatus, known: Circumstances<'_>) -> ExitReason {
    const KILL: i32 = 9;
    match (status.code(), status.signal(), known.exec_failure) {
        (Some(code), _, Some(message)) if exec::is_failure_code(code) => ExitReason::StartFailed {
            message: message.to_owned(),
        },
        _ if known.told => ExitReason::Shutdown,
        (Some(code), ..) if known.success.contains(&code) => ExitReason::Normal,
        (Some(code), ..) => ExitReason::ExitCode { code },
        (None, signal, _) => {
            let signal = signal.unwrap_or_default();
            ExitReason::Signal {
                signal,
                oom: signal == KILL && known.oom,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(told: bool, oom: bool, exec_failure: Option<&str>) -> Circumstances<'_> {
        Circumstances {
            told,
            exec_failure,
            success: &[0, 3],
            oom,
        }
    }

    #[test]
    fn every_status_has_one_meaning() {
        let exited = |code: i32| ExitStatus::from_raw(code << 8);
        let killed = ExitStatus::from_raw(9);
        let signal = |signal, oom| ExitReason::Signal { signal, oom };
        let failed = || ExitReason::StartFailed {
            message: "why".into(),
        };
        for (status, known, expected) in [
            (exited(0), known(false, false, None), ExitReason::Normal),
            (exited(3), known(false, false, None), ExitReason::Normal),
            (
                exited(1),
                known(false, false, None),
                ExitReason::ExitCode { code: 1 },
            ),
            (exited(1), known(true, false, None), ExitReason::Shutdown),
            (
                exited(127),
                known(false, false, None),
                ExitReason::ExitCode { code: 127 },
            ),
            (exited(127), known(false, false, Some("why")), failed()),
            (exited(127), known(true, false, Some("why")), failed()),
            (
                exited(1),
                known(false, false, Some("why")),
                ExitReason::ExitCode { code: 1 },
            ),
            (killed, known(false, false, None), signal(9, false)),
            (killed, known(false, true, None), signal(9, true)),
            (
                ExitStatus::from_raw(15),
                known(false, true, None),
                signal(15, false),
            ),
            (
                ExitStatus::from_raw(15),
                known(true, false, None),
                ExitReason::Shutdown,
            ),
        ] {
            assert_eq!(reason(status, known), expected, "{status} {known:?}");
        }
    }
}
