//! Every key there is, by section: kind, default, and what it is for.
//!
//! A key that is not in these tables does not exist. Defaults of the fixed sections stand in
//! `config/default.toml`, where users read them; those of agents, groups, queues and actions here.

mod agents;
mod groups;
mod monitoring;
mod probes;
mod server;
mod spend;
mod storage;
mod work;

use super::kind::{Kind, key};

/// The keys of the top level.
pub(super) static ROOT: Kind = Kind::Section(&[
    key(
        "database",
        Kind::Section(storage::DATABASE),
        "Where everything is kept.",
    ),
    key(
        "server",
        Kind::Section(server::SERVER),
        "The HTTP API and the life of the daemon.",
    ),
    key(
        "logging",
        Kind::Section(server::LOGGING),
        "What is written to the log, and how.",
    ),
    key(
        "cache",
        Kind::Section(storage::CACHE),
        "What is kept in memory to spare the database.",
    ),
    key(
        "security",
        Kind::Section(server::SECURITY),
        "Who may do what.",
    ),
    key(
        "monitoring",
        Kind::Section(monitoring::MONITORING),
        "Metrics, health checks, tracing.",
    ),
    key(
        "supervisor",
        Kind::Section(monitoring::SUPERVISOR),
        "Agents in no group, and the threads that actors run on.",
    ),
    key(
        "groups",
        Kind::Named(&Kind::Section(groups::GROUP), false),
        "Groups of agents that share a restart strategy.",
    ),
    key(
        "agents",
        Kind::Named(&Kind::Section(agents::AGENT), false),
        "The agents.",
    ),
    key(
        "queues",
        Kind::Named(&Kind::Section(work::QUEUE), false),
        "Queues that tasks wait in.",
    ),
    key(
        "schedules",
        Kind::Named(&Kind::Section(work::SCHEDULE), false),
        "Tasks that recur.",
    ),
    key(
        "recovery",
        Kind::Section(work::RECOVERY),
        "What is done when a check turns critical.",
    ),
]);

/// The keys of an agent, each with the one kind that has it (empty: every kind).
pub(super) fn agent_keys() -> impl Iterator<Item = (&'static str, &'static str)> {
    agents::AGENT.iter().map(|key| (key.name, key.only))
}

/// The tables that stand under names, with their keys.
#[cfg(test)]
pub(super) fn by_name() -> [(&'static str, &'static [super::kind::Key]); 5] {
    [
        ("groups", groups::GROUP),
        ("agents", agents::AGENT),
        ("queues", work::QUEUE),
        ("schedules", work::SCHEDULE),
        ("recovery.actions", work::ACTION),
    ]
}
