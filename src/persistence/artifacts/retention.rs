//! When artifacts are removed: with their workflow or task; uploads when they are a day old and nothing
//! that is kept can mean them. Files are removed off the runtime's threads and beside the writer.

use std::fs;
use std::io;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::{Artifacts, UPLOADS, blocking_io};
use crate::domain::timestamp::Timestamp;
use crate::persistence::{Store, StoreError};

/// An upload is named in work within this time, or never.
const UPLOADS_KEPT: Duration = Duration::from_secs(24 * 3_600);
/// Owners that one read asks for.
const OWNERS_AT_ONCE: usize = 200;

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Workflows and tasks whose files went.
    pub owners: u64,
    /// Uploads that went.
    pub uploads: u64,
    /// Bytes of all that is left.
    pub bytes_left: u64,
}

/// Why artifacts are kept longer than they should be.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// Nobody says what is needed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file system refuses.
    #[error("artifacts cannot be removed: {0}")]
    Io(#[from] io::Error),
}

/// An upload that may be old enough to go.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Upload {
    name: std::ffi::OsString,
    at: Timestamp,
}

impl Artifacts {
    /// Removes what nothing in the store can mean any more.
    ///
    /// # Errors
    /// The store does not answer, or the file system refuses; what was removed is gone.
    pub async fn sweep(&self, store: &Store) -> Result<Swept, SweepError> {
        let mut swept = Swept::default();
        let this = self.clone();
        let owners = blocking_io(move || this.owners()).await?;
        for owners in owners.chunks(OWNERS_AT_ONCE) {
            let gone = store.gone_owners(owners.to_vec()).await?;
            swept.owners += gone.len() as u64;
            let this = self.clone();
            blocking_io(move || gone.iter().try_for_each(|owner| this.remove_owner(owner))).await?;
        }
        swept.uploads = self.sweep_uploads(store).await?;
        swept.bytes_left = self.total_bytes().await?;
        Ok(swept)
    }

    /// Bytes of all artifacts.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub async fn total_bytes(&self) -> io::Result<u64> {
        let this = self.clone();
        blocking_io(move || this.bytes()).await
    }

    async fn sweep_uploads(&self, store: &Store) -> Result<u64, SweepError> {
        let this = self.clone();
        let old = blocking_io(move || this.uploads_older_than(UPLOADS_KEPT)).await?;
        if old.is_empty() {
            return Ok(0);
        }
        let Some(work) = store.work_with_uploads().await? else {
            return Ok(0);
        };
        let gone: Vec<Upload> = old
            .into_iter()
            .filter(|it| !is_meant(it.at, &work))
            .collect();
        let folder = self.root.join(UPLOADS);
        let remove = move || {
            let removed = gone.iter().map(|it| fs::remove_file(folder.join(&it.name)));
            Ok(removed.filter(Result::is_ok).count() as u64)
        };
        Ok(blocking_io(remove).await?)
    }

    /// The owners that have files, without `uploads`.
    fn owners(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.root)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let names: Vec<String> = names.collect::<io::Result<_>>()?;
        Ok(names.into_iter().filter(|name| name != UPLOADS).collect())
    }

    fn uploads_older_than(&self, age: Duration) -> io::Result<Vec<Upload>> {
        let mut old = Vec::new();
        for entry in fs::read_dir(self.root.join(UPLOADS))? {
            let entry = entry?;
            let written = entry.metadata()?.modified()?;
            if written.elapsed().is_ok_and(|is| is >= age) {
                old.push(Upload {
                    name: entry.file_name(),
                    at: instant(written),
                });
            }
        }
        Ok(old)
    }

    fn bytes(&self) -> io::Result<u64> {
        let mut bytes = 0;
        for owner in fs::read_dir(&self.root)? {
            let Ok(files) = fs::read_dir(owner?.path()) else {
                continue;
            };
            // What is gone meanwhile has no bytes.
            let sizes = files.flatten().filter_map(|file| file.metadata().ok());
            bytes += sizes.map(|metadata| metadata.len()).sum::<u64>();
        }
        Ok(bytes)
    }
}

/// Whether something that was accepted within [`UPLOADS_KEPT`] of an upload may mean it. `work` is in
/// order.
fn is_meant(upload: Timestamp, work: &[Timestamp]) -> bool {
    let first = work.partition_point(|at| *at < upload);
    work.get(first)
        .is_some_and(|at| *at <= upload.after(UPLOADS_KEPT))
}

fn instant(at: SystemTime) -> Timestamp {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::persistence::SqliteOptions;

    #[test]
    fn an_upload_is_meant_by_what_was_accepted_within_a_day_of_it() {
        let day = UPLOADS_KEPT.as_micros() as i64;
        let at = Timestamp::from_micros;
        let cases = [
            (vec![], false),
            (vec![at(-1)], false),
            (vec![at(-5), at(0)], true),
            (vec![at(-5), at(day)], true),
            (vec![at(-5), at(day + 1)], false),
        ];
        for (work, meant) in cases {
            assert_eq!(is_meant(at(0), &work), meant, "{work:?}");
        }
    }

    fn write(artifacts: &Artifacts, name: &str) {
        let mut writer = artifacts.create(name.parse().unwrap()).unwrap();
        writer.write_all(b"abc").unwrap();
        writer.finish().unwrap();
    }

    #[tokio::test]
    async fn files_go_with_their_workflow_or_task_and_old_uploads_with_the_work_that_may_mean_them()
    {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(dir.path()).unwrap();
        let store = Store::open(SqliteOptions::new(dir.path().join("a.db")))
            .await
            .unwrap();
        let [workflow, task] = ["wfl", "tsk"].map(|kind| format!("{kind}_{}", "1".repeat(32)));
        for name in [
            format!("{workflow}/a"),
            format!("{task}/b"),
            "uploads/old".into(),
            "uploads/young".into(),
        ] {
            write(&artifacts, &name);
        }
        let old = fs::File::open(artifacts.root().join("uploads/old")).unwrap();
        let two_days_ago = SystemTime::now() - UPLOADS_KEPT * 2;
        old.set_modified(two_days_ago).unwrap();
        let rows = |sql: String| {
            let store = store.clone();
            async move {
                store
                    .sqlite()
                    .write("set up", move |tx| Ok(tx.conn().execute_batch(&sql)?))
                    .await
                    .unwrap();
            }
        };
        let day_before = instant(two_days_ago).as_micros() + 5;
        rows(format!(
            "INSERT INTO workflows (id, name, state, definition, definition_hash, input, steps_left, created_at)
                 VALUES (x'{0}', 'w', 'failed', x'007b7d', 'h', x'007b7d', 1, {day_before});
             INSERT INTO tasks (id, name, queue, state, priority, rank, payload, max_attempts, timeout_ms, run_at, created_at)
                 VALUES (x'{0}', 't', 'q', 'queued', 5, 6, x'0031', 3, 9, 10, 11);",
            "1".repeat(32)
        )).await;
        let kept = artifacts.sweep(&store).await.unwrap();
        assert_eq!(
            kept,
            Swept {
                owners: 0,
                uploads: 0,
                bytes_left: 12
            }
        );
        rows("DELETE FROM workflows; DELETE FROM tasks;".into()).await;
        let swept = artifacts.sweep(&store).await.unwrap();
        assert_eq!(
            swept,
            Swept {
                owners: 2,
                uploads: 1,
                bytes_left: 3
            }
        );
    }
}
