//! Connections: our own accept loop on hyper, because warp's panics on a port in use, waits for
//! ever for headers and for open streams, and takes any number of connections.
//!
//! A user may rely on: at most [`MAX_CONNECTIONS`] at once (beyond them only probes are answered, see
//! `crowd`); headers, also those of the next request of an idle connection, within
//! [`HEADER_TIMEOUT`]; a failing accept is tried again with backoff and never ends the daemon; at
//! drain nothing new is taken, what runs is finished, and what is not finished at the deadline is
//! cut. Streams must watch [`Closing`] and end by themselves. Who is refused while it still sends gets
//! the answer all the same. Who takes connections ([`Server::serve`]) may die: connections live on.

mod crowd;
mod linger;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::problem::Problem;
use super::router::new_request_id;
use crowd::{Place, Places};
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

/// What is answered on the API's port also when all connections are taken.
pub const PROBES: &[&str] = &["/livez", "/readyz", "/startupz", "/version"];
/// The same on the port of the metrics.
pub const SCRAPED: &[&str] = &["/metrics"];

/// What answers requests.
pub type Routes = BoxedFilter<(Response,)>;

/// A listener, and the connections that came over it.
pub struct Server {
    address: SocketAddr,
    door: Mutex<Door>,
    served: Served,
    #[cfg(test)]
    fault: std::sync::atomic::AtomicBool,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Server").field(&self.address).finish()
    }
}

/// What outlives a death of who takes connections.
struct Door {
    /// Gone at drain: nothing new is taken.
    listener: Option<TcpListener>,
    places: Places,
    connections: JoinSet<()>,
}

impl Server {
    /// Is to serve `routes` on `listener`, so many connections at once, until `closing` is closed; the
    /// paths in `always` also when all of these are taken.
    ///
    /// # Errors
    /// The listener has no address.
    pub fn new(
        listener: TcpListener,
        routes: Routes,
        connections: usize,
        always: &'static [&'static str],
        closing: Closing,
    ) -> std::io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            address: listener.local_addr()?,
            door: Mutex::new(Door {
                listener: Some(listener),
                places: Places::new(connections),
                connections: JoinSet::new(),
            }),
            served: Served {
                routes,
                always,
                closing,
            },
            #[cfg(test)]
            fault: std::sync::atomic::AtomicBool::new(false),
        }))
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes connections until told to close. Never ends. Whoever carries it out may die and begin
    /// again: connections live on, and new ones wait meanwhile.
    pub async fn serve(self: Arc<Self>) {
        self.accept(&mut *self.door.lock().await).await;
        std::future::pending().await
    }

    /// Waits for what still runs, at most so long; gives the number of connections it cut.
    /// [`Close::now`] comes first.
    pub async fn drained(&self, at_most: Duration) -> usize {
        let deadline = tokio::time::Instant::now() + at_most;
        let Ok(mut door) = tokio::time::timeout_at(deadline, self.door.lock()).await else {
            return 0;
        };
        door.listener = None;
        let connections = &mut door.connections;
        let all = async { while connections.join_next().await.is_some() {} };
        match tokio::time::timeout_at(deadline, all).await {
            Ok(()) => 0,
            Err(_) => {
                connections.abort_all();
                connections.len()
            }
        }
    }

    /// Takes connections until told to close; from then on the system refuses them.
    async fn accept(&self, door: &mut Door) {
        let mut backoff = ACCEPT_BACKOFF.0;
        let mut told = self.served.closing.clone();
        while let Some(listener) = &door.listener {
            #[cfg(test)]
            self.fail_if_asked();
            let taken = tokio::select! {
                () = told.closed() => {
                    door.listener = None;
                    continue;
                }
                Some(_) = door.connections.join_next() => continue,
                next = door.places.next(listener) => next,
            };
            match taken {
                Ok((stream, place)) => {
                    backoff = ACCEPT_BACKOFF.0;
                    let connection = connection(stream, self.served.clone(), place);
                    door.connections.spawn(connection);
                }
                Err(error) => {
                    tracing::warn!(%error, retry_in = ?backoff, "a connection could not be taken");
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(ACCEPT_BACKOFF.1);
                }
            }
        }
    }
}

#[cfg(test)]
impl Server {
    /// Lets who takes connections panic, after the next connection that begins or ends.
    pub(crate) fn fail(&self) {
        self.fault.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    fn fail_if_asked(&self) {
        let asked = self.fault.swap(false, std::sync::atomic::Ordering::Relaxed);
        assert!(!asked, "taking connections fails");
    }
}

/// What every connection needs.
#[derive(Clone)]
struct Served {
    routes: Routes,
    always: &'static [&'static str],
    closing: Closing,
}

/// One connection, from its first request to its last.
async fn connection(stream: TcpStream, served: Served, place: Place) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection stays with delayed packets");
    }
    let Served {
        routes,
        always,
        closing,
    } = served;
    let stream = TokioIo::new(Lingering::of(stream));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES);
    let ended = if let Some(guest) = &place.guest {
        http.header_read_timeout(crowd::HEAD_WITHIN)
            .keep_alive(false);
        let service =
            service_fn(|request| crowd::answer(guest.clone(), routes.clone(), always, request));
        tokio::select! {
            ended = live(http.serve_connection(stream, service), closing) => ended,
            () = guest.must_go() => Ok(()),
        }
    } else {
        let service = TowerToHyperService::new(warp::service(routes));
        live(http.serve_connection(stream, service), closing).await
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
    drop(place);
}

/// Runs a connection to its end, which is near when the daemon drains.
async fn live<S, B>(
    connection: http1::Connection<TokioIo<Lingering>, S>,
    mut closing: Closing,
) -> hyper::Result<()>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.closed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    }
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
                        .into_response(path, &new_request_id()),
                    _ => Problem::new(
                        hyper::StatusCode::NOT_FOUND,
                        "route_not_found",
                        format!("there is nothing at '{path}'; metrics are at /metrics"),
                    )
                    .into_response(path, &new_request_id()),
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
