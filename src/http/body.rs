//! Bodies: read up to a limit, then as JSON whose every fault is named by place.
//!
//! Broken JSON is 400 with line and column; JSON of the wrong shape is 422 with a pointer, an
//! unknown field with the nearest known one; another content type is 415; more than
//! the limit is 413.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use hyper::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use super::problem::Problem;
use crate::domain::name::nearest;

/// What is read and thrown away of a body that is too long, so that its sender gets to the answer.
const MAX_DISCARDED_BYTES: usize = 16 << 20;
/// How long the sender of a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The pieces of a request's body.
pub(super) type Body = BoxStream<'static, Result<Bytes, warp::Error>>;

/// The bytes of a JSON body of at most `limit` bytes.
pub(super) async fn read(
    headers: &HeaderMap,
    body: &mut Body,
    limit: usize,
) -> Result<Bytes, Problem> {
    let bytes = tokio::time::timeout(BODY_TIMEOUT, collect(headers, body, limit))
        .await
        .map_err(|_| {
            let detail = format!("the body did not arrive within {BODY_TIMEOUT:?}");
            Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail)
        })??;
    if !bytes.is_empty() {
        expect_json(headers)?;
    }
    Ok(bytes)
}

async fn collect(headers: &HeaderMap, body: &mut Body, limit: usize) -> Result<Bytes, Problem> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let mut bytes = BytesMut::with_capacity(announced.unwrap_or(0).min(limit));
    let mut seen = 0_usize;
    while let Some(piece) = body.next().await {
        let piece = piece
            .map_err(|error| Problem::invalid_request(format!("the body broke off: {error}")))?;
        seen = seen.saturating_add(piece.len());
        if seen <= limit {
            bytes.extend_from_slice(&piece);
        } else if seen > MAX_DISCARDED_BYTES {
            break;
        }
    }
    if seen > limit {
        let detail = format!(
            "the body is longer than {limit} bytes; upload large values to /api/v1/artifacts and refer to them"
        );
        return Err(Problem::too_large(detail));
    }
    Ok(bytes.freeze())
}

/// Refuses a content type that is not JSON; none at all is taken as JSON.
fn expect_json(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let text = value.to_str().unwrap_or_default();
    let essence = text
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    if essence == "application/json" || essence.ends_with("+json") {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        format!("content type '{text}' is not taken here; send application/json"),
    ))
}

/// JSON bytes as a `T`.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Problem::invalid_request(format!("the body is not JSON: {error}"))
            .at("#", format!("{place}: {error}"))
    })?;
    shape(&value)
}

/// A JSON value as a `T`.
pub(super) fn shape<T: DeserializeOwned>(value: &serde_json::Value) -> Result<T, Problem> {
    // Every body is an object; serde would take a list for one, field by field.
    if let Some(found) = no_object(value) {
        let detail = format!("expected an object, not {found}");
        return Err(Problem::validation(format!("#: {detail}")).at("#", detail));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let (pointer, detail) = explain(error.path(), &error.inner().to_string());
        Problem::validation(format!("{pointer}: {detail}")).at(pointer, detail)
    })
}

/// What a value is that is no object.
fn no_object(value: &serde_json::Value) -> Option<&'static str> {
    use serde_json::Value;
    match value {
        Value::Object(_) => None,
        Value::Array(_) => Some("a list"),
        Value::String(_) => Some("a string"),
        Value::Number(_) => Some("a number"),
        Value::Bool(_) => Some("true or false"),
        Value::Null => Some("null"),
    }
}

/// A fault of shape in words of JSON, where serde uses those of Rust.
fn plain(message: &str) -> String {
    let Some((found, expected)) = message.split_once(", expected ") else {
        return message.to_owned();
    };
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        struct_ if struct_.starts_with("struct ") => "an object",
        other => other,
    };
    format!("{found}, expected {expected}")
}

/// Where and what a fault of shape is.
fn explain(path: &Path, message: &str) -> (String, String) {
    let mut pointer = pointer_to(path);
    let mut words = message.split('`').skip(1).step_by(2);
    let Some(unknown) = words
        .next()
        .filter(|_| message.starts_with("unknown field"))
    else {
        return (pointer, plain(message));
    };
    let known: Vec<&str> = words.collect();
    let hint = match nearest(unknown, known.iter().copied()) {
        Some(near) => format!("did you mean '{near}'?"),
        None if known.is_empty() => "none is expected".to_owned(),
        None => format!("known are {}", known.join(", ")),
    };
    let last = format!("/{}", escape(unknown));
    if !pointer.ends_with(&last) {
        pointer.push_str(&last);
    }
    (pointer, format!("field '{unknown}' is not known; {hint}"))
}

/// A JSON Pointer in a URI fragment.
fn pointer_to(path: &Path) -> String {
    path.iter()
        .fold("#".to_owned(), |pointer, segment| match segment {
            Segment::Seq { index } => format!("{pointer}/{index}"),
            Segment::Map { key } => format!("{pointer}/{}", escape(key)),
            Segment::Enum { .. } | Segment::Unknown => pointer,
        })
}

/// A key as a JSON Pointer spells it.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Outer {
        priority: Option<u8>,
        #[serde(default)]
        tasks: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Inner {
        agent: String,
    }

    #[test]
    fn every_fault_of_a_body_is_named_by_place() {
        let cases = [
            ("{\"priority\": ", 400, "#", "line 1"),
            ("{\n  \"priority\": x}", 400, "#", "line 2, column 15"),
            (
                "{\"prority\": 5}",
                422,
                "#/prority",
                "did you mean 'priority'?",
            ),
            (
                "{\"priority\": \"high\"}",
                422,
                "#/priority",
                "invalid type",
            ),
            ("{\"priority\": 300}", 422, "#/priority", "300"),
            (
                "{\"tasks\": [{\"agent\": \"a\"}, {\"agnt\": \"b\"}]}",
                422,
                "#/tasks/1/agnt",
                "'agent'",
            ),
            (
                "{\"tasks\": [{}]}",
                422,
                "#/tasks/0",
                "missing field `agent`",
            ),
            ("[]", 422, "#", "expected an object, not a list"),
            ("{\"tasks\": [7]}", 422, "#/tasks/0", "expected an object"),
        ];
        for (body, status, pointer, detail) in cases {
            let problem = parse::<Outer>(body.as_bytes()).unwrap_err();
            let json = serde_json::to_value(problem.faults()).unwrap();
            assert_eq!(problem.status().as_u16(), status, "{body}");
            assert_eq!(json[0]["pointer"], pointer, "{body}");
            let found = json[0]["detail"].as_str().unwrap();
            assert!(found.contains(detail), "{body}: {found}");
        }
    }

    fn with(content_type: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        headers
    }

    fn body(pieces: Vec<Vec<u8>>) -> Body {
        futures_util::stream::iter(pieces.into_iter().map(|piece| Ok(Bytes::from(piece)))).boxed()
    }

    #[tokio::test]
    async fn another_content_type_is_refused_and_no_body_needs_none() {
        let form = with("application/x-www-form-urlencoded");
        let refused = read(&form, &mut body(vec![b"a=b".to_vec()]), 9)
            .await
            .unwrap_err();
        assert_eq!(refused.status().as_u16(), 415);
        assert!(read(&form, &mut body(vec![]), 9).await.is_ok());
        let json_type = with("application/json; charset=utf-8");
        assert!(
            read(&json_type, &mut body(vec![b"{}".to_vec()]), 9)
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_whether_announced_or_not() {
        let pieces = vec![vec![b' '; 9], vec![b'1']];
        let refused = read(&HeaderMap::new(), &mut body(pieces), 9)
            .await
            .unwrap_err();
        assert_eq!(
            (refused.status().as_u16(), refused.code()),
            (413, "payload_too_large")
        );
    }
}
