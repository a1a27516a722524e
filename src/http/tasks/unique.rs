//! `unique` of a submission: one task by key over a period.

use std::time::Duration;

use serde::Deserialize;

use crate::domain::queue::Unique;
use crate::domain::task::TaskState;

/// The longest period: succeeded tasks are not kept longer.
const MAX_PERIOD: Duration = Duration::from_secs(24 * 3600);

/// `{"key": …, "period_ms"?: …, "states"?: […]}`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UniqueRequest {
    key: String,
    period_ms: Option<u64>,
    states: Option<Vec<TaskState>>,
}

impl UniqueRequest {
    /// What is wrong with it: the field and what is allowed.
    pub(super) fn fault(&self, max_key_bytes: usize) -> Option<(&'static str, String)> {
        let period = self.period_ms.map(Duration::from_millis);
        let most = MAX_PERIOD.as_millis();
        if !(1..=max_key_bytes).contains(&self.key.len()) {
            Some((
                "unique/key",
                format!("must hold 1 to {max_key_bytes} bytes"),
            ))
        } else if period.is_some_and(|span| span.is_zero() || span > MAX_PERIOD) {
            Some(("unique/period_ms", format!("must be 1 to {most}")))
        } else if self.states.as_ref().is_some_and(Vec::is_empty) {
            Some(("unique/states", "must name a state".to_owned()))
        } else {
            None
        }
    }

    /// What it asks for.
    pub(super) fn checked(self) -> Unique {
        Unique {
            key: self.key,
            period: self.period_ms.map(Duration::from_millis),
            states: self.states.unwrap_or_else(|| Unique::STATES.to_vec()),
        }
    }
}
