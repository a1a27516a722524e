//! Identifiers: a prefix and 32 lower-case hex digits outside, 16 bytes inside.
//!
//! Every identifier is a version 7 UUID, so later ones sort after earlier ones. The prefix says
//! what it names and is checked when parsed.
//!
//! Invariant: this module reads neither clock nor randomness; [`crate::clock`] makes new ones.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is no identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not {what}: expected {prefix} and 32 lower-case hex digits")]
pub struct InvalidId {
    text: String,
    what: &'static str,
    prefix: &'static str,
}

/// Decodes the 32 hex digits of an identifier.
fn decode_hex(digits: &str) -> Option<[u8; 16]> {
    if digits.len() != 32 || digits.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    let mut bytes = [0; 16];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// A prefix of four bytes and the 32 hex digits of an identifier.
fn encode(prefix: &str, bytes: &[u8; 16]) -> [u8; 36] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 36];
    let (start, digits) = text.split_at_mut(4);
    start.copy_from_slice(prefix.as_bytes());
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 0xf)];
    }
    text
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Wraps the 16 bytes of a version 7 UUID.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes, as stored in the database.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = encode($prefix, &self.0);
                f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix($prefix)
                    .and_then(decode_hex)
                    .map(Self)
                    .ok_or_else(|| InvalidId { text: text.to_owned(), what: $what, prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

identifier!(
    /// Names a workflow run.
    WorkflowId, "wfl_", "a workflow's id"
);
identifier!(
    /// Names a task.
    TaskId, "tsk_", "a task's id"
);
identifier!(
    /// Names a message between agents.
    MessageId, "msg_", "a message's id"
);
identifier!(
    /// Names a journal entry.
    EventId, "evt_", "an event's id"
);
identifier!(
    /// Names one hand-over of a task to an agent; it fences the result.
    LeaseId, "lse_", "a lease's id"
);
identifier!(
    /// Names one life of a daemon.
    SessionId, "ses_", "a session's id"
);
identifier!(
    /// Names one run of a recovery action.
    RecoveryRunId, "rec_", "a recovery run's id"
);
identifier!(
    /// Names one stored crash.
    CrashId, "crs_", "a crash's id"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_comes_back_from_its_text() {
        let id = TaskId::from_bytes([0xab; 16]);
        assert_eq!(id.to_string().parse::<TaskId>(), Ok(id));
    }

    #[test]
    fn another_kinds_prefix_upper_case_and_a_wrong_length_are_refused() {
        let digits = "ab".repeat(16);
        for text in [
            format!("wfl_{digits}"),
            format!("tsk_{}", digits.to_uppercase()),
            "tsk_ab".to_owned(),
            digits,
        ] {
            assert!(text.parse::<TaskId>().is_err(), "{text}");
        }
    }
}
