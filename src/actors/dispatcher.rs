//! The dispatcher: durable work from its submission to its settlement.
//!
//! ```text
//! faces, agents ─submit, cancel, wait─▶ DispatcherHandle ─▶ Dispatcher ─assign, cancel─▶ TaskPort
//! agents ─settled, progress, message──▶ (as WorkSink)         │  ▲
//! supervisor ─agent_ready, agent_gone─▶                       ▼  │ committed events (CommitFeed)
//!                                                            Store
//! ```
//!
//! Rely on:
//! - nothing is answered before its commit; an acknowledged task is never lost;
//! - a task goes to one life of one agent at a time, under a lease; what comes late is kept as
//!   stale and changes nothing;
//! - results are kept and retried while the database is away, for as long as the daemon lives;
//! - nobody polls: submissions, results, free slots and commits wake what waits for them.
//!
//! What it knows (who is ready, who holds what) outlives a panic of the actor: a new life goes on
//! from there.
//!
//! Not here: whether a step is legal (`domain::transition`), what stands in the database
//! (`persistence`), who restarts an agent (`supervisor`).

mod actor;
mod claims;
mod commands;
mod deadlines;
mod depths;
mod desk;
mod ends;
mod feed;
mod flows;
mod handle;
mod known;
mod reports;
mod schedules;
mod sink;
mod spending;
mod spends;
mod upkeep;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::actor::Dispatcher;
pub use self::desk::AgentLoad;
pub use self::feed::CommitFeed;
pub use self::handle::{DispatcherHandle, DispatcherParts};
use crate::domain::name::Name;
use crate::domain::workflow::check::DefinitionError;
use crate::persistence::StoreError;

/// Tasks that may wait for one agent, role or queue; more are refused.
pub const QUEUE_CAPACITY: u64 = 10_000;
/// From asking an agent to give a task up to having the agent restarted.
pub const CANCEL_GRACE: Duration = Duration::from_secs(10);
/// How long the leases of this daemon's life hold.
pub const SESSION_LEASE: Duration = Duration::from_secs(30);
/// How often they are renewed, and what was lost is looked for.
pub const RESCUE_PERIOD: Duration = Duration::from_secs(10);
/// The longest a command waits for the dispatcher.
pub const COMMAND_WITHIN: Duration = Duration::from_secs(30);

/// Why the dispatcher did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DispatchError {
    /// Nobody has this name.
    #[error("there is no {kind} '{name}'{hint}")]
    UnknownTarget {
        /// `agent`, `role` or `queue`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// The nearest known name, as words; may be empty.
        hint: String,
    },
    /// There is no such schedule.
    #[error("there is no schedule '{name}'{hint}")]
    UnknownSchedule {
        /// What was asked for.
        name: String,
        /// The nearest known name, as words; may be empty.
        hint: String,
    },
    /// Nobody has the name that a message is for.
    #[error("there is no agent '{to}'{hint}")]
    UnknownRecipient {
        /// Who was meant.
        to: Name,
        /// The nearest known name, as words; may be empty.
        hint: String,
    },
    /// Nobody reads what it is told.
    #[error(
        "agent '{agent}' takes no messages: only agents that speak a protocol with messages do"
    )]
    TakesNoMessages {
        /// The agent.
        agent: Name,
    },
    /// It is only kept alive.
    #[error(
        "agent '{agent}' takes no tasks: with protocol \"none\" it is only kept alive; \"stdio\" and \"exec\" take tasks"
    )]
    TakesNoTasks {
        /// The agent.
        agent: Name,
    },
    /// As many tasks wait as may.
    #[error("{capacity} tasks wait for {target} already; try again later")]
    QueueFull {
        /// Who they wait for.
        target: String,
        /// How many may wait.
        capacity: u64,
    },
    /// The daemon is stopping.
    #[error("the daemon is stopping and takes no new work")]
    Draining,
    /// The definition cannot run.
    #[error("the definition has {} faults: {}", .0.len(), first(.0))]
    Definition(Vec<DefinitionError>),
    /// The dispatcher has too much to do.
    #[error("the dispatcher has too much to do; try again later")]
    Overloaded,
    /// The dispatcher did not answer; what was asked may still happen.
    #[error("the dispatcher did not answer in time; the command may still be carried out")]
    NoAnswer,
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn first(faults: &[DefinitionError]) -> String {
    faults.first().map_or_else(String::new, ToString::to_string)
}

/// Shorthand of this room.
pub type Result<T> = std::result::Result<T, DispatchError>;
