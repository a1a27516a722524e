//! The command line: one file a noun, tables and JSON.
//!
//! A user may rely on the exit codes ([`exit`]), on data going to stdout and messages to stderr,
//! and on `-o json` printing the API's object unchanged. Everything about a running daemon is
//! asked through [`crate::client`]; `db` and `config` also work without one.
//!
//! Not here: what `serve` does; the caller of [`main`] passes it in.

mod agent_test;
mod agents;
mod bench;
mod config;
mod context;
mod crashes;
mod db;
mod dead_letters;
mod doctor;

mod events;
pub mod exit;
mod explain;
mod health;
mod init;
mod messages;
mod named;
mod out;
mod pause;
mod queues;
mod records;
mod schedules;
mod show;
mod table;
mod tasks;
mod top;
mod wait;
mod workflows;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub use config::ConfigArgs;

use context::{Context, Global};
use exit::Failure;

/// What `serve` is given.
pub trait Serve: FnOnce(ConfigArgs) -> ExitCode {}

impl<F: FnOnce(ConfigArgs) -> ExitCode> Serve for F {}

/// Supervises fleets of agents as Erlang/OTP supervises processes, and gives them durable work.
#[derive(Debug, Parser)]
#[command(name = "agent-system", version, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon in the foreground
    Serve(ConfigArgs),
    /// What is supervised, and what an operator does to it
    #[command(subcommand)]
    Agents(agents::Command),
    /// Durable work
    #[command(subcommand)]
    Tasks(tasks::Command),
    /// Tasks that form a graph
    #[command(subcommand)]
    Workflows(workflows::Command),
    /// What waits where
    #[command(subcommand)]
    Queues(queues::Command),
    /// Tasks that are given up
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// What falls due by itself
    #[command(subcommand)]
    Schedules(schedules::Command),
    /// How the parts are doing, the worst first; exits 6 when something is critical
    Health(health::Args),
    /// What is done by itself about what is critical
    #[command(subcommand)]
    Recovery(records::Recovery),
    /// The journal
    Events(events::Args),
    /// What agents said to each other
    #[command(subcommand)]
    Messages(messages::Command),
    /// Figures of the past
    Metrics(records::Metrics),
    /// The database, with or without a running daemon
    Db(Box<db::Args>),
    /// The configuration: of files, and of the running daemon
    Config(config::Args),
    /// A configuration and an agent to begin with
    Init(init::Args),
    /// The API of this binary as OpenAPI, without a daemon
    Openapi,
    /// What the daemon needs, and what is wrong; exits 6 when something is critical
    Doctor(doctor::Args),
    /// The daemon at a glance, drawn anew every second
    Top(top::Args),
    /// How fast the house is on this machine; with --url, how fast a running daemon is
    Bench(bench::Args),
    /// Keys of the API: not in this version
    #[command(hide = true, disable_help_flag = true)]
    Keys(Later),
    /// The audit trail: not in this version
    #[command(hide = true, disable_help_flag = true)]
    Audit(Later),
    /// The version of this binary and of the daemon
    Version,
    /// Completions for a shell
    Completion {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Whatever is asked of a part that is not in this version.
#[derive(Debug, clap::Args)]
struct Later {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    arguments: Vec<OsString>,
}

/// The way it is said of settings, and their exit code.
fn not_in_this_version(what: &str, Later { arguments: _ }: &Later) -> Failure {
    Failure::new(
        exit::BAD_CONFIGURATION,
        format!("{what}: not in this version"),
    )
}

/// Runs one command; `serve` runs the daemon.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>, serve: impl Serve) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let Cli { global, command } = cli;
    match command {
        Command::Serve(args) => serve(args),
        Command::Completion { shell } => completion(shell),
        command => match run(global, command) {
            Ok(code) => code,
            Err(failure) => failure.report(),
        },
    }
}

/// Help and version are no errors; the rest is 2.
fn usage(error: &clap::Error) -> ExitCode {
    // A closed pipe leaves nobody to tell.
    drop(error.print());
    if error.use_stderr() {
        ExitCode::from(exit::USAGE)
    } else {
        ExitCode::SUCCESS
    }
}

fn completion(shell: clap_complete::Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "agent-system", &mut script);
    match out::Out::plain().bytes(&script) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(global: Global, command: Command) -> Result<ExitCode, Failure> {
    if let Command::Bench(args) = &command {
        let url = global.url.clone();
        return bench::run(&Context::new(global)?, url, args);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("no runtime: {error}")))?;
    runtime.block_on(dispatch(Context::new(global)?, command))
}

async fn dispatch(mut context: Context, command: Command) -> Result<ExitCode, Failure> {
    let context = &mut context;
    match command {
        Command::Agents(command) => return agents::run(context, command).await,
        Command::Tasks(command) => return tasks::run(context, command).await,
        Command::Workflows(command) => return workflows::run(context, command).await,
        Command::Queues(command) => queues::run(context, command).await?,
        Command::DeadLetters(command) => dead_letters::run(context, command).await?,
        Command::Schedules(command) => schedules::run(context, command).await?,
        Command::Health(args) => return health::run(context, args).await,
        Command::Recovery(command) => return records::recovery(context, command).await,
        Command::Events(args) => events::run(context, args).await?,
        Command::Messages(command) => messages::run(context, command).await?,
        Command::Metrics(args) => records::metrics(context, args).await?,

        Command::Db(args) => db::run(context, *args).await?,
        Command::Config(args) => config::run(context, args).await?,
        Command::Init(args) => init::run(context, &args)?,
        Command::Openapi => context.out.line(&crate::app::openapi().to_string())?,
        Command::Top(args) => top::run(context, &args).await?,
        Command::Doctor(args) => return doctor::run(context, args).await,
        Command::Version => version(context).await?,
        Command::Keys(asked) => return Err(not_in_this_version("keys of the API", &asked)),
        Command::Audit(asked) => return Err(not_in_this_version("the audit trail", &asked)),
        Command::Serve(_) | Command::Bench(_) | Command::Completion { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// This binary's version, and the daemon's if one answers.
async fn version(context: &mut Context) -> Result<(), Failure> {
    let own = env!("CARGO_PKG_VERSION");
    match context.client.version().await {
        Ok(answer) => context.out.object(&answer, "version", |value| {
            let of = |key: &str| value[key].as_str().unwrap_or("-").to_owned();
            format!(
                "agent-system {own}\ndaemon {} ({}, node {}, pid {}) at {}",
                of("version"),
                of("environment"),
                of("node"),
                value["pid"],
                context.client.url()
            )
        }),
        Err(_) => {
            let own = serde_json::json!({"version": own});
            context.out.value(&own, "version", |value| {
                format!(
                    "agent-system {}\nno daemon answers",
                    value["version"].as_str().unwrap_or_default()
                )
            })
        }
    }
}

#[cfg(test)]
mod tests;
