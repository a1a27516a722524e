//! The keys of an agent's probes, with their defaults.

use crate::config::kind::{COUNT, Key, Kind, SPAN, key};

pub(super) const PROBES: &[Key] = &[
    key(
        "startup",
        Kind::Section(STARTUP),
        "Ready within period × failure_threshold.",
    )
    .or("{}"),
    key("liveness", Kind::Section(LIVENESS), "Asked while it lives.").or("{}"),
    key(
        "readiness",
        Kind::Section(READINESS),
        "Asked before it is given work.",
    ),
];

const STARTUP: &[Key] = &[
    PROTOCOL,
    HTTP,
    TCP,
    EXEC,
    key("period", SPAN, "How often it is asked.").or("'1s'"),
    key("timeout", SPAN, "How long an answer may take.").or("'1s'"),
    key("failure_threshold", COUNT, "Failures in a row that count.").or("30"),
    key("success_threshold", COUNT, "Successes in a row that count.").or("1"),
];

const LIVENESS: &[Key] = &[
    PROTOCOL,
    HTTP,
    TCP,
    EXEC,
    key("period", SPAN, "How often it is asked.").or("'10s'"),
    key("timeout", SPAN, "How long an answer may take.").or("'3s'"),
    key("failure_threshold", COUNT, "Failures in a row that count.").or("3"),
    key("success_threshold", COUNT, "Successes in a row that count.").or("2"),
];

const READINESS: &[Key] = &[
    key("protocol", Kind::Flag, "Asked by the protocol."),
    HTTP,
    TCP,
    EXEC,
    key("period", SPAN, "How often it is asked.").or("'10s'"),
    key("timeout", SPAN, "How long an answer may take.").or("'3s'"),
    key("failure_threshold", COUNT, "Failures in a row that count.").or("3"),
    key("success_threshold", COUNT, "Successes in a row that count.").or("2"),
];

const PROTOCOL: Key = key("protocol", Kind::Flag, "Asked by the protocol.").or("true");

const HTTP: Key = key("http", Kind::SecretUrl, "Asked by GET of this URL.");

const TCP: Key = key("tcp", Kind::Text, "Asked by opening HOST:PORT.");

const EXEC: Key = key(
    "exec",
    Kind::List(&Kind::AnyText),
    "Asked by running this program.",
);
