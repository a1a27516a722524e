//! The keys of `[database]` and `[cache]`. Their defaults stand in `config/default.toml`.

use crate::config::kind::{AGE, Key, Kind, SPAN, key};

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
        "How long connecting to a server database may take.",
    ),
    key(
        "statement_timeout",
        SPAN,
        "How long one statement of a server database, or one read of the embedded one, may take.",
    ),
    key(
        "synchronous",
        Kind::Word(&["full", "normal"]),
        "full: an acknowledged write survives power loss. normal: it survives the death of the process.",
    ),
    key(
        "retry",
        Kind::Section(DATABASE_RETRY),
        "Connecting to a server database anew after it was lost.",
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
