//! `db`: the database. Looking, backups and retention go through the daemon while one runs, else to the
//! file; migrations and restoring are refused while one runs, and its pid is named.

pub(super) mod place;

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};

use super::config::ConfigArgs;
use super::context::Context;
use super::exit::{CONFLICT, Failure, NOT_FOUND};
use super::show::{all_fields, field};
use super::table::Column;
use crate::client::Answer;
use crate::persistence::OpenError;
use crate::persistence::backup::{BackupError, BackupRequest};
use crate::persistence::offline::{self, MigrationReport};
use place::Place;

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
    /// Copy it, with the artifacts beside the copy, while everything goes on
    Backup {
        /// The copy; without it, or a relative one through the API: `backups/` beside the database
        file: Option<PathBuf>,
        /// Replace an earlier backup
        #[arg(long)]
        force: bool,
        /// Leave the artifacts out
        #[arg(long)]
        without_artifacts: bool,
    },
    /// Make a backup the database, while no daemon runs; what was there is kept aside
    Restore {
        /// The backup
        file: PathBuf,
    },
    /// Remove what retention says
    Prune {
        /// Only tell what would go
        #[arg(long)]
        dry_run: bool,
    },
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
    let place = Place::of(&args.from)?;
    let path = place.database.clone();
    match args.command {
        Command::Status => {
            let status = look(context, &place, "database", |path| {
                Ok(answer(json(&offline::status(path)?)?))
            });
            out.object(&status.await?, "location", all_fields)
        }
        Command::History | Command::Migrate(Migrate::History) => {
            let list = look(context, &place, "database/history", |path| {
                items(&offline::history(path)?)
            });
            out.list(&list.await?, "version", HISTORY)
        }
        Command::Migrate(Migrate::Status) => {
            let list = look(context, &place, "database/migrations", |path| {
                items(&offline::migration_status(path)?)
            });
            out.list(&list.await?, "version", MIGRATIONS)
        }
        Command::Migrate(Migrate::Up { to }) => {
            place.must_be_meant(context)?;
            report(context, &offline::migrate_up(&path, to)?)
        }
        Command::Migrate(Migrate::Down { to }) => {
            place.must_be_meant(context)?;
            present(&path)?;
            report(context, &offline::migrate_down(&path, to)?)
        }
        Command::Backup {
            file,
            force,
            without_artifacts,
        } => {
            let file = file.map(std::path::absolute).transpose()?;
            let request = BackupRequest { file, force };
            backup(context, &place, request, !without_artifacts).await
        }
        Command::Restore { file } => {
            place.must_be_meant(context)?;
            let restored = offline::restore(&path, &place.data_dir, &file)?;
            out.value(&json(&restored)?, "database", restored_is)
        }
        Command::Prune { dry_run } => prune(context, &place, dry_run).await,
    }
}

/// What the daemon answers, or what stands in the file that nobody owns.
async fn look(
    context: &Context,
    place: &Place,
    path: &str,
    offline: impl FnOnce(&Path) -> Result<Answer, Failure>,
) -> Result<Answer, Failure> {
    match place.daemon(context).await? {
        Some(daemon) => Ok(daemon.list(path, Vec::new()).await?),
        None => offline(&place.database),
    }
}

/// Through the daemon, or on the file that nobody owns.
async fn backup(
    context: &Context,
    place: &Place,
    request: BackupRequest,
    artifacts: bool,
) -> Result<(), Failure> {
    let Some(daemon) = place.daemon(context).await? else {
        let data_dir = artifacts.then_some(place.data_dir.as_path());
        let taken = offline::backup(&place.database, data_dir, &request)?;
        return context.out.value(&json(&taken)?, "file", taken_is);
    };
    let body = json!({"file": request.file, "force": request.force, "artifacts": artifacts});
    let answer = daemon.long_verb("database:backup", body).await?;
    context.out.object(&answer, "file", taken_is)
}

async fn prune(context: &Context, place: &Place, dry_run: bool) -> Result<(), Failure> {
    let Some(daemon) = place.daemon(context).await? else {
        let pruned = offline::prune(&place.database, &place.data_dir, dry_run).await?;
        return context.out.value(&json(&pruned)?, "rows", pruned_is);
    };
    let answer = daemon
        .long_verb("database:prune", json!({"dry_run": dry_run}))
        .await?;
    context.out.object(&answer, "rows", pruned_is)
}

fn taken_is(taken: &Value) -> String {
    let artifacts = match taken["artifacts"]["files"].as_u64() {
        Some(files) => format!("{files} artifacts beside it"),
        None => "without artifacts".to_owned(),
    };
    format!(
        "{}: {} bytes, schema version {}, {artifacts}, in {} ms",
        field(taken, "file"),
        field(taken, "bytes"),
        field(taken, "schema_version"),
        field(taken, "duration_ms"),
    )
}

fn restored_is(restored: &Value) -> String {
    let mut lines = vec![format!(
        "{} is now {}, schema version {}",
        field(restored, "database"),
        field(restored, "file"),
        field(restored, "schema_version")
    )];
    let told = [
        ("kept", "the database before is kept at"),
        ("kept_artifacts", "the artifacts before are kept at"),
    ];
    for (key, words) in told {
        if let Some(path) = restored[key].as_str() {
            lines.push(format!("{words} {path}"));
        }
    }
    if restored["artifacts"].is_null() {
        lines.push("the backup has no artifacts; those of the data directory stay".to_owned());
    }
    lines.join("\n")
}

fn pruned_is(pruned: &Value) -> String {
    let removed = |value: &Value| value.as_u64().unwrap_or(0);
    let rows = pruned["rows"].as_object();
    let mut lines: Vec<String> = rows
        .into_iter()
        .flatten()
        .map(|(table, rows)| format!("{table}: {rows}"))
        .collect();
    for (key, words) in [
        ("owners", "artifacts of workflows and tasks"),
        ("uploads", "uploads"),
    ] {
        let files = removed(&pruned["artifacts"][key]);
        if files > 0 {
            lines.push(format!("{words}: {files}"));
        }
    }
    if lines.is_empty() {
        return "nothing to remove".to_owned();
    }
    if pruned["dry_run"] == true {
        lines.insert(0, "would be removed:".to_owned());
    }
    lines.join("\n")
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
    let items = json(&items)?;
    Ok(answer(
        json!({"items": items, "next_cursor": null, "has_more": false}),
    ))
}

/// A value as the API would have answered it.
fn answer(value: Value) -> Answer {
    Answer {
        status: 200,
        text: value.to_string().into(),
        value,
    }
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

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let message = error.to_string();
        match error {
            BackupError::Locked(_)
            | BackupError::Exists(_)
            | BackupError::NotReplaced(_)
            | BackupError::Itself(_)
            | BackupError::Busy => Self::new(CONFLICT, message),
            BackupError::Missing(_) => Self::new(NOT_FOUND, message),
            _ => Self::failed(message),
        }
    }
}
