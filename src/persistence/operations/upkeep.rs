//! Operations of the store on the database itself.

use std::collections::BTreeMap;
use std::time::Duration;

use super::sqlite::prune::{self, Sight};
use super::{Result, Store};
use crate::domain::query::{DatabaseStatus, Pruned};
use crate::domain::timestamp::Timestamp;
use crate::persistence::StoreError;
use crate::persistence::migrate::{HistoryEntry, MigrationStatus};
use crate::persistence::offline::DatabaseReport;

/// The longest that opening the database anew may take.
const RECONNECT_DEADLINE: Duration = Duration::from_secs(15);

impl Store {
    /// Answers from memory; never waits for the database.
    #[must_use]
    pub fn status(&self) -> DatabaseStatus {
        self.sqlite().status()
    }

    /// Why nothing new is taken, while the disk is full.
    #[must_use]
    pub fn full(&self) -> Option<StoreError> {
        self.sqlite().full("take what is new")
    }

    /// Commits since the store was opened.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.sqlite().commits()
    }

    /// One tiny write and one tiny read, there and back.
    pub async fn ping(&self) -> Result<Duration> {
        self.sqlite().ping().await
    }

    /// Opens the database anew: the present writer ends after its batch, the next one takes over
    /// what waits, and a tiny write and read prove that it works. Says how long these took.
    ///
    /// # Errors
    /// If that does not come about within 15 s, or nobody keeps the writer.
    pub async fn reconnect(&self) -> Result<Duration> {
        self.sqlite().reconnect(RECONNECT_DEADLINE).await
    }

    /// Removes the rows that retention says, in batches that hold the writer for 50 ms at most.
    pub async fn prune(&self) -> Result<Pruned> {
        prune::prune(self.sqlite()).await
    }

    /// What [`Self::prune`] would remove now, counted beside the writer; removes nothing.
    pub async fn would_prune(&self) -> Result<Pruned> {
        prune::would_prune(self.sqlite()).await
    }

    /// Rows of each table, counted beside the writer.
    pub async fn census(&self) -> Result<BTreeMap<String, u64>> {
        self.sqlite().census().await
    }

    /// What `db status` shows: rows are counted beside the writer.
    pub async fn report(&self) -> Result<DatabaseReport> {
        self.sqlite().report().await
    }

    /// Which migrations there are, and which of them the database has.
    pub async fn migrations(&self) -> Result<Vec<MigrationStatus>> {
        self.sqlite().migrations().await
    }

    /// Every migration that was carried out, oldest first.
    pub async fn migration_history(&self) -> Result<Vec<HistoryEntry>> {
        self.sqlite().migration_history().await
    }

    /// Of these owners of artifacts, those that are workflows or tasks which are no more.
    pub(crate) async fn gone_owners(
        &self,
        owners: Vec<String>,
        sight: Sight,
    ) -> Result<Vec<String>> {
        prune::gone_owners(self.sqlite(), owners, sight).await
    }

    /// When everything was accepted that may run again and so may mean an upload, in order; `None` if
    /// that is too much to tell.
    pub(crate) async fn work_with_uploads(&self, sight: Sight) -> Result<Option<Vec<Timestamp>>> {
        prune::work_with_uploads(self.sqlite(), sight).await
    }

    /// Commits what is queued, refuses what comes later, writes the log back and closes.
    pub async fn close(&self) -> Result<()> {
        self.sqlite().close().await
    }
}
