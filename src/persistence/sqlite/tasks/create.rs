//! Creation: one row, one event; claimed at once if a free slot came with it.

mod stored;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::claim::{Hold, Start, begin, hand_over};
use super::expiry::Timeouts;
use super::facts::{Told, journal};
use super::limits::Rules;
use super::row::TaskRow;
use crate::domain::ids::{SessionId, TaskId, WorkflowId};
use crate::domain::name::Name;
use crate::domain::query::{ClaimedTask, SlotOffer, Submitted};
use crate::domain::queue::Unique;
use crate::domain::task::{IdempotencyKey, MAX_PAYLOAD_BYTES, NewTask, Target, TaskState};
use crate::domain::timestamp::Timestamp;
use crate::domain::trace::TraceParent;
use crate::domain::transition::{Standing, WaitsFor, rank};
use crate::persistence::StoreError;
use crate::persistence::codec::seal;
use crate::persistence::sqlite::{Fault, Json, SqlResult, WriteTx};

/// How long an idempotency key is remembered.
pub(in crate::persistence::sqlite) const IDEMPOTENCY_MICROS: i64 = 24 * 3600 * 1_000_000;

/// A row to be.
pub(in crate::persistence::sqlite) struct NewRow<'a> {
    pub(in crate::persistence::sqlite) id: TaskId,
    pub(in crate::persistence::sqlite) workflow: Option<(i64, WorkflowId)>,
    pub(in crate::persistence::sqlite) step: Option<&'a str>,
    pub(in crate::persistence::sqlite) item: Option<i64>,
    pub(in crate::persistence::sqlite) name: &'a str,
    pub(in crate::persistence::sqlite) target: &'a Target,
    pub(in crate::persistence::sqlite) payload: &'a Value,
    pub(in crate::persistence::sqlite) priority: u8,
    pub(in crate::persistence::sqlite) timeout_ms: u64,
    pub(in crate::persistence::sqlite) labels: &'a BTreeMap<String, String>,
    pub(in crate::persistence::sqlite) run_at: Timestamp,
    pub(in crate::persistence::sqlite) standing: Standing,
    pub(in crate::persistence::sqlite) traceparent: Option<TraceParent>,
    pub(in crate::persistence::sqlite) extras: Extras<'a>,
}

/// What few tasks have.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::persistence::sqlite) struct Extras<'a> {
    pub(in crate::persistence::sqlite) concurrency_key: Option<&'a str>,
    pub(in crate::persistence::sqlite) unique_key: Option<&'a str>,
    pub(in crate::persistence::sqlite) waiting: Option<Duration>,
    pub(in crate::persistence::sqlite) total: Option<Duration>,
}

impl<'a> Extras<'a> {
    fn of(task: &'a NewTask) -> Self {
        Self {
            concurrency_key: task.concurrency_key.as_deref(),
            unique_key: task.unique.as_ref().map(|unique| unique.key.as_str()),
            waiting: task.waiting_timeout,
            total: task.total_timeout,
        }
    }
}

/// Stores a task; with an offer that fits, already claimed for it.
pub(super) fn create(
    tx: &mut WriteTx<'_>,
    session: SessionId,
    task: &NewTask,
    offer: Option<&SlotOffer>,
    rules: &Rules,
) -> SqlResult<Submitted> {
    if let Some(earlier) = earlier(tx, task)? {
        return Ok(earlier);
    }
    let now = tx.now();
    let later = task.run_at.filter(|run_at| *run_at > now);
    let waits_for = if later.is_some() {
        WaitsFor::RunAt
    } else {
        WaitsFor::Slot
    };
    let new = NewRow {
        id: task.id,
        workflow: None,
        step: None,
        item: None,
        name: &task.name,
        target: &task.target,
        payload: &task.payload,
        priority: task.priority,
        timeout_ms: u64::try_from(task.timeout.as_millis()).unwrap_or(u64::MAX),
        labels: &task.labels,
        run_at: later.unwrap_or(now),
        standing: Standing::accepted(task.max_attempts, waits_for),
        traceparent: task.traceparent,
        extras: Extras::of(task),
    };
    let fits = offer.filter(|offer| waits_for == WaitsFor::Slot && fits(&task.target, offer));
    // What a limit or a pause governs waits for a claim, behind those that wait already.
    let fits = match fits {
        Some(_) if rules.govern(tx, task.target.queue())? => None,
        fits => fits,
    };
    let hold = fits.map(|offer| Hold {
        session,
        instance: &offer.instance,
        reserve: offer.reserve,
    });
    let (row, claimed) = match hold {
        Some(hold) if new.extras == Extras::default() => insert_running(tx, &new, hold, task)?,
        hold => {
            let row = insert(tx, &new)?;
            let known = || Some((task.payload.clone(), task.timeout));
            let claimed = hold.map(|hold| hand_over(tx, &row, hold, known()));
            (row, claimed.transpose()?)
        }
    };
    remember(tx, "task", task.idempotency.as_ref(), task.id.as_bytes())?;
    let stored = stored::as_stored(tx, session, task, &row, claimed.as_ref())?;
    debug_assert_eq!(stored, super::list::task(tx.conn(), task.id)?);
    Ok(Submitted {
        task: stored,
        claimed,
        existing: false,
        unique_conflict: false,
    })
}

/// The answer, if the task is there already.
fn earlier(tx: &WriteTx<'_>, task: &NewTask) -> SqlResult<Option<Submitted>> {
    if let Some(first) = seen_before(tx, "task", task.idempotency.as_ref())? {
        match first_one(tx, TaskId::from_bytes(first), false) {
            // It was purged: nothing of it is left to answer with.
            Err(Fault::Store(StoreError::NotFound { .. })) => {}
            found => return found.map(Some),
        }
    }
    if let Some(first) = task
        .unique
        .as_ref()
        .map(|it| twin(tx, it))
        .transpose()?
        .flatten()
    {
        remember(tx, "task", task.idempotency.as_ref(), first.as_bytes())?;
        return first_one(tx, first, true).map(Some);
    }
    Ok(None)
}

/// The answer to a submission that makes no task.
fn first_one(tx: &WriteTx<'_>, id: TaskId, unique_conflict: bool) -> SqlResult<Submitted> {
    Ok(Submitted {
        task: super::list::task(tx.conn(), id)?,
        claimed: None,
        existing: true,
        unique_conflict,
    })
}

/// The newest task that has this key, is young enough and stands in a state that counts.
fn twin(tx: &WriteTx<'_>, unique: &Unique) -> SqlResult<Option<TaskId>> {
    let words: Vec<_> = unique
        .states
        .iter()
        .map(|state| format!("'{}'", state.as_str()))
        .collect();
    let sql = format!(
        "SELECT id FROM tasks WHERE unique_key = ?1 AND created_at > ?2 AND state IN ({}) \
         ORDER BY key DESC LIMIT 1",
        words.join(", ")
    );
    let oldest = unique
        .period
        .map_or(i64::MIN, |period| tx.now().before(period).as_micros());
    tx.first(&sql, (&unique.key, oldest), |row| row.get(0))
}

/// Inserts a row and its `task.created`.
pub(in crate::persistence::sqlite) fn insert(
    tx: &mut WriteTx<'_>,
    new: &NewRow<'_>,
) -> SqlResult<TaskRow> {
    let row = insert_row(tx, new, None)?;
    if new.extras != Extras::default() {
        keep_extras(tx, &row, &new.extras)?;
    }
    tell_created(tx, &row)?;
    Ok(row)
}

/// Inserts a row that goes to a free slot at once: it is never written as queued.
fn insert_running(
    tx: &mut WriteTx<'_>,
    new: &NewRow<'_>,
    hold: Hold<'_>,
    task: &NewTask,
) -> SqlResult<(TaskRow, Option<ClaimedTask>)> {
    let start = Start::of(new.standing, hold)?;
    let row = insert_row(tx, new, Some(&start))?;
    tell_created(tx, &row)?;
    let claimed = begin(tx, &row, start, Some((task.payload.clone(), task.timeout)))?;
    Ok((row, Some(claimed)))
}

/// Inserts the row alone; what comes back stands where the task was accepted.
fn insert_row(
    tx: &mut WriteTx<'_>,
    new: &NewRow<'_>,
    start: Option<&Start<'_>>,
) -> SqlResult<TaskRow> {
    let payload = sealed_payload(new.name, new.payload, new.standing.state)?;
    let now = tx.now();
    let rank = rank(new.run_at, new.priority);
    let (agent, role) = addressed(new.target);
    let key = tx.insert(
        "INSERT INTO tasks (id, workflow_key, step, item, name, agent, role, queue, state, \
         priority, rank, payload, max_attempts, timeout_ms, labels, run_at, created_at, \
         attempt, session_id, lease_id, instance, started_at, traceparent) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, \
         ?18, ?19, ?20, ?21, ?22, ?23)",
        rusqlite::params![
            new.id,
            new.workflow.map(|(key, _)| key),
            new.step,
            new.item,
            new.name,
            agent,
            role,
            new.target.queue(),
            start.map_or(new.standing.state, |start| start.to.state),
            new.priority,
            rank,
            payload,
            new.standing.max_attempts,
            i64::try_from(new.timeout_ms).unwrap_or(i64::MAX),
            Json(new.labels),
            new.run_at,
            now,
            start.map_or(new.standing.attempt, |start| start.to.attempt),
            start.map(|start| start.hold.session),
            start.map(|start| start.lease),
            start.map(|start| &start.instance),
            start.map(|_| now),
            new.traceparent,
        ],
    )?;
    Ok(TaskRow {
        key,
        id: new.id,
        name: new.name.to_owned(),
        workflow_key: new.workflow.map(|(key, _)| key),
        workflow_id: new.workflow.map(|(_, id)| id),
        step: new.step.map(str::to_owned),
        item: new.item,
        priority: new.priority,
        rank,
        run_at: new.run_at,
        lease_id: None,
        target: new.target.clone(),
        started_at: None,
        standing: new.standing,
        timeouts: Timeouts::begin(&new.extras, new.run_at),
        traceparent: new.traceparent,
    })
}

fn tell_created(tx: &mut WriteTx<'_>, row: &TaskRow) -> SqlResult<()> {
    let told = Told {
        state: Some(row.standing.state),
        ..Told::default()
    };
    journal(tx, row, "task.created", &told)
}

/// Few tasks have these, so they cost a statement of their own.
fn keep_extras(tx: &WriteTx<'_>, row: &TaskRow, extras: &Extras<'_>) -> SqlResult<()> {
    tx.execute(
        "UPDATE tasks SET concurrency_key = ?2, unique_key = ?3, waiting_timeout_ms = ?4, \
         total_timeout_ms = ?5, total_until = ?6, expires_at = ?7 WHERE key = ?1",
        rusqlite::params![
            row.key,
            extras.concurrency_key,
            extras.unique_key,
            row.timeouts.waiting_ms,
            row.timeouts.total_ms,
            row.timeouts.total_until,
            row.timeouts.expires_at(row.standing.state, row.run_at),
        ],
    )?;
    Ok(())
}

/// The sealed payload, if it is small enough to be stored in this state. A template with
/// references is checked again when they are resolved.
fn sealed_payload(name: &str, payload: &Value, state: TaskState) -> SqlResult<Vec<u8>> {
    let sealed = seal(payload)?;
    let bytes = sealed.len().saturating_sub(1);
    if bytes > MAX_PAYLOAD_BYTES && state != TaskState::Blocked {
        return Err(Fault::Store(StoreError::Invalid(format!(
            "task '{name}': its payload of {bytes} bytes is over {MAX_PAYLOAD_BYTES}; pass what is \
             large as an artifact"
        ))));
    }
    Ok(sealed)
}

/// Agent and role of a target.
fn addressed(target: &Target) -> (Option<&str>, Option<&str>) {
    match target {
        Target::Agent(agent) => (Some(agent.as_str()), None),
        Target::Role(role) => (None, Some(role.as_str())),
        Target::Queue(_) => (None, None),
    }
}

fn fits(target: &Target, offer: &SlotOffer) -> bool {
    let wanted = |name: &Name, offered: &Name| name == offered;
    match target {
        Target::Agent(agent) => wanted(agent, &offer.instance.agent),
        Target::Role(role) => {
            wanted(role, &offer.instance.agent)
                || offer
                    .role
                    .as_ref()
                    .is_some_and(|offered| wanted(role, offered))
        }
        Target::Queue(queue) => wanted(queue, &offer.queue),
    }
}

/// The resource that a request with this key made, if it was seen within a day.
pub(in crate::persistence::sqlite) fn seen_before(
    tx: &WriteTx<'_>,
    scope: &str,
    key: Option<&IdempotencyKey>,
) -> SqlResult<Option<[u8; 16]>> {
    let Some(IdempotencyKey { key, digest }) = key else {
        return Ok(None);
    };
    let oldest = tx.now().as_micros().saturating_sub(IDEMPOTENCY_MICROS);
    let known: Option<([u8; 32], [u8; 16])> = tx.first(
        "SELECT digest, resource FROM idempotency_keys \
         WHERE scope = ?1 AND key = ?2 AND created_at > ?3",
        (scope, key, oldest),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    match known {
        Some((seen, _)) if seen != *digest => {
            Err(Fault::Store(StoreError::IdempotencyMismatch(key.clone())))
        }
        Some((_, resource)) => Ok(Some(resource)),
        None => Ok(None),
    }
}

/// Remembers what a request with this key made.
pub(in crate::persistence::sqlite) fn remember(
    tx: &WriteTx<'_>,
    scope: &str,
    key: Option<&IdempotencyKey>,
    resource: &[u8; 16],
) -> SqlResult<()> {
    let Some(IdempotencyKey { key, digest }) = key else {
        return Ok(());
    };
    tx.execute(
        "INSERT OR REPLACE INTO idempotency_keys (scope, key, digest, resource, created_at) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
        (scope, key, digest, resource, tx.now()),
    )?;
    Ok(())
}
