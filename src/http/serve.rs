//! Connections: our own accept loop on hyper, because warp's panics on a port in use, waits for
//! ever for headers and for open streams, and takes any number of connections.
//!
//! A user may rely on: at most [`MAX_CONNECTIONS`] at once (the next ones wait in the kernel's
//! backlog); headers, also those of the next request of an idle connection, within
//! [`HEADER_TIMEOUT`]; a failing accept is tried again with backoff and never ends the daemon; at
//! drain nothing new is taken, what runs is finished, and what is not finished at the deadline is
//! cut. Streams must watch [`Closing`] and end by themselves. Who is refused while it still sends gets
//! the answer all the same.

mod linger;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::problem::Problem;
use linger::Lingering;

/// Connections served at once, unless configured.
pub const MAX_CONNECTIONS: usize = 1024;
/// How long the headers of a request may take.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// The shortest and the longest pause after an accept that failed (no file descriptors left).
const ACCEPT_BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// What a connection may buffer of a request's head.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// Tells everybody who holds a connection open that the daemon drains.
#[derive(Debug)]
pub struct Close(watch::Sender<bool>);

/// Hears [`Close`]. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Closing(watch::Receiver<bool>);

/// A pair of which one side closes what the other holds open.
#[must_use]
pub fn closing() -> (Close, Closing) {
    let (sender, receiver) = watch::channel(false);
    (Close(sender), Closing(receiver))
}

impl Close {
    /// Says it; saying it again changes nothing.
    pub fn now(&self) {
        self.0.send_replace(true);
    }
}

impl Closing {
    /// Ends when it is said, or when nobody is left to say it.
    pub async fn closed(&mut self) {
        // An error means that the other side is gone, which is as good as having been told.
        drop(self.0.wait_for(|closing| *closing).await);
    }

    /// Whether it has been said.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        *self.0.borrow()
    }
}

/// What answers requests.
pub type Routes = BoxedFilter<(Response,)>;

/// A listener being served.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<JoinSet<()>>,
}

impl Server {
    /// Serves `routes` on `listener`, so many connections at once, until `closing` is closed.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn start(
        listener: TcpListener,
        routes: Routes,
        connections: usize,
        closing: Closing,
    ) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let slots = Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS)));
        let task = tokio::spawn(accept(listener, routes, slots, closing));
        Ok(Self { address, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for what still runs, at most so long; gives the number of connections it cut.
    /// [`Close::now`] comes first.
    pub async fn drained(self, at_most: Duration) -> usize {
        let deadline = tokio::time::Instant::now() + at_most;
        let Ok(Ok(mut connections)) = tokio::time::timeout_at(deadline, self.task).await else {
            return 0;
        };
        let all = async { while connections.join_next().await.is_some() {} };
        match tokio::time::timeout_at(deadline, all).await {
            Ok(()) => 0,
            Err(_) => connections.len(),
        }
    }
}

/// Takes connections until told to close; gives those that still run.
async fn accept(
    listener: TcpListener,
    routes: Routes,
    slots: Arc<Semaphore>,
    closing: Closing,
) -> JoinSet<()> {
    let mut connections = JoinSet::new();
    let mut backoff = ACCEPT_BACKOFF.0;
    let mut told = closing.clone();
    loop {
        let (taken, slot) = tokio::select! {
            () = told.closed() => return connections,
            Some(_) = connections.join_next() => continue,
            next = next_connection(&listener, &slots) => next,
        };
        match taken {
            Ok(stream) => {
                backoff = ACCEPT_BACKOFF.0;
                connections.spawn(connection(stream, routes.clone(), closing.clone(), slot));
            }
            Err(error) => {
                tracing::warn!(%error, retry_in = ?backoff, "a connection could not be taken");
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(ACCEPT_BACKOFF.1);
            }
        }
    }
}

/// The next connection, once there is a slot for it.
async fn next_connection(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (std::io::Result<TcpStream>, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed; without a slot nothing would be served at all.
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    (listener.accept().await.map(|(stream, _)| stream), slot)
}

/// One connection, from its first request to its last.
async fn connection(
    stream: TcpStream,
    routes: Routes,
    mut closing: Closing,
    slot: Option<OwnedSemaphorePermit>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection stays with delayed packets");
    }
    let service = TowerToHyperService::new(warp::service(routes));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(Lingering::of(stream)), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.closed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
    drop(slot);
}

/// Makes the text that a scrape gets; may take a moment to read fresh figures.
pub type Scrape = Arc<dyn Fn() -> BoxFuture<'static, String> + Send + Sync>;

/// Routes that serve nothing but the text of `scrape` at `/metrics`.
#[must_use]
pub fn metrics_routes(scrape: Scrape) -> Routes {
    warp::any()
        .and(warp::method())
        .and(warp::path::full())
        .then(move |method: hyper::Method, path: warp::path::FullPath| {
            let scrape = scrape.clone();
            async move {
                let (path, reads) = (path.as_str(), method.is_safe());
                match path {
                    "/metrics" if reads => exposition(scrape().await),
                    "/metrics" => Problem::method_not_allowed(method.as_str(), "GET".to_owned())
                        .into_response(path, ""),
                    _ => Problem::new(
                        hyper::StatusCode::NOT_FOUND,
                        "route_not_found",
                        format!("there is nothing at '{path}'; metrics are at /metrics"),
                    )
                    .into_response(path, ""),
                }
            }
        })
        .boxed()
}

/// Metrics in the text format of Prometheus.
fn exposition(text: String) -> Response {
    let mut response = Response::new(text.into());
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

#[cfg(test)]
mod tests;
