//! Seeing the daemon: its log lines, its metrics, its own process's figures.
//!
//! Not here: the journal of events, agents' own logs, and the port that `/metrics` is served on.

pub mod logging;
pub mod metrics;
pub mod process;
