//! What the binary answers before any start-up work, so that it costs no more than the program
//! it stands for: `exec-agent` (see `exec`) and `sample-agent` (see `sample`).

use std::process::ExitCode;

use super::{exec, sample};

/// Answers `exec-agent` and `sample-agent`; `None` if the arguments ask for something else.
#[must_use]
pub fn answer_early() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next()?.to_str()? {
        "exec-agent" => Some(exec::run(arguments)),
        "sample-agent" => Some(sample::run(arguments)),
        _ => None,
    }
}
