//! Settlements: the end of one execution, accepted only under the lease that holds now.

use serde_json::json;

use super::facts::{Change, journal, move_to};
use super::row::TaskRow;
use crate::domain::ids::LeaseId;
use crate::domain::query::{Settled, Settlement};
use crate::domain::task::{MAX_PAYLOAD_BYTES, Outcome, StaleResult, TaskError, TaskState};
use crate::domain::transition::Command;
use crate::persistence::codec::seal;
use crate::persistence::sqlite::{Sealed, SqlResult, WriteTx, workflows};

/// Ends one execution; moves the task, and its workflow, on.
pub(super) fn settle(tx: &mut WriteTx<'_>, settlement: &Settlement) -> SqlResult<Settled> {
    let task = TaskRow::by_id(tx, settlement.task)?;
    if task.lease_id != Some(settlement.lease_id) || task.standing.state != TaskState::Running {
        return late(tx, &task, settlement);
    }
    let (command, error) = judge(&settlement.outcome)?;
    let to = task.after(command)?;
    // What was cancelled says why it was cancelled, not how its execution ended.
    let error = error.filter(|_| to.state != TaskState::Cancelled);
    let result = match &settlement.outcome {
        Outcome::Succeeded(result) if to.state == TaskState::Succeeded => Some(result),
        _ => None,
    };
    let now = tx.now();
    end_attempt(
        tx,
        &task,
        settlement.lease_id,
        outcome_word(command),
        error.as_ref(),
    )?;
    let change = Change {
        result,
        error: error.as_ref(),
        rank: None,
        told: None,
        run_at: (to.state == TaskState::Retrying).then(|| now.after(settlement.backoff)),
    };
    move_to(tx, &task, to, &change)?;
    let onward = match to.state.is_final() {
        true => workflows::task_ended(tx, &task, to.state, error.as_ref())?,
        false => workflows::Onward::default(),
    };
    Ok(Settled {
        state: to.state,
        stale: false,
        unblocked: onward.unblocked,
        cancel: onward.cancel,
    })
}

/// What an outcome means, and the error that it leaves.
fn judge(outcome: &Outcome) -> SqlResult<(Command, Option<TaskError>)> {
    let error = |code: &str, message: String, retryable| {
        Some(TaskError {
            code: code.to_owned(),
            message,
            retryable,
        })
    };
    Ok(match outcome {
        Outcome::Succeeded(result) => {
            let bytes = seal(result)?.len().saturating_sub(1);
            if bytes <= MAX_PAYLOAD_BYTES {
                return Ok((Command::Succeed, None));
            }
            let message = format!(
                "its result of {bytes} bytes is over {MAX_PAYLOAD_BYTES}; pass what is large as an artifact"
            );
            (
                Command::FailFinal,
                error("result_too_large", message, false),
            )
        }
        Outcome::Failed(cause) if cause.retryable => (Command::FailRetryable, Some(cause.clone())),
        Outcome::Failed(cause) => (Command::FailFinal, Some(cause.clone())),
        Outcome::TimedOut => {
            let message = "the attempt took longer than its timeout".to_owned();
            (Command::AttemptTimeout, error("timeout", message, true))
        }
        Outcome::Interrupted { reason } => (
            Command::Interrupt,
            error("interrupted", reason.clone(), true),
        ),
        Outcome::AgentDied { alone, reason } => {
            let command = Command::AgentDied { alone: *alone };
            (command, error("agent_died", reason.clone(), true))
        }
        Outcome::Cancelled => (Command::GiveUp, None),
    })
}

/// The word of an execution's end.
const fn outcome_word(command: Command) -> &'static str {
    match command {
        Command::Succeed => "succeeded",
        Command::AttemptTimeout | Command::TotalTimeout => "timed_out",
        Command::Interrupt => "interrupted",
        Command::AgentDied { .. } => "crashed",
        Command::GiveUp | Command::Cancel | Command::UpstreamFailed => "cancelled",
        _ => "failed",
    }
}

/// Closes the row of one execution.
pub(super) fn end_attempt(
    tx: &WriteTx<'_>,
    task: &TaskRow,
    lease: LeaseId,
    outcome: &str,
    error: Option<&TaskError>,
) -> SqlResult<()> {
    tx.execute(
        "UPDATE task_attempts SET outcome = ?3, error = ?4, finished_at = ?5 \
         WHERE task_key = ?1 AND attempt = ?2 AND lease_id = ?6",
        (
            task.key,
            task.standing.attempt,
            outcome,
            error.map(Sealed),
            tx.now(),
            lease,
        ),
    )?;
    Ok(())
}

/// A result under a lease that holds no more. The same result once more is no news; any other is
/// kept beside its execution as `stale_result` and changes nothing else. The first one stays.
fn late(tx: &mut WriteTx<'_>, task: &TaskRow, settlement: &Settlement) -> SqlResult<Settled> {
    let known: Option<(u32, String, bool)> = tx.first(
        "SELECT attempt, outcome, stale_result IS NOT NULL FROM task_attempts \
         WHERE task_key = ?1 AND lease_id = ?2",
        (task.key, settlement.lease_id),
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let (command, error) = judge(&settlement.outcome)?;
    let settled = |stale| Settled {
        state: task.standing.state,
        stale,
        unblocked: false,
        cancel: Vec::new(),
    };
    let attempt = match known {
        Some((_, _, true)) => return Ok(settled(true)),
        Some((_, outcome, _)) if outcome == outcome_word(command) => return Ok(settled(false)),
        Some((attempt, ..)) => Some(attempt),
        None => None,
    };
    if let Some(attempt) = attempt {
        keep_late(tx, task, attempt, settlement, (command, error))?;
    }
    let data = json!({
        "name": task.name, "attempt": attempt, "lease_id": settlement.lease_id.to_string(),
        "outcome": outcome_word(command), "state": task.standing.state.as_str(),
    });
    journal(tx, task, "task.stale_result", data)?;
    Ok(settled(true))
}

/// Keeps what came late. What is larger than a result may be has become an error already.
fn keep_late(
    tx: &WriteTx<'_>,
    task: &TaskRow,
    attempt: u32,
    settlement: &Settlement,
    (command, error): (Command, Option<TaskError>),
) -> SqlResult<()> {
    let output = match &settlement.outcome {
        Outcome::Succeeded(output) if error.is_none() => Some(output.clone()),
        _ => None,
    };
    let late = StaleResult {
        outcome: outcome_word(command).to_owned(),
        output,
        error,
        at: tx.now(),
    };
    tx.execute(
        "UPDATE task_attempts SET stale_result = ?3 WHERE task_key = ?1 AND attempt = ?2",
        (task.key, attempt, Sealed(&late)),
    )?;
    Ok(())
}
