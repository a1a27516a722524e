//! Queues and recovery actions.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::View;
use crate::config::check::constant_name;
use crate::domain::agent::AgentSpec;
use crate::domain::name::Name;
use crate::domain::queue::{Limits, QueueSpec, RateLimit};
use crate::domain::recovery::{
    RecoveryActionSpec, RecoveryMode, RecoverySpec, RecoveryStep, RecoveryVerify, agent_of,
};

/// The queue that is always there.
pub(super) fn default_queue() -> Name {
    constant_name("default")
}

/// The queues; one that an agent takes from without declaring it has the defaults.
pub(super) fn queues(
    root: &View<'_>,
    agents: &IndexMap<Name, AgentSpec>,
) -> BTreeMap<Name, QueueSpec> {
    let declared = root.named("queues").filter_map(|(name, view)| {
        let name: Name = name.parse().ok()?;
        Some((name.clone(), queue(name, &view)))
    });
    let mut queues: BTreeMap<_, _> = declared.collect();
    let defaults = queues.get("default").cloned();
    for name in agents.values().map(|agent| &agent.queue) {
        if let (false, Some(defaults)) = (queues.contains_key(name), &defaults) {
            let queue = QueueSpec {
                capacity: defaults.capacity,
                ..QueueSpec::plain(name.clone())
            };
            queues.insert(name.clone(), queue);
        }
    }
    queues
}

fn queue(name: Name, view: &View<'_>) -> QueueSpec {
    QueueSpec {
        name,
        capacity: view.count("capacity"),
        limits: limits(view),
        per_key: limits(&view.below("per_key")),
    }
}

fn limits(view: &View<'_>) -> Limits {
    let rate = view.below("rate_limit");
    Limits {
        concurrency: view.integer("concurrency"),
        rate: view.has("rate_limit").then(|| RateLimit {
            max: rate.count("max"),
            period: rate.span("period"),
        }),
    }
}

/// The actions: those for one check before those for every agent's, since the first that answers acts.
pub(super) fn recovery(view: &View<'_>, agents: &IndexMap<Name, AgentSpec>) -> RecoverySpec {
    let actions = view.named("actions");
    let mut actions: Vec<_> = actions
        .map(|(name, view)| action(name, &view, agents))
        .collect();
    actions.sort_by_key(|action| action.own_check().is_none());
    RecoverySpec {
        max: view.count("max"),
        within: view.span("within"),
        actions,
    }
}

fn action(name: &str, view: &View<'_>, agents: &IndexMap<Name, AgentSpec>) -> RecoveryActionSpec {
    RecoveryActionSpec {
        name: name.to_owned(),
        when: view.word("when").to_owned(),
        step: step(view, agents),
        cooldown: view.span("cooldown"),
        max_per_hour: view.count("max_per_hour"),
        attempts: view.count("retries.attempts"),
        min_backoff: view.span("retries.min_backoff"),
        verify: view.has("verify").then(|| RecoveryVerify {
            check: view.text("verify.check").map(str::to_owned),
            within: view.span("verify.within"),
        }),
        mode: match view.word("mode") {
            "observe" => RecoveryMode::Observe,
            _ => RecoveryMode::Enforce,
        },
    }
}

fn step(view: &View<'_>, agents: &IndexMap<Name, AgentSpec>) -> RecoveryStep {
    let target = view.name("target");
    let caller = agent_of(view.word("when")).and_then(|name| agents.get(name));
    match view.word("do") {
        "agent.restart" => RecoveryStep::AgentRestart(target),
        "agent.quarantine" => RecoveryStep::AgentQuarantine(target),
        "group.restart" => RecoveryStep::GroupRestart(
            target
                .or_else(|| caller.and_then(|agent| agent.group.clone()))
                .unwrap_or_else(crate::config::check::root_name),
        ),
        "queue.pause" => RecoveryStep::QueuePause(
            target
                .or_else(|| caller.map(|agent| agent.queue.clone()))
                .unwrap_or_else(default_queue),
        ),
        "exec" => RecoveryStep::Exec(view.texts("command")),
        "webhook" => RecoveryStep::Webhook(view.word("url").to_owned()),
        "exit" => RecoveryStep::Exit,
        _ => RecoveryStep::DatabaseReconnect,
    }
}
