//! The keys of queues, schedules and recovery actions, with their defaults.

use crate::config::kind::{AGE, COUNT, DAY, Key, Kind, SPAN, key};

pub(super) const QUEUE: &[Key] = &[
    key(
        "capacity",
        Kind::Integer {
            min: 1,
            max: 100_000_000,
        },
        "Tasks that wait in it at most.",
    )
    .or("10000"),
    key(
        "concurrency",
        COUNT,
        "Tasks of it that run at once at most; without it, what the agents take.",
    ),
    key(
        "rate_limit",
        Kind::Section(RATE),
        "How many of its tasks may start in any window of time.",
    ),
    key(
        "per_key",
        Kind::Section(PER_KEY),
        "The same limits for the tasks that share a concurrency_key.",
    ),
];

const PER_KEY: &[Key] = &[
    key(
        "concurrency",
        COUNT,
        "Tasks of one key that run at once at most.",
    ),
    key(
        "rate_limit",
        Kind::Section(RATE),
        "How many tasks of one key may start in any window of time.",
    ),
];

const RATE: &[Key] = &[
    key(
        "max",
        Kind::Integer {
            min: 1,
            max: 10_000,
        },
        "Starts in any window.",
    )
    .required(),
    key("period", SPAN, "The window.").required(),
];

pub(super) const SCHEDULE: &[Key] = &[
    key(
        "cron",
        Kind::Text,
        "Five fields: minute, hour, day, month, weekday; six with seconds first.",
    ),
    key(
        "every",
        Kind::Span {
            min: 1_000,
            max: 366 * DAY,
        },
        "A fixed interval instead, counted from 1970-01-01 UTC.",
    ),
    key("timezone", Kind::Text, "An IANA time zone.").or("'UTC'"),
    key("agent", Kind::Name, "The agent its tasks are for …"),
    key("role", Kind::Name, "… or the role …"),
    key("queue", Kind::Name, "… or the queue."),
    key("payload", Kind::Anything, "What its tasks carry."),
    key(
        "workflow",
        Kind::Text,
        "A definition's file, to run instead.",
    ),
    key("input", Kind::Anything, "The workflow's input."),
    key(
        "overlap",
        Kind::Word(&["skip", "queue", "allow", "replace"]),
        "What happens while the last one still runs.",
    )
    .or("'skip'"),
    key(
        "catch_up",
        Kind::Word(&["none", "last", "all"]),
        "Which firings missed while the daemon was down are made up for.",
    )
    .or("'last'"),
    key(
        "catch_up_max",
        Kind::Integer { min: 1, max: 100 },
        "How many `all` makes up for, the newest.",
    )
    .or("10"),
    key(
        "jitter",
        SPAN,
        "Fires later than due by a part of this, the same each time.",
    ),
];

pub(super) const RECOVERY: &[Key] = &[
    key("max", COUNT, "Runs over all actions inside any window."),
    key("within", SPAN, "The window."),
    key(
        "actions",
        Kind::Named(&Kind::Section(ACTION), true),
        "The actions.",
    ),
];

pub(super) const ACTION: &[Key] = &[
    key(
        "when",
        Kind::Text,
        "The check whose turn to critical calls for it: agent.NAME, agent.*, database or system.",
    )
    .required(),
    key(
        "do",
        Kind::Word(&[
            "agent.restart",
            "agent.quarantine",
            "group.restart",
            "database.reconnect",
            "queue.pause",
            "exec",
            "webhook",
            "exit",
        ]),
        "What is done.",
    )
    .required(),
    key(
        "target",
        Kind::Name,
        "The agent, group or queue; without it, the agent that `when` names, or its group or queue.",
    ),
    key(
        "command",
        Kind::List(&Kind::AnyText),
        "The program that `exec` runs.",
    ),
    key("url", Kind::SecretUrl, "Where `webhook` posts to."),
    key(
        "cooldown",
        AGE,
        "The shortest time from one run to the next.",
    )
    .or("'60s'"),
    key("max_per_hour", COUNT, "Runs inside any hour.").or("3"),
    key("retries", Kind::Section(RETRIES), "Tries of one run.").or("{}"),
    key("verify", Kind::Section(VERIFY), "How success is told.").or("{}"),
    key(
        "mode",
        Kind::Word(&["observe", "enforce"]),
        "observe: only recorded. enforce: done.",
    )
    .or("'enforce'"),
];

const RETRIES: &[Key] = &[
    key("attempts", Kind::Integer { min: 1, max: 100 }, "Tries.").or("3"),
    key("min_backoff", SPAN, "Delay before the second try; doubles.").or("'1s'"),
];

const VERIFY: &[Key] = &[
    key(
        "check",
        Kind::Text,
        "The check that must not be critical any more; without it, the one that called.",
    ),
    key("within", SPAN, "How long it is waited for.").or("'30s'"),
];
