//! Messages to the service: posted one after another, so that they arrive in order.

use std::sync::{Arc, Weak};
use std::time::Duration;

use hyper::header::HeaderName;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Desk;
use crate::actors::agent::frames::ToAgent;
use crate::actors::life::LifeNote;
use crate::actors::work::{PortClosed, Receipt};
use crate::domain::message::Message;

/// Messages that wait for the service.
const MAX_WAITING: usize = 256;
/// How long the service may take to take one.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);
/// Which message it is: the same one may come twice.
const MESSAGE: HeaderName = HeaderName::from_static("x-message-id");

/// The way in for messages. Dropped, what waits is posted no more.
#[derive(Debug)]
pub(super) struct Mail(mpsc::Sender<(Message, Receipt)>);

impl Mail {
    pub(super) fn open(desk: &Arc<Desk>) -> Self {
        let (letters, waiting) = mpsc::channel(MAX_WAITING);
        desk.spawn(carry(Arc::downgrade(desk), waiting));
        Self(letters)
    }

    pub(super) fn post(&self, message: Message, receipt: Receipt) -> Result<(), PortClosed> {
        self.0
            .try_send((message, receipt))
            .map_err(|_full_or_over| PortClosed)
    }
}

async fn carry(desk: Weak<Desk>, mut waiting: mpsc::Receiver<(Message, Receipt)>) {
    while let Some((message, receipt)) = waiting.recv().await {
        let Some(desk) = desk.upgrade() else { return };
        match hand_over(&desk, &message).await {
            Ok(()) => receipt.taken(),
            // Dropping the receipt has the message handed over again, ever later.
            Err(error) => {
                desk.tasks.error();
                desk.life.note(LifeNote::Error);
                let (agent, url) = (&desk.life.instance, desk.remote.url());
                tracing::warn!(%agent, %url, message = %message.id, error, "a message was not taken");
            }
        }
    }
}

async fn hand_over(desk: &Desk, message: &Message) -> Result<(), String> {
    let frame = ToAgent::Message {
        id: message.id,
        from: message.from.as_ref(),
        kind: message.kind,
        content: &message.content,
    };
    let mut body = frame.line();
    body.pop();
    let marks = [(MESSAGE, message.id.to_string())];
    match timeout(TAKEN_WITHIN, desk.remote.post(body, &marks)).await {
        Ok(Ok(reply)) if reply.status.is_success() => Ok(()),
        Ok(Ok(reply)) => Err(format!("answered {}", reply.status)),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_late) => Err(format!("no answer within {TAKEN_WITHIN:?}")),
    }
}
