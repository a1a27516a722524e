//! Who is served when all connections are taken: the probes, and everybody else with a clear refusal.
//!
//! Streams and callers that wait hold their connections for long. If the next ones just queued in
//! the kernel, a liveness probe would queue with them, and whoever asks it would replace a daemon
//! that is well.
//!
//! Rely on: beyond the ordinary places there are [`SPARE`] more. One of them answers one request, whose
//! head must come within [`HEAD_WITHIN`]: a path that is always served as ever, any other with 503
//! `too_many_connections`.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::Request;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use warp::reply::Response;

use super::Routes;
use crate::http::problem::Problem;

/// Connections beyond the ordinary ones.
const SPARE: usize = 32;
/// How long the head of a request may take on one of them.
pub(super) const HEAD_WITHIN: Duration = Duration::from_secs(2);

/// The places for connections.
pub(super) struct Places {
    ordinary: Arc<Semaphore>,
    spare: Arc<Semaphore>,
    crowded: AtomicBool,
}

/// One of them, taken until it is dropped.
pub(super) struct Place {
    pub(super) is_spare: bool,
    _taken: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(ordinary: usize) -> Self {
        Self {
            ordinary: Arc::new(Semaphore::new(ordinary.min(Semaphore::MAX_PERMITS))),
            spare: Arc::new(Semaphore::new(SPARE)),
            crowded: AtomicBool::new(false),
        }
    }

    /// The next connection, with its place.
    pub(super) async fn next(&self, listener: &TcpListener) -> std::io::Result<(TcpStream, Place)> {
        let spare = Arc::clone(&self.spare).acquire_owned().await;
        let (stream, _) = listener.accept().await?;
        let ordinary = Arc::clone(&self.ordinary).try_acquire_owned();
        let is_spare = ordinary.is_err();
        if is_spare && !self.crowded.swap(true, Ordering::Relaxed) {
            tracing::warn!("all connections are taken; only probes are answered");
        } else if !is_spare {
            self.crowded.store(false, Ordering::Relaxed);
        }
        // The semaphores are never closed.
        let taken = ordinary.or(spare).map_err(std::io::Error::other)?;
        let place = Place {
            is_spare,
            _taken: taken,
        };
        Ok((stream, place))
    }
}

/// Answers what is always served, and refuses the rest.
pub(super) async fn answer(
    routes: Routes,
    always: &'static [&'static str],
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let path = request.uri().path();
    if always.contains(&path) {
        let service = TowerToHyperService::new(warp::service(routes));
        return service.call(request).await;
    }
    let problem = Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "too_many_connections",
        "all connections are taken; server.max_connections says how many there are",
    );
    Ok(problem.retry_later().into_response(path, ""))
}
