//! Messages: lists, what waits, deaths, keys, limits.

use serde_json::json;

use super::{at, name};
use crate::clock;
use crate::domain::ids::MessageId;
use crate::domain::message::{
    MAX_CONTENT_BYTES, MAX_DEATHS, MAX_WAITING, Message, MessageFilter, MessageKind, MessageState,
    NewMessage,
};
use crate::domain::query::PageRequest;
use crate::domain::task::IdempotencyKey;
use crate::domain::timestamp::Timestamp;
use crate::persistence::{Store, StoreError};

pub(super) fn message(to: &str, n: i64) -> Message {
    let new = new_message(to, n);
    Message {
        from: (n % 2 == 0).then(|| name("echo")),
        ..Message::waiting(&new, at(n))
    }
}

fn new_message(to: &str, n: i64) -> NewMessage {
    NewMessage {
        id: MessageId::from_bytes(clock::new_id()),
        from: None,
        to: name(to),
        kind: MessageKind::Custom,
        content: json!({ "n": n }),
        idempotency: None,
    }
}

fn to(agent: &str) -> MessageFilter {
    MessageFilter {
        to: Some(name(agent)),
        ..MessageFilter::default()
    }
}

pub(crate) async fn messages_are_paged_newest_first_and_delivered_once(store: Store) {
    let sent: Vec<_> = (0..5).map(|n| message("sum", n)).collect();
    for message in sent.clone() {
        store.log_message(message).await.unwrap();
    }
    store.log_message(message("other", 9)).await.unwrap();
    let mut page = PageRequest {
        limit: 2,
        cursor: None,
    };
    let mut seen = Vec::new();
    loop {
        let found = store.messages(to("sum"), page.clone()).await.unwrap();
        assert_eq!(found.has_more, found.next_cursor.is_some());
        seen.extend(found.items);
        let Some(next) = found.next_cursor else { break };
        page.cursor = Some(next);
    }
    let newest_first: Vec<_> = sent.iter().rev().cloned().collect();
    assert_eq!(seen, newest_first);
    assert_eq!(listed(&store, MessageFilter::default()).await.len(), 6);

    let id = sent[0].id;
    store.message_delivered(id).await.unwrap();
    let first = delivered_at(&store, id).await;
    assert!(first.is_some());
    store.message_delivered(id).await.unwrap();
    assert_eq!(delivered_at(&store, id).await, first);
    let unknown = store
        .message_delivered(MessageId::from_bytes([0; 16]))
        .await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })));
}

async fn listed(store: &Store, filter: MessageFilter) -> Vec<Message> {
    let page = PageRequest::default();
    store.messages(filter, page).await.unwrap().items
}

pub(crate) async fn messages_are_filtered_by_all_that_is_asked(store: Store) {
    for n in 0..4 {
        store.log_message(message("sum", n)).await.unwrap();
    }
    let event = NewMessage {
        kind: MessageKind::Event,
        ..new_message("echo", 7)
    };
    store.send_message(event.clone()).await.unwrap();
    let from_echo = MessageFilter {
        from: Some(name("echo")),
        ..to("sum")
    };
    assert_eq!(listed(&store, from_echo.clone()).await.len(), 2);
    let kind = MessageFilter {
        kind: Some(MessageKind::Event),
        ..MessageFilter::default()
    };
    assert_eq!(listed(&store, kind).await[0].id, event.id);
    store.message_delivered(event.id).await.unwrap();
    let delivered = MessageFilter {
        state: Some(MessageState::Delivered),
        ..MessageFilter::default()
    };
    assert_eq!(listed(&store, delivered.clone()).await[0].id, event.id);
    let both = MessageFilter {
        state: delivered.state,
        ..from_echo
    };
    assert!(listed(&store, both).await.is_empty());
}

pub(crate) async fn what_waits_is_the_oldest_message_of_each_sender(store: Store) {
    let waiting: Vec<_> = (0..4).map(|n| message("sum", n)).collect();
    for message in waiting.clone() {
        store.log_message(message).await.unwrap();
    }
    assert_eq!(
        store.next_messages(name("sum")).await.unwrap(),
        waiting[..2]
    );
    store.message_delivered(waiting[0].id).await.unwrap();
    let next = store.next_messages(name("sum")).await.unwrap();
    assert_eq!(next, waiting[1..3]);
    assert!(store.next_messages(name("echo")).await.unwrap().is_empty());
}

pub(crate) async fn a_message_of_which_lives_die_is_given_up(store: Store) {
    let message = new_message("sum", 1);
    store.send_message(message.clone()).await.unwrap();
    for death in 1..=MAX_DEATHS {
        let state = store.message_killed(message.id, "signal 9".into()).await;
        let given_up = state.unwrap() == MessageState::Undeliverable;
        assert_eq!(given_up, death == MAX_DEATHS, "{death}");
    }
    let kept = listed(&store, to("sum")).await.remove(0);
    assert_eq!(kept.state, MessageState::Undeliverable);
    assert!(kept.reason.unwrap().contains("signal 9"));
    assert!(store.next_messages(name("sum")).await.unwrap().is_empty());
}

pub(crate) async fn a_message_sent_again_is_the_first_one(store: Store) {
    let key = |digest| {
        Some(IdempotencyKey {
            key: "k".into(),
            digest: [digest; 32],
        })
    };
    let first = NewMessage {
        idempotency: key(1),
        ..new_message("sum", 1)
    };
    let (stored, existing) = store.send_message(first.clone()).await.unwrap();
    assert!(!existing);
    let again = NewMessage {
        id: MessageId::from_bytes(clock::new_id()),
        ..first.clone()
    };
    let same = store.send_message(again.clone()).await.unwrap();
    assert_eq!(same, (stored.clone(), true));
    let other = NewMessage {
        idempotency: key(2),
        ..again
    };
    let refused = store.send_message(other).await;
    assert!(matches!(refused, Err(StoreError::IdempotencyMismatch(_))));
    // Without a key, the same id is the same message.
    let resent = NewMessage {
        idempotency: None,
        ..first
    };
    assert_eq!(store.send_message(resent).await.unwrap(), (stored, true));
}

pub(crate) async fn a_recipient_has_only_so_many_messages_and_each_only_so_large(store: Store) {
    let fill = (0..i64::from(MAX_WAITING)).map(|n| store.log_message(message("sum", n)));
    for stored in futures_util::future::join_all(fill).await {
        stored.unwrap();
    }
    let refused = store.send_message(new_message("sum", 0)).await;
    assert!(matches!(refused, Err(StoreError::Full(_))), "{refused:?}");
    store.send_message(new_message("echo", 0)).await.unwrap();
    let large = NewMessage {
        content: json!("x".repeat(MAX_CONTENT_BYTES)),
        ..new_message("echo", 0)
    };
    let refused = store.send_message(large).await;
    assert!(
        matches!(refused, Err(StoreError::TooLarge(_))),
        "{refused:?}"
    );
}

async fn delivered_at(store: &Store, id: MessageId) -> Option<Timestamp> {
    let all = listed(store, MessageFilter::default()).await;
    let found = all.into_iter().find(|message| message.id == id);
    found.unwrap().delivered_at
}
