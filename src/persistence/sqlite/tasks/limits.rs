//! Limits of queues and keys, and pauses: who may be handed out now.
//!
//! What runs is counted in the database inside the transaction of the claim, and each start under
//! a rate limit is a row of that transaction, so neither can drift from what is true, whatever was
//! killed. A queue without limits, while none is paused, costs a look into memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::RwLock;

use crate::domain::ids::SessionId;
use crate::domain::queue::{DEFAULT_CAPACITY, Limits, QueueSpec, RateLimit};
use crate::domain::timestamp::Timestamp;
use crate::persistence::sqlite::{SqlResult, WriteTx};

/// The key under which the starts of a whole queue are counted.
pub(super) const WHOLE_QUEUE: &str = "";
/// As good as no limit.
const UNLIMITED: u64 = u64::MAX;

/// How many starts that count no more are removed with each that comes.
const FORGOTTEN_AT_ONCE: i64 = 4;

/// What is configured, and whether any queue may be paused.
#[derive(Debug)]
pub(in crate::persistence::sqlite) struct Rules {
    limited: RwLock<Arc<HashMap<String, QueueSpec>>>,
    capacities: RwLock<HashMap<String, u64>>,
    /// False only if no queue is paused. Changed on the writer's thread alone, so that a claim
    /// sees what was committed before it.
    pub(in crate::persistence::sqlite) pauses: AtomicBool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            limited: RwLock::default(),
            capacities: RwLock::default(),
            pauses: AtomicBool::new(true),
        }
    }
}

impl Rules {
    /// Replaces what is configured.
    pub(in crate::persistence::sqlite) fn set<'a>(
        &self,
        specs: impl Iterator<Item = &'a QueueSpec>,
    ) {
        let (mut limited, mut capacities) = (HashMap::new(), HashMap::new());
        for spec in specs {
            capacities.insert(spec.name.to_string(), spec.capacity);
            if spec.is_limited() {
                limited.insert(spec.name.to_string(), spec.clone());
            }
        }
        *self.limited.write() = Arc::new(limited);
        *self.capacities.write() = capacities;
    }

    /// Tasks that may wait for one agent, role or queue that stands in this queue.
    pub(in crate::persistence::sqlite) fn capacity(&self, queue: &str) -> u64 {
        let known = self.capacities.read();
        known.get(queue).copied().unwrap_or(DEFAULT_CAPACITY)
    }

    /// A queue that has limits.
    pub(super) fn spec(&self, queue: &str) -> Option<QueueSpec> {
        self.limited.read().get(queue).cloned()
    }

    /// Whether a task of this queue must pass the gate of a claim before it is handed out.
    pub(super) fn govern(&self, tx: &WriteTx<'_>, queue: &str) -> SqlResult<bool> {
        Ok(self.limited.read().contains_key(queue) || self.paused(tx, queue)?)
    }

    fn paused(&self, tx: &WriteTx<'_>, queue: &str) -> SqlResult<bool> {
        if !self.pauses.load(Relaxed) {
            return Ok(false);
        }
        let sql = "SELECT 1 FROM queue_pauses WHERE queue = ?1 AND (until IS NULL OR until > ?2)";
        Ok(tx.first(sql, (queue, tx.now()), |_| Ok(()))?.is_some())
    }
}

/// What may still be handed out of one queue.
struct Room {
    left: u64,
    keys: HashMap<String, u64>,
    spec: QueueSpec,
}

/// What one claim may hand out.
pub(super) struct Gate<'r> {
    rules: &'r Rules,
    session: SessionId,
    limited: Arc<HashMap<String, QueueSpec>>,
    rooms: HashMap<String, Option<Room>>,
    /// Something waits behind a limit or a pause.
    pub(super) held_back: bool,
    /// When a rate limit gives way.
    pub(super) next: Option<Timestamp>,
}

impl<'r> Gate<'r> {
    pub(super) fn new(rules: &'r Rules, session: SessionId) -> Self {
        Self {
            rules,
            session,
            limited: rules.limited.read().clone(),
            rooms: HashMap::new(),
            held_back: false,
            next: None,
        }
    }

    /// How many tasks of a queue may start now; `None` if nothing limits it.
    pub(super) fn room(&mut self, tx: &WriteTx<'_>, queue: &str) -> SqlResult<Option<u64>> {
        if self.limited.is_empty() && !self.rules.pauses.load(Relaxed) {
            return Ok(None);
        }
        if !self.rooms.contains_key(queue) {
            let room = self.measure(tx, queue)?;
            self.rooms.insert(queue.to_owned(), room);
        }
        let left = self
            .rooms
            .get(queue)
            .and_then(Option::as_ref)
            .map(|room| room.left);
        self.held_back |= left == Some(0);
        Ok(left)
    }

    fn measure(&mut self, tx: &WriteTx<'_>, queue: &str) -> SqlResult<Option<Room>> {
        let paused = self.rules.paused(tx, queue)?;
        let limited = Arc::clone(&self.limited);
        let Some(spec) = limited.get(queue) else {
            let closed = |name| Room {
                left: 0,
                keys: HashMap::new(),
                spec: QueueSpec::plain(name),
            };
            return Ok(queue.parse().ok().filter(|_| paused).map(closed));
        };
        let left = match paused {
            true => 0,
            false => self.left_of(tx, queue, None, spec.limits)?,
        };
        Ok(Some(Room {
            left,
            keys: HashMap::new(),
            spec: spec.clone(),
        }))
    }

    /// Whether a queue limits its keys.
    pub(super) fn limits_keys(&self, queue: &str) -> bool {
        let room = self.rooms.get(queue).and_then(Option::as_ref);
        room.is_some_and(|room| room.spec.per_key.any())
    }

    /// How many tasks of a queue that have this key may start now.
    pub(super) fn key_room(
        &mut self,
        tx: &WriteTx<'_>,
        queue: &str,
        key: Option<&str>,
    ) -> SqlResult<u64> {
        let Some(Some(room)) = self.rooms.get(queue) else {
            return Ok(UNLIMITED);
        };
        let (Some(key), limits) = (key, room.spec.per_key) else {
            return Ok(UNLIMITED);
        };
        if let Some(left) = room.keys.get(key) {
            return Ok(*left);
        }
        let left = self.left_of(tx, queue, Some(key), limits)?;
        if let Some(Some(room)) = self.rooms.get_mut(queue) {
            room.keys.insert(key.to_owned(), left);
        }
        Ok(left)
    }

    /// Something waits behind its key. What this claim hands out of that key counts from now on,
    /// so its rate gives way when its period is over, if not before.
    pub(super) fn hold_back_key(&mut self, tx: &WriteTx<'_>, queue: &str) {
        self.held_back = true;
        let spec = self.limited.get(queue);
        if let Some(rate) = spec.and_then(|spec| spec.per_key.rate) {
            let gives_way = tx.now().after(rate.period + Duration::from_micros(1));
            self.next = self.next.into_iter().chain([gives_way]).min();
        }
    }

    /// Takes one place, if queue and key have one.
    pub(super) fn take(
        &mut self,
        tx: &WriteTx<'_>,
        queue: &str,
        key: Option<&str>,
    ) -> SqlResult<bool> {
        let of_queue = self.room(tx, queue)?;
        let of_key = self.key_room(tx, queue, key)?;
        if of_queue == Some(0) || of_key == 0 {
            self.held_back = true;
            return Ok(false);
        }
        if let Some(Some(room)) = self.rooms.get_mut(queue) {
            room.left -= 1;
            if let Some(left) = key.and_then(|key| room.keys.get_mut(key)) {
                *left -= 1;
            }
        }
        Ok(true)
    }

    /// Remembers a start that counts against a rate limit.
    pub(super) fn started(
        &self,
        tx: &WriteTx<'_>,
        queue: &str,
        key: Option<&str>,
        (task, attempt): (i64, u32),
    ) -> SqlResult<()> {
        let Some(spec) = self.limited.get(queue) else {
            return Ok(());
        };
        let of_key = key.and_then(|key| Some((key, spec.per_key.rate?)));
        let of_queue = spec.limits.rate.map(|rate| (WHOLE_QUEUE, rate));
        for (key, _) in of_queue.into_iter().chain(of_key) {
            self.forget_starts(tx)?;
            tx.execute(
                "INSERT INTO queue_starts (queue, key, at, task_key, attempt) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                (queue, key, tx.now(), task, attempt),
            )?;
        }
        Ok(())
    }

    /// Removes some of the oldest starts that no window holds any more, of whatever key: one that
    /// never comes again would keep its own for ever. More go than come, so the table shrinks.
    fn forget_starts(&self, tx: &WriteTx<'_>) -> SqlResult<()> {
        let rates = self
            .limited
            .values()
            .flat_map(|spec| [spec.limits.rate, spec.per_key.rate]);
        let longest = rates.flatten().map(|rate| rate.period).max();
        let gone = tx.now().before(longest.unwrap_or_default());
        tx.execute(
            "DELETE FROM queue_starts WHERE (queue, key, at, task_key, attempt) IN \
             (SELECT queue, key, at, task_key, attempt FROM queue_starts \
              WHERE at <= ?1 ORDER BY at LIMIT ?2)",
            (gone, FORGOTTEN_AT_ONCE),
        )?;
        Ok(())
    }

    fn left_of(
        &mut self,
        tx: &WriteTx<'_>,
        queue: &str,
        key: Option<&str>,
        limits: Limits,
    ) -> SqlResult<u64> {
        let slots = match limits.concurrency {
            Some(most) => u64::from(most).saturating_sub(running(tx, self.session, queue, key)?),
            None => UNLIMITED,
        };
        let starts = match limits.rate {
            Some(rate) => self.starts_left(tx, queue, key.unwrap_or(WHOLE_QUEUE), rate)?,
            None => UNLIMITED,
        };
        Ok(slots.min(starts))
    }

    fn starts_left(
        &mut self,
        tx: &WriteTx<'_>,
        queue: &str,
        key: &str,
        rate: RateLimit,
    ) -> SqlResult<u64> {
        let since = tx.now().before(rate.period);
        let (count, oldest, newest): (i64, Option<Timestamp>, Option<Timestamp>) = tx
            .first(
                "SELECT count(*), min(at), max(at) FROM queue_starts \
                 WHERE queue = ?1 AND key = ?2 AND at > ?3",
                (queue, key, since),
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )?
            .unwrap_or_default();
        if newest.is_some_and(|newest| newest > tx.now()) {
            clock_went_back(tx, queue, key)?;
        }
        let oldest = oldest.min(Some(tx.now()));
        let left = u64::from(rate.max).saturating_sub(count.unsigned_abs());
        if let (true, Some(oldest)) = (left < u64::from(rate.max), oldest) {
            let gives_way = oldest.after(rate.period + Duration::from_micros(1));
            self.next = self.next.into_iter().chain([gives_way]).min();
        }
        Ok(left)
    }
}

/// Starts that are still to come have happened: nobody knows how long ago, so they count for one
/// period from now on, and not until the clock is where it was.
fn clock_went_back(tx: &WriteTx<'_>, queue: &str, key: &str) -> SqlResult<()> {
    tx.execute(
        "UPDATE queue_starts SET at = ?3 WHERE queue = ?1 AND key = ?2 AND at > ?3",
        (queue, key, tx.now()),
    )?;
    Ok(())
}

fn running(tx: &WriteTx<'_>, session: SessionId, queue: &str, key: Option<&str>) -> SqlResult<u64> {
    let count: Option<i64> = match key {
        Some(key) => tx.first(
            "SELECT count(*) FROM tasks WHERE state = 'running' AND session_id = ?1 \
             AND queue = ?2 AND concurrency_key = ?3",
            (session, queue, key),
            |row| row.get(0),
        )?,
        None => tx.first(
            "SELECT count(*) FROM tasks WHERE state = 'running' AND session_id = ?1 \
             AND queue = ?2",
            (session, queue),
            |row| row.get(0),
        )?,
    };
    Ok(count.unwrap_or(0).unsigned_abs())
}
