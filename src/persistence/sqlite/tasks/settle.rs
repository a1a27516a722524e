//! Settlements: the end of one execution, accepted only under the lease that holds now.

use serde_json::{Value, json};

use super::facts::{Change, Told, journal, move_to};
use super::row::TaskRow;
use crate::domain::ids::LeaseId;
use crate::domain::query::{Settled, Settlement};
use crate::domain::task::{MAX_PAYLOAD_BYTES, Outcome, StaleResult, TaskError, TaskState};
use crate::domain::transition::Command;
use crate::persistence::codec::seal;
use crate::persistence::sqlite::{Sealed, SqlResult, WriteTx, spend, workflows};

/// Ends one execution; moves the task, and its workflow, on.
pub(super) fn settle(tx: &mut WriteTx<'_>, settlement: &Settlement) -> SqlResult<Settled> {
    if let Some(write) = &settlement.spend {
        spend::apply(tx, write)?;
    }
    let task = TaskRow::by_id(tx, settlement.task)?;
    if task.lease_id != Some(settlement.lease_id) || task.standing.state != TaskState::Running {
        return late(tx, &task, settlement);
    }
    let Verdict {
        command,
        error,
        result,
    } = Verdict::on(&settlement.outcome)?;
    let to = task.after(command)?;
    // What was cancelled says why it was cancelled, not how its execution ended.
    let error = error.filter(|_| to.state != TaskState::Cancelled);
    let result = result.filter(|_| to.state == TaskState::Succeeded);
    let now = tx.now();
    end_attempt(
        tx,
        &task,
        settlement.lease_id,
        outcome_word(command),
        error.as_ref(),
    )?;
    let change = Change {
        result: result.as_deref(),
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

/// What an outcome means, and what it leaves.
struct Verdict {
    command: Command,
    error: Option<TaskError>,
    /// Sealed.
    result: Option<Vec<u8>>,
}

impl Verdict {
    fn on(outcome: &Outcome) -> SqlResult<Self> {
        Ok(match outcome {
            Outcome::Succeeded(result) => return Self::on_result(result),
            Outcome::Failed(cause) => {
                let command = match cause.retryable {
                    true => Command::FailRetryable,
                    false => Command::FailFinal,
                };
                Self::because(command, cause.clone())
            }
            Outcome::TimedOut => {
                let message = "the attempt took longer than its timeout";
                Self::because(Command::AttemptTimeout, error("timeout", message, true))
            }
            Outcome::Interrupted { reason } => {
                Self::because(Command::Interrupt, error("interrupted", reason, true))
            }
            Outcome::AgentDied { alone, reason } => {
                let command = Command::AgentDied { alone: *alone };
                Self::because(command, error("agent_died", reason, true))
            }
            Outcome::Cancelled => Self {
                command: Command::GiveUp,
                error: None,
                result: None,
            },
        })
    }

    /// A result that is too large is an error.
    fn on_result(result: &Value) -> SqlResult<Self> {
        let sealed = seal(result)?;
        let bytes = sealed.len().saturating_sub(1);
        if bytes <= MAX_PAYLOAD_BYTES {
            return Ok(Self {
                command: Command::Succeed,
                error: None,
                result: Some(sealed),
            });
        }
        let message = format!(
            "its result of {bytes} bytes is over {MAX_PAYLOAD_BYTES}; pass what is large as an artifact"
        );
        let error = error("result_too_large", &message, false);
        Ok(Self::because(Command::FailFinal, error))
    }

    const fn because(command: Command, error: TaskError) -> Self {
        Self {
            command,
            error: Some(error),
            result: None,
        }
    }
}

fn error(code: &str, message: &str, retryable: bool) -> TaskError {
    TaskError {
        code: code.to_owned(),
        message: message.to_owned(),
        retryable,
    }
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
    let verdict = Verdict::on(&settlement.outcome)?;
    let word = outcome_word(verdict.command);
    let settled = |stale| Settled {
        state: task.standing.state,
        stale,
        unblocked: false,
        cancel: Vec::new(),
    };
    let attempt = match known {
        Some((_, _, true)) => return Ok(settled(true)),
        Some((_, outcome, _)) if outcome == word => return Ok(settled(false)),
        Some((attempt, ..)) => Some(attempt),
        None => None,
    };
    if let Some(attempt) = attempt {
        keep_late(tx, task, attempt, settlement, verdict)?;
    }
    let came = json!({
        "attempt": attempt, "lease_id": settlement.lease_id.to_string(), "outcome": word,
    });
    let told = Told {
        state: Some(task.standing.state),
        more: Some(&came),
        ..Told::default()
    };
    journal(tx, task, "task.stale_result", &told)?;
    Ok(settled(true))
}

/// Keeps what came late. What is larger than a result may be has become an error already.
fn keep_late(
    tx: &WriteTx<'_>,
    task: &TaskRow,
    attempt: u32,
    settlement: &Settlement,
    verdict: Verdict,
) -> SqlResult<()> {
    let output = match &settlement.outcome {
        Outcome::Succeeded(output) if verdict.error.is_none() => Some(output.clone()),
        _ => None,
    };
    let late = StaleResult {
        outcome: outcome_word(verdict.command).to_owned(),
        output,
        error: verdict.error,
        at: tx.now(),
    };
    tx.execute(
        "UPDATE task_attempts SET stale_result = ?3 WHERE task_key = ?1 AND attempt = ?2",
        (task.key, attempt, Sealed(&late)),
    )?;
    Ok(())
}
