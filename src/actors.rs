//! The actors: everything that lives, and who sends what to whom.
//!
//! ```text
//! http, app ─start, stop, restart, scale─▶ supervisor ─start, drain, stop, kill, probe─▶ lives
//!                                             ▲  └─ready, draining, gone─▶ dispatcher     │
//!                                             └────────ready, noted, exited───────────────┘
//! http ─submit, cancel, wait─▶ dispatcher ─assign, cancel─▶ lives ─settled, progress─▶ dispatcher
//! http, lives ─messages─▶ post ─deliver─▶ lives ─taken─▶ post
//! health ─report─▶ healer ─revive, reconnect─▶ supervisor, persistence
//! everybody ─facts─▶ journal ─rows─▶ persistence ─committed─▶ journal, dispatcher, subscribers
//! ```
//!
//! Rules: one struct a message, beside its receiver; commands are imperative, facts past tense,
//! queries begin with `Get`. Others call a handle, the only place with addresses, deadlines and
//! mailbox errors. Every mailbox is bounded. Every life runs in the `runner`, never in bare actix.
//!
//! `life` and `work` are the seams: between the supervisor and what it supervises, and between
//! those who have work and those who do it.

pub mod agent;
mod awake;
pub mod dispatcher;
pub mod errand;
pub mod healer;
pub mod health;
pub mod journal;
pub mod life;
pub mod persistence;
pub mod pool;
pub mod post;
pub mod probes;
pub mod runner;
pub mod supervisor;
#[cfg(test)]
mod testing;
pub mod work;
