//! The only place that reads the wall clock and makes identifiers.
//!
//! Spans are measured on `tokio::time::Instant`, never here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
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

/// A wall clock: this machine's, unless another is given.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl WallClock {
    /// One that says what it is told to.
    #[must_use]
    pub fn new(read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// Its instant.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl Default for WallClock {
    fn default() -> Self {
        Self::new(now)
    }
}

impl std::fmt::Debug for WallClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WallClock")
    }
}

/// The tick of the newest id: milliseconds since 1970 and 12 bits of their fraction.
static NEWEST: AtomicU64 = AtomicU64::new(0);

/// The bytes of a new version 7 UUID: ids made later by this process sort later, whatever the
/// clock does.
#[must_use]
pub fn new_id() -> [u8; 16] {
    let micros = now().as_micros().unsigned_abs();
    let tick = ((micros / 1_000) << 12) | (((micros % 1_000) << 12) / 1_000);
    let before = NEWEST.fetch_max(tick, Relaxed);
    // Two ids of one tick, or a clock that went back: the next tick that nobody has.
    let tick = if before < tick {
        tick
    } else {
        NEWEST.fetch_add(1, Relaxed) + 1
    };
    let mut bytes = [0; 10];
    bytes[..2].copy_from_slice(&((tick & 0xfff) as u16).to_be_bytes());
    bytes[2..].copy_from_slice(&rand::random::<[u8; 8]>());
    let id = uuid::Builder::from_unix_timestamp_millis(tick >> 12, &bytes);
    id.into_uuid().into_bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_made_later_sort_later_and_none_comes_twice() {
        let ids: Vec<_> = (0..10_000).map(|_| new_id()).collect();
        assert!(ids.is_sorted());
        let makers = (0..4).map(|_| std::thread::spawn(|| (0..10_000).map(|_| new_id()).collect()));
        let makers: Vec<std::thread::JoinHandle<Vec<[u8; 16]>>> = makers.collect();
        let of_many = makers.into_iter().flat_map(|maker| maker.join().unwrap());
        let different: BTreeSet<_> = of_many.chain(ids).map(|id| id[..8].to_owned()).collect();
        assert_eq!(
            different.len(),
            50_000,
            "their instants alone tell them apart"
        );
    }

    #[test]
    fn an_id_is_a_uuid_of_version_7_and_tells_when_it_was_made() {
        let before = now();
        let id = uuid::Uuid::from_bytes(new_id());
        assert_eq!(id.get_version_num(), 7);
        let (seconds, nanos) = id.get_timestamp().unwrap().to_unix();
        let made = seconds * 1_000 + u64::from(nanos) / 1_000_000;
        assert!(made.abs_diff(before.as_micros().unsigned_abs() / 1_000) < 60_000);
    }
}
