//! The agents: user code in Rust, child processes in any language, remote services.
//!
//! ```text
//! supervisor ─▶ ChildFactory (child_factory) ─▶ ActorAgent   hosts an [`Agent`] registered by name
//!                                            ─▶ ProcessAgent one child process, see `process`
//!                                            ─▶ HttpAgent    a remote service, see `http`
//! dispatcher ─▶ TaskPort of the life ─▶ Agent::task, a `task` frame on stdin, or a POST
//! ```
//!
//! A program that starts process agents begins its `main` with [`answer_early`].

mod actor;
pub(crate) mod children;
pub(crate) mod conformance;
mod early;
mod environment;
mod exec;
mod factory;
pub(crate) mod family;
mod frames;
pub(crate) mod headers;
mod http;
pub(crate) mod launcher;
mod lines;
mod open_tasks;
mod proc;
mod process;
pub(crate) mod reaper;
mod registry;
mod sample;
mod scope;
mod user;
mod word_count;

pub use early::answer_early;
pub use factory::child_factory;
pub use family::{LeftoversEnded, end_leftovers, owner_of};
pub use launcher::Launcher;
pub use proc::boot_id;
pub use registry::{AgentEnvironment, Registry, Seed, UnknownActor};
pub use scope::Scope;
pub use user::{Agent, Failure};
