//! What is told of a database: how it stands, how large it is, whose turn it is to copy it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::shared::{BackupTurn, Condition};
use super::{Owner, Sqlite, migrations, offline, queue, reserve};
use crate::domain::query::DatabaseStatus;
use crate::persistence::Result;
use crate::persistence::migrate::{HistoryEntry, MigrationStatus};
use crate::persistence::offline::DatabaseReport;

impl Sqlite {
    /// What is known of the database, from memory.
    pub(crate) fn status(&self) -> DatabaseStatus {
        let Owner {
            shared, readers, ..
        } = &*self.owner;
        let last_error = match shared.condition() {
            Condition::Open => shared.reserve.is_full().then(|| reserve::FULL.to_owned()),
            Condition::Lost { message } => Some(message),
            Condition::Closed => Some("the store is closed".to_owned()),
        };
        DatabaseStatus {
            backend: "sqlite".to_owned(),
            location: shared.path.display().to_string(),
            schema_version: shared.schema_version,
            size_bytes: shared.sizes.database(),
            wal_bytes: shared.sizes.log(),
            free_bytes: shared.sizes.free(),
            disk_free_bytes: shared.sizes.disk_free(),
            longest_prune_ms: shared.sizes.longest_prune().as_secs_f64() * 1e3,
            readers: readers.size(),
            readers_busy: readers.busy(),
            writes_queued: shared.queue.len() as u64,
            writes_capacity: queue::CAPACITY as u64,
            writable: last_error.is_none(),
            last_error,
        }
    }

    /// The database's file.
    pub(crate) fn path(&self) -> &Path {
        &self.owner.shared.path
    }

    /// The right to take the one backup at a time, for as long as it lives.
    pub(crate) fn backup_turn(&self) -> Option<BackupTurn> {
        BackupTurn::take(Arc::clone(&self.owner.shared))
    }

    /// A turn of retention held the writer for so long.
    pub(super) fn held(&self, span: Duration) {
        self.owner.shared.sizes.pruned(span);
    }

    /// Rows of each table, counted beside the writer; the room that is free in the file becomes
    /// known with them.
    pub(crate) async fn census(&self) -> Result<BTreeMap<String, u64>> {
        Ok(self.look().await?.rows)
    }

    /// What stands in the database.
    async fn look(&self) -> Result<offline::Look> {
        let looked = self.read("count rows", offline::Look::at).await?;
        self.owner.shared.sizes.set_free(looked.free_bytes);
        Ok(looked)
    }

    /// What stands in it and how large it is, counted beside the writer.
    pub(crate) async fn report(&self) -> Result<DatabaseReport> {
        Ok(DatabaseReport::of(self.path(), self.look().await?))
    }

    /// Which migrations there are, and which of them it has.
    pub(crate) async fn migrations(&self) -> Result<Vec<MigrationStatus>> {
        self.read("list migrations", migrations::status).await
    }

    /// Every migration that was carried out.
    pub(crate) async fn migration_history(&self) -> Result<Vec<HistoryEntry>> {
        self.read("list migrations", migrations::history).await
    }
}
