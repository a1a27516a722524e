//! What agents spend, and how much of it they may: ceilings, reports, the account of one agent.
//!
//! ```text
//! ceiling ≥ used + open reservations + the reservation of one more      else nothing more is handed over
//! ```
//!
//! Rely on: money is whole micro-dollars, so sums are exact; nothing but another window makes a sum
//! smaller; a report that is no figure changes nothing. Pure: time and what is stored are arguments.
//!
//! Not here: who keeps the sums (`persistence`), and who asks before a hand-over
//! (`actors::dispatcher`).

mod account;
mod open;
mod sum;
mod usage;
mod view;
mod window;
mod write;

pub use account::{Account, Standing};
pub use open::Closed;
pub use sum::{Stored, Sum};
pub use usage::{BadUsage, MAX_REPORT_MICROS, MAX_REPORT_TOKENS, Usage, UsageSaid};
pub use view::{Ceilings, Shown, SpendView, Used};
pub use window::Window;
pub use write::{AttemptSpend, Reserve, SpendWrite};

use serde::Serialize;

/// Micro-dollars in a dollar.
pub const MICROS_PER_USD: u64 = 1_000_000;

/// What an agent may spend. Each ceiling is optional; at least one is there.
#[derive(Debug, Clone, PartialEq)]
pub struct SpendSpec {
    /// What all its replicas together may spend in a window.
    pub ceiling: Ceiling,
    /// How long a window is.
    pub per: Per,
    /// What one task may spend, all its executions together.
    pub task_ceiling: Ceiling,
    /// What an open task holds until it says what it spent.
    pub reserve: Amount,
    /// The share of a ceiling from which a warning is due.
    pub warn_at: f64,
    /// What happens to tasks that run when a ceiling is reached.
    pub on_exhausted: OnSpent,
}

/// The calendar windows, in UTC: so that neither a restart nor a clock that is set begins one anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// From one full hour to the next.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From the first of a month to the next.
    Month,
}

impl Per {
    /// The word in a configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

/// What happens to tasks that run when a ceiling is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnSpent {
    /// They finish; nothing more is handed over.
    Hold,
    /// They are told to stop, and fail.
    Cancel,
}

/// An amount of money and of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Micro-dollars.
    pub micros: u64,
    /// Tokens, in and out.
    pub tokens: u64,
}

impl Amount {
    /// Both together, saturating.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            micros: self.micros.saturating_add(other.micros),
            tokens: self.tokens.saturating_add(other.tokens),
        }
    }

    /// What is left of it, zero at least.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self {
            micros: self.micros.saturating_sub(other.micros),
            tokens: self.tokens.saturating_sub(other.tokens),
        }
    }

    /// So many times.
    #[must_use]
    pub const fn times(self, count: u64) -> Self {
        Self {
            micros: self.micros.saturating_mul(count),
            tokens: self.tokens.saturating_mul(count),
        }
    }
}

/// A limit of money, of tokens, or of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ceiling {
    /// Micro-dollars.
    pub micros: Option<u64>,
    /// Tokens, in and out.
    pub tokens: Option<u64>,
}

impl Ceiling {
    /// Whether nothing is limited.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.micros.is_none() && self.tokens.is_none()
    }

    /// What was passed: more than the ceiling, in words; `None` while nothing is.
    #[must_use]
    pub fn passed_by(&self, amount: Amount) -> Option<String> {
        let money = self.micros.filter(|most| amount.micros > *most);
        let tokens = self.tokens.filter(|most| amount.tokens > *most);
        match (money, tokens) {
            (Some(most), _) => Some(format!("{} of {}", usd(amount.micros), usd(most))),
            (None, Some(most)) => Some(format!("{} of {most} tokens", amount.tokens)),
            (None, None) => None,
        }
    }

    /// Each limit beside what counts against it.
    fn sides(self, amount: Amount, reserve: Amount) -> impl Iterator<Item = Side> {
        let money = self.micros.map(|most| Side {
            most,
            taken: amount.micros,
            reserve: reserve.micros,
        });
        let tokens = self.tokens.map(|most| Side {
            most,
            taken: amount.tokens,
            reserve: reserve.tokens,
        });
        money.into_iter().chain(tokens)
    }
}

/// One limit: money or tokens.
#[derive(Debug, Clone, Copy)]
struct Side {
    most: u64,
    taken: u64,
    reserve: u64,
}

impl Side {
    /// Whether one more would pass it. Without a reservation the last task may: what it will spend
    /// is not known before.
    const fn is_full(self) -> bool {
        self.taken >= self.most || self.taken.saturating_add(self.reserve) > self.most
    }

    /// How many more fit.
    fn room(self) -> u32 {
        match self
            .most
            .saturating_sub(self.taken)
            .checked_div(self.reserve)
        {
            Some(fitting) => u32::try_from(fitting).unwrap_or(u32::MAX),
            None if self.taken < self.most => u32::MAX,
            None => 0,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    fn ratio(self) -> f64 {
        self.taken as f64 / self.most.max(1) as f64
    }
}

/// Micro-dollars as dollars, for JSON and people.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "cents of sums that people pay")]
pub fn dollars(micros: u64) -> f64 {
    micros as f64 / MICROS_PER_USD as f64
}

/// Micro-dollars in words: `$1.25`.
#[must_use]
pub fn usd(micros: u64) -> String {
    let (whole, rest) = (micros / MICROS_PER_USD, micros % MICROS_PER_USD);
    let digits = format!("{rest:06}");
    let cents = digits.trim_end_matches('0');
    format!("${whole}.{cents:0<2}")
}

/// Dollars as micro-dollars; a fraction of one counts as a whole one. `None` for what is no amount.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be within range"
)]
pub fn micros(dollars: f64) -> Option<u64> {
    if !dollars.is_finite() || dollars < 0.0 {
        return None;
    }
    // To the nearest billionth first: 0.1 + 0.2 is thirty cents.
    let micros = ((dollars * 1e9).round() / 1e3).ceil();
    (micros <= 1e18).then_some(micros as u64)
}

#[cfg(test)]
pub(crate) mod tests;
