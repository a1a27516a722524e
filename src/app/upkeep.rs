//! Retention: what is over its time is removed, now and then, in small steps; then everything is
//! counted for the gauges.

use std::sync::Arc;
use std::time::Duration;

use crate::actors::errand;
use crate::actors::life::ChildFactory;
use crate::persistence::Store;
use crate::persistence::artifacts::Artifacts;
use crate::telemetry::metrics::record;

/// From the start to the first round: a start has better things to do.
const FIRST_AFTER: Duration = Duration::from_secs(60);
/// From one round to the next.
const EVERY: Duration = Duration::from_secs(600);

/// Retention as a child for the tree.
pub(super) fn child(store: &Store, artifacts: &Artifacts) -> Arc<dyn ChildFactory> {
    let (store, artifacts) = (store.clone(), artifacts.clone());
    errand::child(move || keep(store.clone(), artifacts.clone()))
}

/// Removes what is over its time. Never ends.
async fn keep(store: Store, artifacts: Artifacts) {
    count(&store, &artifacts).await;
    tokio::time::sleep(FIRST_AFTER).await;
    loop {
        match store.prune().await {
            Ok(pruned) => {
                let rows: u64 = pruned.values().sum();
                if rows > 0 {
                    tracing::info!(rows, "removed what was over its time");
                }
            }
            Err(error) => tracing::warn!(%error, "retention is late"),
        }
        if let Err(error) = artifacts.sweep(&store).await {
            tracing::warn!(%error, "artifacts are kept longer than their workflows");
        }
        count(&store, &artifacts).await;
        tokio::time::sleep(EVERY).await;
    }
}

/// Counts beside the writer.
async fn count(store: &Store, artifacts: &Artifacts) {
    match (store.census().await, artifacts.total_bytes().await) {
        (Ok(rows), Ok(bytes)) => record::census(&rows, bytes),
        (rows, bytes) => {
            let why = rows.err().map(|error| error.to_string());
            let why = why.or_else(|| bytes.err().map(|error| error.to_string()));
            tracing::debug!(why, "the gauges of size are late");
        }
    }
}
