//! What is done to tasks from outside an execution: progress, cancel, retry, due, rescue.

use serde_json::json;

use super::facts::{Change, Told, journal, move_to};
use super::limits::Rules;
use super::row::TaskRow;
use super::settle::end_attempt;
use super::{Rescued, expiry, pauses};
use crate::domain::ids::{LeaseId, SessionId, TaskId};
use crate::domain::query::{Cancelled, DueWork};
use crate::domain::task::{Progress, Task, TaskError, TaskState};
use crate::domain::timestamp::Timestamp;
use crate::domain::transition::{Command, rank};
use crate::persistence::StoreError;
use crate::persistence::sqlite::{Fault, SqlResult, WriteTx, spend, workflows};

/// The most tasks that fall due in one write; the rest comes with the next.
const DUE_AT_ONCE: u32 = 500;

/// Keeps what an agent says of its progress; nothing under a lease that holds no more.
pub(super) fn progress(
    tx: &mut WriteTx<'_>,
    id: TaskId,
    lease: LeaseId,
    progress: &Progress,
) -> SqlResult<()> {
    let task = TaskRow::by_id(tx, id)?;
    if task.lease_id != Some(lease) {
        return Ok(());
    }
    tx.execute(
        "UPDATE tasks SET progress_percent = ?2, progress_message = ?3, progress_at = ?4 \
         WHERE key = ?1",
        (
            task.key,
            progress.percent,
            progress.message.as_deref(),
            progress.at,
        ),
    )?;
    let said = json!({"percent": progress.percent, "message": progress.message});
    let told = Told {
        more: Some(&said),
        ..Told::default()
    };
    journal(tx, &task, "task.progress", &told)
}

/// Cancels a task; one that runs becomes final when its agent has given it up.
pub(in crate::persistence::sqlite) fn cancel(
    tx: &mut WriteTx<'_>,
    id: TaskId,
    reason: &str,
) -> SqlResult<Cancelled> {
    let task = TaskRow::by_id(tx, id)?;
    let to = task.after(Command::Cancel)?;
    let mut done = Cancelled {
        tasks: Vec::new(),
        running: Vec::new(),
    };
    if to == task.standing && to.state == TaskState::Cancelled {
        return Ok(done);
    }
    let error = cancelled_error(reason);
    move_to(
        tx,
        &task,
        to,
        &Change {
            error: Some(&error),
            ..Change::default()
        },
    )?;
    match (to.state, task.lease_id) {
        (TaskState::Running, Some(lease)) => done.running.push((id, lease)),
        _ => {
            done.tasks.push(id);
            done.running = workflows::task_ended(tx, &task, to.state, Some(&error))?.cancel;
        }
    }
    Ok(done)
}

/// The error of what was cancelled.
pub(in crate::persistence::sqlite) fn cancelled_error(reason: &str) -> TaskError {
    TaskError {
        code: "cancelled".to_owned(),
        message: reason.to_owned(),
        retryable: false,
    }
}

/// Runs a task again that ended without success.
pub(in crate::persistence::sqlite) fn retry(tx: &mut WriteTx<'_>, id: TaskId) -> SqlResult<Task> {
    let task = TaskRow::by_id(tx, id)?;
    let to = task.after(Command::Retry)?;
    if to != task.standing {
        if let Some(workflow) = task.workflow_id {
            return Err(Fault::Store(StoreError::Conflict(format!(
                "task '{id}' belongs to workflow '{workflow}'; retry the workflow"
            ))));
        }
        move_to(tx, &task, to, &ready_now(tx.now(), &task))?;
    }
    super::list::task(tx.conn(), id)
}

/// What is queued by hand stands behind those of its priority that wait already.
fn ready_now(now: Timestamp, task: &TaskRow) -> Change<'static> {
    Change {
        rank: Some(rank(now, task.priority)),
        run_at: Some(now),
        ..Change::default()
    }
}

/// Removes a dead task that belongs to no workflow; its executions go with it.
pub(super) fn purge(tx: &mut WriteTx<'_>, id: TaskId) -> SqlResult<()> {
    let gone = tx.execute(
        "DELETE FROM tasks WHERE id = ?1 AND state = 'dead' AND workflow_key IS NULL",
        [id],
    )?;
    match gone {
        0 => Err(Fault::Store(StoreError::Conflict(format!(
            "task '{id}' is no dead letter that stands alone"
        )))),
        _ => Ok(()),
    }
}

/// Moves a task by hand along an edge that the transition function knows.
pub(super) fn move_by_hand(
    tx: &mut WriteTx<'_>,
    id: TaskId,
    to: TaskState,
    reason: &str,
) -> SqlResult<Task> {
    match to {
        TaskState::Cancelled => {
            cancel(tx, id, reason)?;
        }
        TaskState::Queued => {
            let task = TaskRow::by_id(tx, id)?;
            if task.standing.state.is_final() {
                return retry(tx, id);
            }
            let next = task.after(Command::Due)?;
            move_to(tx, &task, next, &ready_now(tx.now(), &task))?;
        }
        _ => {
            return Err(Fault::Store(StoreError::Conflict(format!(
                "a task cannot be made {} by hand; cancelled and queued can be asked for",
                to.as_str()
            ))));
        }
    }
    super::list::task(tx.conn(), id)
}

/// Queues what is due and ends what has waited or lived too long; says when the next is.
pub(super) fn queue_due(tx: &mut WriteTx<'_>, rules: &Rules) -> SqlResult<DueWork> {
    let now = tx.now();
    let mut done = DueWork::default();
    for task in TaskRow::due(tx, now, DUE_AT_ONCE)? {
        let to = task.after(Command::Due)?;
        let change = Change {
            rank: Some(rank(task.run_at, task.priority)),
            run_at: Some(task.run_at),
            ..Change::default()
        };
        move_to(tx, &task, to, &change)?;
        done.queued += 1;
    }
    let expires_next = expiry::sweep(tx, DUE_AT_ONCE, &mut done)?;
    let next = "SELECT min(run_at) FROM tasks WHERE state IN ('scheduled', 'retrying')";
    let due_next: Option<Timestamp> = tx.first(next, [], |row| row.get(0))?.flatten();
    let resumes_next = pauses::end_due(tx, rules, &mut done)?;
    let next = due_next
        .into_iter()
        .chain(expires_next)
        .chain(resumes_next)
        .min();
    done.next = next.map(|at| at.since(now));
    Ok(done)
}

/// Takes back every running task that this session does not hold: an interruption each, and queued
/// again at once.
pub(super) fn rescue(tx: &mut WriteTx<'_>, session: SessionId) -> SqlResult<Rescued> {
    let mut rescued = Rescued::default();
    for TaskRow { key, .. } in TaskRow::not_held_by(tx, session)? {
        // The end of one before it may have cancelled this one.
        let Some(task) = TaskRow::by_key(tx, key)? else {
            continue;
        };
        let to = task.after(Command::Interrupt)?;
        let error = TaskError {
            code: "interrupted".to_owned(),
            message: "the daemon that held it ended".to_owned(),
            retryable: true,
        };
        if let Some(lease) = task.lease_id {
            end_attempt(tx, &task, lease, "interrupted", Some(&error))?;
            spend::cut(tx, task.key, lease)?;
        }
        // What was cancelled says why it was cancelled.
        let told = Some(&error).filter(|_| to.state != TaskState::Cancelled);
        move_to(
            tx,
            &task,
            to,
            &Change {
                error: told,
                ..Change::default()
            },
        )?;
        match to.state {
            TaskState::Queued => rescued.queued += 1,
            TaskState::Dead => rescued.dead += 1,
            _ => {}
        }
        if to.state.is_final() {
            workflows::task_ended(tx, &task, to.state, told)?;
        }
    }
    Ok(rescued)
}
