//! The service at the other end: its URL, the headers it asks for, a bounded pool of connections.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::actors::agent::frames::MAX_LINE;
use crate::actors::agent::headers::{Headers, in_words};
use crate::domain::agent::HttpSpec;
use crate::domain::probe::for_replica;
use crate::domain::url::HttpUrl;

/// How long a connection may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection is kept for the next task: shorter than what most servers keep one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);
/// Connections that are kept, however many tasks run at once.
const MAX_IDLE: usize = 64;
/// How the daemon calls itself.
const NAME: &str = concat!("agent-system/", env!("CARGO_PKG_VERSION"));
/// Under which lease a task is posted.
pub(super) const LEASE: HeaderName = HeaderName::from_static("x-lease-id");
/// Which execution it is.
pub(super) const ATTEMPT: HeaderName = HeaderName::from_static("x-attempt");
/// The trace that asked for it.
pub(super) const TRACE: HeaderName = HeaderName::from_static("traceparent");

/// A service.
#[derive(Debug)]
pub(super) struct Remote {
    url: HttpUrl,
    headers: Headers,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// What a service answered.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why there is no answer. Holds no header and no query.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum NoReply {
    /// No connection was made: nothing was sent.
    #[error("cannot reach {0}")]
    Unreachable(String),
    /// The connection broke: the service may have done it all the same.
    #[error("no answer from {0}")]
    Broken(String),
    /// The answer is longer than what is read.
    #[error("the answer is longer than {MAX_LINE} bytes")]
    TooLong,
    /// The request could not be made.
    #[error("the request cannot be made: {0}")]
    Impossible(String),
}

impl Remote {
    pub(super) fn new(
        spec: &HttpSpec,
        index: u32,
        headers: Headers,
        at_once: usize,
    ) -> Result<Self, String> {
        let url: HttpUrl = for_replica(&spec.url, index)
            .parse()
            .map_err(|error| format!("url: {error}"))?;
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(at_once.min(MAX_IDLE))
            .build(connector);
        Ok(Self {
            url,
            headers,
            client,
        })
    }

    pub(super) const fn url(&self) -> &HttpUrl {
        &self.url
    }

    /// Posts a JSON object to the service's URL.
    pub(super) async fn post(
        &self,
        body: Vec<u8>,
        marks: &[(HeaderName, String)],
    ) -> Result<Reply, NoReply> {
        self.send(Method::POST, &self.url, body, marks).await
    }

    /// Deletes what is below the service's URL.
    pub(super) async fn delete(
        &self,
        below: &str,
        marks: &[(HeaderName, String)],
    ) -> Result<Reply, NoReply> {
        let url = self.url.below(below);
        self.send(Method::DELETE, &url, Vec::new(), marks).await
    }

    async fn send(
        &self,
        method: Method,
        url: &HttpUrl,
        body: Vec<u8>,
        marks: &[(HeaderName, String)],
    ) -> Result<Reply, NoReply> {
        let mut request = Request::builder()
            .method(method)
            .uri(url.whole())
            .header(USER_AGENT, NAME)
            .header(ACCEPT, "application/json");
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        for (name, value) in marks {
            request = request.header(name, value);
        }
        let own = self.headers.iter();
        request = own.fold(request, |request, (name, value): &(_, HeaderValue)| {
            request.header(name, value)
        });
        let request = request.body(Full::new(Bytes::from(body)));
        let request = request.map_err(|error| NoReply::Impossible(error.to_string()))?;
        let reply = self.client.request(request).await;
        let reply = reply.map_err(|error| {
            let words = format!("{url}: {}", in_words(&error));
            if error.is_connect() {
                NoReply::Unreachable(words)
            } else {
                NoReply::Broken(words)
            }
        })?;
        let (head, body) = reply.into_parts();
        let body = Limited::new(body, MAX_LINE).collect().await;
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() {
                NoReply::TooLong
            } else {
                NoReply::Broken(format!("{url}: {}", in_words(&*error)))
            }
        })?;
        Ok(Reply {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    }
}
