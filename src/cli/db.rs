//! `db`: the database's file. Looking works beside a running daemon; changing is refused while one
//! runs, and its pid is named.

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};

use super::config::ConfigArgs;
use super::context::Context;
use super::exit::{BAD_CONFIGURATION, CONFLICT, Failure};
use super::show::{all_fields, field};
use super::table::Column;
use crate::client::Answer;
use crate::config::Config;
use crate::persistence::OpenError;
use crate::persistence::offline::{self, MigrationReport};

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(flatten)]
    from: ConfigArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Version, size and rows
    Status,
    /// Up or down between schema versions
    #[command(subcommand)]
    Migrate(Migrate),
    /// Every migration that was carried out
    History,
    /// Remove what retention says
    Prune,
}

#[derive(Debug, Subcommand)]
enum Migrate {
    /// Up to a version, or to the latest
    Up {
        /// The version
        #[arg(long)]
        to: Option<u32>,
    },
    /// Down to a version
    Down {
        /// The version; 0 is an empty database
        #[arg(long)]
        to: u32,
    },
    /// Which migrations there are, and which the database has
    Status,
    /// Every migration that was carried out
    History,
}

const MIGRATIONS: &[Column] = &[
    ("VERSION", |migration| field(migration, "version")),
    ("NAME", |migration| field(migration, "name")),
    ("STATE", |migration| field(migration, "state")),
];

const HISTORY: &[Column] = &[
    ("AT", |entry| field(entry, "at")),
    ("DIRECTION", |entry| field(entry, "direction")),
    ("VERSION", |entry| field(entry, "version")),
    ("NAME", |entry| field(entry, "name")),
    ("PROGRAM", |entry| field(entry, "program")),
    ("CHECKSUM", |entry| field(entry, "checksum")),
];

pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let out = &context.out;
    let path = database(&args.from)?;
    match args.command {
        Command::Status => out.value(&json(&offline::status(&path)?)?, "location", all_fields),
        Command::History | Command::Migrate(Migrate::History) => {
            out.list(&items(&offline::history(&path)?)?, "version", HISTORY)
        }
        Command::Migrate(Migrate::Status) => out.list(
            &items(&offline::migration_status(&path)?)?,
            "version",
            MIGRATIONS,
        ),
        Command::Migrate(Migrate::Up { to }) => report(context, &offline::migrate_up(&path, to)?),
        Command::Migrate(Migrate::Down { to }) => {
            present(&path)?;
            report(context, &offline::migrate_down(&path, to)?)
        }
        Command::Prune => {
            let pruned = offline::prune(&path).await?;
            out.value(&json(&pruned)?, "rows", |rows| {
                if pruned.values().all(|removed| *removed == 0) {
                    "nothing to remove".to_owned()
                } else {
                    all_fields(rows)
                }
            })
        }
    }
}

/// The file of the embedded database, as the configuration says.
fn database(from: &ConfigArgs) -> Result<PathBuf, Failure> {
    let config = Config::load(from.request())
        .map_err(|invalid| Failure::new(BAD_CONFIGURATION, invalid.to_string()))?;
    Ok(config.database().path.clone())
}

/// Going down needs something to go down from.
fn present(path: &Path) -> Result<(), Failure> {
    if path.exists() {
        return Ok(());
    }
    let message = format!(
        "there is no database at {}; choose another --data-dir",
        path.display()
    );
    Err(Failure::failed(message))
}

fn report(context: &Context, report: &MigrationReport) -> Result<(), Failure> {
    context.out.value(&json(report)?, "to", |_| {
        let MigrationReport { from, to, steps } = report;
        if steps.is_empty() {
            return format!("the schema is at version {to} already");
        }
        format!("schema version {from} → {to}: {}", steps.join(", "))
    })
}

fn json<T: Serialize>(value: &T) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::failed(error.to_string()))
}

/// A list in the shape of the API's.
fn items<T: Serialize>(items: &[T]) -> Result<Answer, Failure> {
    let value = json!({"items": json(&items)?, "next_cursor": null, "has_more": false});
    Ok(Answer {
        status: 200,
        text: value.to_string().into(),
        value,
    })
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let message = error.to_string();
        match error {
            OpenError::Locked(_) => Self::new(CONFLICT, message),
            _ => Self::failed(message),
        }
    }
}
