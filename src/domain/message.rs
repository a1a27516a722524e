//! Messages between agents: what they are, where they stand, how many may wait.
//!
//! A message waits until a life of its recipient has taken it, and is delivered once at least:
//! a life that ends before it took the message leaves it to the next one. Whoever must not do a
//! thing twice keeps the ids that it has seen.
//!
//! Not here: who hands them over (`actors::post`), how long they are kept (retention).

use serde::Serialize;
use serde_json::Value;

use super::ids::MessageId;
use super::name::Name;
use super::task::IdempotencyKey;
use super::timestamp::Timestamp;

/// Messages that may wait for one recipient; more are refused.
pub const MAX_WAITING: u32 = 1_000;
/// The largest content, as JSON, in bytes.
pub const MAX_CONTENT_BYTES: usize = 256 << 10;
/// Lives that may die of a message while they alone held it, or beside others; then it is given up.
pub const MAX_DEATHS: u32 = 3;

/// A set of words, to and from text.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$what:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$what])* $variant,)* }

        impl $name {
            /// Every word there is.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// What a word stands for.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }

            /// All words, for people.
            #[must_use]
            pub fn known() -> String {
                [$($word),*].join(", ")
            }
        }
    };
}

words! {
    /// What a message is about.
    MessageKind {
        /// Asks for work.
        TaskRequest = "task_request",
        /// Answers such a request.
        TaskResponse = "task_response",
        /// Says how things stand.
        StatusUpdate = "status_update",
        /// Says that something went wrong.
        Error = "error",
        /// Says that something happened.
        Event = "event",
        /// Whatever the two have agreed upon.
        Custom = "custom",
    }
}

words! {
    /// Where a message stands.
    MessageState {
        /// No life has taken it yet.
        Waiting = "waiting",
        /// A life has taken it.
        Delivered = "delivered",
        /// Given up; `reason` says why.
        Undeliverable = "undeliverable",
    }
}

/// A message as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Message {
    /// Its id: the same however often it is handed over.
    pub id: MessageId,
    /// Who sent it; `None`: an operator, or the daemon.
    pub from: Option<Name>,
    /// Who it is for.
    pub to: Name,
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: MessageKind,
    /// What it says.
    pub content: Value,
    /// Where it stands.
    pub state: MessageState,
    /// Lives that died while they held it.
    pub deaths: u32,
    /// Why it was given up.
    pub reason: Option<String>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When a life took it.
    pub delivered_at: Option<Timestamp>,
}

impl Message {
    /// A message that nobody has taken yet.
    #[must_use]
    pub fn waiting(new: &NewMessage, created_at: Timestamp) -> Self {
        Self {
            id: new.id,
            from: new.from.clone(),
            to: new.to.clone(),
            kind: new.kind,
            content: new.content.clone(),
            state: MessageState::Waiting,
            deaths: 0,
            reason: None,
            created_at,
            delivered_at: None,
        }
    }
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMessage {
    /// Its id.
    pub id: MessageId,
    /// Who sends it; `None`: an operator, or the daemon.
    pub from: Option<Name>,
    /// Who it is for.
    pub to: Name,
    /// What it is about.
    pub kind: MessageKind,
    /// What it says.
    pub content: Value,
    /// The same key again gives the first message.
    pub idempotency: Option<IdempotencyKey>,
}

/// Which messages are wanted; all given conditions must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageFilter {
    /// To this agent.
    pub to: Option<Name>,
    /// From this agent.
    pub from: Option<Name>,
    /// About this.
    pub kind: Option<MessageKind>,
    /// Standing here.
    pub state: Option<MessageState>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_a_message_is_read_as_it_is_written() {
        for kind in MessageKind::ALL {
            assert_eq!(MessageKind::from_word(kind.as_str()), Some(*kind));
            assert_eq!(serde_json::json!(kind), kind.as_str());
        }
        for state in MessageState::ALL {
            assert_eq!(MessageState::from_word(state.as_str()), Some(*state));
            assert_eq!(serde_json::json!(state), state.as_str());
        }
        assert_eq!(MessageKind::from_word("Event"), None);
    }
}
