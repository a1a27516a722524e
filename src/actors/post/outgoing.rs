//! What agents send: a bounded line, stored in the order in which each agent sent.
//!
//! An agent is not told of each acceptance, so what the database cannot take now is tried again
//! for as long as the daemon lives. What cannot be sent at all goes back to its sender as a message
//! of type `error`.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use serde_json::json;
use tokio::sync::mpsc;

use super::{Inner, Post, STORE_REST};
use crate::actors::work::AgentMessage;
use crate::clock;
use crate::domain::ids::MessageId;
use crate::domain::message::{MessageKind, NewMessage};
use crate::domain::name::Name;
use crate::persistence::StoreError;

/// Messages of agents that wait to be stored; more are refused.
pub const MAX_OUTGOING: usize = 1_024;
/// Messages taken from the line together.
const BATCH: usize = 128;

/// A message of an agent, and whether there is such a recipient.
#[derive(Debug)]
pub(super) struct Letter {
    message: AgentMessage,
    allowed: Result<(), String>,
}

/// The line's end where agents put.
#[derive(Debug)]
pub(super) struct Outgoing {
    line: mpsc::Sender<Letter>,
    refused: AtomicU64,
}

impl Outgoing {
    pub(super) fn new() -> (Self, mpsc::Receiver<Letter>) {
        let (line, waiting) = mpsc::channel(MAX_OUTGOING);
        let refused = AtomicU64::new(0);
        (Self { line, refused }, waiting)
    }

    /// Puts a message into the line, or refuses it.
    pub(super) fn put(&self, message: AgentMessage, allowed: Result<(), String>) {
        let from = message.from.clone();
        if self.line.try_send(Letter { message, allowed }).is_err() {
            let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
            // Every power of two, so that a flood fills no log.
            if refused.is_power_of_two() {
                tracing::warn!(agent = %from, refused, "agents send more than can be stored; messages were refused");
            }
        }
    }
}

/// Stores what comes until nobody can send any more.
pub(super) async fn carry(post: Weak<Inner>, mut waiting: mpsc::Receiver<Letter>) {
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let Some(inner) = post.upgrade() else { return };
        let post = Post(inner);
        let mut senders: BTreeMap<Name, Vec<Letter>> = BTreeMap::new();
        for letter in batch.drain(..) {
            let sender = letter.message.from.agent.clone();
            senders.entry(sender).or_default().push(letter);
        }
        let all = senders
            .into_values()
            .map(|letters| in_order(&post, letters));
        join_all(all).await;
    }
}

/// One after the other: a later one must not be stored before an earlier one.
async fn in_order(post: &Post, letters: Vec<Letter>) {
    for letter in letters {
        let (from, to) = (letter.message.from.clone(), letter.message.to.clone());
        let carried = AssertUnwindSafe(one(post, letter)).catch_unwind().await;
        if carried.is_err() {
            tracing::error!(agent = %from, %to, "storing an agent's message panicked; it is lost");
        }
    }
}

async fn one(post: &Post, Letter { message, allowed }: Letter) {
    let (from, to) = (message.from.clone(), message.to.clone());
    let refusal = match allowed {
        Ok(()) => store(post, message).await.err(),
        Err(why) => Some(("agent_not_found", why)),
    };
    if let Some((code, why)) = refusal {
        tracing::warn!(agent = %from, %to, why, "an agent's message was refused");
        bounce(post, from.agent, &to, code, &why).await;
    }
}

async fn store(post: &Post, message: AgentMessage) -> Result<(), (&'static str, String)> {
    let Some(kind) = MessageKind::from_word(&message.kind) else {
        let known = MessageKind::known();
        return Err((
            "invalid_type",
            format!("'{}' is none of {known}", message.kind),
        ));
    };
    let new = NewMessage {
        id: MessageId::from_bytes(clock::new_id()),
        from: Some(message.from.agent),
        to: message.to,
        kind,
        content: message.content,
        idempotency: None,
    };
    loop {
        match post.send(new.clone()).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_temporary() => tokio::time::sleep(rest()).await,
            Err(error) => return Err((code(&error), error.to_string())),
        }
    }
}

/// Half a rest to a whole one, so that not everybody comes back at once.
fn rest() -> Duration {
    STORE_REST.mul_f64(rand::random_range(0.5..1.0))
}

const fn code(error: &StoreError) -> &'static str {
    match error {
        StoreError::Full(_) => "queue_full",
        StoreError::TooLarge(_) => "payload_too_large",
        _ => "refused",
    }
}

/// Tells a sender that its message was not accepted.
async fn bounce(post: &Post, sender: Name, to: &Name, code: &str, why: &str) {
    let told = NewMessage {
        id: MessageId::from_bytes(clock::new_id()),
        from: None,
        to: sender,
        kind: MessageKind::Error,
        content: json!({"code": code, "message": why, "to": to}),
        idempotency: None,
    };
    if let Err(error) = post.send(told).await {
        tracing::debug!(%error, "a sender was not told that its message was refused");
    }
}
