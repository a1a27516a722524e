//! A bounded cache in memory: least recently used, least often used, or oldest goes first.
//!
//! All three policies are one order over entries; what differs is what a use does to an entry's
//! place. Every operation takes logarithmic time under one short lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::telemetry::metrics::record;

/// Which entry goes when the cache is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvictionPolicy {
    /// The one used longest ago.
    Lru,
    /// The one used least often; of equals the one used longest ago.
    Lfu,
    /// The oldest.
    Fifo,
}

/// Uses (for [`EvictionPolicy::Lfu`]) and a tick that is never given twice: smallest goes first.
type Place = (u64, u64);

/// A cache of values that are cheap to clone.
#[derive(Debug)]
pub struct MemoryCache<V> {
    capacity: usize,
    ttl: Duration,
    policy: EvictionPolicy,
    inner: Mutex<Inner<V>>,
}

#[derive(Debug)]
struct Inner<V> {
    entries: HashMap<Arc<str>, Entry<V>>,
    order: BTreeMap<Place, Arc<str>>,
    tick: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    expires: Instant,
    place: Place,
}

impl<V: Clone> MemoryCache<V> {
    /// An empty cache of at most `capacity` entries; none is kept if that is zero.
    #[must_use]
    pub fn new(capacity: usize, ttl: Duration, policy: EvictionPolicy) -> Self {
        Self {
            capacity,
            ttl,
            policy,
            inner: Mutex::new(Inner {
                entries: HashMap::new(),
                order: BTreeMap::new(),
                tick: 0,
            }),
        }
    }

    /// The value kept under `key`, if it is not too old.
    pub fn get(&self, key: &str) -> Option<V> {
        let found = self.inner.lock().get(key, self.policy, Instant::now());
        record::cache_request(found.is_some());
        found
    }

    /// Keeps a value under `key`, in place of the one there was.
    pub fn put(&self, key: &str, value: V) {
        if self.capacity == 0 {
            return;
        }
        let mut inner = self.inner.lock();
        inner.remove(key);
        while inner.entries.len() >= self.capacity {
            inner.evict();
        }
        inner.insert(key.into(), value, Instant::now() + self.ttl);
    }

    /// Forgets what is kept under `key`.
    pub fn remove(&self, key: &str) {
        self.inner.lock().remove(key);
    }

    /// Entries kept, those too old included until they are looked up or pushed out.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.lock().entries.len()
    }

    /// Whether nothing is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<V: Clone> Inner<V> {
    fn get(&mut self, key: &str, policy: EvictionPolicy, now: Instant) -> Option<V> {
        let entry = self.entries.get_mut(key)?;
        if entry.expires <= now {
            self.remove(key);
            return None;
        }
        let next = match policy {
            EvictionPolicy::Fifo => return Some(entry.value.clone()),
            EvictionPolicy::Lru => entry.place.0,
            EvictionPolicy::Lfu => entry.place.0.saturating_add(1),
        };
        self.tick += 1;
        let before = std::mem::replace(&mut entry.place, (next, self.tick));
        if let Some(key) = self.order.remove(&before) {
            self.order.insert(entry.place, key);
        }
        Some(entry.value.clone())
    }

    fn insert(&mut self, key: Arc<str>, value: V, expires: Instant) {
        self.tick += 1;
        let place = (0, self.tick);
        self.order.insert(place, key.clone());
        let entry = Entry {
            value,
            expires,
            place,
        };
        self.entries.insert(key, entry);
    }

    fn remove(&mut self, key: &str) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.place);
        }
    }

    fn evict(&mut self) {
        if let Some((_, key)) = self.order.pop_first() {
            self.entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LONG: Duration = Duration::from_secs(3600);

    /// Puts a, b, c, uses them as told, puts d into a cache for three, and names who is gone.
    fn gone(policy: EvictionPolicy, uses: &str) -> String {
        let cache = MemoryCache::new(3, LONG, policy);
        for key in ["a", "b", "c"] {
            cache.put(key, ());
        }
        for key in uses.chars() {
            cache.get(&key.to_string());
        }
        cache.put("d", ());
        let all = ["a", "b", "c", "d"].into_iter();
        all.filter(|key| cache.get(key).is_none()).collect()
    }

    #[tokio::test]
    async fn each_policy_lets_its_own_entry_go() {
        use EvictionPolicy::{Fifo, Lfu, Lru};
        let table = [
            (Lru, "", "a"),
            (Lru, "a", "b"),
            (Lru, "ab", "c"),
            (Lfu, "ab", "c"),
            (Lfu, "aabcc", "b"),
            (Fifo, "aaa", "a"),
        ];
        for (policy, uses, expected) in table {
            assert_eq!(gone(policy, uses), expected, "{policy:?} after '{uses}'");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_lives_as_long_as_it_may_however_often_it_is_used() {
        let cache = MemoryCache::new(3, Duration::from_secs(10), EvictionPolicy::Lru);
        cache.put("a", 1);
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(cache.get("a"), Some(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(cache.get("a"), None);
        assert!(cache.is_empty());
    }

    #[tokio::test]
    async fn a_value_can_be_replaced_and_removed_and_a_cache_for_none_keeps_none() {
        let cache = MemoryCache::new(2, LONG, EvictionPolicy::Lfu);
        cache.put("a", 1);
        cache.put("a", 2);
        assert_eq!((cache.get("a"), cache.len()), (Some(2), 1));
        cache.remove("a");
        assert_eq!(cache.get("a"), None);
        let none = MemoryCache::new(0, LONG, EvictionPolicy::Lru);
        none.put("a", 1);
        assert_eq!(none.get("a"), None);
    }

    proptest! {
        #[test]
        fn it_never_holds_more_than_its_capacity_and_its_order_knows_every_entry(
            policy in 0_usize..3, capacity in 1_usize..6,
            steps in prop::collection::vec((0_u8..3, 0_u8..12), 0..200)
        ) {
            let policy = [EvictionPolicy::Lru, EvictionPolicy::Lfu, EvictionPolicy::Fifo][policy];
            let cache = MemoryCache::new(capacity, LONG, policy);
            for (what, key) in steps {
                let key = key.to_string();
                match what {
                    0 => { cache.put(&key, key.clone()); prop_assert_eq!(cache.get(&key), Some(key)); }
                    1 => if let Some(found) = cache.get(&key) { prop_assert_eq!(found, key) },
                    _ => { cache.remove(&key); prop_assert_eq!(cache.get(&key), None) }
                }
                let inner = cache.inner.lock();
                prop_assert!(inner.entries.len() <= capacity);
                prop_assert_eq!(inner.entries.len(), inner.order.len());
            }
        }
    }
}
