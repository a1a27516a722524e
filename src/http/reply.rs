//! Answers that are no error.

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue, LINK, LOCATION};
use serde::Serialize;
use warp::reply::Response;

use super::call::{Call, Query};
use super::problem::Problem;
use super::router::Outcome;
use crate::actors::persistence::StoreError;
use crate::domain::query::Page;

/// 200 with JSON.
pub(super) fn json<T: Serialize>(value: &T) -> Outcome {
    with_status(StatusCode::OK, value)
}

/// JSON with a status.
pub(super) fn with_status<T: Serialize>(status: StatusCode, value: &T) -> Outcome {
    let body = serde_json::to_vec(value)
        .map_err(|error| Problem::internal(format!("the answer is no JSON: {error}")))?;
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(response)
}

/// What was accepted: 202 and where it is, or 200 if it had been accepted before.
pub(super) fn accepted<T: Serialize>(value: &T, existing: bool, location: &str) -> Outcome {
    let status = if existing {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    let mut response = with_status(status, value)?;
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// A page of a list, with a link to the next one.
pub(super) fn page<T: Serialize>(path: &str, query: &Query, page: &Page<T>) -> Outcome {
    let mut response = json(page)?;
    if let Some(cursor) = page.next_cursor.as_deref().filter(|_| page.has_more) {
        let link = format!("<{path}?{}>; rel=\"next\"", query.turned_to(cursor));
        if let Ok(link) = HeaderValue::from_str(&link) {
            response.headers_mut().insert(LINK, link);
        }
    }
    Ok(response)
}

/// The page that is asked for of those items of a list in memory that `keep` keeps. A position is a
/// name, so that a page follows the one before whatever has become of others meanwhile.
pub(super) fn turned<T: Serialize>(
    call: &Call,
    items: Vec<T>,
    name: fn(&T) -> &str,
    keep: impl Fn(&T) -> bool,
) -> Outcome {
    let wanted = call.query.page()?;
    let mut items = after(items, wanted.cursor.as_deref(), name)?;
    items.retain(keep);
    let limit = wanted.limit as usize;
    let has_more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| has_more);
    let next_cursor = last.map(|item| name(item).to_owned());
    let found = Page {
        items,
        next_cursor,
        has_more,
    };
    page(&call.path, &call.query, &found)
}

/// What follows the item that a page ended with; all of them without one.
fn after<T>(
    mut items: Vec<T>,
    cursor: Option<&str>,
    name: fn(&T) -> &str,
) -> Result<Vec<T>, Problem> {
    let Some(cursor) = cursor else {
        return Ok(items);
    };
    let last = items.iter().position(|item| name(item) == cursor);
    match last {
        Some(last) => Ok(items.split_off(last + 1)),
        None => Err(StoreError::Cursor(cursor.chars().take(80).collect()).into()),
    }
}

/// A list that is always whole, in the shape of a page.
pub(super) fn whole<T: Serialize>(items: Vec<T>) -> Outcome {
    json(&Page {
        items,
        next_cursor: None,
        has_more: false,
    })
}

/// Text of some kind.
pub(super) fn text(kind: &'static str, body: impl Into<String>) -> Response {
    let mut response = Response::new(body.into().into());
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
