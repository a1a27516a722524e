//! The keys of agents, with their defaults.

use crate::config::kind::{AGE, EXIT_CODE, Key, Kind, SPAN, key};

use super::probes::PROBES;
use super::spend::SPEND;

pub(super) const AGENT: &[Key] = &[
    key(
        "kind",
        Kind::Word(&["actor", "process", "http"]),
        "actor: Rust code in the daemon. process: a child process. http: a remote service.",
    )
    .required(),
    key(
        "actor",
        Kind::Text,
        "The registered name of the Rust code (kind actor).",
    )
    .only("actor"),
    key(
        "command",
        Kind::List(&Kind::AnyText),
        "Program and arguments (kind process); agent-system as the first word is this very binary.",
    )
    .only("process"),
    key(
        "url",
        Kind::SecretUrl,
        "Where tasks are posted to (kind http).",
    )
    .only("http"),
    key(
        "headers",
        Kind::Section(HEADERS),
        "Headers of every request (kind http).",
    )
    .or("{}")
    .only("http"),
    key(
        "directory",
        Kind::Text,
        "The process's working directory; the daemon's without it.",
    )
    .only("process"),
    key(
        "protocol",
        Kind::Word(&["stdio", "none", "exec"]),
        "stdio: JSON lines. none: only kept alive. exec: one process a task.",
    )
    .or("'stdio'")
    .only("process"),
    key(
        "settings",
        Kind::Map(&Kind::AnyText, &Kind::Anything),
        "Passed to each life as it is.",
    )
    .or("{}"),
    key(
        "role",
        Kind::Name,
        "The role by which tasks may address it; its name is always one.",
    ),
    key("group", Kind::Name, "The group it stands in."),
    key(
        "replicas",
        Kind::Integer { min: 0, max: 1_000 },
        "Lives that run side by side.",
    )
    .or("1"),
    key(
        "critical",
        Kind::Flag,
        "Whether the daemon is not ready without it, and exits with 70 when it has failed.",
    )
    .or("false"),
    key(
        "restart",
        Kind::Section(RESTART),
        "When and how it is restarted.",
    )
    .or("{}"),
    key(
        "success_exit_codes",
        Kind::List(&EXIT_CODE),
        "Exit codes that are a success.",
    )
    .or("[0]")
    .only("process"),
    key(
        "fatal_exit_codes",
        Kind::List(&EXIT_CODE),
        "Exit codes after which it is never restarted.",
    )
    .or("[78]")
    .only("process"),
    key(
        "depends_on",
        Kind::Map(
            &Kind::Name,
            &Kind::Word(&["started", "healthy", "completed"]),
        ),
        "Agents that must stand first, and how far.",
    )
    .or("{}"),
    key(
        "probes",
        Kind::Section(PROBES),
        "How it is asked for signs of life.",
    )
    .or("{}"),
    key(
        "stall_timeout",
        AGE,
        "Silence with a task open after which it counts as stalled.",
    )
    .or("'120s'"),
    key(
        "on_stall",
        Kind::Word(&["report", "restart"]),
        "Whether a stalled life is only reported, or restarted.",
    )
    .or("'report'"),
    key("stop", Kind::Section(STOP), "How it is ended.").or("{}"),
    key(
        "concurrency",
        Kind::Integer {
            min: 1,
            max: 10_000,
        },
        "Open tasks a life takes at once, unless it says otherwise.",
    )
    .or("1"),
    key(
        "queue",
        Kind::Name,
        "The queue it takes tasks from beside its own.",
    )
    .or("'default'"),
    key(
        "env",
        Kind::Section(ENV),
        "What a process sees of the environment beside PATH, HOME, LANG, TZ and TMPDIR.",
    )
    .or("{}")
    .only("process"),
    key(
        "limits",
        Kind::Section(LIMITS),
        "Resource limits of a process.",
    )
    .or("{}")
    .only("process"),
    key(
        "log",
        Kind::Section(LOG),
        "A file for its log lines; without it: the daemon's own log.",
    )
    .only("process"),
    key(
        "labels",
        Kind::Map(&Kind::Text, &Kind::AnyText),
        "Free words for filtering.",
    )
    .or("{}"),
    key(
        "spend",
        Kind::Section(SPEND),
        "What it may spend; without it nobody counts.",
    ),
];

const RESTART: &[Key] = &[
    key(
        "type",
        Kind::Word(&["permanent", "transient", "temporary"]),
        "permanent: always. transient: after an abnormal end. temporary: never.",
    )
    .or("'permanent'"),
    key(
        "min_backoff",
        SPAN,
        "Delay before the second restart in a row; the first is immediate.",
    )
    .or("'1s'"),
    key("max_backoff", SPAN, "The longest delay.").or("'60s'"),
    key(
        "factor",
        Kind::Number {
            min: 1.0,
            max: 100.0,
        },
        "Growth from one delay to the next.",
    )
    .or("2.0"),
    key(
        "jitter",
        Kind::Word(&["full", "none"]),
        "full: a delay is drawn evenly from zero to its length.",
    )
    .or("'full'"),
    key(
        "stable_after",
        AGE,
        "A life this long starts the count anew.",
    )
    .or("'60s'"),
];

const STOP: &[Key] = &[
    key(
        "drain_timeout",
        Kind::Span {
            min: 0,
            max: 86_400_000,
        },
        "For finishing open tasks.",
    )
    .or("'12s'"),
    key("signal", Kind::Word(SIGNALS), "Sent after the drain.").or("'TERM'"),
    key("timeout", SPAN, "From the signal to the kill.").or("'8s'"),
];

/// The signals a process can be asked to end with.
const SIGNALS: &[&str] = &["TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "KILL"];

const ENV: &[Key] = &[
    key(
        "pass",
        Kind::List(&Kind::Variable),
        "Variables handed through, where set.",
    )
    .or("[]"),
    key(
        "set",
        Kind::Map(&Kind::Variable, &Kind::AnyText),
        "Variables set here.",
    )
    .or("{}"),
    key(
        "secrets",
        Kind::Map(&Kind::Variable, &Kind::Section(SECRET)),
        "Variables read from files at each start.",
    )
    .or("{}"),
];

const HEADERS: &[Key] = &[
    key(
        "set",
        Kind::Map(&Kind::Text, &Kind::AnyText),
        "Headers set here.",
    )
    .or("{}"),
    key(
        "secrets",
        Kind::Map(&Kind::Text, &Kind::Section(SECRET)),
        "Headers whose values are read from files at each start.",
    )
    .or("{}"),
];

const SECRET: &[Key] = &[key("file", Kind::Text, "The file.").required()];

const LIMITS: &[Key] = &[
    key(
        "memory",
        Kind::Size {
            min: 1 << 20,
            max: 1 << 50,
        },
        "Address space.",
    ),
    key(
        "open_files",
        Kind::Integer {
            min: 8,
            max: 1_000_000_000,
        },
        "Open files.",
    ),
    key(
        "processes",
        Kind::Integer {
            min: 1,
            max: 1_000_000_000,
        },
        "Processes of its user.",
    ),
];

const LOG: &[Key] = &[
    key(
        "file",
        Kind::Text,
        "Its name below the data directory's logs.",
    )
    .required(),
    key(
        "max_size",
        Kind::Size {
            min: 4_096,
            max: 1 << 40,
        },
        "Rotated at this size.",
    )
    .or("'10MiB'"),
    key(
        "max_age",
        AGE,
        "Rotated files are removed when they are older.",
    )
    .or("'7d'"),
    key(
        "keep",
        Kind::Integer { min: 0, max: 1_000 },
        "Rotated files kept.",
    )
    .or("10"),
];
