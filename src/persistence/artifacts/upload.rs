//! A client's upload, piece by piece, with the file work on the blocking pool.

use bytes::Bytes;

use super::{ArtifactError, ArtifactName, ArtifactRef, ArtifactWriter, Artifacts, blocking};

/// An upload in progress; dropped before [`Upload::finish`], it leaves nothing.
#[derive(Debug)]
pub struct Upload {
    name: ArtifactName,
    writer: Option<ArtifactWriter>,
}

impl Upload {
    pub(super) async fn begin(
        artifacts: Artifacts,
        name: ArtifactName,
    ) -> Result<Self, ArtifactError> {
        let begun = name.clone();
        let writer = blocking(move || artifacts.create(begun)).await?;
        Ok(Self {
            name,
            writer: Some(writer),
        })
    }

    /// Appends one piece.
    ///
    /// # Errors
    /// Too many bytes, or the file system refuses; the upload is lost then.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), ArtifactError> {
        let mut writer = self.take()?;
        self.writer = Some(
            blocking(move || {
                writer.append(&piece)?;
                Ok(writer)
            })
            .await?,
        );
        Ok(())
    }

    /// Stores what was written.
    ///
    /// # Errors
    /// The file system refuses.
    pub async fn finish(mut self) -> Result<ArtifactRef, ArtifactError> {
        let writer = self.take()?;
        blocking(move || writer.finish()).await
    }

    /// Stores what was written, unless the same bytes are there already under this name: `true` then.
    ///
    /// # Errors
    /// [`ArtifactError::Taken`] if others are there, or the file system refuses.
    pub async fn finish_once(mut self) -> Result<(ArtifactRef, bool), ArtifactError> {
        let writer = self.take()?;
        blocking(move || writer.finish_once()).await
    }

    /// The writer; gone if an earlier piece failed or its future was dropped half-way.
    fn take(&mut self) -> Result<ArtifactWriter, ArtifactError> {
        self.writer
            .take()
            .ok_or_else(|| ArtifactError::NotFound(self.name.clone()))
    }
}
