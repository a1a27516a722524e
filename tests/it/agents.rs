//! Agents as the supervisor and the dispatcher see them, with real child processes.

mod actor;
mod exec;
mod leftovers;
mod process;
mod rig;
mod stdio;
mod word_count;
