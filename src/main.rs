//! The daemon and its command line, with the built-in agents.

use std::process::ExitCode;

use agent_system::Registry;

fn main() -> ExitCode {
    agent_system::run(Registry::built_in())
}
