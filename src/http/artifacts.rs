//! `/api/v1/artifacts`: large values, as bytes.
//!
//! An upload is answered with its reference once it is on the disk; one that breaks off leaves
//! nothing. Names are `OWNER/FILE`, in one segment (`%2F`) or in two.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use hyper::StatusCode;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use tokio::io::AsyncReadExt;
use warp::Reply;

use super::call::Call;
use super::problem::Problem;
use super::reply;
use super::router::Outcome;
use super::tasks::idempotency_key;
use crate::actors::persistence::artifacts::{ArtifactError, ArtifactName};

/// How long an upload may stand still.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// What is read of a file at once.
const PIECE_BYTES: usize = 64 << 10;

/// `POST /api/v1/artifacts`
pub(super) async fn create(mut call: Call) -> Outcome {
    call.query.only(&[])?;
    let limit = call.handles.limits.artifact_bytes;
    let announced = call
        .header(&CONTENT_LENGTH)
        .and_then(|text| text.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > limit) {
        return Err(too_large(limit));
    }
    // What room is left is for the results of what runs.
    if let Some(full) = call.handles.records.full() {
        return Err(full.into());
    }
    let key = idempotency_key(&call)?;
    let mut upload = match &key {
        None => call.handles.artifacts.upload().await?,
        Some(key) => call.handles.artifacts.upload_as(key).await?,
    };
    let mut seen = 0_u64;
    while let Some(piece) = next_piece(&mut call).await? {
        seen = seen.saturating_add(piece.len() as u64);
        if seen > limit {
            return Err(too_large(limit));
        }
        upload.write(piece).await?;
    }
    let (stored, existing) = match key {
        None => (upload.finish().await?, false),
        Some(_) => upload.finish_once().await?,
    };
    let location = format!("/api/v1/artifacts/{}", stored.name);
    let status = if existing {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    let mut response = reply::with_status(status, &stored)?;
    if let Ok(location) = HeaderValue::from_str(&location) {
        response
            .headers_mut()
            .insert(hyper::header::LOCATION, location);
    }
    Ok(response)
}

fn too_large(limit: u64) -> Problem {
    Problem::too_large(format!("an artifact holds at most {limit} bytes"))
}

/// The next piece of the upload, while the sender keeps sending.
async fn next_piece(call: &mut Call) -> Result<Option<Bytes>, Problem> {
    let piece = tokio::time::timeout(STALL_TIMEOUT, call.body.next())
        .await
        .map_err(|_| {
            let detail = format!("nothing came for {STALL_TIMEOUT:?}");
            Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail)
        })?;
    let broken = |error| Problem::invalid_request(format!("the upload broke off: {error}"));
    piece.transpose().map_err(broken)
}

/// `GET /api/v1/artifacts/{name}`
pub(super) async fn get(mut call: Call) -> Outcome {
    let name = call.id("artifact")?;
    send(call, name).await
}

/// `GET /api/v1/artifacts/{owner}/{file}`
pub(super) async fn get_owned(mut call: Call) -> Outcome {
    let text = format!("{}/{}", call.text(), call.text());
    let name = text
        .parse()
        .map_err(|_| Problem::not_found("artifact", &text, None))?;
    send(call, name).await
}

async fn send(call: Call, name: ArtifactName) -> Outcome {
    let (file, bytes) = call.handles.artifacts.open_for_streaming(name).await?;
    let pieces = futures_util::stream::try_unfold(file, |mut file| async move {
        let mut piece = vec![0; PIECE_BYTES];
        let read = file.read(&mut piece).await?;
        piece.truncate(read);
        Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(piece), file)))
    });
    let mut response = warp::reply::stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    Ok(response)
}

impl From<ArtifactError> for Problem {
    fn from(error: ArtifactError) -> Self {
        let detail = error.to_string();
        match error {
            ArtifactError::NotFound(name) => Self::not_found("artifact", name.as_str(), None),
            ArtifactError::TooLarge { .. } => Self::too_large(detail),
            ArtifactError::Taken(_) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_mismatch",
                detail,
            ),
            ArtifactError::StorageFull(_) => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage_full", detail)
            }
            ArtifactError::Damaged { .. } | ArtifactError::Io { .. } => {
                tracing::error!(%detail, "an artifact could not be handled");
                Self::internal(detail)
            }
        }
    }
}
