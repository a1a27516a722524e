//! Every key there is, by section: kind, default, and what it is for.
//!
//! A key that is not in these tables does not exist. Defaults of the fixed sections stand in
//! `config/default.toml`, where users read them; those of agents, groups, queues and actions here.

mod agents;
mod sections;
mod work;

use super::kind::{Kind, key};

/// The keys of the top level.
pub(super) static ROOT: Kind = Kind::Section(&[
    key(
        "database",
        Kind::Section(sections::DATABASE),
        "Where everything is kept.",
    ),
    key(
        "server",
        Kind::Section(sections::SERVER),
        "The HTTP API and the life of the daemon.",
    ),
    key(
        "logging",
        Kind::Section(sections::LOGGING),
        "What is written to the log, and how.",
    ),
    key(
        "cache",
        Kind::Section(sections::CACHE),
        "What is kept in memory to spare the database.",
    ),
    key(
        "security",
        Kind::Section(sections::SECURITY),
        "Who may do what.",
    ),
    key(
        "monitoring",
        Kind::Section(sections::MONITORING),
        "Metrics, health checks, tracing.",
    ),
    key(
        "supervisor",
        Kind::Section(sections::SUPERVISOR),
        "Agents in no group, and the threads that actors run on.",
    ),
    key(
        "groups",
        Kind::Named(&Kind::Section(agents::GROUP), false),
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
