//! From a request to its handler, and from what the handler says to an answer.
//!
//! Every answer carries `X-Request-Id` (the caller's or a new one); unknown paths are 404, known
//! paths with another method 405 with `Allow`; a handler that panics is 500 and the daemon goes
//! on; one that takes longer than its route's patience is 504.
//!
//! Not here: which paths there are, see [`super::table`].

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryFutureExt};
use hyper::header::{CACHE_CONTROL, HOST, HeaderName, HeaderValue, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use hyper::{HeaderMap, Method};
use tokio::time::Instant;
use warp::reply::Response;

use super::body::Body;
use super::call::Call;
use super::handles::Handles;
use super::pattern::Pattern;
use super::problem::Problem;
use crate::domain::name::nearest;
use crate::telemetry::metrics::record;

/// Names a request in answers and logs.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest request id that is echoed.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// What a handler answers.
pub(super) type Outcome = Result<Response, Problem>;
/// What a handler does.
pub(super) trait Acts: Future<Output = Outcome> + Send + 'static {}
impl<A: Future<Output = Outcome> + Send + 'static> Acts for A {}
type Handler = Box<dyn Fn(Call) -> BoxFuture<'static, Outcome> + Send + Sync>;

/// How long a route may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// The request timeout.
    Normal,
    /// The request timeout and what the caller asked to wait.
    Waits,
    /// As long as its body flows; the handler watches over that.
    Flows,
}

struct Route {
    method: Method,
    pattern: Pattern,
    patience: Patience,
    handler: Handler,
}

/// The routes, in the order in which they are tried.
#[derive(Default)]
pub(super) struct Router {
    routes: Vec<Route>,
}

/// A request as it came.
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

impl Router {
    /// Adds a route that reads.
    pub(super) fn get<A: Acts>(self, path: &'static str, handler: fn(Call) -> A) -> Self {
        self.add(Method::GET, path, Patience::Normal, handler)
    }

    /// Adds a route that does something.
    pub(super) fn post<A: Acts>(self, path: &'static str, handler: fn(Call) -> A) -> Self {
        self.add(Method::POST, path, Patience::Normal, handler)
    }

    /// Adds a route that does something which takes as long as the disk needs.
    pub(super) fn long<A: Acts>(self, path: &'static str, handler: fn(Call) -> A) -> Self {
        self.add(Method::POST, path, Patience::Flows, handler)
    }

    /// Adds a route that reads and takes `?wait=`.
    pub(super) fn wait<A: Acts>(self, path: &'static str, handler: fn(Call) -> A) -> Self {
        self.add(Method::GET, path, Patience::Waits, handler)
    }

    /// Adds a route that does something and takes `?wait=`.
    pub(super) fn post_wait<A: Acts>(self, path: &'static str, handler: fn(Call) -> A) -> Self {
        self.add(Method::POST, path, Patience::Waits, handler)
    }

    /// Adds a route whose answer flows.
    pub(super) fn stream<A: Acts>(self, path: &'static str, handler: fn(Call) -> A) -> Self {
        self.add(Method::GET, path, Patience::Flows, handler)
    }

    /// Adds a route whose request flows.
    pub(super) fn upload<A: Acts>(self, path: &'static str, handler: fn(Call) -> A) -> Self {
        self.add(Method::POST, path, Patience::Flows, handler)
    }

    fn add<A: Acts>(
        mut self,
        method: Method,
        path: &'static str,
        patience: Patience,
        handler: fn(Call) -> A,
    ) -> Self {
        self.routes.push(Route {
            method,
            pattern: Pattern::new(path),
            patience,
            handler: Box::new(move |call| handler(call).boxed()),
        });
        self
    }

    /// Method and path of every route, in order.
    pub(super) fn described(&self) -> Vec<(String, &'static str)> {
        let routes = self.routes.iter();
        routes
            .map(|route| (route.method.to_string(), route.pattern.text))
            .collect()
    }

    /// The answer to a request, whatever happens.
    pub(super) async fn answer(&self, handles: Arc<Handles>, request: Request) -> Response {
        let started = Instant::now();
        let id = request_id(&request.headers);
        let (method, path) = (request.method.clone(), request.path.clone());
        let (route, outcome) = self.outcome(handles, request).await;
        let mut response = outcome.unwrap_or_else(|problem| problem.into_response(&path, &id));
        let headers = response.headers_mut();
        if let Ok(value) = HeaderValue::from_str(&id) {
            headers.insert(REQUEST_ID, value);
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers
            .entry(CACHE_CONTROL)
            .or_insert(HeaderValue::from_static("no-store"));
        let status = response.status();
        record::http_request(known(&method), route, status.as_u16(), started.elapsed());
        tracing::debug!(%method, path, status = status.as_u16(), request_id = id, elapsed = ?started.elapsed(), "answered");
        response
    }

    /// The pattern that took the request, and what came of it.
    async fn outcome(&self, handles: Arc<Handles>, request: Request) -> (&'static str, Outcome) {
        let (route, names) = match self.find(&request.method, &request.path) {
            Ok(found) => found,
            Err(problem) => return ("unknown", Err(problem)),
        };
        let text = route.pattern.text;
        if let Err(problem) = same_origin(&request.method, &request.headers) {
            return (text, Err(problem));
        }
        let Request {
            path,
            query,
            headers,
            body,
            ..
        } = request;
        let limits = handles.limits;
        let call = Call::new(handles, names, path, &query, headers, body);
        let handled = AssertUnwindSafe((route.handler)(call)).catch_unwind();
        let handled = handled.unwrap_or_else(|panic| {
            let why = panic_text(panic.as_ref());
            tracing::error!(route = text, why, "a request's handler panicked");
            Err(Problem::internal(
                "the daemon failed at this request; its log says why",
            ))
        });
        let outcome = match route.patience {
            Patience::Flows => handled.await,
            Patience::Normal => within(limits.request_timeout, handled).await,
            Patience::Waits => within(limits.request_timeout + limits.wait, handled).await,
        };
        (text, outcome)
    }

    /// The route for a method and path, and the names in the path.
    fn find(&self, method: &Method, path: &str) -> Result<(&Route, Vec<String>), Problem> {
        let wanted = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let mut allowed = Vec::new();
        for route in &self.routes {
            if let Some(names) = route.pattern.capture(path) {
                if route.method == wanted {
                    return Ok((route, names));
                }
                allowed.push(route.method.as_str());
            }
        }
        if allowed.is_empty() {
            Err(planned(path).map_or_else(|| self.unknown(path), Problem::not_in_this_version))
        } else {
            Err(Problem::method_not_allowed(
                method.as_str(),
                allowed.join(", "),
            ))
        }
    }

    /// A 404 that names the nearest path or verb.
    fn unknown(&self, path: &str) -> Problem {
        let near = match path.rsplit_once(':') {
            Some((_, verb)) if !verb.contains('/') => nearest(
                verb,
                self.routes.iter().filter_map(|route| route.pattern.verb()),
            )
            .map(|near| format!(":{near}")),
            _ => {
                nearest(path, self.routes.iter().map(|route| route.pattern.text)).map(str::to_owned)
            }
        };
        let hint = near.map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
        let detail = format!("there is nothing at '{path}'{hint}");
        Problem::new(hyper::StatusCode::NOT_FOUND, "route_not_found", detail)
    }
}

/// What stands behind a path that is planned and not in this version; any method.
fn planned(path: &str) -> Option<&'static str> {
    const PLANNED: [(&str, &str); 3] = [
        ("/api/v1/keys", "API keys"),
        ("/api/v1/auth", "tokens"),
        ("/api/v1/audit", "the audit trail"),
    ];
    let below = |root: &str| {
        path.strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':']))
    };
    let found = PLANNED.iter().find(|(root, _)| below(root));
    found.map(|(_, what)| *what)
}

/// An outcome, or 504.
async fn within(span: Duration, outcome: impl Future<Output = Outcome>) -> Outcome {
    tokio::time::timeout(span, outcome)
        .await
        .unwrap_or_else(|_| {
            let detail = format!("not done within {span:?}; whether it was begun is not known");
            Err(Problem::deadline_exceeded(detail))
        })
}

/// Refuses what a page of another site sends through its reader's browser.
fn same_origin(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let Some(origin) = text(ORIGIN).filter(|_| !method.is_safe()) else {
        return Ok(());
    };
    let host = origin.split_once("://").map_or(origin, |(_, host)| host);
    if text(HOST) == Some(host) {
        return Ok(());
    }
    let detail = format!("a page of '{origin}' may not change anything here");
    Err(Problem::new(
        hyper::StatusCode::FORBIDDEN,
        "cross_origin",
        detail,
    ))
}

/// The caller's request id, if it is one, or a new one.
fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|text| !text.is_empty() && text.len() <= MAX_REQUEST_ID_BYTES)
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()))
        .map_or_else(new_request_id, str::to_owned)
}

pub(super) fn new_request_id() -> String {
    let hex = crate::clock::new_id()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<String>();
    format!("req_{hex}")
}

/// A method's name, if it is one of the standard's: labels are bounded.
fn known(method: &Method) -> &'static str {
    const STANDARD: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
    let same = |known: &&str| *known == method.as_str();
    STANDARD.into_iter().find(same).unwrap_or("other")
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}
