//! Retention: what is over its time is removed, now and then, in small steps.

use std::time::Duration;

use crate::domain::ids::WorkflowId;
use crate::persistence::artifacts::Artifacts;
use crate::persistence::{Store, StoreError};

/// From the start to the first round: a start has better things to do.
const FIRST_AFTER: Duration = Duration::from_secs(60);
/// From one round to the next.
const EVERY: Duration = Duration::from_secs(600);
/// Uploads that no workflow took over are removed after this.
const UPLOADS_KEPT: Duration = Duration::from_secs(24 * 3_600);

/// Removes what is over its time. Never ends.
pub(super) async fn keep(store: Store, artifacts: Artifacts) {
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
        if let Err(error) = remove_artifacts(&store, &artifacts).await {
            tracing::warn!(%error, "artifacts are kept longer than their workflows");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Removes the files of workflows that are no more, and uploads that nobody took.
async fn remove_artifacts(store: &Store, artifacts: &Artifacts) -> std::io::Result<()> {
    let files = artifacts.clone();
    let listed = tokio::task::spawn_blocking(move || {
        files.remove_uploads_older_than(UPLOADS_KEPT)?;
        files.owners()
    });
    for owner in listed.await.map_err(std::io::Error::other)?? {
        let Ok(workflow) = owner.parse::<WorkflowId>() else {
            continue;
        };
        if matches!(
            store.workflow(workflow).await,
            Err(StoreError::NotFound { .. })
        ) {
            let files = artifacts.clone();
            let removed = tokio::task::spawn_blocking(move || files.remove_owner(&owner));
            removed.await.map_err(std::io::Error::other)??;
        }
    }
    Ok(())
}
