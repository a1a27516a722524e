//! Supervise your own actix actors, with groups, in your own program: no daemon, no database.
//!
//! ```
//! use std::time::Duration;
//!
//! use actix::prelude::*;
//! use agent_system::supervision::{AgentContext, AskError, Child, Group, Hosted, ShutdownSpans};
//! use agent_system::supervision::{Strategy, Supervisor};
//!
//! #[derive(Default)]
//! struct Adder(u32);
//!
//! impl Actor for Adder {
//!     type Context = AgentContext<Self>;
//! }
//!
//! impl Hosted for Adder {}
//!
//! #[derive(Message)]
//! #[rtype(result = "u32")]
//! struct Add(u32);
//!
//! impl Handler<Add> for Adder {
//!     type Result = u32;
//!
//!     fn handle(&mut self, Add(more): Add, _: &mut Self::Context) -> u32 {
//!         self.0 = self.0.checked_add(more).expect("a sum that fits");
//!         self.0
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! System::new().block_on(async {
//!     let adder = Child::new("adder", |_life| Adder::default());
//!     let address = adder.address();
//!     let sums = Group::new("sums").strategy(Strategy::OneForOne).child(adder);
//!     let tree = Supervisor::new().group(sums).start()?;
//!
//!     let within = Duration::from_secs(5);
//!     assert_eq!(address.ask(Add(1), within).await, Ok(1));
//!     assert_eq!(address.ask(Add(u32::MAX), within).await, Err(AskError::Died));
//!     // One life later, at the same address.
//!     assert_eq!(address.ask(Add(2), within).await, Ok(2));
//!     assert_eq!(tree.status("adder").await?.restarts.total, 1);
//!     tree.shutdown(ShutdownSpans::default()).await?;
//!     Ok(())
//! })
//! # }
//! ```
//!
//! To be supervised, an actor has `type Context = AgentContext<Self>` and `impl Hosted`; everything
//! else is actix: handlers, timers, streams, actor futures. Two rules: send through [`Address`] or
//! [`Recipient`] only, and [`link`] a `ResponseFuture`, so that its panic is the life's.
//!
//! # Promises
//!
//! - A panic anywhere in a life ends that life alone. Each end is told once, with its reason
//!   ([`Tree::exits`], [`ExitReason`]); what follows is decided by restart type, strategy and
//!   intensity as in OTP.
//! - An address is good for ever: before the first life, between two, over restarts. After a restart
//!   in place (`one_for_one`) messages that waited are handled by the next life; after a shared
//!   restart they are dropped, and who asked is told.
//! - A mailbox takes [`Hosted::MAILBOX`] messages (1,000 unless set). One more is refused at once
//!   with [`TellError::Full`] and was not taken in; nobody waits for room, nothing is dropped that
//!   was taken in while its life goes on.
//! - Messages of one sender are handled in its order, one at a time. After [`BUDGET`] messages in a
//!   row, or [`TURN`], others on the same thread have their turn. Orders of the supervisor overtake
//!   what waits.
//! - A question is answered within its deadline or fails with it. [`AskError::Full`] and
//!   [`AskError::Closed`] say that it was not handled; [`AskError::Died`] and
//!   [`AskError::Timeout`] leave open what was done. One that nobody waits for any more is skipped.
//! - A handler that blocks its thread for 3 s is noticed; its arbiter is replaced and all of its
//!   children go on elsewhere (not with [`Supervisor::arbiters`]`(0)`).
//! - What was stopped stays stopped; children never outlive the supervisor.
//!
//! An idle child weighs less than 2 KiB. `docs/semantics.md` names the test that holds each promise.
//!
//! Not here: children that are processes, durable work, the command line: see [`crate::run`].

mod build;
mod tree;

#[cfg(test)]
mod tests;

pub use build::{Child, Group, StartError, Supervisor};
pub use tree::{EXITS_KEPT, Exits, ExitsError, Tree};

pub use crate::actors::life::{Hosted, Life};
pub use crate::actors::runner::{
    Address, AgentContext, AskError, BUDGET, Recipient, TURN, TellError, exit_with, link,
};
pub use crate::actors::supervisor::{
    AgentStatus, Escalated, Exit, ShutdownReport, ShutdownSpans, SupervisorError, TreeError,
};
pub use crate::domain::agent::{AgentState, DependsOn, InstanceId};
pub use crate::domain::exit::ExitReason;
pub use crate::domain::name::{InvalidName, Name};
pub use crate::domain::restart::{Intensity, OnExhausted, RestartType as Restart, Strategy};
