//! What an agent says it has spent, checked.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Amount, micros};

/// The most that one report may say, in micro-dollars: a million dollars.
pub const MAX_REPORT_MICROS: u64 = 1_000_000_000_000;
/// The most tokens that one report may say, in or out.
pub const MAX_REPORT_TOKENS: u64 = 1_000_000_000_000;

/// What was spent, as far as it was said: nothing said is not the same as nothing spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Micro-dollars.
    pub cost_micros: Option<u64>,
    /// Tokens read.
    pub input_tokens: Option<u64>,
    /// Tokens written.
    pub output_tokens: Option<u64>,
}

impl Usage {
    /// Nothing was spent, and that is known.
    pub const NOTHING: Self = Self {
        cost_micros: Some(0),
        input_tokens: Some(0),
        output_tokens: Some(0),
    };

    /// What is known of it, in all.
    #[must_use]
    pub fn amount(&self) -> Amount {
        let tokens = self.input_tokens.unwrap_or(0);
        Amount {
            micros: self.cost_micros.unwrap_or(0),
            tokens: tokens.saturating_add(self.output_tokens.unwrap_or(0)),
        }
    }

    /// Whether money was spoken of.
    #[must_use]
    pub const fn says_cost(&self) -> bool {
        self.cost_micros.is_some()
    }

    /// Whether tokens were spoken of.
    #[must_use]
    pub const fn says_tokens(&self) -> bool {
        self.input_tokens.is_some() || self.output_tokens.is_some()
    }

    /// This and one more.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.saturating_add(other)),
            (one, other) => one.or(other),
        };
        Self {
            cost_micros: sum(self.cost_micros, other.cost_micros),
            input_tokens: sum(self.input_tokens, other.input_tokens),
            output_tokens: sum(self.output_tokens, other.output_tokens),
        }
    }

    /// As one report may say it.
    #[must_use]
    pub fn bounded(self) -> Self {
        let most = |said: Option<u64>, most: u64| said.map(|said| said.min(most));
        Self {
            cost_micros: most(self.cost_micros, MAX_REPORT_MICROS),
            input_tokens: most(self.input_tokens, MAX_REPORT_TOKENS),
            output_tokens: most(self.output_tokens, MAX_REPORT_TOKENS),
        }
    }
}

/// As JSON shows it.
impl Serialize for Usage {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown {
            cost_usd: Option<f64>,
            input_tokens: Option<u64>,
            output_tokens: Option<u64>,
        }
        let shown = Shown {
            cost_usd: self.cost_micros.map(super::dollars),
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
        };
        shown.serialize(to)
    }
}

/// What was sent, not yet checked. Whatever else is sent with it is ignored.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct UsageSaid {
    /// Dollars.
    pub cost_usd: Value,
    /// Tokens read.
    pub input_tokens: Value,
    /// Tokens written.
    pub output_tokens: Value,
}

/// Why a report counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadUsage {
    /// Not a word of what was spent.
    #[error("names none of cost_usd, input_tokens, output_tokens")]
    Empty,
    /// A figure that is none, is negative, or is larger than anybody spends.
    #[error("{field} is {value}, and must be a number from 0 to {most}")]
    NoFigure {
        /// Which.
        field: &'static str,
        /// What it is, cut.
        value: String,
        /// The most it may be.
        most: u64,
    },
}

impl UsageSaid {
    /// The figures.
    ///
    /// # Errors
    /// [`BadUsage`] if any is none: then none counts.
    pub fn checked(&self) -> Result<Usage, BadUsage> {
        let usage = Usage {
            cost_micros: cost(&self.cost_usd)?,
            input_tokens: tokens("input_tokens", &self.input_tokens)?,
            output_tokens: tokens("output_tokens", &self.output_tokens)?,
        };
        if usage == Usage::default() {
            return Err(BadUsage::Empty);
        }
        Ok(usage)
    }
}

fn cost(said: &Value) -> Result<Option<u64>, BadUsage> {
    if said.is_null() {
        return Ok(None);
    }
    let figure = said.as_f64().and_then(micros);
    let figure = figure.filter(|micros| *micros <= MAX_REPORT_MICROS);
    figure.map(Some).ok_or_else(|| {
        let most = MAX_REPORT_MICROS / super::MICROS_PER_USD;
        no_figure("cost_usd", said, most)
    })
}

fn tokens(field: &'static str, said: &Value) -> Result<Option<u64>, BadUsage> {
    if said.is_null() {
        return Ok(None);
    }
    let figure = said.as_u64().filter(|tokens| *tokens <= MAX_REPORT_TOKENS);
    figure
        .map(Some)
        .ok_or_else(|| no_figure(field, said, MAX_REPORT_TOKENS))
}

fn no_figure(field: &'static str, said: &Value, most: u64) -> BadUsage {
    BadUsage::NoFigure {
        field,
        value: said.to_string().chars().take(40).collect(),
        most,
    }
}
