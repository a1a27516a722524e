//! `bench`: how fast the house is on this machine.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args as ClapArgs, ValueEnum};
use serde_json::Value;

use super::context::Context;
use super::exit::Failure;
use super::show::field;
use super::table::{Column, table};
use crate::app::bench::{self, Measure, Plan};

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Only this; may repeat
    #[arg(long, value_enum)]
    only: Vec<Only>,
    /// Tasks of each measurement
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..))]
    tasks: u64,
    /// Tasks of a measurement with one caller
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    idle_tasks: u64,
    /// Callers at once; each waits for a result before it hands in the next task
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000))]
    submitters: u64,
    /// Finished tasks that stand in the table before
    #[arg(long, default_value_t = 0)]
    finished: u64,
    /// Where the private daemon writes, and the database stays
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// With --url: the running daemon's agent that gets the tasks
    #[arg(long, default_value = "echo")]
    agent: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Only {
    /// Callers in the process, an agent in Rust
    Library,
    /// Callers over HTTP, a process agent
    Http,
    /// One task at a time
    Idle,
}

const COLUMNS: &[Column] = &[
    ("MEASURED", |row| field(row, "name")),
    ("CALLERS", |row| field(row, "submitters")),
    ("TASKS", |row| field(row, "tasks")),
    ("TASKS/S", |row| number(&row["tasks_per_second"], 0)),
    ("P50 MS", |row| number(&row["p50_ms"], 3)),
    ("P99 MS", |row| number(&row["p99_ms"], 3)),
    ("TO AGENT P50", |row| number(&row["handed_p50_ms"], 3)),
    ("P99", |row| number(&row["handed_p99_ms"], 3)),
    ("COMMITS P50", |row| field(row, "handed_p50_commits")),
    ("P99", |row| field(row, "handed_p99_commits")),
    ("COMMITS", |row| field(row, "commits")),
    ("CPU µS", |row| number(&row["cpu_us_per_task"], 1)),
    ("BAR", |row| bar(row)),
];

fn number(value: &Value, digits: usize) -> String {
    value
        .as_f64()
        .map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

/// What it is held to: tasks a second with many callers, milliseconds to the agent with one.
fn bar(row: &Value) -> String {
    match (row["bar"].as_f64(), row["submitters"].as_u64()) {
        (Some(bar), Some(1)) => format!("to agent p50 ≤ {bar} ms"),
        (Some(bar), _) => format!("≥ {bar:.0}/s"),
        (None, _) => "-".to_owned(),
    }
}

/// Measures and prints. Outside any runtime: it makes its own.
pub(super) fn run(
    context: &Context,
    url: Option<String>,
    args: &Args,
) -> Result<ExitCode, Failure> {
    let wanted = |measure: &Measure| {
        let only = match measure {
            Measure::Library => Only::Library,
            Measure::Http => Only::Http,
            Measure::Idle => Only::Idle,
        };
        args.only.is_empty() || args.only.contains(&only)
    };
    let plan = Plan {
        measures: Measure::ALL.into_iter().filter(wanted).collect(),
        tasks: args.tasks,
        idle_tasks: args.idle_tasks,
        submitters: args.submitters,
        finished: args.finished,
        data_dir: args.data_dir.clone(),
        running: url.map(|url| (url, args.agent.clone())),
    };
    let report = bench::run(&plan).map_err(|error| Failure::failed(error.to_string()))?;
    let value = serde_json::to_value(&report).unwrap_or_default();
    context.out.value(&value, "submitted", |value| {
        let none = Vec::new();
        let rows = value["measurements"].as_array().unwrap_or(&none);
        let mut text = table(COLUMNS, rows, false);
        if let Some(settled) = value["settled_when_reopened"].as_u64() {
            text.push_str(&format!(
                "settled tasks in the database, opened again: {settled} of {}",
                value["submitted"]
            ));
        }
        text
    })?;
    Ok(ExitCode::SUCCESS)
}
