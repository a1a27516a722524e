//! The agents: user code in Rust, child processes in any language.
//!
//! ```text
//! supervisor ─▶ ChildFactory (child_factory) ─▶ ActorAgent   hosts an [`Agent`] registered by name
//!                                            ─▶ ProcessAgent one child process, see `process`
//! dispatcher ─▶ TaskPort of the life ─▶ Agent::task, or a `task` frame on stdin
//! ```
//!
//! A program that starts process agents begins its `main` with [`answer_early`].

mod actor;
mod early;
mod environment;
mod exec;
mod family;
mod frames;
mod launcher;
mod lines;
mod open_tasks;
mod proc;
mod process;
mod reaper;
mod registry;
mod sample;
mod scope;
mod user;
mod word_count;

pub use early::answer_early;
pub use family::{LeftoversEnded, end_leftovers, owner_of};
pub use launcher::Launcher;
pub use proc::boot_id;
pub use registry::{AgentEnvironment, Registry, Seed, UnknownActor, child_factory};
pub use scope::Scope;
pub use user::{Agent, Failure};
