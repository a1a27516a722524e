//! `/api/v1/messages`: what agents and operators say to agents.
//!
//! A message is answered after its commit; that a life has taken it is seen by its `state`. With
//! `Idempotency-Key`, the same request again answers 200 with the first message.

use serde::Deserialize;
use serde_json::Value;

use super::body;
use super::call::{Call, Query};
use super::problem::Problem;
use super::reply;
use super::router::Outcome;
use super::tasks::idempotency;
use crate::clock;
use crate::domain::ids::MessageId;
use crate::domain::message::{MessageFilter, MessageKind, MessageState, NewMessage};
use crate::domain::name::Name;

/// `POST /api/v1/messages`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageRequest {
    to: Name,
    r#type: Option<String>,
    #[serde(default)]
    content: Value,
}

/// `POST /api/v1/messages`
pub(super) async fn send(mut call: Call) -> Outcome {
    call.query.only(&[])?;
    let value: Value = call.json().await?;
    let key = idempotency(&call, &value)?;
    let MessageRequest {
        to,
        r#type,
        content,
    } = body::shape(&value)?;
    let word = r#type.as_deref().unwrap_or(MessageKind::Custom.as_str());
    let kind = MessageKind::from_word(word).ok_or_else(|| {
        let detail = format!("'{word}' is none of {}", MessageKind::known());
        Problem::validation(format!("type: {detail}")).at("#/type", detail)
    })?;
    let message = NewMessage {
        id: MessageId::from_bytes(clock::new_id()),
        from: None,
        to,
        kind,
        content,
        idempotency: key,
    };
    let (message, existing) = call.handles.messages.send(message).await?;
    let place = format!("/api/v1/messages?to={}", message.to);
    reply::accepted(&message, existing, &place)
}

/// `GET /api/v1/messages`
pub(super) async fn list(call: Call) -> Outcome {
    let query = &call.query;
    query.only(&["to", "from", "type", "state", "limit", "cursor"])?;
    let filter = MessageFilter {
        to: query.parsed("to")?,
        from: query.parsed("from")?,
        kind: word(query, "type", MessageKind::from_word, MessageKind::known)?,
        state: word(query, "state", MessageState::from_word, MessageState::known)?,
    };
    let records = &call.handles.records;
    let page = records.messages(filter, query.page()?).await?;
    reply::page(&call.path, query, &page)
}

/// A parameter that is one of a few words.
fn word<T>(
    query: &Query,
    key: &str,
    read: impl Fn(&str) -> Option<T>,
    known: impl Fn() -> String,
) -> Result<Option<T>, Problem> {
    let read = |text| {
        read(text).ok_or_else(|| {
            let known = known();
            Problem::invalid_request(format!(
                "query parameter '{key}': '{text}' is none of {known}"
            ))
        })
    };
    query.get(key).map(read).transpose()
}
