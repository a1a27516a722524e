//! The plain rules: what things are, and which step follows which. Pure.
//!
//! Everything above stands on this room; it knows the standard library, serde, and libraries that
//! only turn values into text and back (jiff for instants, croner for cron, strsim for near names, toml for
//! definitions).
//!
//! Invariant: nothing here reads a clock, draws a random number, or touches the outside; time and
//! chance are arguments.

pub mod agent;
pub mod backoff;
pub mod crash;
pub mod event;
pub mod exit;
pub mod explain;
pub mod health;
pub mod ids;
pub mod liveness;
pub mod message;
pub mod name;
pub mod probe;
pub mod query;
pub mod queue;
pub mod record;
pub mod recovery;
pub mod redaction;
pub mod reload;
pub mod restart;
pub mod schedule;
pub mod spend;
pub mod task;
pub mod timestamp;
pub mod trace;
pub mod transition;
pub mod url;
pub mod workflow;
