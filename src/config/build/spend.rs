//! What an agent may spend.

use super::View;
use crate::domain::spend::{Amount, Ceiling, OnSpent, Per, SpendSpec, micros};

/// `agents.NAME.spend`, if there is one.
pub(super) fn spend(agent: &View<'_>) -> Option<SpendSpec> {
    agent.has("spend").then(|| {
        let view = agent.below("spend");
        SpendSpec {
            ceiling: ceiling(&view, "cost_usd", "tokens"),
            per: match view.word("per") {
                "hour" => Per::Hour,
                "month" => Per::Month,
                _ => Per::Day,
            },
            task_ceiling: ceiling(&view, "task_cost_usd", "task_tokens"),
            reserve: Amount {
                micros: money(&view, "reserve_cost_usd").unwrap_or(0),
                tokens: view.integer("reserve_tokens").unwrap_or(0),
            },
            warn_at: view.number("warn_at"),
            on_exhausted: match view.word("on_exhausted") {
                "cancel" => OnSpent::Cancel,
                _ => OnSpent::Hold,
            },
        }
    })
}

fn ceiling(view: &View<'_>, cost: &str, tokens: &str) -> Ceiling {
    Ceiling {
        micros: money(view, cost),
        tokens: view.integer(tokens),
    }
}

fn money(view: &View<'_>, key: &str) -> Option<u64> {
    view.has(key).then(|| view.number(key)).and_then(micros)
}
