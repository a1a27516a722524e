//! Waits for the outside: begun when a step opens, ended once, by a signal or by the clock.
//!
//! A signal's row is its one truth: whoever inserts it first has given it. A step that opens later
//! finds it there. A task that is cancelled leaves its wait behind, which then ends unheard.

use rusqlite::Connection;
use serde_json::{Value, json};

use super::advance::{Advance, Failure, task_ended};
use super::open::{Opened, blocked_task};
use super::step::{Run, Step};
use crate::domain::ids::WorkflowId;
use crate::domain::query::{Expired, Signalled};
use crate::domain::task::{MAX_PAYLOAD_BYTES, TaskError, TaskState};
use crate::domain::timestamp::Timestamp;
use crate::domain::transition::{Command, WaitsFor};
use crate::domain::workflow::wait::InvalidSignal;
use crate::domain::workflow::{OnTimeout, OpenWait, TaskDefinition, WorkflowState};
use crate::persistence::StoreError;
use crate::persistence::codec::seal;
use crate::persistence::sqlite::tasks::{Change, TaskRow, begin_workflow, move_to};
use crate::persistence::sqlite::{Fault, Sealed, SqlResult, WriteTx, all};

/// Waits that end in one write; the rest comes with the next.
const ENDED_AT_ONCE: u32 = 100;

/// Begins to wait; ends at once if the signal has come before.
pub(super) fn begin(
    tx: &mut WriteTx<'_>,
    run: &Run,
    definition: &TaskDefinition,
    payload: &Value,
) -> SqlResult<Opened> {
    let Some(signal) = definition.awaits() else {
        return Err(Fault::Sql(rusqlite::Error::InvalidQuery));
    };
    let task = blocked_task(tx, run, definition)?;
    tx.execute(
        "UPDATE tasks SET payload = ?2 WHERE key = ?1",
        (task.key, Sealed(payload)),
    )?;
    let (now, approval) = (tx.now(), definition.approval.is_some());
    let until = now.after(definition.wait());
    tx.execute(
        "INSERT OR REPLACE INTO workflow_waits (task_key, workflow_key, signal, approval, until) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
        (task.key, run.key, signal, approval, until),
    )?;
    let to = task
        .clone()
        .waiting_for(WaitsFor::Signal)
        .after(Command::Unblock)?;
    let waits = Change {
        run_at: Some(now),
        told: Some(json!({"signal": signal, "approval": approval, "until": until})),
        ..Change::default()
    };
    move_to(tx, &task, to, &waits)?;
    begin_workflow(tx, &task)?;
    let said = "SELECT payload FROM workflow_signals WHERE workflow_key = ?1 AND signal = ?2";
    let said = tx.first(said, (run.key, signal), |row| row.get(0))?;
    match said {
        None => Ok(Opened::Waits),
        Some(Sealed(payload)) => {
            let task =
                waiting(tx, task.key)?.ok_or(Fault::Sql(rusqlite::Error::QueryReturnedNoRows))?;
            Ok(Opened::Ended(answer(tx, &task, definition, &payload)?))
        }
    }
}

/// Gives a signal to a workflow.
pub(super) fn signal(
    tx: &mut WriteTx<'_>,
    id: WorkflowId,
    signal: &str,
    payload: &Value,
) -> SqlResult<Signalled> {
    let run = Run::by_id(tx, id)?;
    let said = Said { signal, payload };
    if said.is_new(tx, &run)? {
        let cancel = said.tell(tx, run)?;
        let workflow = super::read(tx.conn(), id)?;
        return Ok(Signalled { workflow, cancel });
    }
    let workflow = super::read(tx.conn(), id)?;
    let cancel = Vec::new();
    Ok(Signalled { workflow, cancel })
}

/// What is said to a workflow.
struct Said<'a> {
    signal: &'a str,
    payload: &'a Value,
}

impl Said<'_> {
    /// Refuses what may not be said, or not now; false if the same was said before.
    fn is_new(&self, tx: &WriteTx<'_>, run: &Run) -> SqlResult<bool> {
        let definition = super::list::definition(tx.conn(), run.id)?;
        definition
            .check_signal(self.signal, self.payload)
            .map_err(refused)?;
        let bytes = seal(self.payload)?.len().saturating_sub(1);
        if bytes > MAX_PAYLOAD_BYTES {
            return Err(Fault::Store(StoreError::Invalid(format!(
                "signal '{}': its payload of {bytes} bytes is over {MAX_PAYLOAD_BYTES}; pass what \
                 is large as an artifact",
                self.signal
            ))));
        }
        let known = tx.first(
            "SELECT payload, at FROM workflow_signals WHERE workflow_key = ?1 AND signal = ?2",
            (run.key, self.signal),
            |row| {
                let Sealed(payload): Sealed<Value> = row.get(0)?;
                Ok((payload, row.get::<_, Timestamp>(1)?))
            },
        )?;
        match known {
            Some((payload, _)) if payload == *self.payload => Ok(false),
            Some((_, at)) => Err(self.conflict(run, &format!("it was given otherwise at {at}"))),
            None => self.is_wanted(tx, run).map(|()| true),
        }
    }

    fn is_wanted(&self, tx: &WriteTx<'_>, run: &Run) -> SqlResult<()> {
        if !matches!(run.state, WorkflowState::Pending | WorkflowState::Running) {
            let why = format!("the workflow is {}", run.state.as_str());
            return Err(self.conflict(run, &why));
        }
        let waits = |step: &Step| {
            step.definition.awaits() == Some(self.signal)
                && matches!(step.state.as_str(), "waiting" | "open")
        };
        match Step::all(tx, run)?.iter().any(waits) {
            true => Ok(()),
            false => Err(self.conflict(run, "nothing waits for it any more")),
        }
    }

    fn conflict(&self, run: &Run, why: &str) -> Fault {
        let (signal, id) = (self.signal, run.id);
        Fault::Store(StoreError::Conflict(format!(
            "cannot give signal '{signal}' to workflow '{id}': {why}"
        )))
    }

    /// Stores it and ends the waits for it.
    fn tell(
        &self,
        tx: &mut WriteTx<'_>,
        run: Run,
    ) -> SqlResult<Vec<(crate::domain::ids::TaskId, crate::domain::ids::LeaseId)>> {
        tx.execute(
            "INSERT INTO workflow_signals (workflow_key, signal, payload, at) VALUES (?1, ?2, ?3, ?4)",
            (run.key, self.signal, Sealed(self.payload), tx.now()),
        )?;
        let waits: Vec<i64> = tx.all(
            "SELECT task_key FROM workflow_waits WHERE workflow_key = ?1 AND signal = ?2",
            (run.key, self.signal),
            |row| row.get(0),
        )?;
        let mut cancel = Vec::new();
        for key in waits {
            let Some(task) = waiting(tx, key)? else {
                continue;
            };
            let step = step_of(tx, &run, &task)?;
            let failed = answer(tx, &task, &step.definition, self.payload)?;
            let mut advance = Advance::of(Run::by_key(tx, run.key)?);
            advance.item_ended(tx, &step.definition.name, failed)?;
            cancel.extend(advance.run(tx)?.cancel);
        }
        Ok(cancel)
    }
}

fn refused(error: InvalidSignal) -> Fault {
    Fault::Store(StoreError::Invalid(error.to_string()))
}

/// The task if it still waits.
fn waiting(tx: &WriteTx<'_>, key: i64) -> SqlResult<Option<TaskRow>> {
    let task = TaskRow::by_key(tx, key)?;
    Ok(task.filter(|task| task.standing.state == TaskState::Waiting))
}

fn step_of(tx: &WriteTx<'_>, run: &Run, task: &TaskRow) -> SqlResult<Step> {
    Step::of(tx, run, task.step.as_deref().unwrap_or_default())
}

/// Ends a wait by what was said.
fn answer(
    tx: &mut WriteTx<'_>,
    task: &TaskRow,
    definition: &TaskDefinition,
    payload: &Value,
) -> SqlResult<Option<Failure>> {
    match definition.answered(payload) {
        Ok(()) => {
            end(tx, task, Command::Succeed, Some(payload), None)?;
            Ok(None)
        }
        Err(no) => {
            end(tx, task, Command::FailFinal, None, Some(&no))?;
            Ok(Some(Failure::of(task, TaskState::Failed, Some(&no))))
        }
    }
}

fn end(
    tx: &mut WriteTx<'_>,
    task: &TaskRow,
    command: Command,
    result: Option<&Value>,
    error: Option<&TaskError>,
) -> SqlResult<TaskState> {
    let to = task.after(command)?;
    let sealed = result.map(seal).transpose()?;
    let change = Change {
        result: sealed.as_deref(),
        error,
        ..Change::default()
    };
    move_to(tx, task, to, &change)?;
    tx.execute("DELETE FROM workflow_waits WHERE task_key = ?1", [task.key])?;
    Ok(to.state)
}

/// Ends the waits whose time is over.
pub(super) fn expire(tx: &mut WriteTx<'_>) -> SqlResult<Expired> {
    let now = tx.now();
    let over: Vec<i64> = tx.all(
        "SELECT task_key FROM workflow_waits WHERE until <= ?1 ORDER BY until LIMIT ?2",
        (now, ENDED_AT_ONCE),
        |row| row.get(0),
    )?;
    let mut expired = Expired::default();
    for key in over {
        match waiting(tx, key)? {
            Some(task) => expired.cancel.extend(over_for(tx, &task)?),
            None => drop(tx.execute("DELETE FROM workflow_waits WHERE task_key = ?1", [key])?),
        }
    }
    let next: Option<Timestamp> = tx
        .first("SELECT min(until) FROM workflow_waits", [], |row| {
            row.get(0)
        })?
        .flatten();
    expired.next = next.map(|at| at.since(now));
    Ok(expired)
}

/// The time of one wait is over.
fn over_for(
    tx: &mut WriteTx<'_>,
    task: &TaskRow,
) -> SqlResult<Vec<(crate::domain::ids::TaskId, crate::domain::ids::LeaseId)>> {
    let run = Run::by_key(tx, task.workflow_key.unwrap_or_default())?;
    let step = step_of(tx, &run, task)?;
    if step.definition.on_timeout == Some(OnTimeout::Continue) {
        let state = end(tx, task, Command::Succeed, Some(&Value::Null), None)?;
        return Ok(task_ended(tx, task, state, None)?.cancel);
    }
    let error = TaskError {
        code: "timeout".to_owned(),
        message: format!(
            "signal '{}' did not come in time",
            step.definition.awaits().unwrap_or_default()
        ),
        retryable: false,
    };
    let state = end(tx, task, Command::TotalTimeout, None, Some(&error))?;
    Ok(task_ended(tx, task, state, Some(&error))?.cancel)
}

/// Before a retry: a signal that failed its task may be given anew.
pub(super) fn forget(tx: &WriteTx<'_>, run: &Run, signal: &str, rows: &[TaskRow]) -> SqlResult<()> {
    if rows
        .iter()
        .any(|task| task.standing.state == TaskState::Failed)
    {
        tx.execute(
            "DELETE FROM workflow_signals WHERE workflow_key = ?1 AND signal = ?2",
            (run.key, signal),
        )?;
    }
    Ok(())
}

/// What a workflow waits for now.
pub(super) fn open_of(conn: &Connection, workflow: i64) -> SqlResult<Vec<OpenWait>> {
    all(
        conn,
        "SELECT tasks.name, signal, approval, until FROM workflow_waits \
         JOIN tasks ON tasks.key = task_key AND tasks.state = 'waiting' \
         WHERE workflow_waits.workflow_key = ?1 ORDER BY until, tasks.name",
        [workflow],
        |row| {
            Ok(OpenWait {
                task: row.get(0)?,
                signal: row.get(1)?,
                approval: row.get(2)?,
                until: row.get(3)?,
            })
        },
    )
}
