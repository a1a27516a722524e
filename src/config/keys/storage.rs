//! The keys of `[database]` and `[cache]`. Their defaults stand in `config/default.toml`.

use crate::config::kind::{AGE, COUNT, Key, Kind, SPAN, key};

pub(super) const DATABASE: &[Key] = &[
    key(
        "url",
        Kind::SecretUrl,
        "sqlite://PATH (sqlite:///abs/path is absolute) or postgres://USER@HOST/NAME. Without it: agent-system.db in the data directory.",
    ),
    key(
        "pool_size",
        Kind::Integer { min: 1, max: 256 },
        "Connections of a server database.",
    ),
    key(
        "readers",
        Kind::Integer { min: 1, max: 64 },
        "Connections that read beside the one writer of the embedded database.",
    ),
    key(
        "connect_timeout",
        SPAN,
        "How long opening the database may take.",
    ),
    key(
        "statement_timeout",
        SPAN,
        "How long one statement may take.",
    ),
    key(
        "busy_timeout",
        SPAN,
        "How long a lock held by another process is waited for.",
    ),
    key(
        "synchronous",
        Kind::Word(&["full", "normal"]),
        "full: an acknowledged write survives power loss. normal: it survives the death of the process.",
    ),
    key(
        "retry",
        Kind::Section(DATABASE_RETRY),
        "Opening the database anew after it was lost.",
    ),
    key(
        "session_lease",
        SPAN,
        "How long the tasks held by a daemon stay its own without a sign of it.",
    ),
    key("session_renewal", SPAN, "How often the lease is renewed."),
    key(
        "rescue_interval",
        SPAN,
        "How often what a lost daemon held is taken back.",
    ),
    key(
        "retention",
        Kind::Section(RETENTION),
        "How long finished things are kept.",
    ),
];

const DATABASE_RETRY: &[Key] = &[
    key(
        "attempts",
        Kind::Integer { min: 1, max: 100 },
        "Tries before the database counts as lost.",
    ),
    key("backoff", SPAN, "Delay before the second try; doubles."),
    key("max_backoff", SPAN, "The longest delay."),
];

const RETENTION: &[Key] = &[
    key(
        "succeeded",
        AGE,
        "Tasks and workflows that succeeded or were cancelled.",
    ),
    key(
        "failed",
        AGE,
        "Tasks and workflows that failed or timed out.",
    ),
    key("dead", AGE, "Dead letters."),
    key("health", AGE, "Health records."),
    key("metrics", AGE, "Metrics as sampled."),
    key("metric_means", AGE, "One-minute means of metrics."),
    key("events", AGE, "Journal rows."),
    key(
        "events_min",
        Kind::Integer {
            min: 0,
            max: 1_000_000_000,
        },
        "Journal rows that stay whatever their age.",
    ),
    key("messages", AGE, "Messages between agents."),
    key("crashes", AGE, "Crash records."),
    key("crashes_per_agent", COUNT, "Crash records of one agent."),
    key("idempotency_keys", AGE, "Idempotency keys of requests."),
    key("audit", AGE, "Audit records."),
];

pub(super) const CACHE: &[Key] = &[
    key(
        "backend",
        Kind::Word(&["memory", "redis"]),
        "memory: in the daemon. redis: on a server.",
    ),
    key("url", Kind::SecretUrl, "redis://HOST:6379/0 of the server."),
    key("ttl", AGE, "How long an entry lives."),
    key(
        "capacity",
        Kind::Integer {
            min: 1,
            max: 100_000_000,
        },
        "Entries at most.",
    ),
    key(
        "policy",
        Kind::Word(&["lru", "lfu", "fifo"]),
        "Which entry goes when it is full.",
    ),
];
