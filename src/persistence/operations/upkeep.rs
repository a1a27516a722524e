//! Operations of the store on the database itself.

use std::time::Duration;

use super::sqlite::prune;
use super::{Result, Store};
use crate::domain::query::{DatabaseStatus, Pruned};

/// The longest that opening the database anew may take.
const RECONNECT_DEADLINE: Duration = Duration::from_secs(15);

impl Store {
    /// Answers from memory; never waits for the database.
    #[must_use]
    pub fn status(&self) -> DatabaseStatus {
        self.sqlite().status()
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

    /// Removes what retention says, in batches that hold the writer for 50 ms at most.
    pub async fn prune(&self) -> Result<Pruned> {
        prune::prune(self.sqlite()).await
    }

    /// Commits what is queued, refuses what comes later, writes the log back and closes.
    pub async fn close(&self) -> Result<()> {
        self.sqlite().close().await
    }
}
