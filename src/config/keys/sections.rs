//! The keys of the fixed sections. Their defaults stand in `config/default.toml`.

use crate::config::kind::{AGE, COUNT, DAY, Key, Kind, PERCENT, PORT, SPAN, key};

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

pub(super) const SERVER: &[Key] = &[
    key("host", Kind::Address, "The address the API listens on."),
    key(
        "port",
        PORT,
        "Its port; 0 takes any free one, shown in the log and by /version.",
    ),
    key(
        "workers",
        Kind::Integer { min: 0, max: 1_024 },
        "Worker threads; 0 takes one a processor.",
    ),
    key("request_timeout", SPAN, "How long one request may take."),
    key("wait_limit", SPAN, "The longest ?wait= of a request."),
    key(
        "body_limit",
        Kind::Size {
            min: 1_024,
            max: 1 << 30,
        },
        "The largest body of a request; artifacts have none.",
    ),
    key("max_connections", COUNT, "Connections open at once."),
    key(
        "shutdown_grace",
        Kind::Span {
            min: 1_000,
            max: DAY,
        },
        "From the first signal to the end of the daemon: 12 parts drain, 8 parts TERM, 5 parts close.",
    ),
    key(
        "debug",
        Kind::Flag,
        "Whether answers to failed requests name the inner cause.",
    ),
];

pub(super) const LOGGING: &[Key] = &[
    key(
        "level",
        Kind::Level,
        "The least severe level written: TRACE, DEBUG, INFO, WARNING or ERROR.",
    ),
    key(
        "format",
        Kind::Word(&["pretty", "json"]),
        "pretty: for people. json: one object a line.",
    ),
    key(
        "file",
        Kind::Text,
        "A file written to beside stderr; relative paths start at the data directory.",
    ),
    key(
        "rotation",
        Kind::Section(ROTATION),
        "When that file is put aside.",
    ),
];

const ROTATION: &[Key] = &[
    key(
        "size",
        Kind::Size {
            min: 4_096,
            max: 1 << 40,
        },
        "At this size.",
    ),
    key(
        "age",
        AGE,
        "Files put aside are removed when they are older.",
    ),
    key("keep", Kind::Integer { min: 0, max: 1_000 }, "Files kept."),
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

pub(super) const SECURITY: &[Key] = &[
    key(
        "auth",
        Kind::Word(&["off", "off_on_loopback", "required"]),
        "Who must show credentials to the API.",
    ),
    key("jwt", Kind::Section(JWT), "Signed tokens."),
    key(
        "api_keys",
        Kind::Section(&[key("enabled", Kind::Flag, "Whether keys are accepted.")]),
        "Keys made with `agent-system keys create`.",
    ),
    key(
        "cors",
        Kind::Section(CORS),
        "Which web pages may call the API.",
    ),
    key(
        "rate_limit",
        Kind::Section(RATE_LIMIT),
        "Requests that one caller may make.",
    ),
    key(
        "encryption",
        Kind::Section(ENCRYPTION),
        "Payloads and results encrypted in the database.",
    ),
];

const JWT: &[Key] = &[
    key("enabled", Kind::Flag, "Whether tokens are accepted."),
    key(
        "secret",
        Kind::Secret,
        "What tokens are signed with; 32 bytes or more.",
    ),
    key("issuer", Kind::Text, "Who issues them."),
    key("audience", Kind::Text, "Whom they are for."),
    key("ttl", AGE, "How long one is good."),
];

const CORS: &[Key] = &[key(
    "origins",
    Kind::List(&Kind::Text),
    "Origins allowed, such as https://ops.example; none: no other page.",
)];

const RATE_LIMIT: &[Key] = &[
    key("enabled", Kind::Flag, "Whether requests are counted."),
    key("requests", COUNT, "Requests inside any window."),
    key("within", SPAN, "The window."),
];

const ENCRYPTION: &[Key] = &[
    key("enabled", Kind::Flag, "Whether new values are encrypted."),
    key("key", Kind::Secret, "32 bytes in base64."),
];

pub(super) const MONITORING: &[Key] = &[
    key(
        "metrics_host",
        Kind::Address,
        "The address /metrics listens on.",
    ),
    key("metrics_port", PORT, "Its port; 0 takes any free one."),
    key(
        "health_interval",
        Kind::Span { min: 100, max: DAY },
        "How often every check runs.",
    ),
    key("health_timeout", SPAN, "How long one check may take."),
    key(
        "sample_interval",
        Kind::Span { min: 100, max: DAY },
        "How often host figures are sampled.",
    ),
    key(
        "sustained",
        Kind::Integer { min: 1, max: 100 },
        "Samples in a row that must exceed a limit.",
    ),
    key(
        "thresholds",
        Kind::Section(THRESHOLDS),
        "Above which figure a check warns, and above which it is critical.",
    ),
    key(
        "tracing",
        Kind::Section(TRACING),
        "Traces sent to a collector.",
    ),
];

const THRESHOLDS: &[Key] = &[
    key(
        "cpu",
        Kind::Section(PERCENTS),
        "Processors in use, percent.",
    ),
    key(
        "memory",
        Kind::Section(PERCENTS),
        "Memory in use, percent of the container's limit or the host's.",
    ),
    key(
        "disk",
        Kind::Section(PERCENTS),
        "The data directory's disk in use, percent.",
    ),
    key(
        "pool",
        Kind::Section(PERCENTS),
        "Database connections in use, percent.",
    ),
    key(
        "queue",
        Kind::Section(PERCENTS),
        "Tasks waiting for one agent, percent of its queue's capacity.",
    ),
    key(
        "errors",
        Kind::Section(COUNTS),
        "Errors of one agent from one round to the next.",
    ),
];

const PERCENTS: &[Key] = &[
    key("warning", PERCENT, "Above this: warning."),
    key("critical", PERCENT, "Above this: critical."),
];

const COUNTS: &[Key] = &[
    key(
        "warning",
        Kind::Number { min: 0.0, max: 1e9 },
        "Above this: warning.",
    ),
    key(
        "critical",
        Kind::Number { min: 0.0, max: 1e9 },
        "Above this: critical.",
    ),
];

const TRACING: &[Key] = &[
    key("enabled", Kind::Flag, "Whether traces are sent."),
    key(
        "endpoint",
        Kind::Text,
        "http://HOST:4317 of an OTLP collector.",
    ),
    key(
        "sample_ratio",
        Kind::Number { min: 0.0, max: 1.0 },
        "Share of traces sent.",
    ),
];

pub(super) const SUPERVISOR: &[Key] = &[
    key(
        "intensity",
        super::agents::INTENSITY,
        "Deaths of one replica that are not yet too many, for agents in no group.",
    ),
    key(
        "on_exhausted",
        super::agents::ON_EXHAUSTED,
        "What follows when they are too many.",
    ),
    key(
        "loop",
        Kind::Section(super::agents::LOOP),
        "Slow crash loops: deaths of one signature.",
    ),
    key(
        "quarantine",
        Kind::Section(super::agents::QUARANTINE),
        "How long a quarantined agent rests.",
    ),
    key(
        "arbiters",
        Kind::Integer { min: 0, max: 1_024 },
        "Threads that actors run on; 0 takes one a processor.",
    ),
    key(
        "mailbox",
        COUNT,
        "Messages that wait for one actor at most.",
    ),
    key(
        "log_lines",
        Kind::Integer {
            min: 1,
            max: 100_000,
        },
        "Log lines of one agent kept in memory.",
    ),
    key(
        "watchdog_interval",
        Kind::Span {
            min: 10,
            max: 60_000,
        },
        "How often the watchdog looks at each arbiter.",
    ),
    key(
        "stuck_after",
        Kind::Span { min: 100, max: DAY },
        "An arbiter blocked for so long is written off and its actors are restarted elsewhere.",
    ),
];
