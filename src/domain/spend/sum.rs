//! What counts in one window.

use super::{Amount, Usage};

/// What counts in one window. Never falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    /// Micro-dollars as reported.
    pub cost_micros: u64,
    /// Tokens read, as reported.
    pub input_tokens: u64,
    /// Tokens written, as reported.
    pub output_tokens: u64,
    /// What nobody reported: reservations of tasks that said nothing, or were cut.
    pub presumed: Amount,
    /// Tasks handed over.
    pub tasks: u64,
}

impl Sum {
    /// All of it.
    #[must_use]
    pub const fn amount(&self) -> Amount {
        let reported = Amount {
            micros: self.cost_micros,
            tokens: self.input_tokens.saturating_add(self.output_tokens),
        };
        reported.plus(self.presumed)
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            cost_micros: self.cost_micros.saturating_add(other.cost_micros),
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            presumed: self.presumed.plus(other.presumed),
            tasks: self.tasks.saturating_add(other.tasks),
        }
    }

    /// Of each figure the greater one: sums only grow.
    #[must_use]
    pub fn or_more(self, other: Self) -> Self {
        Self {
            cost_micros: self.cost_micros.max(other.cost_micros),
            input_tokens: self.input_tokens.max(other.input_tokens),
            output_tokens: self.output_tokens.max(other.output_tokens),
            presumed: Amount {
                micros: self.presumed.micros.max(other.presumed.micros),
                tokens: self.presumed.tokens.max(other.presumed.tokens),
            },
            tasks: self.tasks.max(other.tasks),
        }
    }

    pub(super) fn add(&mut self, usage: Usage) {
        let sum = |to: &mut u64, said: Option<u64>| *to = to.saturating_add(said.unwrap_or(0));
        sum(&mut self.cost_micros, usage.cost_micros);
        sum(&mut self.input_tokens, usage.input_tokens);
        sum(&mut self.output_tokens, usage.output_tokens);
    }
}

/// What is stored of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stored {
    /// Under its own start.
    pub own: Sum,
    /// Under starts of shorter windows inside it, from when such were configured.
    pub inside: Sum,
    /// Of a window of which nothing is stored: the last one before it, if there is any.
    pub before: Option<Sum>,
}
