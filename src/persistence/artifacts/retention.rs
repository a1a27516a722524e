//! When artifacts are removed: with their workflow or task; uploads when they are a day old and nothing
//! that is kept can mean them. Files are removed off the runtime's threads and beside the writer.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::{Artifacts, UPLOADS, blocking_io};
use crate::domain::timestamp::Timestamp;
use crate::persistence::sqlite::prune::Sight;
use crate::persistence::{Store, StoreError};

/// An upload is named in work within this time, or never.
const UPLOADS_KEPT: Duration = Duration::from_secs(24 * 3_600);
/// Owners that one read asks for.
const OWNERS_AT_ONCE: usize = 200;

/// What was removed, or would be.
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

/// Files that nothing means.
struct Unmeant {
    owners: Vec<String>,
    uploads: Vec<Upload>,
}

impl Artifacts {
    /// Removes what nothing in the store can mean any more.
    ///
    /// # Errors
    /// The store does not answer, or the file system refuses; what was removed is gone.
    pub async fn sweep(&self, store: &Store) -> Result<Swept, SweepError> {
        let Unmeant { owners, uploads } = self.unmeant(store, Sight::Now).await?;
        let this = self.clone();
        let (owners, uploads) = blocking_io(move || this.remove(&owners, &uploads)).await?;
        Ok(Swept {
            owners,
            uploads,
            bytes_left: self.total_bytes().await?,
        })
    }

    /// What a sweep would remove after the rows that retention would remove now; removes nothing.
    ///
    /// # Errors
    /// As [`Self::sweep`].
    pub async fn would_sweep(&self, store: &Store) -> Result<Swept, SweepError> {
        let Unmeant { owners, uploads } = self.unmeant(store, Sight::AfterPruning).await?;
        let this = self.clone();
        let left = move || {
            let folders = owners.iter().map(|owner| bytes_in(&this.root.join(owner)));
            let files = uploads
                .iter()
                .filter_map(|it| this.upload_path(it).metadata().ok());
            let gone = folders.sum::<u64>() + files.map(|it| it.len()).sum::<u64>();
            Ok(Swept {
                owners: owners.len() as u64,
                uploads: uploads.len() as u64,
                bytes_left: this.bytes()?.saturating_sub(gone),
            })
        };
        Ok(blocking_io(left).await?)
    }

    /// What nothing in the store can mean.
    async fn unmeant(&self, store: &Store, sight: Sight) -> Result<Unmeant, SweepError> {
        let this = self.clone();
        let owners = blocking_io(move || this.owners()).await?;
        let mut gone = Vec::new();
        for owners in owners.chunks(OWNERS_AT_ONCE) {
            gone.extend(store.gone_owners(owners.to_vec(), sight).await?);
        }
        Ok(Unmeant {
            owners: gone,
            uploads: self.unmeant_uploads(store, sight).await?,
        })
    }

    async fn unmeant_uploads(
        &self,
        store: &Store,
        sight: Sight,
    ) -> Result<Vec<Upload>, SweepError> {
        let this = self.clone();
        let mut old = blocking_io(move || this.uploads_older_than(UPLOADS_KEPT)).await?;
        if old.is_empty() {
            return Ok(old);
        }
        let Some(work) = store.work_with_uploads(sight).await? else {
            return Ok(Vec::new());
        };
        old.retain(|it| !is_meant(it.at, &work));
        Ok(old)
    }

    /// Removes them; says how many owners and uploads went.
    fn remove(&self, owners: &[String], uploads: &[Upload]) -> io::Result<(u64, u64)> {
        owners
            .iter()
            .try_for_each(|owner| self.remove_owner(owner))?;
        let removed = uploads
            .iter()
            .map(|it| fs::remove_file(self.upload_path(it)));
        let removed = removed.filter(Result::is_ok).count();
        Ok((owners.len() as u64, removed as u64))
    }

    fn upload_path(&self, upload: &Upload) -> PathBuf {
        self.root.join(UPLOADS).join(&upload.name)
    }

    /// Bytes of all artifacts.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub async fn total_bytes(&self) -> io::Result<u64> {
        let this = self.clone();
        blocking_io(move || this.bytes()).await
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
            bytes += bytes_in(&owner?.path());
        }
        Ok(bytes)
    }
}

/// Bytes of the files in a folder; what is gone meanwhile has none.
fn bytes_in(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = files.filter_map(|file| file.metadata().ok());
    sizes.map(|metadata| metadata.len()).sum()
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

    const fn of(owners: u64, uploads: u64, bytes_left: u64) -> Swept {
        Swept {
            owners,
            uploads,
            bytes_left,
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
        assert_eq!(kept, of(0, 0, 12));
        let last_year = "UPDATE workflows SET finished_at = 1; UPDATE tasks SET finished_at = 1, state = 'dead';";
        rows(last_year.into()).await;
        let told = artifacts.would_sweep(&store).await.unwrap();
        assert_eq!(
            artifacts.sweep(&store).await.unwrap(),
            kept,
            "rows are there"
        );
        rows("DELETE FROM workflows; DELETE FROM tasks;".into()).await;
        let swept = artifacts.sweep(&store).await.unwrap();
        assert_eq!(swept, of(2, 1, 3));
        assert_eq!(told, swept, "what a look beforehand told");
    }
}
