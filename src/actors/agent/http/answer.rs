//! What a service's answer means for the task that was posted. Pure.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderMap, LOCATION, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;

use super::remote::{NoReply, Reply};
use crate::domain::task::TaskError;

/// The longest code kept of an answer, bytes.
const MAX_CODE: usize = 128;
/// The longest text for people kept of an answer, bytes.
const MAX_TEXT: usize = 4 * 1024;
/// The longest wait that a service may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// A task that failed, and how long the service asks to be left alone.
#[derive(Debug, PartialEq)]
pub(super) struct Failed {
    pub(super) error: TaskError,
    pub(super) retry_after: Option<Duration>,
    /// What it says it has spent all the same.
    pub(super) usage: Option<Value>,
}

impl Failed {
    fn of(code: &str, message: String, retryable: bool) -> Self {
        Self {
            error: TaskError {
                code: code.to_owned(),
                message,
                retryable,
            },
            retry_after: None,
            usage: None,
        }
    }

    /// No answer within the attempt's time.
    pub(super) fn late(span: Duration) -> Self {
        Self::of("timeout", format!("no answer within {span:?}"), true)
    }
}

impl From<NoReply> for Failed {
    fn from(none: NoReply) -> Self {
        let message = none.to_string();
        match none {
            NoReply::Unreachable(_) => Self::of("unreachable", message, true),
            NoReply::Broken(_) => Self::of("connection_lost", message, true),
            NoReply::TooLong => Self::of("output_too_large", message, false),
            NoReply::Impossible(_) => Self::of("invalid_request", message, false),
        }
    }
}

/// Reads an answer.
pub(super) fn read(reply: &Reply) -> Result<Output, Failed> {
    let status = reply.status;
    if status.is_success() {
        return output(status, &reply.body);
    }
    if status.is_redirection() {
        let to = reply.headers.get(LOCATION).and_then(|to| to.to_str().ok());
        let to = to.map_or(String::new(), |to| format!(" to {}", cut(to, MAX_CODE)));
        let message =
            format!("answered {status}{to}; redirects are not followed, so name the final URL");
        return Err(Failed::of("redirected", message, false));
    }
    Err(failure(status, &reply.headers, &reply.body))
}

/// `{output, usage}`.
#[derive(Debug, Deserialize)]
pub(super) struct Output {
    pub(super) output: Value,
    /// What it says it has spent.
    #[serde(default)]
    pub(super) usage: Option<Value>,
}

fn output(status: StatusCode, body: &[u8]) -> Result<Output, Failed> {
    let wrong = |why: String| Failed::of("invalid_answer", why, false);
    match status {
        StatusCode::OK | StatusCode::CREATED => {}
        other => {
            let message =
                format!("answered {other}; a task is settled by 200 and {{\"output\": …}}");
            return Err(wrong(message));
        }
    }
    match serde_json::from_slice::<Value>(body) {
        Err(error) => Err(wrong(format!("answered {status} and no JSON: {error}"))),
        Ok(body) => match Output::deserialize(body) {
            Ok(output) => Ok(output),
            Err(_) => Err(wrong(format!(
                "answered {status} and no object with \"output\""
            ))),
        },
    }
}

/// `{code, message, retryable, usage}`, each as far as it is given.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    code: Option<String>,
    message: Option<String>,
    retryable: Option<bool>,
    usage: Option<Value>,
}

fn failure(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failed {
    let said: Said = serde_json::from_slice(body).unwrap_or_default();
    let passing = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        );
    let retryable = said.retryable.unwrap_or(passing);
    let code = said.code.filter(|code| !code.is_empty());
    let code = code.unwrap_or_else(|| format!("http_{}", status.as_u16()));
    let message = said.message.unwrap_or_else(|| {
        let text = String::from_utf8_lossy(body);
        match text.trim() {
            "" => format!("answered {status}"),
            text => format!("answered {status}: {text}"),
        }
    });
    Failed {
        retry_after: retry_after(headers).filter(|_| retryable),
        usage: said.usage,
        ..Failed::of(&cut(&code, MAX_CODE), cut(&message, MAX_TEXT), retryable)
    }
}

/// `Retry-After` in seconds; a date is not understood, and the task's own backoff stands in.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

fn cut(text: &str, limit: usize) -> String {
    text[..text.floor_char_boundary(limit)].to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reply(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Reply {
        let named = headers.iter().map(|(name, value)| {
            (
                hyper::header::HeaderName::from_static(name),
                value.parse().unwrap(),
            )
        });
        Reply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: named.collect(),
            body: body.to_owned().into(),
        }
    }

    #[test]
    fn only_200_or_201_with_an_output_is_a_result() {
        for (status, body, wanted) in [
            (200, r#"{"output":{"n":1}}"#, Ok(json!({"n":1}))),
            (201, r#"{"output":null,"more":1}"#, Ok(Value::Null)),
            (200, "{}", Err("no object with \"output\"")),
            (200, "[]", Err("no object with \"output\"")),
            (200, "hello", Err("no JSON")),
            (200, "", Err("no JSON")),
            (202, r#"{"output":1}"#, Err("202")),
            (204, "", Err("204")),
        ] {
            match (read(&reply(status, &[], body)), wanted) {
                (Ok(answer), Ok(wanted)) => assert_eq!(answer.output, wanted),
                (Err(failed), Err(part)) => {
                    assert_eq!(failed.error.code, "invalid_answer");
                    assert!(failed.error.message.contains(part), "{failed:?}");
                    assert!(!failed.error.retryable);
                }
                (got, wanted) => panic!("{status} {body}: {got:?}, not {wanted:?}"),
            }
        }
    }

    #[test]
    fn the_status_says_whether_another_attempt_helps_unless_the_body_does() {
        let body = r#"{"code":"busy","message":"later","retryable":true}"#;
        for (status, body, code, message, retryable) in [
            (
                500,
                "oops",
                "http_500",
                "answered 500 Internal Server Error: oops",
                true,
            ),
            (
                503,
                "",
                "http_503",
                "answered 503 Service Unavailable",
                true,
            ),
            (
                429,
                "{}",
                "http_429",
                "answered 429 Too Many Requests: {}",
                true,
            ),
            (408, "", "http_408", "answered 408 Request Timeout", true),
            (404, "", "http_404", "answered 404 Not Found", false),
            (400, body, "busy", "later", true),
            (
                500,
                r#"{"message":"no","retryable":false}"#,
                "http_500",
                "no",
                false,
            ),
        ] {
            let error = read(&reply(status, &[], body)).unwrap_err().error;
            let wanted = (code, message, retryable);
            assert_eq!((&*error.code, &*error.message, error.retryable), wanted);
        }
    }

    #[test]
    fn retry_after_counts_in_seconds_for_what_may_be_retried() {
        for (status, value, wanted) in [
            (429, "7", Some(7)),
            (503, "999999999", Some(3600)),
            (503, "Wed, 21 Oct 2015 07:28:00 GMT", None),
            (404, "7", None),
        ] {
            let failed = read(&reply(status, &[("retry-after", value)], "")).unwrap_err();
            assert_eq!(failed.retry_after, wanted.map(Duration::from_secs));
        }
    }

    #[test]
    fn a_redirect_is_refused_and_says_where_to() {
        let failed = read(&reply(307, &[("location", "http://b/x")], "")).unwrap_err();
        assert_eq!(failed.error.code, "redirected");
        assert!(
            failed.error.message.contains("to http://b/x;"),
            "{failed:?}"
        );
        assert!(!failed.error.retryable);
    }
}
