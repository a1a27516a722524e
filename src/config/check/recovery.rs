//! Recovery actions: known checks, and all that their steps need.

use super::{Judge, hint};
use crate::config::Config;
use crate::domain::health::{AGENT_CHECK_PREFIX, DATABASE_CHECK, SYSTEM_CHECK};
use crate::domain::name::Name;
use crate::domain::recovery::{RecoveryActionSpec, RecoveryStep, agent_of};

pub(super) fn actions(config: &Config, judge: &mut Judge<'_>) {
    for action in &config.recovery().actions {
        let key = format!("recovery.actions.{}", action.name);
        check_exists(&format!("{key}.when"), &action.when, config, judge);
        if let Some(check) = action
            .verify
            .as_ref()
            .and_then(|verify| verify.check.as_ref())
        {
            check_exists(&format!("{key}.verify.check"), check, config, judge);
        }
        step(&key, action, config, judge);
    }
}

fn check_exists(key: &str, check: &str, config: &Config, judge: &mut Judge<'_>) {
    if check.is_empty() {
        return;
    }
    let every_agent = format!("{AGENT_CHECK_PREFIX}*");
    let of_agents = config
        .agents()
        .keys()
        .map(|name| format!("{AGENT_CHECK_PREFIX}{name}"));
    let mut known: Vec<String> = of_agents.collect();
    known.extend([SYSTEM_CHECK.to_owned(), DATABASE_CHECK.to_owned()]);
    known.push(every_agent);
    if !known.iter().any(|name| name == check) {
        let near = hint(check, known.iter().map(String::as_str));
        judge.refuse(key, format!("check '{check}' does not exist{near}; there are system, database, agent.NAME and agent.*"));
    }
}

fn step(key: &str, action: &RecoveryActionSpec, config: &Config, judge: &mut Judge<'_>) {
    let agents = config.agents();
    let target = format!("{key}.target");
    let calls_for_agent = agent_of(&action.when).is_some();
    match &action.step {
        RecoveryStep::AgentRestart(Some(name)) | RecoveryStep::AgentQuarantine(Some(name))
            if !agents.contains_key(name) =>
        {
            let near = hint(name.as_str(), agents.keys().map(Name::as_str));
            judge.refuse(&target, format!("agent '{name}' does not exist{near}"));
        }
        RecoveryStep::AgentRestart(None) | RecoveryStep::AgentQuarantine(None)
            if !calls_for_agent =>
        {
            judge.missing(
                &target,
                "missing: `when` names no agent, so name the one to act on",
            );
        }
        RecoveryStep::GroupRestart(name) if !config.groups().contains_key(name) => {
            let near = hint(name.as_str(), config.groups().keys().map(Name::as_str));
            judge.refuse(&target, format!("group '{name}' does not exist{near}"));
        }
        RecoveryStep::QueuePause(name) => {
            let known = queues(config);
            if !known.contains(&name.as_str()) {
                let near = hint(name.as_str(), known);
                judge.refuse(&target, format!("queue '{name}' does not exist{near}"));
            }
        }
        RecoveryStep::Exec(command) if command.first().is_none_or(String::is_empty) => {
            judge.missing(
                &format!("{key}.command"),
                "missing: the program that exec runs",
            );
        }
        RecoveryStep::Webhook(url)
            if !url.starts_with("http://") && !url.starts_with("https://") =>
        {
            judge.missing(
                &format!("{key}.url"),
                "missing: http://… or https://…, where webhook posts to",
            );
        }
        _ => {}
    }
    for (name, word) in [("command", "exec"), ("url", "webhook")] {
        let foreign = format!("{key}.{name}");
        if judge.has(&foreign) && action.step.as_str() != word {
            judge.refuse(&foreign, format!("belongs to do = \"{word}\""));
        }
    }
}

/// The queues that are configured, or that an agent takes from.
fn queues(config: &Config) -> Vec<&str> {
    let configured = config.queues().keys().map(Name::as_str);
    let taken_from = config.agents().values().map(|agent| agent.queue.as_str());
    let known = configured.chain(taken_from);
    known.collect()
}
