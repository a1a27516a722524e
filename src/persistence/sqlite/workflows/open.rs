//! Opening a step: its references are resolved, its tasks are made or queued.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::advance::Failure;
use super::step::{Run, Step};
use super::wait;
use crate::clock;
use crate::domain::ids::TaskId;
use crate::domain::name::Name;
use crate::domain::task::{
    DEFAULT_MAX_ATTEMPTS, DEFAULT_PRIORITY, DEFAULT_QUEUE, DEFAULT_TIMEOUT, MAX_PAYLOAD_BYTES,
    Target, TaskError, TaskState,
};
use crate::domain::transition::{Command, Standing, WaitsFor, rank};
use crate::domain::workflow::TaskDefinition;
use crate::domain::workflow::check::MAX_ITEMS;
use crate::domain::workflow::reference::{Scope, refers_to_input, resolve, tasks_referred_to};
use crate::persistence::codec::seal;
use crate::persistence::sqlite::tasks::{
    Change, Extras, NewRow, TaskRow, insert, move_to, rows_of_workflow,
};
use crate::persistence::sqlite::{Fault, Sealed, SqlResult, WriteTx};

/// The most bytes of payloads that one `for_each` makes.
const MAX_FAN_OUT_BYTES: usize = 64 * 1024 * 1024;

/// What opening a step did.
pub(super) enum Opened {
    /// So many tasks wait for a slot now.
    Tasks(i64),
    /// It waits for a signal.
    Waits,
    /// It has ended already: it cannot run, or its signal had come before.
    Ended(Option<Failure>),
}

impl Opened {
    pub(super) const fn items(&self) -> i64 {
        match self {
            Self::Tasks(items) => *items,
            Self::Waits | Self::Ended(_) => 1,
        }
    }
}

/// Opens a step that waits for nothing any more.
pub(super) fn open(tx: &mut WriteTx<'_>, run: &Run, step: &Step) -> SqlResult<Opened> {
    let definition = &step.definition;
    let known = Known::of(tx, run, definition)?;
    if let Some(list) = &definition.for_each {
        return match known
            .items(list)
            .and_then(|items| known.payloads(definition, &items))
        {
            Ok(payloads) => fan_out(tx, run, definition, &payloads),
            Err(error) => refuse(tx, run, definition, error),
        };
    }
    match known.payload(&definition.payload, None) {
        Ok(payload) if definition.awaits().is_some() => wait::begin(tx, run, definition, &payload),
        Ok(payload) => queue(tx, run, definition, &payload),
        Err(error) => refuse(tx, run, definition, error),
    }
}

/// Stores the one task of a step that still waits; its references stay as they are.
pub(super) fn insert_blocked(
    tx: &mut WriteTx<'_>,
    run: &Run,
    definition: &TaskDefinition,
) -> SqlResult<()> {
    if definition.for_each.is_none() {
        let waiting = Standing::accepted(max_attempts(definition), WaitsFor::Upstream);
        insert_task(tx, run, definition, None, &definition.payload, waiting)?;
    }
    Ok(())
}

fn queue(
    tx: &mut WriteTx<'_>,
    run: &Run,
    definition: &TaskDefinition,
    payload: &Value,
) -> SqlResult<Opened> {
    let rows = rows_of_workflow(tx, run.key, Some(&definition.name))?;
    let Some(task) = rows.into_iter().next() else {
        let ready = Standing::accepted(max_attempts(definition), WaitsFor::Slot);
        insert_task(tx, run, definition, None, payload, ready)?;
        return Ok(Opened::Tasks(1));
    };
    tx.execute(
        "UPDATE tasks SET payload = ?2 WHERE key = ?1",
        (task.key, Sealed(payload)),
    )?;
    let to = task.after(Command::Unblock)?;
    let now = tx.now();
    let ready = Change {
        rank: Some(rank(now, task.priority)),
        run_at: Some(now),
        ..Change::default()
    };
    move_to(tx, &task, to, &ready)?;
    Ok(Opened::Tasks(1))
}

fn fan_out(
    tx: &mut WriteTx<'_>,
    run: &Run,
    definition: &TaskDefinition,
    payloads: &[Value],
) -> SqlResult<Opened> {
    for (index, payload) in payloads.iter().enumerate() {
        let ready = Standing::accepted(max_attempts(definition), WaitsFor::Slot);
        insert_task(tx, run, definition, Some(index), payload, ready)?;
    }
    Ok(Opened::Tasks(
        i64::try_from(payloads.len()).unwrap_or(i64::MAX),
    ))
}

/// The step fails before it ran: its task says why.
fn refuse(
    tx: &mut WriteTx<'_>,
    run: &Run,
    definition: &TaskDefinition,
    error: TaskError,
) -> SqlResult<Opened> {
    let task = blocked_task(tx, run, definition)?;
    let to = task.after(Command::Unresolvable)?;
    move_to(
        tx,
        &task,
        to,
        &Change {
            error: Some(&error),
            ..Change::default()
        },
    )?;
    let failure = Failure::of(&task, TaskState::Failed, Some(&error));
    Ok(Opened::Ended(Some(failure)))
}

/// The one task of a step that still waits; made if it is not there.
pub(super) fn blocked_task(
    tx: &mut WriteTx<'_>,
    run: &Run,
    definition: &TaskDefinition,
) -> SqlResult<TaskRow> {
    let find = |tx: &mut WriteTx<'_>| {
        let rows = rows_of_workflow(tx, run.key, Some(&definition.name))?;
        Ok::<_, Fault>(rows.into_iter().next())
    };
    if let Some(task) = find(tx)? {
        return Ok(task);
    }
    let waiting = Standing::accepted(max_attempts(definition), WaitsFor::Upstream);
    insert_task(tx, run, definition, None, &definition.payload, waiting)?;
    find(tx)?.ok_or(Fault::Sql(rusqlite::Error::QueryReturnedNoRows))
}

fn max_attempts(definition: &TaskDefinition) -> u32 {
    definition.max_attempts.unwrap_or(DEFAULT_MAX_ATTEMPTS)
}

fn default_queue() -> SqlResult<Name> {
    let parsed = DEFAULT_QUEUE.parse();
    parsed.map_err(|_| Fault::Sql(rusqlite::Error::InvalidQuery))
}

fn insert_task(
    tx: &mut WriteTx<'_>,
    run: &Run,
    definition: &TaskDefinition,
    index: Option<usize>,
    payload: &Value,
    standing: Standing,
) -> SqlResult<()> {
    let name = match index {
        Some(index) => format!("{}[{index}]", definition.name),
        None => definition.name.clone(),
    };
    let target = match (&definition.agent, &definition.role) {
        (Some(agent), _) => Target::Agent(agent.clone()),
        (None, Some(role)) => Target::Role(role.clone()),
        // It is handed to nobody.
        (None, None) => Target::Queue(default_queue()?),
    };
    let timeout = u64::try_from(DEFAULT_TIMEOUT.as_millis()).unwrap_or(u64::MAX);
    insert(
        tx,
        &NewRow {
            id: TaskId::from_bytes(clock::new_id()),
            workflow: Some((run.key, run.id)),
            step: Some(&definition.name),
            item: index.and_then(|index| i64::try_from(index).ok()),
            name: &name,
            target: &target,
            payload,
            priority: DEFAULT_PRIORITY,
            timeout_ms: definition.timeout_ms.unwrap_or(timeout),
            labels: &BTreeMap::new(),
            run_at: tx.now(),
            standing,
            traceparent: run.traceparent,
            extras: Extras::default(),
        },
    )?;
    Ok(())
}

/// What the references of a step can see.
pub(super) struct Known {
    input: Value,
    results: BTreeMap<String, Value>,
}

impl Known {
    fn of(tx: &WriteTx<'_>, run: &Run, definition: &TaskDefinition) -> SqlResult<Self> {
        let values = [Some(&definition.payload), definition.for_each.as_ref()];
        Self::load(tx, run, values.into_iter().flatten())
    }

    /// Loads what the values refer to, and nothing else.
    pub(super) fn load<'v>(
        tx: &WriteTx<'_>,
        run: &Run,
        values: impl Iterator<Item = &'v Value>,
    ) -> SqlResult<Self> {
        let (mut wants_input, mut tasks) = (false, BTreeSet::new());
        for value in values {
            wants_input |= refers_to_input(value);
            tasks.extend(tasks_referred_to(value));
        }
        let mut known = Self {
            input: Value::Null,
            results: BTreeMap::new(),
        };
        if wants_input {
            let sql = "SELECT input FROM workflows WHERE key = ?1";
            let input = tx.first(sql, [run.key], |row| row.get(0).map(|Sealed(input)| input))?;
            known.input = input.unwrap_or_default();
        }
        for task in tasks {
            let result = result_of(tx, run, &task)?;
            known.results.insert(task, result);
        }
        Ok(known)
    }

    /// The value with its references resolved.
    pub(super) fn resolve(
        &self,
        value: &Value,
        item: Option<(&Value, usize)>,
    ) -> Result<Value, TaskError> {
        let scope = Scope {
            input: &self.input,
            results: &self.results,
            item,
        };
        resolve(value, scope).map_err(|error| unresolvable(error.to_string()))
    }

    fn payload(&self, template: &Value, item: Option<(&Value, usize)>) -> Result<Value, TaskError> {
        let payload = self.resolve(template, item)?;
        sealed_bytes(&payload)?;
        Ok(payload)
    }

    fn items(&self, list: &Value) -> Result<Vec<Value>, TaskError> {
        match self.resolve(list, None)? {
            Value::Array(items) if items.len() <= MAX_ITEMS => Ok(items),
            Value::Array(items) => Err(unresolvable(format!(
                "for_each has {} items; {MAX_ITEMS} is the most",
                items.len()
            ))),
            _ => Err(unresolvable("for_each is not a list".to_owned())),
        }
    }

    fn payloads(
        &self,
        definition: &TaskDefinition,
        items: &[Value],
    ) -> Result<Vec<Value>, TaskError> {
        let mut total = 0;
        let mut payloads = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let payload = match &definition.payload {
                // Without a payload of its own, each task gets its item.
                Value::Null => item.clone(),
                template => self.resolve(template, Some((item, index)))?,
            };
            total += sealed_bytes(&payload)?;
            if total > MAX_FAN_OUT_BYTES {
                return Err(unresolvable(format!(
                    "for_each makes payloads of more than {MAX_FAN_OUT_BYTES} bytes together"
                )));
            }
            payloads.push(payload);
        }
        Ok(payloads)
    }
}

/// The size of a payload that may be stored.
fn sealed_bytes(payload: &Value) -> Result<usize, TaskError> {
    let sealed = seal(payload).map_err(|error| unresolvable(error.to_string()))?;
    let bytes = sealed.len().saturating_sub(1);
    match bytes > MAX_PAYLOAD_BYTES {
        true => Err(TaskError {
            code: "payload_too_large".to_owned(),
            message: format!(
                "with its references resolved its payload has {bytes} bytes, over \
                 {MAX_PAYLOAD_BYTES}; pass what is large as an artifact"
            ),
            retryable: false,
        }),
        false => Ok(bytes),
    }
}

fn unresolvable(message: String) -> TaskError {
    TaskError {
        code: "unresolvable".to_owned(),
        message,
        retryable: false,
    }
}

/// The result of a step: of its task, or the list of its items' results in their order.
/// Null for what did not succeed.
pub(super) fn result_of(tx: &WriteTx<'_>, run: &Run, name: &str) -> SqlResult<Value> {
    let mapped = Step::of(tx, run, name)?.definition.for_each.is_some();
    let mut results: Vec<Value> = tx.all(
        "SELECT result FROM tasks WHERE workflow_key = ?1 AND step = ?2 ORDER BY item",
        (run.key, name),
        |row| {
            Ok(row
                .get::<_, Option<Sealed<Value>>>(0)?
                .map_or(Value::Null, |Sealed(value)| value))
        },
    )?;
    Ok(match mapped {
        true => Value::Array(results),
        false => results.pop().unwrap_or_default(),
    })
}
