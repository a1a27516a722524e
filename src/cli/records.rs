//! `recovery`, `metrics`: what is kept for people to read.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::context::Context;
use super::exit::{Failure, UNHEALTHY};
use super::show::{all_fields, bytes, field};
use super::table::Column;
use crate::client::ClientError;

/// Which page of a list.
#[derive(Debug, Args)]
pub(super) struct PageArgs {
    /// The most items, 1 to 500
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: Option<u32>,
    /// Where the page begins, as the page before said
    #[arg(long)]
    cursor: Option<String>,
}

impl PageArgs {
    /// The parameters that ask for it.
    pub(super) fn filter(self) -> Vec<(&'static str, String)> {
        let limit = self.limit.map(|limit| ("limit", limit.to_string()));
        limit
            .into_iter()
            .chain(self.cursor.map(|cursor| ("cursor", cursor)))
            .collect()
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Recovery {
    /// The actions there are
    List(PageArgs),
    /// Run one now
    Run {
        /// The action
        name: String,
        /// For this check, such as agent.echo; needed where the action answers several
        #[arg(long)]
        check: Option<String>,
    },
    /// The runs there were, the newest first
    History {
        /// Only of this action
        action: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
}

const ACTIONS: &[Column] = &[
    ("NAME", |action| field(action, "name")),
    ("WHEN", |action| field(action, "when")),
    ("DO", |action| field(action, "do")),
    ("MODE", |action| field(action, "mode")),
];

const RUNS: &[Column] = &[
    ("AT", |run| field(run, "started_at")),
    ("ACTION", |run| field(run, "action")),
    ("CAUSE", |run| field(run, "cause")),
    ("TRY", |run| field(run, "attempt")),
    ("OUTCOME", |run| field(run, "outcome")),
    ("MESSAGE", |run| field(run, "message")),
];

pub(super) async fn recovery(context: &Context, command: Recovery) -> Result<ExitCode, Failure> {
    let Context { client, out, .. } = context;
    match command {
        Recovery::List(page) => {
            let answer = client.list("recovery/actions", page.filter()).await?;
            out.list(&answer, "name", ACTIONS)?;
        }
        Recovery::History { action, page } => {
            let mut filter = page.filter();
            filter.extend(action.map(|action| ("action", action)));
            out.list(&client.list("recovery/runs", filter).await?, "id", RUNS)?;
        }
        Recovery::Run { name, check } => {
            let body = check.map(|check| json!({"check": check}));
            let asked = client.command("recovery/actions", &name, "run", body);
            let answer = asked.await.map_err(about_check)?;
            out.object(&answer, "id", all_fields)?;
            if answer.value["outcome"] == "failed" {
                return Ok(ExitCode::from(UNHEALTHY));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A check that is missing, or not the action's, is the command line's fault.
fn about_check(error: ClientError) -> Failure {
    match &error {
        ClientError::Refused(refusal) if refusal.is_about("#/check") => {
            Failure::usage(format!("{error} (--check NAME)"))
        }
        _ => error.into(),
    }
}

/// Figures of the past, the newest first.
#[derive(Debug, Args)]
pub(super) struct Metrics {
    /// Of this agent; without it, of the host
    #[arg(long, conflicts_with = "agents")]
    agent: Option<String>,
    /// Of all agents
    #[arg(long)]
    agents: bool,
    /// The most items, 1 to 500
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: Option<u32>,
}

const SYSTEM: &[Column] = &[
    ("AT", |figures| field(figures, "at")),
    ("CPU", |figures| percent(&figures["cpu_ratio"])),
    ("MEMORY", |figures| bytes(&figures["memory_used_bytes"])),
    ("OF", |figures| bytes(&figures["memory_limit_bytes"])),
    ("DISK", |figures| percent(&figures["disk_used_ratio"])),
    ("DAEMON", |figures| bytes(&figures["process_memory_bytes"])),
];

const AGENTS: &[Column] = &[
    ("AT", |figures| field(figures, "at")),
    ("AGENT", |figures| field(figures, "agent")),
    ("CPU", |figures| {
        format!("{:.1}s", figures["cpu_seconds"].as_f64().unwrap_or(0.0))
    }),
    ("MEMORY", |figures| bytes(&figures["memory_bytes"])),
    ("QUEUE", |figures| field(figures, "queue_depth")),
    ("RUNNING", |figures| field(figures, "running")),
    ("ERRORS", |figures| field(figures, "errors_total")),
    ("RESTARTS", |figures| field(figures, "restarts_total")),
];

fn percent(value: &serde_json::Value) -> String {
    value
        .as_f64()
        .map_or_else(|| "-".to_owned(), |ratio| format!("{:.1}%", ratio * 100.0))
}

pub(super) async fn metrics(context: &Context, args: Metrics) -> Result<(), Failure> {
    let mut filter: Vec<_> = args
        .limit
        .map(|limit| ("limit", limit.to_string()))
        .into_iter()
        .collect();
    let of_agents = args.agents || args.agent.is_some();
    filter.extend(args.agent.map(|agent| ("agent", agent)));
    let (list, columns) = if of_agents {
        ("metrics/agents", AGENTS)
    } else {
        ("metrics/system", SYSTEM)
    };
    context
        .out
        .list(&context.client.list(list, filter).await?, "at", columns)
}
