//! The scripted post: what is sent is stored, and nobody takes it; claims about sending.

use futures_util::FutureExt;
use serde_json::json;

use super::house::{House, Rooms};
use crate::domain::message::{Message, NewMessage};
use crate::http::{Answer, Messages};

impl Messages for Rooms {
    fn send(&self, message: NewMessage) -> Answer<'_, (Message, bool)> {
        async move { Ok(self.store.send_message(message).await?) }.boxed()
    }
}

#[tokio::test]
async fn a_message_is_accepted_waits_and_is_listed_by_what_is_asked_for() {
    let house = House::open().await;
    let body = r#"{"to": "echo", "type": "event", "content": {"n": 1}}"#;
    let sent = house.post("/api/v1/messages", body).await;
    assert_eq!(sent.status.as_u16(), 202);
    assert_eq!(sent.json()["state"], "waiting");
    let found = house.get("/api/v1/messages?type=event&state=waiting&to=echo");
    assert_eq!(found.await.json()["items"][0]["id"], sent.json()["id"]);
    let none = house.get("/api/v1/messages?state=delivered").await.json();
    assert_eq!(none["items"], json!([]));
    for (path, body, status) in [
        ("/api/v1/messages", r#"{"to": "echo", "type": "song"}"#, 422),
        ("/api/v1/messages", r#"{"to": "echo", "from": "sum"}"#, 422),
    ] {
        let refused = house.post(path, body).await;
        assert_eq!(refused.status.as_u16(), status, "{body}");
    }
    let refused = house.get("/api/v1/messages?type=song").await;
    assert_eq!(refused.status.as_u16(), 400);
}
