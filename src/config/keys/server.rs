//! The keys of `[server]`, `[logging]` and `[security]`. Their defaults stand in `config/default.toml`.

use crate::config::kind::{AGE, COUNT, DAY, Key, Kind, PORT, SPAN, key};

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
