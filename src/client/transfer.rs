//! Large values and streams: uploads, downloads, events as they come.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::Request;
use hyper::body::{Frame, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use tokio::io::AsyncReadExt;

use super::{Answer, Body, Client, ClientError, Question, Refusal};

/// What is read of a file at once.
const PIECE_BYTES: usize = 64 << 10;
/// How long a transfer may stand still.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes on their way from the daemon.
#[derive(Debug)]
pub struct Download {
    body: Incoming,
    url: String,
    patience: Duration,
}

impl Download {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// The connection broke off or stood still.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let frame = tokio::time::timeout(self.patience, self.body.frame()).await;
            match frame {
                Err(_) => {
                    return Err(ClientError::Timeout {
                        url: self.url.clone(),
                        patience: self.patience,
                    });
                }
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => {
                    return Err(ClientError::Unreachable {
                        url: self.url.clone(),
                        why: error.to_string(),
                    });
                }
                Ok(Some(Ok(frame))) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
            }
        }
    }
}

impl Client {
    /// Uploads a file as an artifact; answers with its reference.
    ///
    /// # Errors
    /// The file cannot be read, or as every question.
    pub async fn upload(&self, path: &Path) -> Result<Answer, ClientError> {
        let unreadable = |source| ClientError::File {
            path: path.display().to_string(),
            source,
        };
        let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
        let metadata = file.metadata().await.map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(unreadable(std::io::ErrorKind::IsADirectory.into()));
        }
        let mut request = Request::post(format!("{}/api/v1/artifacts", self.base))
            .header(CONTENT_TYPE, "application/octet-stream");
        if metadata.is_file() {
            request = request.header(CONTENT_LENGTH, metadata.len());
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request
            .body(pieces_of(file))
            .map_err(|error| ClientError::BadUrl {
                url: self.base.clone(),
                why: error.to_string(),
            })?;
        let response = self.send(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect();
        let text = body.await.map_err(|error| self.broken(&error))?.to_bytes();
        let value = serde_json::from_slice(&text).unwrap_or_default();
        let answer = Answer {
            status,
            text,
            value,
        };
        if status < 400 {
            return Ok(answer);
        }
        Err(ClientError::Refused(Box::new(Refusal::read(&answer))))
    }

    /// The bytes of an artifact.
    ///
    /// # Errors
    /// As every question: [`ClientError`].
    pub async fn artifact(&self, name: &str) -> Result<Download, ClientError> {
        let question = Question::get(format!("/api/v1/artifacts/{}", super::segment(name)));
        self.open(question, "*/*", STALL_TIMEOUT).await
    }

    /// Events as they come, as server-sent events' text.
    ///
    /// # Errors
    /// As every question: [`ClientError`].
    pub async fn events(&self, filter: super::api::Filter<'_>) -> Result<Download, ClientError> {
        let question = Question::get("/api/v1/events").query(filter);
        self.open(question, "text/event-stream", STALL_TIMEOUT)
            .await
    }

    async fn open(
        &self,
        question: Question<'_>,
        accept: &str,
        patience: Duration,
    ) -> Result<Download, ClientError> {
        let request = self.request(question.header(ACCEPT, accept))?;
        let response = self.send(request).await?;
        let status = response.status().as_u16();
        if status < 400 {
            return Ok(Download {
                body: response.into_body(),
                url: self.base.clone(),
                patience,
            });
        }
        let body = response.into_body().collect();
        let text = body.await.map_err(|error| self.broken(&error))?.to_bytes();
        let value = serde_json::from_slice(&text).unwrap_or_default();
        let answer = Answer {
            status,
            text,
            value,
        };
        Err(ClientError::Refused(Box::new(Refusal::read(&answer))))
    }
}

/// A file as the body of a request.
fn pieces_of(file: tokio::fs::File) -> Body {
    let pieces = futures_util::stream::try_unfold(file, |mut file| async move {
        let mut piece = vec![0; PIECE_BYTES];
        let read = file.read(&mut piece).await?;
        piece.truncate(read);
        Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(piece), file)))
    });
    BodyExt::boxed(StreamBody::new(pieces.map_ok(Frame::data).fuse()))
}
