//! Agents and groups: who stands where, who waits for whom, what belongs to which kind.

use indexmap::IndexMap;

use super::{Judge, graph, hint, root_name};
use crate::config::Config;
use crate::config::keys::agent_keys;
use crate::config::tree::{Table, at};
use crate::config::units::show_span;
use crate::domain::agent::{AgentProgram, AgentSpec, DependsOn, EnvSpec};
use crate::domain::name::Name;
use crate::domain::restart::RestartType;

pub(super) fn groups(config: &Config, judge: &mut Judge<'_>) {
    let groups = config.groups();
    for (name, group) in groups {
        let key = format!("groups.{name}");
        if *name == root_name() {
            judge.refuse(
                &key,
                "'root' is what agents in no group stand under; set it up as [supervisor]",
            );
        }
        if let Some(parent) = group.parent.as_ref().filter(|p| !groups.contains_key(*p)) {
            let near = hint(parent.as_str(), groups.keys().map(Name::as_str));
            judge.refuse(
                &format!("{key}.parent"),
                format!("group '{parent}' does not exist{near}"),
            );
        }
        judge.ordered(
            (&format!("{key}.quarantine.min"), group.quarantine_min),
            (&format!("{key}.quarantine.max"), group.quarantine_max),
        );
    }
    let parents = groups.iter().map(|(name, group)| {
        let parents: Vec<Name> = group.parent.iter().cloned().collect();
        (name.clone(), parents)
    });
    for cycle in graph::cycles(&parents.collect()) {
        let key = format!("groups.{}.parent", cycle[0]);
        judge.refuse(
            &key,
            format!("groups stand in a circle: {}", graph::drawn(&cycle)),
        );
    }
}

pub(super) fn agents(config: &Config, judge: &mut Judge<'_>) {
    for (name, agent) in config.agents() {
        let key = format!("agents.{name}");
        program(&key, agent, judge);
        foreign_keys(&key, judge);
        places(&key, agent, config, judge);
        dependencies(&key, agent, config.agents(), judge);
        super::spend::spend(&key, agent, judge);
        judge.ordered(
            (
                &format!("{key}.restart.min_backoff"),
                agent.restart.min_backoff,
            ),
            (
                &format!("{key}.restart.max_backoff"),
                agent.restart.max_backoff,
            ),
        );
    }
    let edges = config.agents().iter().map(|(name, agent)| {
        let after: Vec<Name> = agent.depends_on.keys().cloned().collect();
        (name.clone(), after)
    });
    for cycle in graph::cycles(&edges.collect()) {
        let key = format!("agents.{}.depends_on", cycle[0]);
        judge.refuse(
            &key,
            format!("agents wait for one another: {}", graph::drawn(&cycle)),
        );
    }
}

/// What runs is named.
fn program(key: &str, agent: &AgentSpec, judge: &mut Judge<'_>) {
    let kind = judge
        .text(&format!("{key}.kind"))
        .unwrap_or_default()
        .to_owned();
    match (&agent.runs, kind.as_str()) {
        (AgentProgram::Actor { actor, .. }, "actor") if actor.is_empty() => {
            let message =
                "missing: the registered name of the Rust code that runs, such as \"word_count\"";
            judge.missing(&format!("{key}.actor"), message);
        }
        (AgentProgram::Actor { actor, .. }, "actor") => registered(key, actor, judge),
        (AgentProgram::Process(process), "process") => {
            let command = format!("{key}.command");
            match process.command.first().map(String::as_str) {
                None if judge.has(&command) => judge.refuse(&command, "empty: name a program"),
                None => judge.missing(
                    &command,
                    "missing: a program and its arguments, such as [\"python3\", \"writer.py\"]",
                ),
                Some("") => judge.refuse(&command, "the program's name is empty"),
                Some(_) => {}
            }
            exit_codes(
                key,
                &process.success_exit_codes,
                &process.fatal_exit_codes,
                judge,
            );
            environment(key, &process.env, judge);
            log_file(
                key,
                process.log.as_ref().map(|log| log.file.as_str()),
                judge,
            );
        }
        (AgentProgram::Http(_), "http") if !judge.has(&format!("{key}.url")) => {
            judge.missing(&format!("{key}.url"), "missing: where tasks are posted to");
        }
        (AgentProgram::Http(remote), "http") => super::probes::remote(key, remote, judge),
        _ => {}
    }
    super::probes::probes(key, judge);
}

/// The Rust code is one that can be run here.
fn registered(key: &str, actor: &str, judge: &mut Judge<'_>) {
    let Some(known) = judge.actors else {
        return;
    };
    if !known.iter().any(|name| name == actor) {
        let near = hint(actor, known.iter().map(String::as_str));
        let known = known.join(", ");
        judge.refuse(
            &format!("{key}.actor"),
            format!("unknown actor '{actor}'{near}; known: {known}"),
        );
    }
}

fn exit_codes(key: &str, success: &[i32], fatal: &[i32], judge: &mut Judge<'_>) {
    for code in fatal.iter().filter(|code| success.contains(code)) {
        let key = format!("{key}.fatal_exit_codes");
        judge.refuse(&key, format!("{code} is among success_exit_codes as well"));
    }
}

/// A variable has one origin; what is passed may come from `.env`, which is no second one.
fn environment(key: &str, env: &EnvSpec, judge: &mut Judge<'_>) {
    for name in env.secrets.keys() {
        if env.set.contains_key(name) || env.pass.contains(name) {
            let key = format!("{key}.env.secrets");
            judge.refuse(&key, format!("{name} is set or passed as well; choose one"));
        }
    }
    let set = format!("{key}.env.set");
    for name in &env.pass {
        let declared = judge
            .node(&set)
            .and_then(|node| node.as_table())
            .is_some_and(|set| set.contains_key(name));
        if declared {
            judge.refuse(&set, format!("{name} is passed as well; choose one"));
        }
    }
}

fn log_file(key: &str, file: Option<&str>, judge: &mut Judge<'_>) {
    if let Some(file) = file.filter(|file| file.contains('/') || *file == "." || *file == "..") {
        let message =
            format!("'{file}' is no plain file name; it stands below the data directory's logs");
        judge.refuse(&format!("{key}.log.file"), message);
    }
}

/// Keys of another kind of agent.
fn foreign_keys(key: &str, judge: &mut Judge<'_>) {
    let Some(kind) = judge.text(&format!("{key}.kind")).map(str::to_owned) else {
        return;
    };
    for (name, only) in agent_keys().filter(|(_, only)| !only.is_empty() && *only != kind) {
        let foreign = format!("{key}.{name}");
        if judge.is_set(&foreign) {
            judge.refuse(
                &foreign,
                format!("belongs to agents of kind \"{only}\"; this one is of kind \"{kind}\""),
            );
        }
    }
}

fn places(key: &str, agent: &AgentSpec, config: &Config, judge: &mut Judge<'_>) {
    let groups = config.groups();
    if let Some(group) = agent
        .group
        .as_ref()
        .filter(|group| !groups.contains_key(*group))
    {
        let near = hint(group.as_str(), groups.keys().map(Name::as_str));
        let message = format!("group '{group}' does not exist{near}; declare [groups.{group}]");
        judge.refuse(&format!("{key}.group"), message);
    }
}

fn dependencies(
    key: &str,
    agent: &AgentSpec,
    agents: &IndexMap<Name, AgentSpec>,
    judge: &mut Judge<'_>,
) {
    for (on, upto) in &agent.depends_on {
        let key = format!("{key}.depends_on.{on}");
        match agents.get(on) {
            None => {
                let near = hint(on.as_str(), agents.keys().map(Name::as_str));
                judge.refuse(&key, format!("agent '{on}' does not exist{near}"));
            }
            Some(other)
                if *upto == DependsOn::Completed
                    && other.restart.kind == RestartType::Permanent =>
            {
                judge.refuse(&key, format!("agent '{on}' never completes: its restart.type is \"permanent\"; make it \"transient\" or \"temporary\""));
            }
            Some(_) => {}
        }
    }
}

/// Agents whose own stop takes longer than the daemon's leaves them.
pub(super) fn stop_warnings(config: &Config) -> Vec<String> {
    let budget = config.stop_budget();
    let shown =
        |span: std::time::Duration| show_span(u64::try_from(span.as_millis()).unwrap_or(u64::MAX));
    let mut warnings = Vec::new();
    for (name, agent) in config.agents() {
        for (key, wanted, left) in [
            ("drain_timeout", agent.stop.drain_timeout, budget.drain),
            ("timeout", agent.stop.timeout, budget.term),
        ] {
            if wanted > left {
                warnings.push(format!(
                    "agents.{name}.stop.{key} of {} is cut to {} when the daemon stops: server.shutdown_grace is {}",
                    shown(wanted), shown(left), shown(config.server().shutdown_grace)
                ));
            }
        }
    }
    warnings
}

/// Queues that an agent takes from and nobody declared.
pub(super) fn queue_warnings(config: &Config, tree: &Table) -> Vec<String> {
    let declared: Vec<&str> = at(tree, "queues")
        .and_then(|node| node.as_table())
        .map_or(Vec::new(), |queues| {
            queues.keys().map(String::as_str).collect()
        });
    let agents = config.agents().iter();
    let undeclared = agents.filter(|(_, agent)| !declared.contains(&agent.queue.as_str()));
    undeclared
        .map(|(name, agent)| {
            let queue = &agent.queue;
            let near = hint(queue.as_str(), declared.iter().copied());
            format!(
                "agents.{name}.queue: queue '{queue}' is not declared and has the defaults{near}"
            )
        })
        .collect()
}
