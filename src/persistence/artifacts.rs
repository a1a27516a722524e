//! Large values: files under `<data-dir>/artifacts/<owner>/`, named in JSON by a reference
//! `{"$artifact": name, "bytes": n, "sha256": …}`.
//!
//! The owner is a workflow's id, a task's id, or `uploads`. A file is written aside, synced and
//! renamed, so a name either holds all its bytes or does not exist; writing it again is harmless.
//!
//! Not here: who may read them (http), and when an owner is no longer needed (retention).

mod carry;
mod name;
mod retention;
mod upload;
mod writer;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use carry::Carried;
pub(crate) use carry::carry;
pub use name::{ArtifactName, InvalidArtifactName};
pub use retention::{SweepError, Swept};
pub use upload::Upload;
pub use writer::{ArtifactWriter, sha256_hex};

/// The owner of what clients upload.
pub const UPLOADS: &str = "uploads";
/// The largest artifact, bytes.
pub const MAX_ARTIFACT_BYTES: u64 = 4 << 30;
/// Ends the name of a file that is still being written.
const UNFINISHED: &str = ".tmp";

/// A value that is stored as a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactRef {
    /// `OWNER/FILE`.
    #[serde(rename = "$artifact")]
    pub name: ArtifactName,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hex.
    pub sha256: String,
}

/// Why an artifact could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// There is none of that name.
    #[error("artifact '{0}' does not exist")]
    NotFound(ArtifactName),
    /// Larger than [`MAX_ARTIFACT_BYTES`].
    #[error("artifact '{name}' is larger than {limit} bytes")]
    TooLarge {
        /// Its name.
        name: ArtifactName,
        /// What is allowed.
        limit: u64,
    },
    /// The file is not what the reference says.
    #[error("artifact '{name}' holds {found} bytes, its reference says {expected}")]
    Damaged {
        /// Its name.
        name: ArtifactName,
        /// The file's length.
        found: u64,
        /// The reference's.
        expected: u64,
    },
    /// Other bytes were uploaded under the same key.
    #[error("its key was used for an upload of other bytes: '{0}'")]
    Taken(ArtifactName),
    /// No room on the disk.
    #[error("no room left for artifact '{0}'")]
    StorageFull(ArtifactName),
    /// The file system's own words.
    #[error("artifact '{name}': {source}")]
    Io {
        /// Its name.
        name: ArtifactName,
        /// What went wrong.
        source: io::Error,
    },
}

impl ArtifactError {
    /// An error of the file system, with the kinds that callers tell apart.
    fn of(name: &ArtifactName, source: io::Error) -> Self {
        let name = name.clone();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound(name),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::StorageFull(name),
            _ => Self::Io { name, source },
        }
    }
}

/// The files of one data directory. Cheap to clone; every call blocks on the file system, except
/// those of [`Upload`] and [`Artifacts::open_for_streaming`].
#[derive(Debug, Clone)]
pub struct Artifacts {
    root: std::sync::Arc<Path>,
}

impl Artifacts {
    /// Opens (and makes) `<data-dir>/artifacts`, and removes what was left half written.
    ///
    /// # Errors
    /// The directory cannot be made or read.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let root = data_dir.join("artifacts");
        fs::create_dir_all(root.join(UPLOADS))?;
        // Agents of other programs get this path and may stand in another directory.
        let artifacts = Self {
            root: fs::canonicalize(root)?.into(),
        };
        artifacts.remove_unfinished()?;
        Ok(artifacts)
    }

    /// The directory, absolute: process agents are told it as `hello.config.artifacts`.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn path(&self, name: &ArtifactName) -> PathBuf {
        self.root.join(name.as_str())
    }

    /// Begins a new file; it appears with [`ArtifactWriter::finish`].
    ///
    /// # Errors
    /// The file system refuses.
    pub fn create(&self, name: ArtifactName) -> Result<ArtifactWriter, ArtifactError> {
        ArtifactWriter::begin(self.path(&name), name)
    }

    /// Begins a client's upload under a new name.
    ///
    /// # Errors
    /// The file system refuses.
    pub async fn upload(&self) -> Result<Upload, ArtifactError> {
        Upload::begin(self.clone(), ArtifactName::new_upload()).await
    }

    /// Begins an upload that is stored once for one key; [`Upload::finish_once`] ends it.
    ///
    /// # Errors
    /// The file system refuses.
    pub async fn upload_as(&self, key: &str) -> Result<Upload, ArtifactError> {
        Upload::begin(self.clone(), ArtifactName::upload_of(key)).await
    }

    /// Opens what a reference names, and checks that it is as long as the reference says.
    ///
    /// # Errors
    /// It does not exist, is damaged, or cannot be read.
    pub fn read(&self, wanted: &ArtifactRef) -> Result<File, ArtifactError> {
        let file = self.open_file(&wanted.name)?;
        let found = Self::length(&file, &wanted.name)?;
        if found == wanted.bytes {
            Ok(file)
        } else {
            Err(ArtifactError::Damaged {
                name: wanted.name.clone(),
                found,
                expected: wanted.bytes,
            })
        }
    }

    /// Opens a file for an asynchronous reader; its length in bytes comes with it.
    ///
    /// # Errors
    /// It does not exist or cannot be read.
    pub async fn open_for_streaming(
        &self,
        name: ArtifactName,
    ) -> Result<(tokio::fs::File, u64), ArtifactError> {
        let artifacts = self.clone();
        let open = move || {
            let file = artifacts.open_file(&name)?;
            let length = Self::length(&file, &name)?;
            Ok((tokio::fs::File::from_std(file), length))
        };
        blocking(open).await
    }

    fn open_file(&self, name: &ArtifactName) -> Result<File, ArtifactError> {
        File::open(self.path(name)).map_err(|error| ArtifactError::of(name, error))
    }

    fn length(file: &File, name: &ArtifactName) -> Result<u64, ArtifactError> {
        let metadata = file.metadata();
        Ok(metadata
            .map_err(|error| ArtifactError::of(name, error))?
            .len())
    }

    /// Removes all files of an owner (a workflow's or task's id). One without files is no error.
    ///
    /// # Errors
    /// The file system refuses.
    pub fn remove_owner(&self, owner: &str) -> io::Result<()> {
        if !name::is_segment(owner) || owner == UPLOADS {
            return Ok(());
        }
        match fs::remove_dir_all(self.root.join(owner)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn remove_unfinished(&self) -> io::Result<()> {
        for owner in fs::read_dir(&self.root)? {
            let owner = owner?.path();
            let Ok(files) = fs::read_dir(&owner) else {
                continue;
            };
            for file in files.flatten() {
                if file.file_name().to_string_lossy().ends_with(UNFINISHED) {
                    fs::remove_file(file.path())?;
                }
            }
        }
        Ok(())
    }
}

/// Runs file work on the blocking pool.
async fn blocking_io<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Runs file work on the blocking pool.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArtifactError> + Send + 'static,
) -> Result<T, ArtifactError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_cancelled) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    fn artifacts() -> (tempfile::TempDir, Artifacts) {
        let dir = tempfile::tempdir().unwrap();
        let artifacts = Artifacts::open(dir.path()).unwrap();
        (dir, artifacts)
    }

    fn write(artifacts: &Artifacts, name: &str, bytes: &[u8]) -> ArtifactRef {
        let mut writer = artifacts.create(name.parse().unwrap()).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn what_was_written_is_read_back_and_its_reference_says_what_it_is() {
        let (_dir, artifacts) = artifacts();
        let written = write(&artifacts, "wfl_1/a", b"abc");
        let json = serde_json::to_value(&written).unwrap();
        let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(
            json,
            serde_json::json!({"$artifact": "wfl_1/a", "bytes": 3, "sha256": sha})
        );
        let mut text = String::new();
        artifacts
            .read(&written)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "abc");
    }

    #[test]
    fn what_is_stored_once_leaves_one_file_whoever_comes_with_it_again() {
        let (_dir, artifacts) = artifacts();
        let once = |bytes: &[u8]| {
            let name = ArtifactName::upload_of("k");
            let mut writer = artifacts.create(name).unwrap();
            writer.write_all(bytes).unwrap();
            writer.finish_once()
        };
        let (first, was_there) = once(b"abc").unwrap();
        assert!(!was_there);
        assert_eq!(once(b"abc").unwrap(), (first.clone(), true));
        assert!(matches!(once(b"abd"), Err(ArtifactError::Taken(_))));
        let mut text = String::new();
        artifacts
            .read(&first)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "abc");
        let folder = artifacts.root().join("uploads");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1);
    }

    #[test]
    fn a_writer_that_was_dropped_leaves_nothing() {
        let (_dir, artifacts) = artifacts();
        let mut writer = artifacts.create("wfl_1/a".parse().unwrap()).unwrap();
        writer.write_all(b"half").unwrap();
        drop(writer);
        let left = fs::read_dir(artifacts.root().join("wfl_1"))
            .unwrap()
            .count();
        assert_eq!(left, 0);
    }

    #[test]
    fn a_start_removes_what_a_killed_writer_left() {
        let (dir, artifacts) = artifacts();
        let mut writer = artifacts.create("wfl_1/a".parse().unwrap()).unwrap();
        writer.write_all(b"half").unwrap();
        std::mem::forget(writer);
        let again = Artifacts::open(dir.path()).unwrap();
        assert_eq!(fs::read_dir(again.root().join("wfl_1")).unwrap().count(), 0);
    }

    #[test]
    fn a_cut_file_and_a_missing_one_are_told_apart() {
        let (_dir, artifacts) = artifacts();
        let written = write(&artifacts, "wfl_1/a", b"abc");
        fs::write(artifacts.root().join("wfl_1/a"), b"ab").unwrap();
        assert!(matches!(
            artifacts.read(&written),
            Err(ArtifactError::Damaged { found: 2, .. })
        ));
        artifacts.remove_owner("wfl_1").unwrap();
        assert!(matches!(
            artifacts.read(&written),
            Err(ArtifactError::NotFound(_))
        ));
        artifacts.remove_owner("wfl_1").unwrap();
    }

    #[tokio::test]
    async fn an_upload_in_pieces_is_one_artifact() {
        let (_dir, artifacts) = artifacts();
        let mut upload = artifacts.upload().await.unwrap();
        for piece in [&b"ab"[..], b"", b"c"] {
            upload
                .write(bytes::Bytes::copy_from_slice(piece))
                .await
                .unwrap();
        }
        let stored = upload.finish().await.unwrap();
        assert_eq!(
            (stored.bytes, stored.sha256.as_str()),
            (3, sha256_hex(b"abc").as_str())
        );
        let (_file, length) = artifacts.open_for_streaming(stored.name).await.unwrap();
        assert_eq!(length, 3);
    }
}
