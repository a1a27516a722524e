//! Operations of the store on the database itself.

use std::time::Duration;

use super::{Result, Store};
use crate::domain::query::{DatabaseStatus, Pruned};

#[allow(
    missing_docs,
    unused_variables,
    clippy::todo,
    reason = "signatures agreed first"
)]
impl Store {
    /// Answers from memory; never waits for the database.
    pub fn status(&self) -> DatabaseStatus {
        todo!()
    }
    /// One tiny write and one tiny read, there and back.
    pub async fn ping(&self) -> Result<Duration> {
        todo!()
    }
    /// Removes what retention says, in batches that hold the writer for 50 ms at most.
    pub async fn prune(&self) -> Result<Pruned> {
        todo!()
    }
    /// Commits what is queued, refuses what comes later, checkpoints and closes.
    pub async fn close(&self) -> Result<()> {
        todo!()
    }
}
