//! The keys of groups, with their defaults; `[supervisor]` shares some.

use crate::config::kind::{AGE, COUNT, Key, Kind, SPAN, key};

pub(super) const GROUP: &[Key] = &[
    key(
        "parent",
        Kind::Name,
        "The group above; the root without it.",
    ),
    key(
        "strategy",
        Kind::Word(&["one_for_one", "one_for_all", "rest_for_one"]),
        "Who shares a restart.",
    )
    .or("'one_for_one'"),
    key(
        "intensity",
        INTENSITY,
        "Deaths that are not yet too many, or \"unlimited\".",
    )
    .or("{ max = 5, within = '60s' }"),
    key(
        "on_exhausted",
        ON_EXHAUSTED,
        "What follows when they are too many.",
    )
    .or("'quarantine'"),
    key(
        "loop",
        Kind::Section(LOOP),
        "Slow crash loops: deaths of one signature.",
    )
    .or("{}"),
    key(
        "quarantine",
        Kind::Section(QUARANTINE),
        "How long it rests.",
    )
    .or("{}"),
];

pub(super) const INTENSITY: Kind = Kind::Either(&["unlimited"], INTENSITY_KEYS);

const INTENSITY_KEYS: &[Key] = &[
    key(
        "max",
        COUNT,
        "Deaths allowed inside any window; the next one gives up.",
    )
    .or("5"),
    key("within", SPAN, "The window.").or("'60s'"),
];

pub(super) const ON_EXHAUSTED: Kind = Kind::Word(&["quarantine", "stop_group", "escalate", "exit"]);

pub(super) const LOOP: &[Key] = &[
    key("deaths", COUNT, "So many deaths of one signature give up.").or("10"),
    key("max_gap", AGE, "Each within this time of the last.").or("'300s'"),
];

pub(super) const QUARANTINE: &[Key] = &[
    key("min", AGE, "The first rest; doubles from one to the next.").or("'5m'"),
    key("max", AGE, "The longest rest.").or("'1h'"),
];
