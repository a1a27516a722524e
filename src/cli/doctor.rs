//! `doctor`: what the daemon needs, and what is wrong, the likeliest first; each with the way out.
//!
//! Works with a daemon and without one. What cannot be looked at because something before it is
//! wrong is left out; nothing here changes anything.

mod daemon;
mod findings;
mod ground;

use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde_json::Value;

use super::config::ConfigArgs;
use super::context::Context;
use super::exit::{Failure, UNHEALTHY};
use super::out::Format;
use super::show::field;
use super::table::{coloured, one_line};
use crate::config::Config;
use findings::{Finding, Level, Report};

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(flatten)]
    from: Box<ConfigArgs>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    match Config::load(args.from.request()) {
        Ok(config) => {
            report.extend(ground::look(&config));
            report.extend(daemon::look(context, Some(&config)).await);
        }
        Err(invalid) => {
            let way_out =
                "correct what is named; agent-system config validate says when it is right";
            let all = invalid.to_string();
            report.push(Finding::critical("configuration", all.trim_end(), way_out));
            report.extend(daemon::look(context, None).await);
        }
    }
    show(context, &report)?;
    let is_critical = report.level() == Level::Critical;
    Ok(ExitCode::from(if is_critical { UNHEALTHY } else { 0 }))
}

fn show(context: &Context, report: &Report) -> Result<(), Failure> {
    let out = &context.out;
    let value = report.json();
    let none = Vec::new();
    let checks = value["checks"].as_array().unwrap_or(&none);
    match out.format {
        Format::Json => out.value(&value, "status", |_| String::new()),
        Format::Jsonl => checks
            .iter()
            .try_for_each(|check| out.line(&check.to_string())),
        Format::Name => checks
            .iter()
            .try_for_each(|check| out.line(&field(check, "name"))),
        Format::Table => checks
            .iter()
            .try_for_each(|check| out.line(&line(check, out.color()))),
    }
}

/// One line a finding, and a second one with the way out.
fn line(check: &Value, color: bool) -> String {
    const WIDE: usize = 8;
    let status = field(check, "status");
    let pad = " ".repeat(WIDE.saturating_sub(status.len()));
    let shown = if color { coloured(&status) } else { status };
    let (name, message) = (field(check, "name"), field(check, "message"));
    let mut line = format!("{shown}{pad}  {name:<16}  {}", one_line(&message));
    if let Some(way_out) = check["way_out"].as_str() {
        line.push_str(&format!("\n{:WIDE$}  {:<16}  {way_out}", "", "what to do:"));
    }
    line
}
