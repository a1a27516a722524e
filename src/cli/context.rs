//! What every command has: the daemon's client and the way to print.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;

use super::exit::Failure;
use super::out::{Format, Out};
use crate::client::Client;

/// The daemon that is asked unless another is named.
const DEFAULT_URL: &str = "http://127.0.0.1:5000";

/// Flags that every command takes.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// The daemon's URL [default: http://127.0.0.1:5000]
    #[arg(long, global = true, env = "AGENT_SYSTEM_URL")]
    pub(super) url: Option<String>,
    /// What proves who asks
    #[arg(
        long,
        global = true,
        env = "AGENT_SYSTEM_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
    /// A file that holds the token
    #[arg(long, global = true, conflicts_with = "token", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// How data is printed
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// Print no messages
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Print no colours
    #[arg(long, global = true)]
    no_color: bool,
}

/// What every command has.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) out: Out,
}

impl Context {
    /// From the flags and the environment.
    pub(super) fn new(global: Global) -> Result<Self, Failure> {
        let token = match &global.token_file {
            None => global.token,
            Some(path) => Some(read_token(path)?),
        };
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let color = !global.no_color && !no_color && std::io::stdout().is_terminal();
        Ok(Self {
            client: Client::new(global.url.as_deref().unwrap_or(DEFAULT_URL), token)?,
            out: Out::new(global.output, color, global.quiet),
        })
    }
}

fn read_token(path: &PathBuf) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("--token-file {}: {error}", path.display())))?;
    Ok(text.trim().to_owned())
}
