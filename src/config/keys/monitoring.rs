//! The keys of `[monitoring]` and `[supervisor]`. Their defaults stand in `config/default.toml`.

use crate::config::kind::{DAY, Key, Kind, PERCENT, PORT, SPAN, key};

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
        "database",
        Kind::Section(COUNTS),
        "The embedded database's file, GiB.",
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
        super::groups::INTENSITY,
        "Deaths of one replica that are not yet too many, for agents in no group.",
    ),
    key(
        "on_exhausted",
        super::groups::ON_EXHAUSTED,
        "What follows when they are too many.",
    ),
    key(
        "loop",
        Kind::Section(super::groups::LOOP),
        "Slow crash loops: deaths of one signature.",
    ),
    key(
        "quarantine",
        Kind::Section(super::groups::QUARANTINE),
        "How long a quarantined agent rests.",
    ),
    key(
        "arbiters",
        Kind::Integer { min: 0, max: 1_024 },
        "Threads that actors run on; 0 takes one a processor.",
    ),
    key(
        "critical_grace",
        SPAN,
        "How long a critical agent may be lost before the daemon ends with exit code 70.",
    ),
];
