//! The keys of what an agent may spend.

use crate::config::kind::{Key, Kind, key};

/// A billion dollars.
const MONEY: Kind = Kind::Number {
    min: 0.000_001,
    max: 1e9,
};
const TOKENS: Kind = Kind::Integer {
    min: 1,
    max: 1_000_000_000_000_000,
};

pub(super) const SPEND: &[Key] = &[
    key(
        "cost_usd",
        MONEY,
        "The most that all its replicas spend in a window, in dollars.",
    ),
    key("tokens", TOKENS, "The same in tokens, read and written."),
    key(
        "per",
        Kind::Word(&["hour", "day", "month"]),
        "How long a window is: of the calendar, in UTC.",
    )
    .or("'day'"),
    key(
        "task_cost_usd",
        MONEY,
        "The most that one task spends, all its executions together; one that passes it fails.",
    ),
    key("task_tokens", TOKENS, "The same in tokens."),
    key(
        "reserve_cost_usd",
        MONEY,
        "What an open task holds of the window's ceiling until it says what it has spent.",
    ),
    key("reserve_tokens", TOKENS, "The same in tokens."),
    key(
        "warn_at",
        Kind::Number { min: 0.0, max: 1.0 },
        "The share of a ceiling from which its check warns.",
    )
    .or("0.8"),
    key(
        "on_exhausted",
        Kind::Word(&["hold", "cancel"]),
        "hold: running tasks finish. cancel: they are told to stop, and fail.",
    )
    .or("'hold'"),
];
