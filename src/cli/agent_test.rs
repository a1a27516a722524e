//! `agents test`: whether a program speaks the protocol, without a daemon.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::config::ConfigArgs;
use super::context::Context;
use super::exit::{FAILED, Failure, NOT_FOUND};
use super::out::Format;
use super::show::field;
use super::table::coloured;
use super::wait::span;
use crate::app::conformance::{self, Limits, Report, Scratch, Subject};
use crate::config::Config;
use crate::domain::agent::{
    AgentProgram, AgentSpec, EnvSpec, ProcessLimits, ProcessProtocol, ProcessSpec,
};
use crate::domain::name::nearest;

#[derive(Debug, Args)]
pub(super) struct AgentTest {
    /// An agent of the configuration
    #[arg(required_unless_present = "command")]
    name: Option<String>,
    /// The payload of its tasks, as JSON
    #[arg(long, value_name = "JSON", default_value = "{}")]
    payload: String,
    /// How long a task may take
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = span)]
    timeout: Duration,
    /// How long it may take to be ready; else as configured, or 30s
    #[arg(long, value_name = "SPAN", value_parser = span)]
    startup_timeout: Option<Duration>,
    #[command(flatten)]
    from: Box<ConfigArgs>,
    /// Or a command with its arguments
    #[arg(last = true, conflicts_with = "name")]
    command: Vec<String>,
}

/// How long it may take to be ready without a configuration that says so.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long a pong may take; the default timeout of a probe.
const PONG_WITHIN: Duration = Duration::from_secs(3);
/// How long the end may take without a configuration that says so.
const STOP_WITHIN: Duration = Duration::from_secs(8);

pub(super) async fn run(context: &Context, asked: AgentTest) -> Result<ExitCode, Failure> {
    let scratch = Scratch::new().map_err(|error| Failure::failed(error.to_string()))?;
    let subject = subject(asked, scratch.path())?;
    let report = conformance::run(subject).await;
    let report = report.map_err(|error| Failure::failed(error.to_string()))?;
    show(context, &report)?;
    Ok(ExitCode::from(if report.passed { 0 } else { FAILED }))
}

fn subject(asked: AgentTest, artifacts: PathBuf) -> Result<Subject, Failure> {
    let payload = serde_json::from_str(&asked.payload)
        .map_err(|error| Failure::usage(format!("--payload is not JSON: {error}")))?;
    let mut limits = Limits {
        startup: READY_WITHIN,
        pong: PONG_WITHIN,
        task: asked.timeout,
        stop: STOP_WITHIN,
    };
    let (name, process) = match asked.name {
        Some(name) => {
            let (spec, process) = configured(&name, &asked.from)?;
            limits.stop = spec.stop.timeout;
            limits.startup = spec.start_timeout;
            (name, process)
        }
        None => ("test".to_owned(), of_command(asked.command)),
    };
    limits.startup = asked.startup_timeout.unwrap_or(limits.startup);
    Ok(Subject {
        name,
        process,
        payload,
        artifacts,
        limits,
    })
}

/// A process with nothing set but its command.
fn of_command(command: Vec<String>) -> ProcessSpec {
    ProcessSpec {
        command,
        directory: None,
        protocol: ProcessProtocol::Stdio,
        env: EnvSpec::default(),
        limits: ProcessLimits::default(),
        log: None,
        settings: Value::Null,
        success_exit_codes: vec![0],
        fatal_exit_codes: Vec::new(),
    }
}

/// An agent of the configuration, if it is one that speaks.
fn configured(name: &str, from: &ConfigArgs) -> Result<(AgentSpec, ProcessSpec), Failure> {
    let config = Config::load(from.request())
        .map_err(|invalid| Failure::new(invalid.exit_code(), invalid.to_string()))?;
    let Some(spec) = config.agents().get(name) else {
        let names = config.agents().keys().map(AsRef::as_ref);
        let hint = nearest(name, names).map_or_else(
            || "; for a program that is not configured: agents test -- COMMAND".to_owned(),
            |near| format!("; did you mean '{near}'?"),
        );
        let why = format!("the configuration has no agent '{name}'{hint}");
        return Err(Failure::new(NOT_FOUND, why));
    };
    match &spec.runs {
        AgentProgram::Process(process) if process.protocol == ProcessProtocol::Stdio => {
            Ok((spec.clone(), process.clone()))
        }
        _ => Err(Failure::usage(format!(
            "agent '{name}' does not speak the stdio protocol: only process agents with protocol = \"stdio\" can be tested"
        ))),
    }
}

fn show(context: &Context, report: &Report) -> Result<(), Failure> {
    let out = &context.out;
    let value = serde_json::to_value(report).unwrap_or_default();
    let none = Vec::new();
    let checks = value["checks"].as_array().unwrap_or(&none);
    match out.format {
        Format::Json => return out.value(&value, "agent", |_| String::new()),
        Format::Jsonl => {
            return checks
                .iter()
                .try_for_each(|check| out.line(&check.to_string()));
        }
        Format::Name => {
            return checks
                .iter()
                .try_for_each(|check| out.line(&field(check, "name")));
        }
        Format::Table => {}
    }
    for check in checks {
        out.line(&line(check, out.color()))?;
    }
    if !report.passed && !report.stderr.is_empty() {
        out.note("its last words on stderr:");
        report.stderr.iter().for_each(|words| {
            out.note(&format!("  {}", super::table::one_line(words)));
        });
    }
    let verdict = if report.passed { "passed" } else { "failed" };
    out.note(&format!("{verdict}: {}", report.command.join(" ")));
    Ok(())
}

/// One line a check, and a second one with the way out.
fn line(check: &Value, color: bool) -> String {
    let outcome = field(check, "outcome");
    let shown = if color {
        coloured(&outcome)
    } else {
        outcome.clone()
    };
    let pad = " ".repeat(7_usize.saturating_sub(outcome.len()));
    let message = super::table::one_line(&field(check, "message"));
    let mut line = format!("{shown}{pad}  {:<14}  {message}", field(check, "name"));
    if let Some(way_out) = check["way_out"].as_str() {
        line.push_str(&format!("\n{:<9}{:<14}  {way_out}", "", "what to do:"));
    }
    line
}
