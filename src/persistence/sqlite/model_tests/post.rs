//! Messages in the model: who sent what to whom, what each waits for, whose deaths it caused.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::world::{World, name};
use crate::clock;
use crate::domain::ids::MessageId;
use crate::domain::message::{MAX_DEATHS, Message, MessageKind, MessageState, NewMessage};
use crate::domain::task::IdempotencyKey;
use crate::domain::timestamp::Timestamp;
use crate::persistence::StoreError;
use crate::persistence::sqlite::messages;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const AGENTS: [&str; 2] = ["echo", "sum"];

/// One thing done to messages.
#[derive(Debug, Clone)]
pub(in crate::persistence::sqlite) enum Posted {
    Send {
        to: usize,
        from: Option<usize>,
        key: Option<(u8, u8)>,
    },
    /// Because it was not known whether it had been stored.
    SendAgain {
        pick: usize,
    },
    Taken {
        pick: usize,
    },
    Killed {
        pick: usize,
    },
}

pub(super) fn posted() -> impl Strategy<Value = Posted> {
    let pick = any::<usize>;
    prop_oneof![
        5 => (0..2usize, proptest::option::of(0..2usize), super::rarely(4, (0..4u8, 0..2u8)))
            .prop_map(|(to, from, key)| Posted::Send { to, from, key }),
        1 => pick().prop_map(|pick| Posted::SendAgain { pick }),
        3 => pick().prop_map(|pick| Posted::Taken { pick }),
        4 => pick().prop_map(|pick| Posted::Killed { pick }),
    ]
}

/// What the model knows of messages, in the order in which they were accepted.
#[derive(Default)]
pub(super) struct Post {
    all: Vec<Message>,
    gone: Vec<MessageId>,
    /// By key: digest, message, when.
    keys: BTreeMap<u8, (u8, MessageId, Timestamp)>,
}

impl Post {
    fn nth(&mut self, pick: usize) -> Option<&mut Message> {
        let count = self.all.len();
        (count > 0).then(|| &mut self.all[pick % count])
    }

    pub(super) fn prune(&mut self, now: Timestamp) {
        let old = |it: &Message| it.created_at < now.before(DAY * 7);
        self.gone
            .extend(self.all.iter().filter(|it| old(it)).map(|it| it.id));
        self.all.retain(|it| !old(it));
    }

    /// Of each sender the oldest that waits.
    fn next(&self, to: &str) -> Vec<Message> {
        let mut senders = Vec::new();
        let mut next = Vec::new();
        for it in self.all.iter().filter(|it| it.to.as_str() == to) {
            if it.state == MessageState::Waiting && !senders.contains(&it.from) {
                senders.push(it.from.clone());
                next.push(it.clone());
            }
        }
        next
    }
}

impl World {
    pub(super) fn posted(&mut self, what: &Posted) {
        match *what {
            Posted::Send { to, from, key } => self.send(to, from, key),
            Posted::SendAgain { pick } => self.send_again(pick),
            Posted::Taken { pick } => self.taken(pick),
            Posted::Killed { pick } => self.killed(pick),
        }
        for agent in AGENTS {
            let next = messages::next(&self.db.conn, &name(agent)).unwrap();
            assert_eq!(next, self.post.next(agent), "{agent} after {what:?}");
        }
    }

    fn store_message(&mut self, new: &NewMessage) -> Result<(Message, bool), StoreError> {
        let content = messages::sealed(&new.content, "test").unwrap();
        self.db.write(|tx| messages::send(tx, new, &content))
    }

    fn send(&mut self, to: usize, from: Option<usize>, key: Option<(u8, u8)>) {
        let new = NewMessage {
            id: MessageId::from_bytes(clock::new_id()),
            from: from.map(|from| name(AGENTS[from])),
            to: name(AGENTS[to]),
            kind: MessageKind::Custom,
            content: json!({"n": self.post.all.len()}),
            idempotency: key.map(|(key, digest)| IdempotencyKey {
                key: key.to_string(),
                digest: [digest; 32],
            }),
        };
        let done = self.store_message(&new);
        let now = self.model.now;
        let known = key.and_then(|(key, digest)| {
            let (seen, id, at) = self.post.keys.get(&key).copied()?;
            (at > now.before(DAY)).then_some((seen == digest, id))
        });
        match known {
            Some((false, _)) => {
                assert!(
                    matches!(done, Err(StoreError::IdempotencyMismatch(_))),
                    "{done:?}"
                );
            }
            Some((true, id)) => {
                let first = self.post.all.iter().find(|it| it.id == id);
                assert_eq!(done.unwrap(), (first.unwrap().clone(), true));
            }
            None => {
                let message = Message::waiting(&new, now);
                assert_eq!(done.unwrap(), (message.clone(), false));
                self.post.all.push(message);
                if let Some((key, digest)) = key {
                    self.post.keys.insert(key, (digest, new.id, now));
                }
            }
        }
    }

    fn send_again(&mut self, pick: usize) {
        let Some(first) = self.post.nth(pick).cloned() else {
            return;
        };
        let new = NewMessage {
            id: first.id,
            from: first.from.clone(),
            to: first.to.clone(),
            kind: first.kind,
            content: first.content.clone(),
            idempotency: None,
        };
        assert_eq!(self.store_message(&new).unwrap(), (first, true));
    }

    fn taken(&mut self, pick: usize) {
        if let Some(gone) = self.post.gone.first().copied() {
            let done = self.db.write(|tx| messages::delivered(tx, gone));
            assert!(matches!(done, Err(StoreError::NotFound { .. })), "{done:?}");
        }
        let now = self.model.now;
        let Some(message) = self.post.nth(pick) else {
            return;
        };
        let id = message.id;
        message.state = MessageState::Delivered;
        message.delivered_at = message.delivered_at.or(Some(now));
        self.db.write(|tx| messages::delivered(tx, id)).unwrap();
    }

    fn killed(&mut self, pick: usize) {
        let Some(message) = self.post.nth(pick) else {
            return;
        };
        let done = self
            .db
            .write(|tx| messages::killed(tx, message.id, "it fell"));
        if message.state != MessageState::Waiting {
            assert!(matches!(done, Err(StoreError::NotFound { .. })), "{done:?}");
            return;
        }
        message.deaths += 1;
        if message.deaths >= MAX_DEATHS {
            message.state = MessageState::Undeliverable;
            message.reason = Some(format!(
                "{MAX_DEATHS} lives died while they held it, the last by: it fell"
            ));
        }
        assert_eq!(done.unwrap(), message.state);
    }

    /// All messages, in order.
    pub(super) fn messages_agree(&self) {
        assert_eq!(messages::all_of(&self.db.conn).unwrap(), self.post.all);
    }
}
