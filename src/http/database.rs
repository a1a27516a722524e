//! `/api/v1/database`: what stands in it, its migrations, backups of it, and retention on demand.
//!
//! A backup is a file on the daemon's machine; where it lies is in the answer. Both may take as long
//! as the disk needs, beside everything else.

use std::path::PathBuf;

use hyper::StatusCode;
use serde::Deserialize;

use super::call::Call;
use super::problem::Problem;
use super::reply;
use super::router::Outcome;
use crate::actors::persistence::artifacts::SweepError;
use crate::actors::persistence::backup::{BackupError, BackupRequest};
use crate::actors::persistence::offline::PruneReport;

/// `GET /api/v1/database`
pub(super) async fn status(call: Call) -> Outcome {
    call.query.only(&[])?;
    reply::json(&call.handles.records.report().await?)
}

/// `GET /api/v1/database/migrations`
pub(super) async fn migrations(call: Call) -> Outcome {
    call.query.only(&["limit", "cursor"])?;
    reply::whole(call.handles.records.migrations().await?)
}

/// `GET /api/v1/database/history`
pub(super) async fn history(call: Call) -> Outcome {
    call.query.only(&["limit", "cursor"])?;
    reply::whole(call.handles.records.migration_history().await?)
}

/// `:backup`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Backup {
    /// A relative path, or none, means the folder `backups` beside the database.
    #[serde(alias = "path")]
    file: Option<PathBuf>,
    /// Whether it may replace an earlier backup.
    force: bool,
    /// Whether artifacts come along.
    artifacts: bool,
}

/// `:prune`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Prune {
    /// Whether it is only told what would go.
    dry_run: bool,
}

impl Default for Backup {
    fn default() -> Self {
        Self {
            file: None,
            force: false,
            artifacts: true,
        }
    }
}

/// `POST /api/v1/database:backup`
pub(super) async fn backup(mut call: Call) -> Outcome {
    call.query.only(&[])?;
    let Backup {
        file,
        force,
        artifacts,
    } = call.json_or_default().await?;
    let artifacts = artifacts.then_some(&call.handles.artifacts);
    let request = BackupRequest { file, force };
    let taken = call.handles.records.backup(request, artifacts).await?;
    reply::with_status(StatusCode::CREATED, &taken)
}

/// `POST /api/v1/database:prune`
pub(super) async fn prune(mut call: Call) -> Outcome {
    call.query.only(&[])?;
    let Prune { dry_run } = call.json_or_default().await?;
    let handles = &call.handles;
    let pruned = PruneReport::of(&handles.records, &handles.artifacts, dry_run).await?;
    reply::json(&pruned)
}

impl From<SweepError> for Problem {
    fn from(error: SweepError) -> Self {
        match error {
            SweepError::Store(error) => error.into(),
            SweepError::Io(error) => Self::internal(error.to_string()),
        }
    }
}

impl From<BackupError> for Problem {
    fn from(error: BackupError) -> Self {
        let detail = error.to_string();
        match error {
            BackupError::Exists(_)
            | BackupError::NotReplaced(_)
            | BackupError::Itself(_)
            | BackupError::Busy => Self::conflict(detail),
            BackupError::BadPath(_) | BackupError::Missing(_) => {
                Self::validation(&detail).at("#/file", detail)
            }
            BackupError::NoRoom { .. } => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage_full", detail)
            }
            BackupError::Foreign(_)
            | BackupError::Damaged { .. }
            | BackupError::Schema { .. }
            | BackupError::Locked(_)
            | BackupError::Io { .. } => {
                tracing::error!(%detail, "no backup was taken");
                Self::internal(detail)
            }
        }
    }
}
