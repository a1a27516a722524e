//! The end of a workflow: completed with its output, failed with its cause, cancelled; and the
//! cancelling of what is left.

use serde_json::{Map, Value, json};

use super::advance::{Failure, Onward};
use super::open::{Known, result_of};
use super::step::Run;
use crate::domain::event::NewEvent;
use crate::domain::query::Cancelled;
use crate::domain::task::{TaskError, TaskState};
use crate::domain::transition::Command;
use crate::domain::workflow::{WorkflowDefinition, WorkflowState};
use crate::persistence::sqlite::tasks::{Change, move_to, rows_of_workflow};
use crate::persistence::sqlite::{Fault, Sealed, SqlResult, WriteTx};

/// Every step has ended well: the output is made, or the workflow fails for lack of it.
pub(super) fn complete(tx: &mut WriteTx<'_>, run: &Run) -> SqlResult<()> {
    match output(tx, run)? {
        Ok(output) => finish(tx, run, WorkflowState::Completed, Some(&output), None),
        Err(error) => finish(tx, run, WorkflowState::Failed, None, Some(&error)),
    }
}

fn output(tx: &WriteTx<'_>, run: &Run) -> SqlResult<Result<Value, TaskError>> {
    let sql = "SELECT definition FROM workflows WHERE key = ?1";
    let definition: WorkflowDefinition = tx
        .first(sql, [run.key], |row| {
            row.get(0).map(|Sealed(definition)| definition)
        })?
        .ok_or(Fault::Sql(rusqlite::Error::QueryReturnedNoRows))?;
    if let Some(template) = &definition.output {
        let known = Known::load(tx, run, std::iter::once(template))?;
        return Ok(known.resolve(template, None).map_err(|error| TaskError {
            message: format!("output: {}", error.message),
            ..error
        }));
    }
    let mut results = Map::new();
    for sink in definition.sinks() {
        results.insert(sink.to_owned(), result_of(tx, run, sink)?);
    }
    Ok(Ok(Value::Object(results)))
}

/// A task failed whose failure is the workflow's: what is left of it is cancelled.
pub(super) fn fail(tx: &mut WriteTx<'_>, run: &Run, failure: &Failure) -> SqlResult<Onward> {
    finish(
        tx,
        run,
        WorkflowState::Failed,
        None,
        Some(&error_of(failure)),
    )?;
    let cancel = cancel_rest(tx, run, Command::UpstreamFailed, None)?.running;
    Ok(Onward {
        unblocked: false,
        cancel,
    })
}

/// What a task's failure is for its workflow.
pub(super) fn error_of(failure: &Failure) -> TaskError {
    let told = failure
        .error
        .as_ref()
        .map_or_else(String::new, |error| format!(": {}", error.message));
    TaskError {
        code: "task_failed".to_owned(),
        message: format!("task '{}' {}{told}", failure.task, ended_how(failure.state)),
        retryable: false,
    }
}

pub(super) const fn ended_how(state: TaskState) -> &'static str {
    match state {
        TaskState::Dead => "is dead",
        TaskState::TimedOut => "timed out",
        TaskState::Cancelled => "was cancelled",
        _ => "failed",
    }
}

/// Makes a workflow final.
pub(super) fn finish(
    tx: &mut WriteTx<'_>,
    run: &Run,
    state: WorkflowState,
    output: Option<&Value>,
    error: Option<&TaskError>,
) -> SqlResult<()> {
    let at = tx.now();
    tx.execute(
        "UPDATE workflows SET state = ?2, output = ?3, error = ?4, finished_at = ?5 WHERE key = ?1",
        (run.key, state, output.map(Sealed), error.map(Sealed), at),
    )?;
    let kind = match state {
        WorkflowState::Completed => "workflow.completed",
        WorkflowState::Cancelled => "workflow.cancelled",
        _ => "workflow.failed",
    };
    let data = error.map_or_else(|| json!({}), |error| json!({"message": error.message}));
    tx.event(NewEvent {
        kind,
        subject: run.id.to_string(),
        at,
        data,
    })
}

/// Cancels every task that has not ended; those that run become final when settled.
pub(super) fn cancel_rest(
    tx: &mut WriteTx<'_>,
    run: &Run,
    command: Command,
    error: Option<&TaskError>,
) -> SqlResult<Cancelled> {
    let mut done = Cancelled {
        tasks: Vec::new(),
        running: Vec::new(),
    };
    for task in rows_of_workflow(tx, run.key, None)? {
        if task.standing.state.is_final() {
            continue;
        }
        let to = task.after(command)?;
        move_to(
            tx,
            &task,
            to,
            &Change {
                error,
                ..Change::default()
            },
        )?;
        match (to.state, task.lease_id) {
            (TaskState::Running, Some(lease)) => done.running.push((task.id, lease)),
            _ => done.tasks.push(task.id),
        }
    }
    Ok(done)
}
