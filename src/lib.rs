//! Supervises fleets of agents as Erlang/OTP supervises processes, and gives them durable work.
//!
//! The binary is this library with its built-in agents. A program with agents of its own in Rust
//! is the same with one more name in the [`Registry`]:
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use agent_system::{Agent, Failure, Registry, Scope};
//!
//! struct Doubler;
//!
//! impl Agent for Doubler {
//!     type Input = u32;
//!     type Output = u32;
//!
//!     fn task(&mut self, input: u32, _: Scope) -> impl Future<Output = Result<u32, Failure>> + 'static {
//!         async move { input.checked_mul(2).ok_or_else(|| Failure::fatal("too large")) }
//!     }
//! }
//!
//! fn main() -> ExitCode {
//!     agent_system::run(Registry::built_in().register("doubler", |_| Ok(Doubler)))
//! }
//! ```
//!
//! # What to find where
//!
//! | to | look at |
//! | --- | --- |
//! | supervise actix actors of your own, with groups, without a daemon | [`supervision`] |
//! | write an agent in Rust that takes durable tasks | [`Agent`], [`Scope`], [`Failure`] |
//! | run the daemon and its command line with your agents in it | [`Registry`], [`run`] |
//! | talk to a daemon from another program | [`client`] |
//! | know the words and records of both: names, states, tasks, exits | [`domain`] |
//! | read a configuration as the daemon does | [`config`] |
//! | know what holds, and which test holds it | `docs/semantics.md` |
//!
//! The other modules are the daemon's own rooms: public so that it can be taken apart and looked at,
//! free to change with any version.
//!
//! # Layout
//!
//! Plain rules at the ground, storage above them, actors above storage, faces on top, one room
//! where everything is wired; `docs/architecture.md` has the map and what must always hold.

pub mod actors;
mod app;
pub mod cache;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod domain;
pub mod http;
pub mod persistence;
pub mod supervision;
pub mod telemetry;

use std::process::ExitCode;

pub use actors::agent::{Agent, Failure, Registry, Scope, Seed};

/// The whole program: the daemon with these agents, and the command line for it.
#[must_use]
pub fn run(registry: Registry) -> ExitCode {
    if let Some(ended) = actors::agent::answer_early() {
        return ended;
    }
    cli::main(std::env::args_os(), |args| {
        app::serve(&args.request(), registry)
    })
}
