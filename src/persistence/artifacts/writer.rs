//! One artifact being written: aside, then renamed into its place.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::{ArtifactError, ArtifactName, ArtifactRef, MAX_ARTIFACT_BYTES, UNFINISHED};

/// Bytes gathered before they go to the file.
const BUFFER: usize = 64 * 1024;

/// A file that appears under its name with [`ArtifactWriter::finish`], whole; dropped before that,
/// it leaves nothing.
#[derive(Debug)]
pub struct ArtifactWriter {
    name: ArtifactName,
    path: PathBuf,
    aside: PathBuf,
    file: Option<BufWriter<File>>,
    digest: Sha256,
    bytes: u64,
}

impl ArtifactWriter {
    pub(super) fn begin(path: PathBuf, name: ArtifactName) -> Result<Self, ArtifactError> {
        // Two lives may write the same name at once: each has its own file aside.
        let unique = sha256_hex(&crate::clock::new_id());
        let aside = path.with_file_name(format!(".{}.{}{UNFINISHED}", name.file(), &unique[..16]));
        let file = Self::open(&aside).map_err(|error| ArtifactError::of(&name, error))?;
        Ok(Self {
            name,
            path,
            aside,
            file: Some(BufWriter::with_capacity(BUFFER, file)),
            digest: Sha256::new(),
            bytes: 0,
        })
    }

    fn open(aside: &Path) -> io::Result<File> {
        if let Some(directory) = aside.parent() {
            fs::create_dir_all(directory)?;
        }
        File::create_new(aside)
    }

    /// Bytes written so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// Too many, or the file system refuses.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), ArtifactError> {
        let total = self.bytes + bytes.len() as u64;
        if total > MAX_ARTIFACT_BYTES {
            return Err(ArtifactError::TooLarge {
                name: self.name.clone(),
                limit: MAX_ARTIFACT_BYTES,
            });
        }
        if let Some(file) = &mut self.file {
            file.write_all(bytes)
                .map_err(|error| ArtifactError::of(&self.name, error))?;
        }
        self.digest.update(bytes);
        self.bytes = total;
        Ok(())
    }

    /// Makes the file appear under its name: synced, renamed, the directory synced.
    ///
    /// # Errors
    /// The file system refuses; then nothing appears.
    pub fn finish(mut self) -> Result<ArtifactRef, ArtifactError> {
        self.settle()
            .map_err(|error| ArtifactError::of(&self.name, error))?;
        Ok(self.stored())
    }

    fn stored(&self) -> ArtifactRef {
        ArtifactRef {
            name: self.name.clone(),
            bytes: self.bytes,
            sha256: hex(&self.digest.clone().finalize()),
        }
    }

    /// As [`ArtifactWriter::finish`] where nothing has the name yet. The same bytes under it are
    /// replaced by these, so that they are as new as these: `true`. Others stay.
    ///
    /// # Errors
    /// [`ArtifactError::Taken`] if others are there, or the file system refuses.
    pub fn finish_once(mut self) -> Result<(ArtifactRef, bool), ArtifactError> {
        let name = self.name.clone();
        let of = |error| ArtifactError::of(&name, error);
        self.close().map_err(of)?;
        // A second name is given only where there is none: of two at once one is the first.
        match fs::hard_link(&self.aside, &self.path) {
            // The first name goes with the writer.
            Ok(()) => self.sync_directory().map_err(of)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if digest_of(&self.path).map_err(of)? != self.stored().sha256 {
                    return Err(ArtifactError::Taken(name));
                }
                return Ok((self.finish()?, true));
            }
            Err(error) => return Err(of(error)),
        }
        Ok((self.stored(), false))
    }

    /// Brings the bytes to the disk; the second time there is nothing to do.
    fn close(&mut self) -> io::Result<()> {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_data()
    }

    fn settle(&mut self) -> io::Result<()> {
        self.close()?;
        fs::rename(&self.aside, &self.path)?;
        self.aside.clear();
        self.sync_directory()
    }

    fn sync_directory(&self) -> io::Result<()> {
        match self.path.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }
}

impl Write for ArtifactWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for ArtifactWriter {
    fn drop(&mut self) {
        if !self.aside.as_os_str().is_empty() {
            // What cannot be removed now is removed at the next start.
            let _later = fs::remove_file(&self.aside);
        }
    }
}

/// The SHA-256 of a file's bytes, in lower-case hex.
fn digest_of(path: &Path) -> io::Result<String> {
    let (mut file, mut digest) = (File::open(path)?, Sha256::new());
    let mut piece = vec![0; BUFFER];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex(&digest.finalize())),
            read => digest.update(&piece[..read]),
        }
    }
}

/// The SHA-256 of some bytes, in lower-case hex.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
