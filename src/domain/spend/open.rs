//! One task as it counts while it is open, and what is left of it at its end.

use super::{Amount, Usage};
use crate::domain::ids::TaskId;

/// A task in the hands of an agent, or on its way there.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub(super) task: TaskId,
    /// What it holds as long as it says nothing.
    pub(super) reserve: Amount,
    /// What earlier executions of it have spent.
    pub(super) before: Amount,
    pub(super) said: Usage,
    /// It has come into the agent's hands.
    pub(super) delivered: bool,
    /// The agent has given it back: with a result, with an error, or because it was told to.
    pub(super) answered: bool,
    /// It has said something since the last time it was written.
    pub(super) news: bool,
}

impl Open {
    /// What it still holds.
    pub(super) fn held(&self) -> Amount {
        self.reserve.minus(self.said.amount())
    }

    /// What counts although nobody reported it. Of one that answered, what it never spoke of; of
    /// one that was cut, all that it might still have said.
    pub(super) fn presumed(&self) -> Amount {
        if !self.delivered {
            return Amount::default();
        }
        if !self.answered {
            return self.held();
        }
        let unless = |said: bool, reserve: u64| if said { 0 } else { reserve };
        Amount {
            micros: unless(self.said.says_cost(), self.reserve.micros),
            tokens: unless(self.said.says_tokens(), self.reserve.tokens),
        }
    }
}

/// A task that holds nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// The task.
    pub task: TaskId,
    /// What it said.
    pub usage: Usage,
    /// What was counted although it did not say so.
    pub presumed: Amount,
}
