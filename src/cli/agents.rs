//! `agents`: what is supervised, and what an operator does to it.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::agent_test::AgentTest;
use super::context::Context;
use super::crashes::Crashes;
use super::exit::Failure;
use super::out::text;
use super::pause::PauseArgs;
use super::show::{age, bytes, field, fields, millis};
use super::table::Column;
use crate::client::Answer;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// All agents
    List(List),
    /// One agent, whole
    Get(Name),
    /// The supervision tree
    Tree,
    /// Run it, and restart it by policy
    Start(Target),
    /// End it, and keep it down until started
    Stop(Target),
    /// End its present life and begin the next
    Restart(Target),
    /// Run so many replicas
    Scale {
        /// The agent
        name: String,
        /// How many
        replicas: u32,
    },
    /// Give it no new task; what it holds goes on
    Pause {
        /// The agent
        name: String,
        #[command(flatten)]
        pause: PauseArgs,
    },
    /// Give it tasks again
    Resume(Name),
    /// Its last log lines
    Logs {
        /// The agent, or one replica (echo#1)
        name: String,
        /// The most lines
        #[arg(long, short = 'n', visible_alias = "tail", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=500))]
        lines: u32,
    },
    /// How its lives ended, the last first
    Crashes(Crashes),
    /// Why it is in the state it is in
    Explain(Name),
    /// Whether a program speaks the protocol, without a daemon; exits 1 if it does not
    Test(Box<AgentTest>),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only in this state
    #[arg(long)]
    state: Vec<String>,
    /// Only of this kind
    #[arg(long)]
    kind: Option<String>,
    /// Only of this role
    #[arg(long)]
    role: Option<String>,
    /// Only of this group
    #[arg(long)]
    group: Option<String>,
    #[command(flatten)]
    page: super::records::PageArgs,
}

#[derive(Debug, Args)]
pub(super) struct Name {
    /// The agent
    name: String,
}

#[derive(Debug, Args)]
pub(super) struct Target {
    /// The agent, or one replica (echo#1)
    name: String,
}

const COLUMNS: &[Column] = &[
    ("NAME", |agent| field(agent, "name")),
    ("KIND", |agent| field(agent, "kind")),
    ("STATE", |agent| field(agent, "state")),
    ("VERDICT", |agent| text(&agent["health"]["verdict"])),
    ("HEALTH", |agent| text(&agent["health"]["status"])),
    ("READY", ready),
    ("RESTARTS", |agent| text(&agent["restarts"]["total"])),
    ("QUEUE", |agent| text(&agent["queue"]["depth"])),
    ("RUNNING", |agent| text(&agent["queue"]["running"])),
    ("UPTIME", |agent| millis(&agent["uptime_ms"])),
    ("PID", |agent| field(agent, "pid")),
];

fn ready(agent: &Value) -> String {
    let replicas = &agent["replicas"];
    format!(
        "{}/{}",
        text(&replicas["ready"]),
        text(&replicas["desired"])
    )
}

pub(super) async fn run(context: &mut Context, command: Command) -> Result<ExitCode, Failure> {
    let Context { client, out, .. } = context;
    let done = match command {
        Command::List(list) => {
            let mut filter: Vec<_> = list
                .state
                .into_iter()
                .map(|state| ("state", state))
                .collect();
            filter.extend(list.kind.map(|kind| ("kind", kind)));
            filter.extend(list.role.map(|role| ("role", role)));
            filter.extend(list.group.map(|group| ("group", group)));
            filter.extend(list.page.filter());
            out.list(&client.list("agents", filter).await?, "name", COLUMNS)
        }
        Command::Get(Name { name }) => {
            let answer = client.get("agents", &name).await?;
            out.object(&answer, "name", describe)
        }
        Command::Tree => {
            let answer = client.list("tree", Vec::new()).await?;
            out.object(&answer, "name", |tree| {
                branch(tree, 0).trim_end().to_owned()
            })
        }
        Command::Scale { name, replicas } => {
            told(context, &name, "scale", Some(json!({"replicas": replicas}))).await
        }
        Command::Start(target) => told(context, &target.name, "start", None).await,
        Command::Stop(target) => told(context, &target.name, "stop", None).await,
        Command::Restart(target) => told(context, &target.name, "restart", None).await,
        Command::Pause { name, pause } => {
            told(context, &name, "pause", Some(json!({"until": pause.end()}))).await
        }
        Command::Resume(Name { name }) => told(context, &name, "resume", None).await,
        Command::Logs { name, lines } => {
            let filter = vec![("limit", lines.to_string())];
            let answer = client.part("agents", &name, "logs", filter).await?;
            logs(context, &answer)
        }
        Command::Crashes(asked) => super::crashes::run(context, asked).await,
        Command::Explain(Name { name }) => super::explain::run(context, &name).await,
        Command::Test(asked) => return super::agent_test::run(context, *asked).await,
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// A command, and the agent as it then is.
async fn told(
    context: &mut Context,
    name: &str,
    verb: &str,
    body: Option<Value>,
) -> Result<(), Failure> {
    let answer = context.client.command("agents", name, verb, body).await?;
    context.out.object(&answer, "name", |agent| {
        let (desired, state) = (field(agent, "desired"), field(agent, "state"));
        let until = until(agent);
        format!(
            "{name}: wanted {desired}{until}, is {state}, {} ready",
            ready(agent)
        )
    })
}

/// The end of its pause, if it has one.
fn until(agent: &Value) -> String {
    let until = agent["paused_until"].as_str();
    until.map_or_else(String::new, |until| format!(" until {until}"))
}

fn logs(context: &Context, answer: &Answer) -> Result<(), Failure> {
    if context.out.format != super::out::Format::Table {
        return context.out.list(answer, "line", &[]);
    }
    let none = Vec::new();
    let lines = answer.value["items"].as_array().unwrap_or(&none);
    lines
        .iter()
        .try_for_each(|line| context.out.line(&super::table::one_line(&text(line))))
}

fn describe(agent: &Value) -> String {
    let mut pairs = vec![
        ("name", field(agent, "name")),
        ("kind", field(agent, "kind")),
        ("role", field(agent, "role")),
        ("group", field(agent, "group")),
        ("desired", field(agent, "desired") + &until(agent)),
        ("state", field(agent, "state")),
        ("verdict", text(&agent["health"]["verdict"])),
        ("health", text(&agent["health"]["status"])),
        ("replicas", format!("{} ready", ready(agent))),
        ("restarts", text(&agent["restarts"]["total"])),
        ("last reason", text(&agent["restarts"]["last_reason"])),
        ("next restart", text(&agent["restarts"]["next_at"])),
        ("breaker", text(&agent["restarts"]["breaker"])),
        (
            "queue",
            format!(
                "{} waiting, {} running, {} at once",
                text(&agent["queue"]["depth"]),
                text(&agent["queue"]["running"]),
                text(&agent["queue"]["capacity"])
            ),
        ),
        ("spend", super::show::spend(&agent["spend"])),
        ("memory", bytes(&agent["usage"]["memory_bytes"])),
        ("started", age(&agent["started_at"])),
    ];
    let none = Vec::new();
    let instances = agent["instances"].as_array().unwrap_or(&none);
    let shown: Vec<String> = instances.iter().map(instance).collect();
    pairs.push(("lives", shown.join(" · ")));
    let probes: Vec<String> = instances.iter().flat_map(probes).collect();
    if !probes.is_empty() {
        pairs.push(("probes", probes.join(" · ")));
    }
    fields(&pairs)
}

/// What the probes of a life say.
fn probes(instance: &Value) -> Vec<String> {
    let all = instance["probes"].as_array().into_iter().flatten();
    let shown = all.map(|probe| {
        let says = match probe["passes"].as_bool() {
            Some(true) => "passes",
            Some(false) => "fails",
            None => "undecided",
        };
        let why = probe["last"]["message"].as_str();
        let why = why.map_or_else(String::new, |why| format!(" ({why})"));
        format!(
            "#{} {} by {} {says}{why}",
            text(&instance["index"]),
            text(&probe["probe"]),
            text(&probe["by"])
        )
    });
    shown.collect()
}

fn instance(instance: &Value) -> String {
    format!(
        "#{} {} {} (generation {}, pid {}, up {})",
        text(&instance["index"]),
        text(&instance["state"]),
        text(&instance["verdict"]),
        text(&instance["generation"]),
        text(&instance["pid"]),
        millis(&instance["uptime_ms"]),
    )
}

/// A node of the tree and what is below it, indented.
fn branch(node: &Value, depth: usize) -> String {
    let name = node["name"].as_str().filter(|name| !name.is_empty());
    let mut words = vec![name.unwrap_or("root").to_owned()];
    for key in ["kind", "strategy", "state", "verdict"] {
        if let Some(word) = node[key].as_str() {
            words.push(word.to_owned());
        }
    }
    let mut lines = format!("{}{}\n", "  ".repeat(depth), words.join(" "));
    for key in ["children", "groups", "agents", "instances"] {
        for child in node[key].as_array().into_iter().flatten() {
            lines.push_str(&branch(child, depth + 1));
        }
    }
    lines
}
