//! Where a database is, and who owns it: a daemon that is asked, or nobody.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::config::ConfigArgs;
use crate::cli::context::{Context, UrlFrom};
use crate::cli::exit::{BAD_CONFIGURATION, Failure, UNREACHABLE};
use crate::client::{Client, ClientError};
use crate::config::Config;
use crate::persistence::lock::Lock;

/// What the configuration says of the embedded database.
pub(in crate::cli) struct Place {
    /// Its file.
    pub(super) database: PathBuf,
    /// The directory of the daemon that would own it.
    pub(super) data_dir: PathBuf,
}

impl From<&Config> for Place {
    fn from(config: &Config) -> Self {
        Self {
            database: config.database().path.clone(),
            data_dir: config.data_dir().to_owned(),
        }
    }
}

impl Place {
    /// As the configuration says.
    pub(super) fn of(from: &ConfigArgs) -> Result<Self, Failure> {
        let config = Config::load(from.request())
            .map_err(|invalid| Failure::new(BAD_CONFIGURATION, invalid.to_string()))?;
        Ok(Self::from(&config))
    }

    /// The daemon to ask: the one that was named, else the one that owns the data directory; none if
    /// the file is nobody's.
    pub(in crate::cli) async fn daemon(
        &self,
        context: &Context,
    ) -> Result<Option<Client>, Failure> {
        let named = &context.client;
        let owned = Lock::owner(&self.data_dir);
        match (context.url_from, owned) {
            (UrlFrom::Flag, _) | (UrlFrom::Environment, Some(_)) => Ok(Some(named.clone())),
            // A variable stays when the daemon it means has ended.
            (UrlFrom::Environment, None) => match named.version().await {
                Err(ClientError::Unreachable { .. }) => {
                    let file = self.database.display();
                    context.out.note(&format!(
                        "no daemon answers at {}; working on {file}",
                        named.url()
                    ));
                    Ok(None)
                }
                _ => Ok(Some(named.clone())),
            },
            (UrlFrom::Default, Some(pid)) => match self.address() {
                Some(url) => Ok(Some(context.client_of(&url)?)),
                None => Err(Failure::new(UNREACHABLE, nowhere(&self.data_dir, pid))),
            },
            (UrlFrom::Default, None) => Ok(None),
        }
    }

    /// What only works on the file, while no daemon runs, is not done to it when another was named.
    pub(super) fn must_be_meant(&self, context: &Context) -> Result<(), Failure> {
        if context.url_from != UrlFrom::Flag {
            return Ok(());
        }
        let message = format!(
            "this works on a file while no daemon runs, not through {}; leave --url out to work on {}",
            context.client.url(),
            self.database.display()
        );
        Err(Failure::usage(message))
    }

    /// Where the daemon of the data directory says it listens.
    fn address(&self) -> Option<String> {
        let about = std::fs::read_to_string(self.data_dir.join("daemon.json")).ok()?;
        let about: Value = serde_json::from_str(&about).ok()?;
        Some(format!("http://{}", about["api"].as_str()?))
    }
}

fn nowhere(data_dir: &Path, pid: Option<u32>) -> String {
    let who = pid.map_or("another process".to_owned(), |pid| format!("process {pid}"));
    format!(
        "{} is in use by {who}, which does not say where it listens; name it by --url, or try again",
        data_dir.display()
    )
}
