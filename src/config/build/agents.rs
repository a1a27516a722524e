//! Groups and agents.

use std::collections::BTreeMap;
use std::path::PathBuf;

use indexmap::IndexMap;

use super::View;
use crate::config::variables::Variables;
use crate::domain::agent::{
    AgentProgram, AgentSpec, DependsOn, EnvSpec, HeaderSpec, HttpSpec, LogFileSpec, OnStall,
    ProcessLimits, ProcessProtocol, ProcessSpec, StopPolicy,
};
use crate::domain::name::Name;
use crate::domain::restart::{
    GroupSpec, Intensity, OnExhausted, RestartPolicy, RestartType, Strategy,
};

pub(super) fn groups(root: &View<'_>) -> IndexMap<Name, GroupSpec> {
    let groups = root.named("groups").filter_map(|(name, view)| {
        let name: Name = name.parse().ok()?;
        Some((name.clone(), group(name, &view)))
    });
    groups.collect()
}

fn group(name: Name, view: &View<'_>) -> GroupSpec {
    GroupSpec {
        name,
        parent: view.name("parent"),
        strategy: match view.word("strategy") {
            "one_for_all" => Strategy::OneForAll,
            "rest_for_one" => Strategy::RestForOne,
            _ => Strategy::OneForOne,
        },
        intensity: intensity(view),
        on_exhausted: on_exhausted(view),
        loop_deaths: view.count("loop.deaths"),
        loop_max_gap: view.span("loop.max_gap"),
        quarantine_min: view.span("quarantine.min"),
        quarantine_max: view.span("quarantine.max"),
    }
}

pub(super) fn intensity(view: &View<'_>) -> Intensity {
    if view.text("intensity") == Some("unlimited") {
        return Intensity::Unlimited;
    }
    Intensity::Limited {
        max: view.count("intensity.max"),
        within: view.span("intensity.within"),
    }
}

pub(super) fn on_exhausted(view: &View<'_>) -> OnExhausted {
    match view.word("on_exhausted") {
        "stop_group" => OnExhausted::StopGroup,
        "escalate" => OnExhausted::Escalate,
        "exit" => OnExhausted::Exit,
        _ => OnExhausted::Quarantine,
    }
}

pub(super) fn agents(root: &View<'_>, dotenv: &Variables) -> IndexMap<Name, AgentSpec> {
    let agents = root.named("agents").filter_map(|(name, view)| {
        let name: Name = name.parse().ok()?;
        Some((name.clone(), agent(name, &view, dotenv)))
    });
    agents.collect()
}

fn agent(name: Name, view: &View<'_>, dotenv: &Variables) -> AgentSpec {
    AgentSpec {
        name,
        runs: program(view, dotenv),
        role: view.name("role"),
        group: view.name("group"),
        replicas: view.count("replicas"),
        critical: view.flag("critical"),
        restart: restart(&view.below("restart")),
        depends_on: depends_on(view),
        concurrency: view.count("concurrency"),
        queue: view
            .name("queue")
            .unwrap_or_else(super::work::default_queue),
        stall_timeout: view.span("stall_timeout"),
        on_stall: match view.word("on_stall") {
            "restart" => OnStall::Restart,
            _ => OnStall::Report,
        },
        stop: stop(&view.below("stop")),
        start_timeout: view.span("probes.startup.period")
            * view.count::<u32>("probes.startup.failure_threshold"),
        liveness: super::probes::ping(view),
        probes: super::probes::probes(view),
        labels: texts_by_name(view, "labels"),
        spend: super::spend::spend(view),
    }
}

/// A process unless it is something else.
fn program(view: &View<'_>, dotenv: &Variables) -> AgentProgram {
    let settings = view.json("settings");
    if view.word("kind") == "actor" {
        let actor = view.word("actor").to_owned();
        return AgentProgram::Actor { actor, settings };
    }
    if view.word("kind") == "http" {
        return AgentProgram::Http(HttpSpec {
            url: view.word("url").to_owned(),
            headers: HeaderSpec {
                set: texts_by_name(&view.below("headers"), "set"),
                secrets: files_by_name(&view.below("headers")),
            },
        });
    }
    AgentProgram::Process(ProcessSpec {
        command: view.texts("command"),
        directory: view.path("directory"),
        protocol: match view.word("protocol") {
            "none" => ProcessProtocol::None,
            "exec" => ProcessProtocol::Exec,
            _ => ProcessProtocol::Stdio,
        },
        env: environment(view, dotenv),
        limits: ProcessLimits {
            memory_bytes: view.size("limits.memory"),
            open_files: view.integer("limits.open_files"),
            processes: view.integer("limits.processes"),
        },
        log: view.text("log.file").map(|file| LogFileSpec {
            file: file.to_owned(),
            max_size: view.size("log.max_size").unwrap_or_default(),
            max_age: view.span("log.max_age"),
            keep: view.count("log.keep"),
        }),
        settings,
        success_exit_codes: exit_codes(view, "success_exit_codes"),
        fatal_exit_codes: exit_codes(view, "fatal_exit_codes"),
    })
}

fn exit_codes(view: &View<'_>, key: &str) -> Vec<i32> {
    let codes = view.list(key).iter().filter_map(toml::Value::as_integer);
    codes.filter_map(|code| i32::try_from(code).ok()).collect()
}

/// What a child sees. A variable to be passed that only the `.env` file knows is set from there.
fn environment(view: &View<'_>, dotenv: &Variables) -> EnvSpec {
    let view = view.below("env");
    let pass = view.texts("pass");
    let mut set = texts_by_name(&view, "set");
    for name in &pass {
        if let Some(variable) = dotenv.get(name) {
            set.entry(name.clone())
                .or_insert_with(|| variable.value.clone());
        }
    }
    EnvSpec {
        pass,
        set,
        secrets: files_by_name(&view),
    }
}

/// `secrets = { NAME = { file = "…" } }`.
fn files_by_name(view: &View<'_>) -> BTreeMap<String, PathBuf> {
    let secrets = view.named("secrets");
    let files = secrets.filter_map(|(name, secret)| Some((name.to_owned(), secret.path("file")?)));
    files.collect()
}

fn texts_by_name(view: &View<'_>, key: &str) -> BTreeMap<String, String> {
    let entries = view.below(key).table.into_iter().flatten();
    let texts = entries.filter_map(|(name, node)| Some((name.clone(), node.as_text()?.to_owned())));
    texts.collect()
}

fn depends_on(view: &View<'_>) -> BTreeMap<Name, DependsOn> {
    let entries = texts_by_name(view, "depends_on");
    let known = entries.into_iter().filter_map(|(name, word)| {
        let upto = match word.as_str() {
            "started" => DependsOn::Started,
            "completed" => DependsOn::Completed,
            _ => DependsOn::Healthy,
        };
        Some((name.parse().ok()?, upto))
    });
    known.collect()
}

fn restart(view: &View<'_>) -> RestartPolicy {
    RestartPolicy {
        kind: match view.word("type") {
            "transient" => RestartType::Transient,
            "temporary" => RestartType::Temporary,
            _ => RestartType::Permanent,
        },
        min_backoff: view.span("min_backoff"),
        max_backoff: view.span("max_backoff"),
        factor: view.number("factor"),
        full_jitter: view.word("jitter") != "none",
        stable_after: view.span("stable_after"),
    }
}

fn stop(view: &View<'_>) -> StopPolicy {
    StopPolicy {
        drain_timeout: view.span("drain_timeout"),
        signal: signal(view.word("signal")),
        timeout: view.span("timeout"),
    }
}

/// The number of a signal's name, the same on every Linux.
fn signal(name: &str) -> i32 {
    match name {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "KILL" => 9,
        "USR1" => 10,
        "USR2" => 12,
        _ => 15,
    }
}
