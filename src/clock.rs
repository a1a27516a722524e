//! The only place that reads the wall clock and makes identifiers.
//!
//! Spans are measured on `tokio::time::Instant`, never here.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::timestamp::Timestamp;

/// The wall clock's instant.
#[must_use]
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

/// The bytes of a new version 7 UUID: ids made later sort later.
#[must_use]
pub fn new_id() -> [u8; 16] {
    uuid::Uuid::now_v7().into_bytes()
}
