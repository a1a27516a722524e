//! `/api/v1/events`: the journal, as a JSON page or as server-sent events.
//!
//! A page holds the latest entries, oldest first, or those after a position or an instant. The
//! stream begins now, or after `Last-Event-ID`; it skips nothing silently: a reader that is too
//! slow gets a `gap` event. A comment every 15 s tells that the stream is alive; it ends at drain.

mod stream;

use hyper::header::HeaderName;

use super::call::{Call, Query, wrong_parameter};
use super::problem::Problem;
use super::reply;
use super::router::Outcome;
use crate::domain::event::TYPES;
use crate::domain::name::nearest;
use crate::domain::query::{EventFilter, MAX_PAGE_LIMIT, Page};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// `GET /api/v1/events`
pub(super) async fn list(call: Call) -> Outcome {
    const KNOWN: &[&str] = &[
        "types", "type", "subject", "since", "after", "limit", "cursor",
    ];
    call.query.only(KNOWN)?;
    let filter = filter(&call.query)?;
    if wants_stream(&call) {
        let after = match call.header(&LAST_EVENT_ID) {
            Some(text) => Some(text.parse().map_err(|_| {
                Problem::invalid_request(format!("Last-Event-ID '{text}' is no event's id"))
            })?),
            None => filter.after,
        };
        let filter = EventFilter { after, ..filter };
        return Ok(stream::reply(&call.handles, filter));
    }
    page(call, filter).await
}

/// A stream, unless JSON is asked for or a page is turned.
fn wants_stream(call: &Call) -> bool {
    let pages = call
        .query
        .get("limit")
        .or(call.query.get("cursor"))
        .is_some();
    call.accepts("text/event-stream") || !(pages || call.accepts("application/json"))
}

async fn page(call: Call, filter: EventFilter) -> Outcome {
    let limit = call.query.limit()?;
    let latest = filter.after.is_none() && filter.since.is_none();
    let filter = EventFilter { latest, ..filter };
    let records = &call.handles.records;
    let mut items = records.events(filter, limit + u32::from(!latest)).await?;
    // The store gives no more than the longest page, so one item more cannot always be asked for.
    let whole = items.len() == MAX_PAGE_LIMIT as usize;
    let has_more = !latest && (items.len() > limit as usize || whole);
    items.truncate(limit as usize);
    let next_cursor = items
        .last()
        .map(|event| event.seq.to_string())
        .filter(|_| has_more);
    let page = Page {
        items,
        next_cursor,
        has_more,
    };
    reply::page(&call.path, &call.query, &page)
}

fn filter(query: &Query) -> Result<EventFilter, Problem> {
    let kinds: Vec<String> = query
        .all("types")
        .chain(query.all("type"))
        .map(str::to_owned)
        .collect();
    for kind in &kinds {
        known(kind)?;
    }
    let cursor = query.parsed("cursor")?;
    Ok(EventFilter {
        after: cursor.or(query.parsed("after")?),
        since: query.parsed("since")?,
        kinds,
        subject: query.get("subject").map(str::to_owned),
        latest: false,
    })
}

/// Refuses a type, or a family such as `task.*`, that no event has.
fn known(kind: &str) -> Result<(), Problem> {
    let is_known = match kind.strip_suffix(".*") {
        Some(family) => TYPES
            .iter()
            .any(|known| known.split('.').next() == Some(family)),
        None => TYPES.contains(&kind),
    };
    if is_known {
        return Ok(());
    }
    let hint = nearest(kind, TYPES.iter().copied())
        .map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
    Err(wrong_parameter(
        "types",
        &format!("'{kind}' is no event type{hint}"),
    ))
}
