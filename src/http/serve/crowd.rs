//! Who is served when all connections are taken: the probes, and everybody else with a clear refusal.
//!
//! Streams and callers that wait hold their connections for long. If the next ones just queued in
//! the kernel, a liveness probe would queue with them, and whoever asks it would replace a daemon
//! that is well.
//!
//! Rely on: beyond the ordinary places there are [`SPARE`] more. One of them answers one request, whose
//! head must come within [`HEAD_WITHIN`]: a path that is always served as ever, any other with 503
//! `too_many_connections`. When these are taken too, who has had [`GRACE`] and is not being answered
//! makes room: clients that send half a request, or read no answer, keep no probe out.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use hyper::Request;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use warp::reply::Response;

use super::Routes;
use crate::http::problem::Problem;

/// Connections beyond the ordinary ones.
pub(super) const SPARE: usize = 32;
/// How long the head of a request may take on one of them.
pub(super) const HEAD_WITHIN: Duration = Duration::from_secs(2);

/// How long who has a spare place may be silent while others wait for it. Probes send at once.
const GRACE: Duration = Duration::from_millis(20);

/// The places for connections.
pub(super) struct Places {
    ordinary: Arc<Semaphore>,
    spare: Arc<Semaphore>,
    /// Who has the spare ones, the eldest first.
    guests: Mutex<VecDeque<Weak<Guest>>>,
    crowded: AtomicBool,
}

/// One of them, taken until it is dropped.
pub(super) struct Place {
    /// Of one who has a spare place.
    pub(super) guest: Option<Arc<Guest>>,
    _taken: OwnedSemaphorePermit,
}

/// Who has a spare place.
pub(super) struct Guest {
    since: Instant,
    being_answered: AtomicBool,
    must_go: Notify,
}

impl Guest {
    /// Resolves when another needs the place.
    pub(super) async fn must_go(&self) {
        self.must_go.notified().await;
    }
}

impl Places {
    pub(super) fn new(ordinary: usize) -> Self {
        Self {
            ordinary: Arc::new(Semaphore::new(ordinary.min(Semaphore::MAX_PERMITS))),
            spare: Arc::new(Semaphore::new(SPARE)),
            guests: Mutex::default(),
            crowded: AtomicBool::new(false),
        }
    }

    /// The next connection, with its place.
    pub(super) async fn next(&self, listener: &TcpListener) -> std::io::Result<(TcpStream, Place)> {
        let spare = self.spare().await?;
        let (stream, _) = listener.accept().await?;
        if let Ok(ordinary) = Arc::clone(&self.ordinary).try_acquire_owned() {
            self.crowded.store(false, Ordering::Relaxed);
            let place = Place {
                guest: None,
                _taken: ordinary,
            };
            return Ok((stream, place));
        }
        if !self.crowded.swap(true, Ordering::Relaxed) {
            tracing::warn!("all connections are taken; only probes are answered");
        }
        let place = Place {
            guest: Some(self.guest()),
            _taken: spare,
        };
        Ok((stream, place))
    }

    /// A spare place, if need be that of another.
    async fn spare(&self) -> std::io::Result<OwnedSemaphorePermit> {
        loop {
            let free = Arc::clone(&self.spare).acquire_owned();
            let wait = match self.spare.available_permits() {
                0 => self.make_room(),
                _ => GRACE,
            };
            if let Ok(taken) = tokio::time::timeout(wait, free).await {
                // The semaphore is never closed.
                return taken.map_err(std::io::Error::other);
            }
        }
    }

    fn guest(&self) -> Arc<Guest> {
        let guest = Arc::new(Guest {
            since: Instant::now(),
            being_answered: AtomicBool::new(false),
            must_go: Notify::new(),
        });
        let mut guests = self.guests.lock();
        guests.retain(|guest| guest.strong_count() > 0);
        guests.push_back(Arc::downgrade(&guest));
        guest
    }

    /// Sends the eldest guest away who is not being answered, if he has had his grace; after how long
    /// it is worth another look.
    fn make_room(&self) -> Duration {
        let mut guests = self.guests.lock();
        let idle = |guest: &Weak<Guest>| {
            let guest = guest.upgrade();
            guest.filter(|guest| !guest.being_answered.load(Ordering::Relaxed))
        };
        let eldest = guests.iter().enumerate();
        let eldest = eldest.filter_map(|(at, guest)| Some((at, idle(guest)?)));
        let Some((at, guest)) = eldest.min_by_key(|(_, guest)| guest.since) else {
            return GRACE;
        };
        let left = GRACE.saturating_sub(guest.since.elapsed());
        if left.is_zero() {
            guests.remove(at);
            guest.must_go.notify_one();
            return GRACE;
        }
        left
    }
}

/// Answers what is always served, and refuses the rest.
pub(super) async fn answer(
    guest: Arc<Guest>,
    routes: Routes,
    always: &'static [&'static str],
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    guest.being_answered.store(true, Ordering::Relaxed);
    let answer = answer_as_ever(routes, always, request).await;
    guest.being_answered.store(false, Ordering::Relaxed);
    answer
}

async fn answer_as_ever(
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
