//! Agents as the supervisor and the dispatcher see them, with real child processes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on ends"
)]

mod actor;
mod exec;
mod hardship;
mod healed;
mod http;
mod inherited;
mod leftovers;
mod panics;
mod probes;
mod process;
mod rig;
mod said;
mod spent;
mod stdio;
mod storm;
mod traced;
mod word_count;
