//! Entry point.

use std::process::ExitCode;

fn main() -> ExitCode {
    agent_system::actors::agent::answer_early().unwrap_or(ExitCode::SUCCESS)
}
