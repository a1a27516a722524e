//! What of an account goes into the database, and what a hand-over marks there.

use super::{Amount, Sum, Usage};
use crate::domain::event::NewEvent;
use crate::domain::ids::{LeaseId, TaskId};
use crate::domain::name::Name;
use crate::domain::timestamp::Timestamp;

/// The sum of a window as it is now, and what has changed since the last time. Sums only grow:
/// written twice, or late, it changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct SpendWrite {
    /// The agent.
    pub agent: Name,
    /// The start of the window.
    pub window: Timestamp,
    /// Its sum.
    pub sum: Sum,
    /// The executions that said something.
    pub attempts: Vec<AttemptSpend>,
    /// The edges that were passed.
    pub events: Vec<NewEvent>,
}

/// What one execution has spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptSpend {
    /// The task.
    pub task: TaskId,
    /// Its lease.
    pub lease: LeaseId,
    /// The window in which its reservation counts.
    pub window: Timestamp,
    /// What it said.
    pub usage: Usage,
}

/// What a hand-over keeps for a task, so that it counts even if nobody ever says what it spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserve {
    /// The start of the window in which it counts.
    pub window: Timestamp,
    /// How much.
    pub amount: Amount,
    /// Whether tasks have ceilings of their own: what a task has spent before is asked for.
    pub counts_tasks: bool,
}

impl SpendWrite {
    /// This and a later one of the same window, in one.
    pub fn join(&mut self, later: Self) {
        self.sum = self.sum.or_more(later.sum);
        self.attempts.extend(later.attempts);
        self.events.extend(later.events);
    }
}
