//! The agents: user code in Rust, child processes in any language.

mod early;
mod environment;
mod exec;
mod family;
mod launcher;
mod proc;
mod sample;

pub use early::answer_early;
pub use family::{LeftoversEnded, end_leftovers, owner_of};
pub use launcher::Launcher;
pub use proc::boot_id;
