//! `health`: how the parts are doing, the worst first.

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use super::context::Context;
use super::exit::{Failure, UNHEALTHY};
use super::out::Format;
use super::records::PageArgs;
use super::show::{age, all_fields, field};
use super::table::{Column, coloured, table};
use crate::client::Answer;
use crate::domain::query::DEFAULT_PAGE_LIMIT;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Ask only whether the daemon is ready for work
    #[arg(long)]
    ready: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one check now
    Check {
        /// The check: system, database, agent.NAME
        name: String,
    },
    /// What one check, or all of them, found before, the newest first
    History {
        /// The check: system, database, agent.NAME
        name: Option<String>,
        #[command(flatten)]
        page: PageArgs,
    },
}

const COLUMNS: &[Column] = &[
    ("CHECK", |check| field(check, "name")),
    ("STATUS", |check| field(check, "status")),
    ("FOR", |check| age(&check["since"])),
    ("MESSAGE", |check| field(check, "message")),
];

const HISTORY: &[Column] = &[
    ("AT", |record| field(record, "at")),
    ("STATUS", |record| field(record, "status")),
    ("VALUE", |record| field(record, "value")),
    ("THRESHOLD", |record| field(record, "threshold")),
    ("MESSAGE", |record| field(record, "message")),
];

const HISTORY_OF_ALL: &[Column] = &[
    ("AT", |record| field(record, "at")),
    ("CHECK", |record| field(record, "check")),
    ("STATUS", |record| field(record, "status")),
    ("MESSAGE", |record| field(record, "message")),
];

pub(super) async fn run(context: &mut Context, args: Args) -> Result<ExitCode, Failure> {
    let Context { client, out, .. } = context;
    match args.command {
        None if args.ready => ready(context).await,
        Some(_) if args.ready => Err(Failure::usage("--ready asks by itself, without a command")),
        None => report(context).await,
        Some(Command::Check { name }) => {
            let answer = client.command("health/checks", &name, "run", None).await?;
            out.object(&answer, "name", all_fields)?;
            Ok(code(&answer.value))
        }
        Some(Command::History {
            name: Some(name),
            page,
        }) => {
            let answer = client
                .part("health/checks", &name, "history", page.filter())
                .await?;
            out.list(&answer, "at", HISTORY)?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::History { name: None, page }) => history_of_all(context, page).await,
    }
}

/// What all checks found, the newest first: of each as much as may be shown of all.
async fn history_of_all(context: &Context, page: PageArgs) -> Result<ExitCode, Failure> {
    let filter = page.filter();
    if filter.iter().any(|(key, _)| *key == "cursor") {
        return Err(Failure::usage("--cursor is of one check: name it"));
    }
    let limit = filter.first().and_then(|(_, limit)| limit.parse().ok());
    let report = context.client.health().await?;
    let mut records = Vec::new();
    for check in report.value["checks"].as_array().into_iter().flatten() {
        let name = field(check, "name");
        let asked = context
            .client
            .part("health/checks", &name, "history", filter.clone());
        let items = asked.await?.value["items"].take();
        records.extend(items.as_array().cloned().unwrap_or_default());
    }
    records.sort_by_key(|record| std::cmp::Reverse(field(record, "at")));
    records.truncate(limit.unwrap_or(DEFAULT_PAGE_LIMIT as usize));
    let page = json!({"items": records, "next_cursor": null, "has_more": false});
    let answer = Answer {
        status: report.status,
        text: page.to_string().into(),
        value: page,
    };
    context.out.list(&answer, "at", HISTORY_OF_ALL)?;
    Ok(ExitCode::SUCCESS)
}

async fn report(context: &Context) -> Result<ExitCode, Failure> {
    let out = &context.out;
    let answer = context.client.health().await?;
    let none = Vec::new();
    let checks = answer.value["checks"].as_array().unwrap_or(&none);
    match out.format {
        Format::Json => out.object(&answer, "status", |_| String::new())?,
        Format::Jsonl => checks
            .iter()
            .try_for_each(|check| out.line(&check.to_string()))?,
        Format::Name => checks
            .iter()
            .try_for_each(|check| out.line(&field(check, "name")))?,
        Format::Table => {
            let status = field(&answer.value, "status");
            let shown = if out.color() {
                coloured(&status)
            } else {
                status
            };
            out.line(&format!(
                "{shown}, checked {} ago",
                age(&answer.value["checked_at"])
            ))?;
            out.bytes(table(COLUMNS, checks, out.color()).as_bytes())?;
        }
    }
    Ok(code(&answer.value))
}

/// One line, or the answer as it came; 6 when it is not ready.
async fn ready(context: &Context) -> Result<ExitCode, Failure> {
    let Context { client, out, .. } = context;
    let answer = client.ready().await?;
    let is_ready = answer.status < 400;
    match out.format {
        Format::Json | Format::Jsonl => out.object(&answer, "status", |_| String::new())?,
        Format::Name | Format::Table if is_ready => out.line("ready")?,
        Format::Name | Format::Table => {
            out.line(&format!("not ready: {}", field(&answer.value, "detail")))?;
        }
    }
    Ok(ExitCode::from(if is_ready { 0 } else { UNHEALTHY }))
}

/// 6 when it is critical.
fn code(value: &Value) -> ExitCode {
    if value["status"] == "critical" {
        ExitCode::from(UNHEALTHY)
    } else {
        ExitCode::SUCCESS
    }
}
