//! A typed client of the HTTP interface: the command line and the tests use the same one.
//!
//! A user may rely on: a connection within [`CONNECT_TIMEOUT`], an answer within
//! [`ANSWER_TIMEOUT`] (and the time it was asked to wait), and errors that tell "not reached",
//! "not answered in time" and "refused" apart. Answers keep the very text that was sent.
//!
//! Not here: `https`; this version's daemon speaks plain HTTP behind whatever ends TLS.

mod api;
mod error;
mod transfer;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName};
use hyper::{Method, Request, Response, Uri};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

pub use api::Filter;
pub use error::{ClientError, Refusal};
pub use transfer::Download;

/// How long a connection may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take, beside what it was asked to wait.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(35);
/// The longest answer that is read whole.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// What a segment of a path may hold as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

pub(crate) type Body = BoxBody<Bytes, std::io::Error>;

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The text as it was sent.
    pub text: Bytes,
    /// The text as JSON.
    pub value: Value,
}

/// A client of one daemon. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    token: Option<String>,
    pool: Pool<HttpConnector, Body>,
}

/// A question, before it is sent.
pub(crate) struct Question<'a> {
    method: Method,
    path: String,
    query: Vec<(&'a str, String)>,
    headers: Vec<(HeaderName, String)>,
    body: Option<Value>,
    patience: Duration,
}

impl<'a> Question<'a> {
    /// Reads.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            patience: ANSWER_TIMEOUT,
        }
    }

    /// Does something.
    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self {
            method: Method::POST,
            ..Self::get(path)
        }
    }

    /// With parameters behind the `?`.
    pub(crate) fn query(mut self, pairs: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        self.query.extend(pairs);
        self
    }

    /// With a JSON body.
    pub(crate) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// With a header.
    pub(crate) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With more time for the answer.
    pub(crate) fn waiting(mut self, span: Duration) -> Self {
        self.patience = ANSWER_TIMEOUT + span;
        self
    }
}

/// A name as a segment of a path.
pub(crate) fn segment(name: &str) -> String {
    utf8_percent_encode(name, SEGMENT).to_string()
}

impl Client {
    /// A client of the daemon at `url`.
    ///
    /// # Errors
    /// The URL is not one that this client can ask.
    pub fn new(url: &str, token: Option<String>) -> Result<Self, ClientError> {
        let base = url.trim_end_matches('/').to_owned();
        let bad = |why: &str| ClientError::BadUrl {
            url: base.clone(),
            why: why.to_owned(),
        };
        let uri: Uri = base.parse().map_err(|_| bad("it is no URL"))?;
        match (uri.scheme_str(), uri.authority()) {
            (Some("http"), Some(_)) => {}
            (Some("https"), _) => return Err(bad("https is not in this version")),
            _ => return Err(bad("expected http://HOST:PORT")),
        }
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let pool = Pool::builder(TokioExecutor::new()).build(connector);
        Ok(Self { base, token, pool })
    }

    /// The daemon's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.base
    }

    /// Asks, and takes what is no success for an error.
    pub(crate) async fn ask(&self, question: Question<'_>) -> Result<Answer, ClientError> {
        let answer = self.ask_any(question).await?;
        if answer.status < 400 {
            return Ok(answer);
        }
        Err(ClientError::Refused(Box::new(Refusal::read(&answer))))
    }

    /// Asks, and takes any status for an answer.
    async fn ask_any(&self, question: Question<'_>) -> Result<Answer, ClientError> {
        let patience = question.patience;
        let request = self.request(question)?;
        let whole = async {
            let response = self.send(request).await?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect();
            let text = body.await.map_err(|error| self.broken(&*error))?.to_bytes();
            let value = serde_json::from_slice(&text).unwrap_or(Value::Null);
            Ok(Answer {
                status,
                text,
                value,
            })
        };
        tokio::time::timeout(patience, whole).await.map_err(|_| {
            let url = self.base.clone();
            ClientError::Timeout { url, patience }
        })?
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, ClientError> {
        let sent = self.pool.request(request).await;
        sent.map_err(|error| self.broken(&error))
    }

    fn request(&self, question: Question<'_>) -> Result<Request<Body>, ClientError> {
        let mut url = format!("{}{}", self.base, question.path);
        if !question.query.is_empty() {
            let query = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(question.query)
                .finish();
            url = format!("{url}?{query}");
        }
        let mut request = Request::builder().method(question.method).uri(&url);
        if !question.headers.iter().any(|(name, _)| name == ACCEPT) {
            request = request.header(ACCEPT, "application/json");
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        for (name, value) in question.headers {
            request = request.header(name, value);
        }
        let bytes = match question.body {
            Some(value) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Bytes::from(value.to_string())
            }
            None => Bytes::new(),
        };
        let body = Full::new(bytes).map_err(|never| match never {}).boxed();
        request.body(body).map_err(|error| ClientError::BadUrl {
            url,
            why: error.to_string(),
        })
    }

    /// A connection that could not be made or broke off.
    fn broken(&self, error: &(dyn std::error::Error + 'static)) -> ClientError {
        let mut why = error.to_string();
        let mut cause = error.source();
        while let Some(inner) = cause {
            why = inner.to_string();
            cause = inner.source();
        }
        ClientError::Unreachable {
            url: self.base.clone(),
            why,
        }
    }
}

#[cfg(test)]
mod tests;
