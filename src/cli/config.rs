//! `config`: what the configuration is, whether it is right, what it may hold, and what a running
//! daemon would take over of it; and the flags that say where it comes from, shared with `serve` and
//! `db`.

mod reload;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};

use super::context::Context;
use super::exit::Failure;
use super::out::Format;
use super::wait::pair;
use crate::config::render::{self, Rendered, ShowFormat};
use crate::config::{Environment, LoadRequest};

/// Where the configuration comes from.
#[derive(Debug, Clone, Default, ClapArgs)]
#[command(next_help_heading = "Where the configuration comes from")]
pub struct ConfigArgs {
    /// development, testing, staging or production
    #[arg(long, global = true, value_name = "ENVIRONMENT")]
    pub env: Option<Environment>,
    /// A file of settings; may repeat, later wins
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Vec<PathBuf>,
    /// The directory that holds all that the daemon writes
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// One setting, by dotted key: server.port=0; may repeat
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = pair)]
    pub set: Vec<(String, String)>,
    /// The address the API listens on
    #[arg(long, global = true)]
    pub host: Option<String>,
    /// The API's port; 0 for any free one
    #[arg(long, global = true)]
    pub port: Option<u16>,
    /// The port of /metrics; 0 for any free one
    #[arg(long, global = true)]
    pub metrics_port: Option<u16>,
    /// The least severe level that is logged
    #[arg(long, global = true)]
    pub log_level: Option<String>,
}

impl ConfigArgs {
    /// What is to be loaded, with this process's variables.
    #[must_use]
    pub fn request(&self) -> LoadRequest {
        let named = [
            ("server.host", self.host.clone()),
            ("server.port", self.port.map(|port| port.to_string())),
            (
                "monitoring.metrics_port",
                self.metrics_port.map(|port| port.to_string()),
            ),
            ("logging.level", self.log_level.clone()),
        ];
        let named = named
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)));
        LoadRequest {
            environment: self.env,
            files: self.config.clone(),
            data_dir: self.data_dir.clone(),
            flags: self.set.iter().cloned().chain(named).collect(),
            ..LoadRequest::of_process()
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The effective configuration, secrets redacted
    Show {
        #[command(flatten)]
        from: Box<ConfigArgs>,
        /// With where each value came from
        #[arg(long)]
        sources: bool,
        /// toml or json; -o json is the same as json
        #[arg(long, value_enum)]
        format: Option<Text>,
    },
    /// Every problem there is, at once; exits 78 if there is one
    Validate {
        #[command(flatten)]
        from: Box<ConfigArgs>,
    },
    /// The JSON Schema of a configuration file
    Schema,
    /// What the running daemon would take over of its changed files; nothing changes
    Plan,
    /// Has the running daemon take over its changed files
    Apply(reload::Apply),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Text {
    Toml,
    Json,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let rendered = match args.command {
        Command::Show {
            from,
            sources,
            format,
        } => {
            let json = format == Some(Text::Json)
                || format.is_none() && context.out.format != Format::Table;
            let format = if json {
                ShowFormat::Json
            } else {
                ShowFormat::Toml
            };
            render::show(&from.request(), format, sources)
        }
        Command::Validate { from } => render::validate(&from.request()),
        Command::Schema => render::schema(),
        Command::Plan => return reload::plan(context).await,
        Command::Apply(args) => return reload::apply(context, args).await,
    };
    print(context, &rendered)
}

/// The text, the problems, and the exit code.
fn print(context: &Context, rendered: &Rendered) -> Result<(), Failure> {
    context.out.bytes(rendered.stdout.as_bytes())?;
    let said = rendered.stderr.trim_end();
    if rendered.exit_code == 0 {
        if !said.is_empty() {
            context.out.note(said);
        }
        return Ok(());
    }
    Err(Failure::new(rendered.exit_code, said))
}
