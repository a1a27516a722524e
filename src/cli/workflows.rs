//! `workflows`: tasks that form a graph.

mod input;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::context::Context;
use super::exit::Failure;
use super::named::{self, Purpose};
use super::out::Format;
use super::records::PageArgs;
use super::show::{age, all_fields, field};
use super::table::Column;
use super::tasks::{now_is, read};
use super::wait::{self, Work, new_key, pair, span};
use crate::domain::workflow::WorkflowDefinition;
use crate::domain::workflow::text::{DefinitionFormat, parse_run};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a definition
    Run(Run),
    /// Workflows, the newest first
    List {
        /// Only in this state; may repeat
        #[arg(long)]
        state: Vec<String>,
        /// Only of this name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// One workflow, whole
    Get(Get),
    /// Wait until it is final and print its output
    Wait {
        /// The workflow
        id: String,
        /// Give up after this span; the workflow goes on
        #[arg(long, value_parser = span)]
        timeout: Option<Duration>,
    },
    /// Its tasks and who waits for whom
    Graph {
        /// The workflow
        id: String,
        /// dot: Graphviz' language; text: a line for each task
        #[arg(long, value_parser = ["dot", "text"], default_value = "dot")]
        format: String,
    },
    /// Tell it what it waits for
    Signal(Signal),
    /// Cancel it and its tasks
    Cancel {
        /// The workflow
        id: String,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
    /// Run again what failed
    Retry(Id),
    /// Check a definition without running it
    Validate {
        /// A file of TOML or JSON; - for stdin
        file: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(super) struct Get {
    /// The workflow
    id: String,
    /// Wait until it is final and print what came of it alone
    #[arg(long)]
    wait: bool,
}

#[derive(Debug, Args)]
pub(super) struct Id {
    /// The workflow
    id: String,
}

#[derive(Debug, Args)]
pub(super) struct Run {
    /// A file of TOML or JSON; - for stdin
    file: PathBuf,
    /// A value of the input, KEY=VALUE; may repeat. A path (or @PATH) is uploaded, JSON is taken
    /// as JSON, anything else as a text
    #[arg(long, value_parser = pair)]
    input: Vec<(String, String)>,
    /// The same key again gives the first run
    #[arg(long)]
    idempotency_key: Option<String>,
    /// Wait until it is final and print its output
    #[arg(long)]
    wait: bool,
    /// Wait at most this long; the workflow goes on
    #[arg(long, value_parser = span, requires = "wait")]
    wait_timeout: Option<Duration>,
}

#[derive(Debug, Args)]
pub(super) struct Signal {
    /// The workflow
    id: String,
    /// The signal that one of its tasks waits for
    name: String,
    /// What is said, as JSON
    #[arg(long, conflicts_with_all = ["approve", "reject"])]
    payload: Option<String>,
    /// Say yes: {"approved": true}
    #[arg(long, conflicts_with = "reject")]
    approve: bool,
    /// Say no: {"approved": false}
    #[arg(long)]
    reject: bool,
    /// Why, with --approve or --reject
    #[arg(long)]
    reason: Option<String>,
}

const COLUMNS: &[Column] = &[
    ("ID", |workflow| field(workflow, "id")),
    ("NAME", |workflow| field(workflow, "name")),
    ("STATE", |workflow| field(workflow, "state")),
    ("TASKS", tasks),
    ("AGE", |workflow| age(&workflow["created_at"])),
    ("ERROR", |workflow| {
        workflow["error"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }),
];

/// How many tasks stand in which state.
fn tasks(workflow: &Value) -> String {
    let counts = workflow["tasks"].as_object().into_iter().flatten();
    let words: Vec<String> = counts
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    words.join(", ")
}

impl Command {
    /// The text that means one workflow, and what is done with that.
    fn called(&mut self) -> Option<(&mut String, Purpose)> {
        match self {
            Self::Get(Get { id, .. }) | Self::Wait { id, .. } | Self::Graph { id, .. } => {
                Some((id, Purpose::Look))
            }
            Self::Signal(Signal { id, .. }) | Self::Cancel { id, .. } | Self::Retry(Id { id }) => {
                Some((id, Purpose::Change))
            }
            _ => None,
        }
    }
}

pub(super) async fn run(context: &mut Context, mut command: Command) -> Result<ExitCode, Failure> {
    if let Some((workflow, purpose)) = command.called() {
        *workflow = named::id(context, Work::Workflow, workflow, purpose).await?;
    }
    let Context { client, out, .. } = context;
    match command {
        Command::Run(run) => return start(context, run).await,
        Command::Wait { id, timeout } => {
            let answer = wait::until_final(context, Work::Workflow, &id, timeout).await?;
            return wait::print(context, Work::Workflow, &answer).await;
        }
        Command::List { state, name, page } => {
            let mut filter = page.filter();
            filter.extend(state.into_iter().map(|state| ("state", state)));
            filter.extend(name.map(|name| ("name", name)));
            out.list(&client.list("workflows", filter).await?, "id", COLUMNS)?;
        }
        Command::Get(Get { id, wait: true }) => {
            let answer = wait::until_final(context, Work::Workflow, &id, None).await?;
            return wait::print(context, Work::Workflow, &answer).await;
        }
        Command::Get(Get { id, wait: false }) => {
            out.object(&client.get("workflows", &id).await?, "id", all_fields)?;
        }
        Command::Graph { id, format } => graph(context, &id, &format).await?,
        Command::Signal(given) => {
            let body = json!({"name": given.name, "payload": said(&given)?});
            let answer = client
                .command("workflows", &given.id, "signal", Some(body))
                .await?;
            out.object(&answer, "id", now_is)?;
        }
        Command::Cancel { id, reason } => {
            let body = reason.map(|reason| json!({"reason": reason}));
            let answer = client.command("workflows", &id, "cancel", body).await?;
            out.object(&answer, "id", now_is)?;
        }
        Command::Retry(Id { id }) => {
            let answer = client.command("workflows", &id, "retry", None).await?;
            out.object(&answer, "id", now_is)?;
        }
        Command::Validate { file } => {
            let definition = definition(&file, &[])?;
            let (name, count) = (&definition.name, definition.tasks.len());
            out.line(&format!("valid: workflow '{name}', {count} tasks"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What a signal says.
fn said(given: &Signal) -> Result<Value, Failure> {
    if given.approve || given.reject {
        let mut said = json!({"approved": given.approve});
        if let Some(reason) = &given.reason {
            said["reason"] = reason.as_str().into();
        }
        return Ok(said);
    }
    if given.reason.is_some() {
        return Err(Failure::usage(
            "--reason goes with --approve or --reject".to_owned(),
        ));
    }
    let Some(text) = &given.payload else {
        return Ok(Value::Null);
    };
    serde_json::from_str(text)
        .map_err(|error| Failure::usage(format!("--payload is not JSON: {error}")))
}

async fn graph(context: &Context, id: &str, shown: &str) -> Result<(), Failure> {
    let table = context.out.format == Format::Table;
    let format = if table { shown } else { "json" };
    let filter = vec![("format", format.to_owned())];
    let answer = context
        .client
        .part("workflows", id, "graph", filter)
        .await?;
    if table {
        return context.out.bytes(&answer.text);
    }
    context.out.object(&answer, "id", all_fields)
}

async fn start(context: &Context, run: Run) -> Result<ExitCode, Failure> {
    let given: Vec<&str> = run.input.iter().map(|(key, _)| key.as_str()).collect();
    let mut definition = definition(&run.file, &given)?;
    input::fill(&context.client, &mut definition, run.input).await?;
    let body = serde_json::to_value(&definition)
        .map_err(|error| Failure::failed(format!("the definition is no JSON: {error}")))?;
    let key = run.idempotency_key.unwrap_or_else(new_key);
    let answer = context.client.create("workflows", body, &key).await?;
    if !run.wait {
        context.out.object(&answer, "id", now_is)?;
        return Ok(ExitCode::SUCCESS);
    }
    let id = field(&answer.value, "id");
    context.out.note(&format!("started {id}"));
    let answer = wait::until_final(context, Work::Workflow, &id, run.wait_timeout).await?;
    wait::print(context, Work::Workflow, &answer).await
}

/// Reads and checks a definition, of which some inputs are given; every fault is named by file
/// and line.
fn definition(path: &Path, given: &[&str]) -> Result<WorkflowDefinition, Failure> {
    let name = path.display();
    let text = read(path).map_err(|error| Failure::failed(format!("{name}: {error}")))?;
    let json = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("json"))
        || text.trim_start().starts_with('{');
    let format = if json {
        DefinitionFormat::Json
    } else {
        DefinitionFormat::Toml
    };
    parse_run(&text, format, given).map_err(|faults| {
        let lines: Vec<String> = faults
            .iter()
            .map(|fault| {
                let line = fault
                    .line
                    .map(|line| format!(":{line}"))
                    .unwrap_or_default();
                format!("{name}{line}: {}", fault.message)
            })
            .collect();
        Failure::failed(lines.join("\n"))
    })
}
