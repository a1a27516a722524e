//! Undoing: the compensations of what succeeded, one after the other, the last done first undone.
//!
//! It begins when nothing of the workflow runs any more, so that what still succeeded is undone
//! too. Whose turn it is follows from the rows alone, so a daemon that dies goes on where it was.
//! A compensation that fails is named in the workflow's error, and the next one has its turn.

use serde_json::json;

use super::advance::{Failure, Onward};
use super::end::{cancel_rest, ended_how, error_of, finish};
use super::open::{Opened, open};
use super::step::{Run, Step};
use crate::domain::event::NewEvent;
use crate::domain::task::{TaskError, TaskState};
use crate::domain::transition::Command;
use crate::domain::workflow::WorkflowState;
use crate::persistence::sqlite::tasks::rows_of_workflow;
use crate::persistence::sqlite::{Sealed, SqlResult, WriteTx};

/// The longest error of a workflow, in characters; what does not fit can be read at the tasks.
const MAX_ERROR_CHARS: usize = 2_000;

/// A task failed, and its workflow is to be undone.
pub(super) fn begin(tx: &mut WriteTx<'_>, run: &Run, failure: &Failure) -> SqlResult<Onward> {
    let error = error_of(failure);
    let at = tx.now();
    tx.execute(
        "UPDATE workflows SET state = 'compensating', error = ?2, \
         started_at = coalesce(started_at, ?3) WHERE key = ?1",
        (run.key, Sealed(&error), at),
    )?;
    tx.event(NewEvent {
        kind: "workflow.compensating",
        subject: run.id.to_string(),
        at,
        data: json!({"message": error.message}),
    })?;
    let cancel = cancel_rest(tx, run, Command::UpstreamFailed, None)?.running;
    let run = Run {
        state: WorkflowState::Compensating,
        ..*run
    };
    let mut onward = match cancel.is_empty() {
        true => next(tx, &run)?,
        false => Onward::default(),
    };
    onward.cancel.extend(cancel);
    Ok(onward)
}

/// A task of a workflow that is being undone has ended.
pub(super) fn task_ended(
    tx: &mut WriteTx<'_>,
    run: &Run,
    step: &str,
    failed: Option<&Failure>,
) -> SqlResult<Onward> {
    let mut step = Step::of(tx, run, step)?;
    if step.undoes.is_some() {
        close(tx, run, &mut step, failed)?;
    }
    let still_runs = |state: TaskState| !state.is_final();
    let rows = rows_of_workflow(tx, run.key, None)?;
    if rows.iter().any(|task| still_runs(task.standing.state)) {
        return Ok(Onward::default());
    }
    next(tx, run)
}

/// Begins the next compensation, or ends the workflow.
fn next(tx: &mut WriteTx<'_>, run: &Run) -> SqlResult<Onward> {
    while let Some(name) = whose_turn(tx, run)? {
        let mut step = Step::of(tx, run, &name)?;
        let opened = open(tx, run, &step)?;
        let failed = match &opened {
            Opened::Ended(failed) => failed.as_ref(),
            Opened::Tasks(_) | Opened::Waits => {
                "open".clone_into(&mut step.state);
                step.items_left = opened.items();
                step.save(tx, run)?;
                return Ok(Onward {
                    unblocked: true,
                    cancel: Vec::new(),
                });
            }
        };
        close(tx, run, &mut step, failed)?;
    }
    let error: Option<TaskError> = error(tx, run)?;
    finish(tx, run, WorkflowState::Failed, None, error.as_ref())?;
    Ok(Onward::default())
}

/// A compensation has ended.
fn close(tx: &WriteTx<'_>, run: &Run, step: &mut Step, failed: Option<&Failure>) -> SqlResult<()> {
    let word = if failed.is_some() {
        "failed"
    } else {
        "succeeded"
    };
    word.clone_into(&mut step.state);
    step.items_left = 0;
    step.items_failed = i64::from(failed.is_some());
    step.save(tx, run)?;
    match failed {
        Some(failure) => report(tx, run, step, failure),
        None => Ok(()),
    }
}

/// The compensation of what succeeded last among what is not undone yet.
fn whose_turn(tx: &WriteTx<'_>, run: &Run) -> SqlResult<Option<String>> {
    tx.first(
        "SELECT steps.name FROM workflow_steps AS steps \
         JOIN tasks ON tasks.workflow_key = steps.workflow_key AND tasks.step = steps.undoes \
         WHERE steps.workflow_key = ?1 AND steps.undoes IS NOT NULL AND steps.state = 'waiting' \
         AND tasks.state = 'succeeded' \
         GROUP BY steps.name, steps.position \
         ORDER BY max(tasks.finished_at) DESC, \
         (SELECT position FROM workflow_steps AS done \
          WHERE done.workflow_key = steps.workflow_key AND done.name = steps.undoes) DESC LIMIT 1",
        [run.key],
        |row| row.get(0),
    )
}

/// Adds to the workflow's error that something could not be undone.
fn report(tx: &WriteTx<'_>, run: &Run, step: &Step, failure: &Failure) -> SqlResult<()> {
    let Some(mut error) = error(tx, run)? else {
        return Ok(());
    };
    let told = failure
        .error
        .as_ref()
        .map_or_else(String::new, |error| format!(": {}", error.message));
    let more = format!(
        "; '{}' is not undone: task '{}' {}{told}",
        step.undoes.as_deref().unwrap_or_default(),
        failure.task,
        ended_how(failure.state)
    );
    "compensation_failed".clone_into(&mut error.code);
    error.message = error
        .message
        .chars()
        .chain(more.chars())
        .take(MAX_ERROR_CHARS)
        .collect();
    tx.execute(
        "UPDATE workflows SET error = ?2 WHERE key = ?1",
        (run.key, Sealed(&error)),
    )?;
    Ok(())
}

fn error(tx: &WriteTx<'_>, run: &Run) -> SqlResult<Option<TaskError>> {
    let sql = "SELECT error FROM workflows WHERE key = ?1 AND error IS NOT NULL";
    tx.first(sql, [run.key], |row| row.get(0).map(|Sealed(error)| error))
}

/// Why a workflow is being undone, if it is.
pub(super) fn cause(tx: &WriteTx<'_>, run: &Run) -> SqlResult<Option<TaskError>> {
    match run.state {
        WorkflowState::Compensating => error(tx, run),
        _ => Ok(None),
    }
}

/// A step of the workflow that was undone, or begun to be.
pub(super) fn undone_step(tx: &WriteTx<'_>, run: &Run) -> SqlResult<Option<String>> {
    tx.first(
        "SELECT undoes FROM workflow_steps WHERE workflow_key = ?1 AND undoes IS NOT NULL \
         AND state <> 'waiting' ORDER BY position LIMIT 1",
        [run.key],
        |row| row.get(0),
    )
}
