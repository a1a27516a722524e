//! Claims: queued tasks go to free slots, the best rank first, spread over the replicas offered.
//!
//! What is queued stands in partial indexes by (agent, rank), (role, rank), (queue, rank), so a
//! claim costs the same however many finished tasks there are, and sorts nothing.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};

use super::facts::{Told, journal};
use super::limits::{Gate, Rules};
use super::row::TaskRow;
use crate::clock;
use crate::domain::agent::InstanceId;
use crate::domain::event::NewEvent;
use crate::domain::ids::{LeaseId, SessionId};
use crate::domain::query::{ClaimedTask, Claims, SlotOffer};
use crate::domain::spend::{Amount, Reserve};
use crate::domain::task::DEFAULT_QUEUE;
use crate::domain::transition::{Command, Standing, transition};
use crate::persistence::StoreError;
use crate::persistence::sqlite::{Fault, Sealed, SqlResult, WriteTx, spend};

/// Who gets a task, under which session.
#[derive(Clone, Copy)]
pub(super) struct Hold<'a> {
    pub(super) session: SessionId,
    pub(super) instance: &'a InstanceId,
    /// What the task holds of what its agent may spend.
    pub(super) reserve: Option<Reserve>,
}

/// Where a queued task can be found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Agent(String),
    Role(String),
    Queue(String),
}

/// A queued task that could be handed out.
struct Candidate {
    rank: i64,
    task: i64,
    key: Option<String>,
}

/// Hands out queued tasks up to the free slots, and up to the limits of their queues.
pub(super) fn claim(
    tx: &mut WriteTx<'_>,
    session: SessionId,
    offers: &[SlotOffer],
    rules: &Rules,
) -> SqlResult<Claims> {
    require_open(tx, session)?;
    let mut gate = Gate::new(rules, session);
    let mut waiting = candidates(tx, offers, &mut gate)?;
    let mut free: Vec<u32> = offers.iter().map(|offer| offer.free).collect();
    let mut claimed = Vec::new();
    let (mut progress, mut refused) = (true, false);
    // One task to each replica in turn, so that the work spreads.
    while std::mem::take(&mut progress) {
        for (offer, free) in offers.iter().zip(&mut free).filter(|(_, free)| **free > 0) {
            let Some(best) = take_best(tx, &mut waiting, offer, &mut gate, &mut refused)? else {
                continue;
            };
            let Some(task) = TaskRow::by_key(tx, best.task)? else {
                continue;
            };
            let hold = Hold {
                session,
                instance: &offer.instance,
                reserve: offer.reserve,
            };
            let done = hand_over(tx, &task, hold, None)?;
            let start = (task.key, done.attempt);
            gate.started(tx, task.target.queue(), best.key.as_deref(), start)?;
            claimed.push(done);
            *free -= 1;
            progress = true;
        }
    }
    let left = |source| waiting.get(&source).is_some_and(|tasks| !tasks.is_empty());
    // One that the gate refused may have hidden others; the next claim sees them.
    let again = refused && !claimed.is_empty();
    let dry = offers
        .iter()
        .filter(|offer| !again && !sources(offer).into_iter().any(left))
        .map(|offer| offer.instance.clone())
        .collect();
    Ok(Claims {
        tasks: claimed,
        dry,
        held_back: gate.held_back,
        next: gate.next.map(|at| at.since(tx.now())),
    })
}

/// One hand-over: where it takes the task, to whom, under which lease.
pub(super) struct Start<'h> {
    pub(super) to: Standing,
    pub(super) hold: Hold<'h>,
    pub(super) lease: LeaseId,
    pub(super) instance: String,
}

impl<'h> Start<'h> {
    /// A new lease and a new attempt of a queued task.
    pub(super) fn of(from: Standing, hold: Hold<'h>) -> SqlResult<Self> {
        let to = transition(from, Command::Claim)
            .map_err(|illegal| Fault::Store(StoreError::Conflict(illegal.to_string())))?;
        Ok(Self {
            to,
            hold,
            lease: LeaseId::from_bytes(clock::new_id()),
            instance: hold.instance.to_string(),
        })
    }
}

/// Gives a queued task to a replica.
/// `known` is its payload and timeout, if the caller has them already.
pub(super) fn hand_over(
    tx: &mut WriteTx<'_>,
    task: &TaskRow,
    hold: Hold<'_>,
    known: Option<(Value, Duration)>,
) -> SqlResult<ClaimedTask> {
    let start = Start::of(task.standing, hold)?;
    tx.execute(
        "UPDATE tasks SET state = 'running', attempt = ?2, cancel_requested = 0, session_id = ?3, \
         lease_id = ?4, instance = ?5, started_at = ?6, reason = NULL WHERE key = ?1",
        (
            task.key,
            start.to.attempt,
            hold.session,
            start.lease,
            &start.instance,
            tx.now(),
        ),
    )?;
    if task.timeouts.any() {
        task.timeouts.arm(tx, task, start.to.state, tx.now())?;
    }
    begin(tx, task, start, known)
}

/// Stores the execution of a task whose row says already that it runs.
pub(super) fn begin(
    tx: &mut WriteTx<'_>,
    task: &TaskRow,
    start: Start<'_>,
    known: Option<(Value, Duration)>,
) -> SqlResult<ClaimedTask> {
    let Start {
        to,
        hold,
        lease,
        instance,
    } = start;
    let now = tx.now();
    tx.execute(
        "INSERT INTO task_attempts \
         (task_key, attempt, lease_id, session_id, instance, outcome, started_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, 'running', ?6)",
        (task.key, to.attempt, lease, hold.session, &instance, now),
    )?;
    let spent = match &hold.reserve {
        Some(reserve) => spend::reserve(tx, task.key, to.attempt, reserve)?,
        None => Amount::default(),
    };
    let told = Told {
        state: Some(to.state),
        attempt: Some(to.attempt),
        instance: Some(&instance),
        waited: Some(now.since(task.run_at)),
        ..Told::default()
    };
    journal(tx, task, "task.started", &told)?;
    begin_workflow(tx, task)?;
    let (payload, timeout) = match known {
        Some(known) => known,
        None => payload_of(tx, task.key)?,
    };
    Ok(ClaimedTask {
        id: task.id,
        workflow_id: task.workflow_id,
        name: task.name.clone(),
        payload,
        attempt: to.attempt,
        lease_id: lease,
        timeout,
        traceparent: task.traceparent,
        instance: hold.instance.clone(),
        alone: to.suspect,
        spent,
    })
}

/// A session that has ended hands nothing out.
pub(super) fn require_open(tx: &WriteTx<'_>, session: SessionId) -> SqlResult<()> {
    let open = tx.first(
        "SELECT 1 FROM sessions WHERE id = ?1 AND ended_at IS NULL",
        [session],
        |_| Ok(()),
    )?;
    open.ok_or_else(|| {
        Fault::Store(StoreError::Conflict(format!(
            "session '{session}' has ended; begin a new one"
        )))
    })
}

/// The first of its tasks has begun, or waits for somebody.
pub(in crate::persistence::sqlite) fn begin_workflow(
    tx: &mut WriteTx<'_>,
    task: &TaskRow,
) -> SqlResult<()> {
    let (Some(key), Some(id)) = (task.workflow_key, task.workflow_id) else {
        return Ok(());
    };
    let now = tx.now();
    let begun = tx.execute(
        "UPDATE workflows SET state = 'running', started_at = coalesce(started_at, ?2) \
         WHERE key = ?1 AND state = 'pending'",
        (key, now),
    )?;
    if begun == 0 {
        return Ok(());
    }
    tx.event(NewEvent {
        kind: "workflow.started",
        subject: id.to_string(),
        at: now,
        data: json!({}),
    })
}

fn payload_of(tx: &WriteTx<'_>, key: i64) -> SqlResult<(Value, Duration)> {
    let found = tx.first(
        "SELECT payload, timeout_ms FROM tasks WHERE key = ?1",
        [key],
        |row| {
            let Sealed(payload) = row.get(0)?;
            Ok((
                payload,
                Duration::from_millis(row.get::<_, i64>(1)?.unsigned_abs()),
            ))
        },
    )?;
    found.ok_or(Fault::Sql(rusqlite::Error::QueryReturnedNoRows))
}

/// The best-ranked tasks of each source: as many as could be taken from it, and one more, which
/// tells whether any is left.
fn candidates(
    tx: &WriteTx<'_>,
    offers: &[SlotOffer],
    gate: &mut Gate<'_>,
) -> SqlResult<BTreeMap<Source, VecDeque<Candidate>>> {
    let mut wanted: BTreeMap<Source, u32> = BTreeMap::new();
    for offer in offers {
        for source in sources(offer) {
            let most = wanted.entry(source).or_default();
            *most = most.saturating_add(offer.free);
        }
    }
    let mut waiting = BTreeMap::new();
    for (source, most) in wanted {
        let most = match gate.room(tx, source.queue())? {
            Some(0) => continue,
            Some(room) => most.min(u32::try_from(room).unwrap_or(u32::MAX)),
            None => most,
        };
        let found = best_of(tx, &source, most.saturating_add(1), gate)?;
        waiting.insert(source, found);
    }
    Ok(waiting)
}

/// The best-ranked tasks of one source, past those whose key has no room.
fn best_of(
    tx: &WriteTx<'_>,
    source: &Source,
    most: u32,
    gate: &mut Gate<'_>,
) -> SqlResult<VecDeque<Candidate>> {
    let keyed = gate.limits_keys(source.queue());
    let (sql, word) = source.best();
    let mut statement = tx.prepare(sql)?;
    // SQLite takes a limit below zero for none.
    let limit = if keyed { -1 } else { i64::from(most) };
    let mut rows = statement.query((word, limit))?;
    let mut found = VecDeque::new();
    let mut taken: HashMap<String, u64> = HashMap::new();
    while let Some(row) = rows.next()? {
        let candidate = Candidate {
            rank: row.get(0)?,
            task: row.get(1)?,
            key: row.get(2)?,
        };
        if let (true, Some(key)) = (keyed, &candidate.key) {
            let room = gate.key_room(tx, source.queue(), Some(key))?;
            let taken = taken.entry(key.clone()).or_default();
            if *taken >= room {
                gate.hold_back_key(tx, source.queue());
                continue;
            }
            *taken += 1;
        }
        found.push_back(candidate);
        if found.len() >= most as usize {
            break;
        }
    }
    Ok(found)
}

impl Source {
    /// The queue that its tasks stand in.
    fn queue(&self) -> &str {
        match self {
            Self::Agent(_) | Self::Role(_) => DEFAULT_QUEUE,
            Self::Queue(queue) => queue,
        }
    }

    /// The statement that walks its tasks, the best first, and what it is asked with.
    fn best(&self) -> (&'static str, &str) {
        match self {
            Self::Agent(word) => (
                "SELECT rank, key, concurrency_key FROM tasks WHERE state = 'queued' \
                 AND agent IS NOT NULL AND agent = ?1 ORDER BY rank LIMIT ?2",
                word,
            ),
            Self::Role(word) => (
                "SELECT rank, key, concurrency_key FROM tasks WHERE state = 'queued' \
                 AND role IS NOT NULL AND role = ?1 ORDER BY rank LIMIT ?2",
                word,
            ),
            Self::Queue(word) => (
                "SELECT rank, key, concurrency_key FROM tasks WHERE state = 'queued' \
                 AND agent IS NULL AND role IS NULL AND queue = ?1 ORDER BY rank LIMIT ?2",
                word,
            ),
        }
    }
}

/// An agent takes what is for itself, for its role (its name is always one), and from its queue.
fn sources(offer: &SlotOffer) -> Vec<Source> {
    let agent = offer.instance.agent.as_str();
    let mut all = vec![
        Source::Agent(agent.to_owned()),
        Source::Role(agent.to_owned()),
    ];
    if let Some(role) = offer.role.as_ref().filter(|role| role.as_str() != agent) {
        all.push(Source::Role(role.to_string()));
    }
    all.push(Source::Queue(offer.queue.to_string()));
    all
}

fn take_best(
    tx: &WriteTx<'_>,
    waiting: &mut BTreeMap<Source, VecDeque<Candidate>>,
    offer: &SlotOffer,
    gate: &mut Gate<'_>,
    refused: &mut bool,
) -> SqlResult<Option<Candidate>> {
    loop {
        let best = sources(offer)
            .into_iter()
            .filter_map(|source| {
                let head = waiting.get(&source)?.front()?;
                Some(((head.rank, head.task), source))
            })
            .min();
        let Some((_, source)) = best else {
            return Ok(None);
        };
        let Some(head) = waiting.get_mut(&source).and_then(VecDeque::pop_front) else {
            return Ok(None);
        };
        if gate.take(tx, source.queue(), head.key.as_deref())? {
            return Ok(Some(head));
        }
        *refused = true;
    }
}
