//! Timeouts of waiting and of a whole life: when a task times out where it stands, and ending it.
//!
//! The instant stands in the task's row, so it holds over restarts of the daemon. The timeout of
//! one attempt is not here: the dispatcher counts it from the hand-over.

use std::time::Duration;

use super::create::Extras;
use super::facts::{Change, move_to};
use super::row::TaskRow;
use super::settle::end_attempt;
use crate::domain::query::DueWork;
use crate::domain::task::{TaskError, TaskState};
use crate::domain::timestamp::Timestamp;
use crate::domain::transition::Command;
use crate::persistence::sqlite::{SqlResult, WriteTx, workflows};

/// The timeouts of a task beside that of one attempt; most have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::persistence::sqlite) struct Timeouts {
    /// The longest wait for a slot.
    pub(super) waiting_ms: Option<i64>,
    /// The longest life.
    pub(super) total_ms: Option<i64>,
    /// The end of this life.
    pub(super) total_until: Option<Timestamp>,
}

impl Timeouts {
    /// Of a task that may first run at this instant.
    pub(super) fn begin(extras: &Extras<'_>, run_at: Timestamp) -> Self {
        let millis = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        Self {
            waiting_ms: extras.waiting.map(millis),
            total_ms: extras.total.map(millis),
            total_until: extras.total.map(|span| run_at.after(span)),
        }
    }

    /// Whether there are any.
    pub(super) const fn any(&self) -> bool {
        self.waiting_ms.is_some() || self.total_ms.is_some()
    }

    /// When a task times out that comes to stand here, `ready_at` being when it may run.
    pub(super) fn expires_at(&self, state: TaskState, ready_at: Timestamp) -> Option<Timestamp> {
        let waits = matches!(
            state,
            TaskState::Scheduled | TaskState::Queued | TaskState::Retrying
        );
        let waiting = self.waiting_ms.filter(|_| waits);
        let waiting = waiting.map(|span| ready_at.after(millis(span)));
        let total = self.total_until.filter(|_| !state.is_final());
        waiting.into_iter().chain(total).min()
    }

    /// Stores when the task times out in the state that it comes to; a life that begins anew has
    /// its whole time again.
    pub(super) fn arm(
        &self,
        tx: &WriteTx<'_>,
        task: &TaskRow,
        to: TaskState,
        ready_at: Timestamp,
    ) -> SqlResult<()> {
        let anew = task.standing.state.is_final() && !to.is_final();
        let total_until = match self.total_ms {
            Some(span) if anew => Some(ready_at.after(millis(span))),
            _ => self.total_until,
        };
        let expires_at = Self {
            total_until,
            ..*self
        }
        .expires_at(to, ready_at);
        tx.execute(
            "UPDATE tasks SET total_until = ?2, expires_at = ?3 WHERE key = ?1",
            (task.key, total_until, expires_at),
        )?;
        Ok(())
    }
}

fn millis(span: i64) -> Duration {
    Duration::from_millis(span.unsigned_abs())
}

/// Ends what has waited or lived too long; says when the next does.
pub(super) fn sweep(
    tx: &mut WriteTx<'_>,
    at_once: u32,
    done: &mut DueWork,
) -> SqlResult<Option<Timestamp>> {
    for task in TaskRow::expired(tx, tx.now(), at_once)? {
        expire(tx, &task, done)?;
    }
    let next = "SELECT min(expires_at) FROM tasks WHERE expires_at IS NOT NULL";
    Ok(tx.first(next, [], |row| row.get(0))?.flatten())
}

fn expire(tx: &mut WriteTx<'_>, task: &TaskRow, done: &mut DueWork) -> SqlResult<()> {
    let to = task.after(Command::TotalTimeout)?;
    let lived = task.timeouts.total_until.is_some_and(|end| end <= tx.now());
    let message = if lived {
        "it was not done within its total_timeout_ms"
    } else {
        "it waited for a slot longer than its waiting_timeout_ms"
    };
    let error = TaskError {
        code: "timeout".to_owned(),
        message: message.to_owned(),
        retryable: false,
    };
    if let Some(lease) = task.lease_id {
        end_attempt(tx, task, lease, "timed_out", Some(&error))?;
        done.stop.push((task.id, lease));
    }
    // What was cancelled says why it was cancelled.
    let told = Some(&error).filter(|_| to.state != TaskState::Cancelled);
    let change = Change {
        error: told,
        ..Change::default()
    };
    move_to(tx, task, to, &change)?;
    done.cancel
        .extend(workflows::task_ended(tx, task, to.state, told)?.cancel);
    done.expired += 1;
    Ok(())
}
