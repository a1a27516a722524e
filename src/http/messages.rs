//! `/api/v1/messages`: what agents said to each other.

use super::call::Call;
use super::reply;
use super::router::Outcome;

/// `GET /api/v1/messages`
pub(super) async fn list(call: Call) -> Outcome {
    let query = &call.query;
    query.only(&["to", "limit", "cursor"])?;
    let page = call
        .handles
        .records
        .messages(query.parsed("to")?, query.page()?)
        .await?;
    reply::page(&call.path, query, &page)
}
