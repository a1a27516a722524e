//! What every command has: the daemon's client and the way to print.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;

use super::exit::Failure;
use super::out::{Format, Out};
use crate::client::Client;

/// The daemon that is asked unless another is named.
const DEFAULT_URL: &str = "http://127.0.0.1:5000";

/// Names another.
const URL_VARIABLE: &str = "AGENT_SYSTEM_URL";

/// Flags that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Global {
    /// The daemon's URL [default: http://127.0.0.1:5000]
    #[arg(long, global = true, env = URL_VARIABLE)]
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

/// Who said which daemon is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UrlFrom {
    /// Nobody.
    Default,
    /// `AGENT_SYSTEM_URL`.
    Environment,
    /// `--url`.
    Flag,
}

impl UrlFrom {
    fn of(url: Option<&str>) -> Self {
        match (url, std::env::var(URL_VARIABLE)) {
            (None, _) => Self::Default,
            (Some(url), Ok(variable)) if url == variable => Self::Environment,
            (Some(_), _) => Self::Flag,
        }
    }
}

/// What every command has.
pub(super) struct Context {
    pub(super) client: Client,
    pub(super) url_from: UrlFrom,
    pub(super) out: Out,
    token: Option<String>,
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
        let url = global.url.as_deref();
        Ok(Self {
            client: Client::new(url.unwrap_or(DEFAULT_URL), token.clone())?,
            url_from: UrlFrom::of(url),
            out: Out::new(global.output, color, global.quiet),
            token,
        })
    }

    /// A client of another daemon.
    pub(super) fn client_of(&self, url: &str) -> Result<Client, Failure> {
        Ok(Client::new(url, self.token.clone())?)
    }
}

fn read_token(path: &PathBuf) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("--token-file {}: {error}", path.display())))?;
    Ok(text.trim().to_owned())
}
