//! An account as it is shown.

use serde::Serialize;

use super::{Account, Amount, Ceiling, OnSpent, Per, Standing, dollars, usd};
use crate::domain::timestamp::Timestamp;

/// What an agent has spent in the present window, and what it may.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpendView {
    /// How long a window is.
    pub per: Per,
    /// When the present one began.
    pub since: Timestamp,
    /// When the next one begins, of which nothing is used.
    pub renews_at: Timestamp,
    /// What counts against the ceilings.
    pub used: Used,
    /// What open tasks hold beside it.
    pub reserved: Shown,
    /// What may be used in a window.
    pub ceiling: Ceilings,
    /// What one task may use.
    pub task_ceiling: Ceilings,
    /// What an open task holds until it says what it has spent.
    pub reserve: Shown,
    /// The share of the ceiling that is used: of money or tokens, the greater.
    pub ratio: f64,
    /// How far the window is used.
    pub state: Standing,
    /// Nothing more is handed over for now.
    pub held: bool,
    /// What happens to running tasks when a ceiling is reached.
    pub on_exhausted: OnSpent,
    /// Tasks that were handed over in this window.
    pub tasks: u64,
}

/// What is used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Used {
    /// Dollars, those that nobody reported included.
    pub cost_usd: f64,
    /// Tokens, those that nobody reported included.
    pub tokens: u64,
    /// Tokens read, as reported.
    pub input_tokens: u64,
    /// Tokens written, as reported.
    pub output_tokens: u64,
    /// What of it nobody reported: reservations of tasks that said nothing, or were cut.
    pub presumed: Shown,
}

/// An amount.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Shown {
    /// Dollars.
    pub cost_usd: f64,
    /// Tokens.
    pub tokens: u64,
}

impl From<Amount> for Shown {
    fn from(amount: Amount) -> Self {
        Self {
            cost_usd: dollars(amount.micros),
            tokens: amount.tokens,
        }
    }
}

/// Limits; `null` is none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ceilings {
    /// Dollars.
    pub cost_usd: Option<f64>,
    /// Tokens.
    pub tokens: Option<u64>,
}

impl From<Ceiling> for Ceilings {
    fn from(ceiling: Ceiling) -> Self {
        Self {
            cost_usd: ceiling.micros.map(dollars),
            tokens: ceiling.tokens,
        }
    }
}

impl Account {
    /// As it is shown.
    #[must_use]
    pub fn view(&self) -> SpendView {
        let (sum, window) = (self.sum(), self.window());
        let used = sum.amount();
        SpendView {
            per: self.spec().per,
            since: window.start,
            renews_at: window.end,
            used: Used {
                cost_usd: dollars(used.micros),
                tokens: used.tokens,
                input_tokens: sum.input_tokens,
                output_tokens: sum.output_tokens,
                presumed: sum.presumed.into(),
            },
            reserved: self.reserved().into(),
            ceiling: self.spec().ceiling.into(),
            task_ceiling: self.spec().task_ceiling.into(),
            reserve: self.spec().reserve.into(),
            ratio: self.ratio(),
            state: self.standing(),
            held: self.is_held(),
            on_exhausted: self.spec().on_exhausted,
            tasks: sum.tasks,
        }
    }
}

impl SpendView {
    /// Whether the window is used up: nothing more is handed over before the next.
    #[must_use]
    pub const fn is_exhausted(&self) -> bool {
        matches!(self.state, Standing::Exhausted)
    }

    /// What is used of what may be: `$4.98 of $5.00, 1200 of 2000000 tokens`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let micros = |dollars: f64| super::micros(dollars).unwrap_or(u64::MAX);
        let money = self.ceiling.cost_usd.map(|most| {
            let (used, most) = (usd(micros(self.used.cost_usd)), usd(micros(most)));
            format!("{used} of {most}")
        });
        let tokens = self
            .ceiling
            .tokens
            .map(|most| format!("{} of {most} tokens", self.used.tokens));
        let both: Vec<_> = money.into_iter().chain(tokens).collect();
        both.join(", ")
    }

    /// Why nothing is handed over, in a sentence about somebody; `None` if something is.
    #[must_use]
    pub fn why_held(&self) -> Option<String> {
        let (per, used) = (self.per.as_str(), self.in_words());
        if self.is_exhausted() {
            return Some(format!(
                "held: spend of the {per} is exhausted ({used}), renews at {}",
                self.renews_at
            ));
        }
        self.held.then(|| {
            format!(
                "held: what is left of its spend of the {per} ({used}) is reserved by its open tasks"
            )
        })
    }

    /// What an operator can do about it.
    #[must_use]
    pub fn way_out(&self, agent: &str) -> String {
        let keys: Vec<_> = [
            ("cost_usd", self.ceiling.cost_usd.is_some()),
            ("tokens", self.ceiling.tokens.is_some()),
        ]
        .into_iter()
        .filter(|(_, there)| *there)
        .map(|(key, _)| format!("agents.{agent}.spend.{key}"))
        .collect();
        format!(
            "raise {} and reload: agent-system config apply",
            keys.join(" or ")
        )
    }
}
