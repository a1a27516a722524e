//! Errors as callers see them: RFC 9457 `application/problem+json`.
//!
//! A user may rely on `status` and `code`: they are the contract, `detail` is for people and names
//! the thing and the way out. `errors` points into the body that was sent.
//!
//! Not here: which failure of another room becomes which problem; each handler's file says so.

use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};
use warp::reply::Response;

use crate::actors::persistence::StoreError;

/// Where `type` points to: one page, one heading a code.
const TYPE_PREFIX: &str = "urn:agent-system:problem:";
/// What a caller is told to wait when the database is away or the daemon drains, in seconds.
const RETRY_AFTER_SECONDS: u32 = 5;

/// The limit that is reached.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
/// What is left of it.
const RATE_LIMIT_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
/// Seconds until it is worth another try.
const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// One fault in a body that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Where, as a JSON Pointer in a URI fragment: `#/tasks/0/agent`.
    pub pointer: String,
    /// What is wrong there.
    pub detail: String,
}

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem(Box<Parts>);

/// Behind a box, so that a result with a problem is small.
#[derive(Debug, Clone, PartialEq)]
struct Parts {
    status: StatusCode,
    code: String,
    detail: String,
    faults: Vec<Fault>,
    retry_after: Option<u32>,
    limit: Option<u64>,
    allow: Option<String>,
    more: Map<String, Value>,
}

/// The JSON of a [`Problem`].
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    instance: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
    #[serde(flatten)]
    more: &'a Map<String, Value>,
}

impl Problem {
    /// A problem of any kind.
    #[must_use]
    pub fn new(status: StatusCode, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            status,
            code: code.into(),
            detail: detail.into(),
            faults: Vec::new(),
            retry_after: None,
            limit: None,
            allow: None,
            more: Map::new(),
        }))
    }

    /// 400: the request cannot be read.
    #[must_use]
    pub fn invalid_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
    }

    /// 422: the request can be read, but asks for what cannot be.
    #[must_use]
    pub fn validation(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "validation_failed",
            detail,
        )
    }

    /// 404 with the nearest known name, if there is one.
    #[must_use]
    pub fn not_found(what: &str, name: &str, nearest: Option<&str>) -> Self {
        let hint = nearest.map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
        let code = format!("{}_not_found", what.replace([' ', '-'], "_"));
        let detail = format!("{what} '{name}' does not exist{hint}");
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// 405: the path is known, the method is not.
    #[must_use]
    pub fn method_not_allowed(method: &str, allow: String) -> Self {
        let detail = format!("{method} is not possible here; {allow} would be");
        let mut problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
        problem.0.allow = Some(allow);
        problem
    }

    /// 409: impossible in the present state.
    #[must_use]
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "state_conflict", detail)
    }

    /// 413: larger than allowed.
    #[must_use]
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail)
    }

    /// 429: the queue takes no more.
    #[must_use]
    pub fn queue_full(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", detail).retry_later()
    }

    /// With the limit that is reached: how many may wait, say.
    #[must_use]
    pub fn with_limit(mut self, limit: u64) -> Self {
        self.0.limit = Some(limit);
        self
    }

    /// 501: the plan knows this route, this version does not have it.
    #[must_use]
    pub fn not_in_this_version(what: &str) -> Self {
        let detail = format!("{what}: not in this version");
        Self::new(StatusCode::NOT_IMPLEMENTED, "not_in_this_version", detail)
    }

    /// 503: the daemon is about to end.
    #[must_use]
    pub fn draining() -> Self {
        let detail = "the daemon is draining and takes nothing new";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "draining", detail).retry_later()
    }

    /// 503: the database cannot be reached.
    #[must_use]
    pub fn database_unavailable(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "database_unavailable",
            detail,
        )
        .retry_later()
    }

    /// 503: a part of the daemon does not answer; whether it acted is not known.
    #[must_use]
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_later()
    }

    /// 504: not answered within the request's deadline.
    #[must_use]
    pub fn deadline_exceeded(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "deadline_exceeded", detail)
    }

    /// 500: a fault of the daemon.
    #[must_use]
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", detail)
    }

    /// With one more fault at a place of the body.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.0.faults.push(Fault {
            pointer: pointer.into(),
            detail: detail.into(),
        });
        self
    }

    /// With one more member of the document.
    #[must_use]
    pub fn with(mut self, member: &str, value: Value) -> Self {
        self.0.more.insert(member.to_owned(), value);
        self
    }

    /// With `Retry-After`.
    #[must_use]
    pub fn retry_later(mut self) -> Self {
        self.0.retry_after = Some(RETRY_AFTER_SECONDS);
        self
    }

    /// The status it is answered with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The word a program may match on.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The text for people.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What is wrong in the body that was sent.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.0.faults
    }

    /// The answer to the request `request_id` for `instance`.
    #[must_use]
    pub fn into_response(self, instance: &str, request_id: &str) -> Response {
        let document = Document {
            r#type: format!("{TYPE_PREFIX}{}", self.0.code),
            title: self.0.status.canonical_reason().unwrap_or("Error"),
            status: self.0.status.as_u16(),
            code: &self.0.code,
            detail: &self.0.detail,
            instance,
            request_id,
            errors: &self.0.faults,
            more: &self.0.more,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = Response::new(body.into());
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.0.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.0.status == StatusCode::TOO_MANY_REQUESTS {
            limits(headers, self.0.limit, self.0.retry_after);
        }
        if let Some(allow) = self
            .0
            .allow
            .and_then(|text| HeaderValue::from_str(&text).ok())
        {
            headers.insert(hyper::header::ALLOW, allow);
        }
        response
    }
}

/// What a caller that is held back may read of the limit, beside `Retry-After`.
fn limits(headers: &mut HeaderMap, limit: Option<u64>, reset: Option<u32>) {
    headers.insert(RATE_LIMIT_REMAINING, HeaderValue::from(0));
    if let Some(limit) = limit {
        headers.insert(RATE_LIMIT, HeaderValue::from(limit));
    }
    if let Some(seconds) = reset {
        headers.insert(RATE_LIMIT_RESET, HeaderValue::from(seconds));
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let detail = error.to_string();
        match error {
            StoreError::Unavailable { .. } => Self::database_unavailable(detail),
            StoreError::StorageFull { .. } => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "storage_full", detail)
            }
            StoreError::Overloaded { .. } | StoreError::Full(_) => Self::queue_full(detail),
            StoreError::TooLarge(_) => Self::too_large(detail),
            StoreError::NotFound { what, name } => Self::not_found(what, &name, None),
            StoreError::Conflict(_) => Self::conflict(detail),
            StoreError::IdempotencyMismatch(_) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_mismatch",
                detail,
            ),
            StoreError::Cursor(_) => {
                Self::invalid_request(format!("query parameter 'cursor': {detail}"))
            }
            StoreError::Invalid(_) => Self::validation(detail),
            StoreError::Rejected { .. } => {
                tracing::error!(%detail, "the database refused a request");
                Self::internal(detail)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_of_the_store_has_its_status_and_code() {
        let message = String::from("m");
        let operation = "create task";
        let cases = [
            (
                StoreError::Unavailable {
                    operation,
                    message: message.clone(),
                },
                503,
                "database_unavailable",
            ),
            (
                StoreError::StorageFull {
                    operation,
                    message: message.clone(),
                },
                507,
                "storage_full",
            ),
            (StoreError::Overloaded { operation }, 429, "queue_full"),
            (StoreError::Full(message.clone()), 429, "queue_full"),
            (
                StoreError::TooLarge(message.clone()),
                413,
                "payload_too_large",
            ),
            (
                StoreError::NotFound {
                    what: "task",
                    name: message.clone(),
                },
                404,
                "task_not_found",
            ),
            (StoreError::Conflict(message.clone()), 409, "state_conflict"),
            (
                StoreError::IdempotencyMismatch(message.clone()),
                422,
                "idempotency_mismatch",
            ),
            (StoreError::Cursor(message.clone()), 400, "invalid_request"),
            (
                StoreError::Invalid(message.clone()),
                422,
                "validation_failed",
            ),
            (
                StoreError::Rejected { operation, message },
                500,
                "internal_error",
            ),
        ];
        for (error, status, code) in cases {
            let problem = Problem::from(error);
            assert_eq!((problem.status().as_u16(), problem.code()), (status, code));
        }
    }

    #[test]
    fn who_is_held_back_reads_the_limit_and_when_to_come_back() {
        let full = Problem::queue_full("2 wait").with_limit(2);
        let full = full.into_response("/api/v1/tasks", "req_1");
        let of = |name: &str| full.headers()[name].to_str().unwrap().to_owned();
        let read = ["limit", "remaining", "reset"].map(|part| of(&format!("ratelimit-{part}")));
        assert_eq!(read, ["2", "0", "5"]);
        assert_eq!(of("retry-after"), "5");
    }

    #[test]
    fn what_may_pass_says_when_to_come_back() {
        let response = Problem::draining().into_response("/api/v1/tasks", "req_1");
        assert_eq!(response.headers()[RETRY_AFTER], "5");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    }
}
