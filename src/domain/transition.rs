//! The one total transition function of tasks: every pair of state and command has an answer.
//!
//! Whoever moves a task (the store, on any backend) asks [`transition`] first and stores what it
//! says. Rules: an execution is counted when it is handed out and never uncounted; what was no
//! fault of the task is an *interruption* and gives its attempt back; the death of an agent counts
//! against a task only while it ran alone; commands that ask for what is already so change nothing.
//!
//! Not here: time and chance (backoff is drawn by the caller, see [`backoff`]), leases and fencing
//! (the store compares leases before it asks).

mod command;

use std::time::Duration;

pub use self::command::{Cause, Command, WaitsFor};
use super::task::TaskState;
use super::timestamp::Timestamp;

/// Deaths of agents that a task may cause while it runs alone, the last one ending it as poison.
pub const MAX_CRASH_ATTEMPTS: u32 = 3;
/// Executions that may end through no fault of a task; the next one ends it.
pub const MAX_INTERRUPTIONS: u32 = 20;
/// One step of priority is worth this much waiting.
pub const PRIORITY_STEP: Duration = Duration::from_secs(60);
/// The longest wait before the second attempt; doubles with each further one.
pub const MIN_BACKOFF: Duration = Duration::from_secs(1);
/// The longest wait before any attempt.
pub const MAX_BACKOFF: Duration = Duration::from_secs(300);

/// Where a task stands: all that its next step depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its state.
    pub state: TaskState,
    /// Executions so far.
    pub attempt: u32,
    /// Executions that may be its own fault.
    pub max_attempts: u32,
    /// Deaths of its agent while it ran alone.
    pub crash_attempts: u32,
    /// Executions that ended through no fault of its own.
    pub interruptions: u32,
    /// Its agent died while it was one of several there: it runs alone next.
    pub suspect: bool,
    /// It runs, and its agent has been asked to give it up.
    pub cancelling: bool,
    /// What it waits for before it can be queued; read by `Unblock` and `Retry`.
    pub waits_for: WaitsFor,
    /// Why it became what it is.
    pub cause: Option<Cause>,
}

/// A command that a state does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot {} a task that is {}", command.as_str(), state.as_str())]
pub struct IllegalTransition {
    /// Where the task stands.
    pub state: TaskState,
    /// What was asked.
    pub command: Command,
}

/// Where a command takes a task.
///
/// # Errors
/// [`IllegalTransition`] if the state does not know the command.
pub fn transition(task: Standing, command: Command) -> Result<Standing, IllegalTransition> {
    use Command as C;
    use TaskState as S;
    let illegal = || IllegalTransition {
        state: task.state,
        command,
    };
    match (task.state, command) {
        (S::Blocked, C::Unblock) => Ok(task.to(task.runnable())),
        (S::Blocked, C::Unresolvable) => Ok(task.to(S::Failed)),
        (S::Scheduled | S::Retrying, C::Due) => Ok(task.to(S::Queued)),
        (S::Queued, C::Due) => Ok(task),
        (S::Waiting, C::Succeed) => Ok(task.to(S::Succeeded)),
        (S::Waiting, C::FailFinal) => Ok(task.to(S::Failed)),
        (S::Queued, C::Claim) => Ok(Standing {
            attempt: task.attempt.saturating_add(1),
            cancelling: false,
            ..task.to(S::Running)
        }),
        (S::Running, C::Cancel | C::UpstreamFailed) => Ok(task.asked_to_give_up(command)),
        (S::Running, end) => task.end(end).ok_or_else(illegal),
        (from, C::Cancel) if !from.is_final() => Ok(task.to(S::Cancelled)),
        (from, C::UpstreamFailed) if !from.is_final() => {
            Ok(task.to(S::Cancelled).because(Cause::Upstream))
        }
        (from, C::TotalTimeout) if !from.is_final() => Ok(task.to(S::TimedOut)),
        (S::Cancelled, C::Cancel | C::UpstreamFailed) => Ok(task),
        (S::Failed | S::TimedOut | S::Dead | S::Cancelled, C::Retry) => Ok(task.anew()),
        (from, C::Retry) if !from.is_final() => Ok(task),
        _ => Err(illegal()),
    }
}

impl Standing {
    /// A task as it is when accepted.
    #[must_use]
    pub fn accepted(max_attempts: u32, waits_for: WaitsFor) -> Self {
        let mut task = Self {
            state: TaskState::Blocked,
            attempt: 0,
            max_attempts,
            crash_attempts: 0,
            interruptions: 0,
            suspect: false,
            cancelling: false,
            waits_for,
            cause: None,
        };
        task.state = task.runnable();
        task
    }

    /// Whether one more execution would be more than is allowed.
    #[must_use]
    pub fn exhausted(&self) -> bool {
        self.attempt.saturating_sub(self.interruptions) >= self.max_attempts
    }

    fn to(self, state: TaskState) -> Self {
        Self {
            state,
            cause: None,
            ..self
        }
    }

    fn because(self, cause: Cause) -> Self {
        Self {
            cause: Some(cause),
            ..self
        }
    }

    const fn runnable(&self) -> TaskState {
        match self.waits_for {
            WaitsFor::Slot => TaskState::Queued,
            WaitsFor::RunAt => TaskState::Scheduled,
            WaitsFor::Upstream => TaskState::Blocked,
            WaitsFor::Signal => TaskState::Waiting,
        }
    }

    fn asked_to_give_up(self, command: Command) -> Self {
        let upstream = command == Command::UpstreamFailed && !self.cancelling;
        Self {
            cancelling: true,
            cause: if upstream {
                Some(Cause::Upstream)
            } else {
                self.cause
            },
            ..self
        }
    }

    /// The end of an execution; `None` for a command that ends none.
    fn end(self, command: Command) -> Option<Self> {
        use Command as C;
        let ended = match command {
            C::Claim | C::Unblock | C::Due | C::Unresolvable => return None,
            C::Retry | C::Cancel | C::UpstreamFailed => return Some(self),
            C::Succeed => Self {
                suspect: false,
                ..self.to(TaskState::Succeeded)
            },
            _ if self.cancelling => Self {
                state: TaskState::Cancelled,
                ..self
            },
            C::TotalTimeout => self.to(TaskState::TimedOut),
            C::FailFinal => self.to(TaskState::Failed),
            C::FailRetryable if self.exhausted() => {
                self.to(TaskState::Dead).because(Cause::Exhausted)
            }
            C::AttemptTimeout if self.exhausted() => self.to(TaskState::TimedOut),
            C::FailRetryable | C::AttemptTimeout => Self {
                suspect: false,
                ..self.to(TaskState::Retrying)
            },
            C::Interrupt | C::GiveUp => self.interrupted(),
            C::AgentDied { alone: false } => Self {
                suspect: true,
                ..self.interrupted()
            },
            C::AgentDied { alone: true } => self.crashed(),
        };
        Some(Self {
            cancelling: false,
            ..ended
        })
    }

    fn interrupted(self) -> Self {
        let interruptions = self.interruptions.saturating_add(1);
        let task = Self {
            interruptions,
            ..self
        };
        if interruptions > MAX_INTERRUPTIONS {
            task.to(TaskState::Dead).because(Cause::Interrupted)
        } else {
            task.to(TaskState::Queued)
        }
    }

    fn crashed(self) -> Self {
        let crash_attempts = self.crash_attempts.saturating_add(1);
        let task = Self {
            crash_attempts,
            ..self
        };
        if crash_attempts >= MAX_CRASH_ATTEMPTS {
            task.to(TaskState::Dead).because(Cause::Poison)
        } else if task.exhausted() {
            task.to(TaskState::Dead).because(Cause::Exhausted)
        } else {
            task.to(TaskState::Queued)
        }
    }

    /// A retry by hand: its history stays, and it may fail at least once more.
    fn anew(self) -> Self {
        Self {
            max_attempts: self.max_attempts.max(self.attempt.saturating_add(1)),
            crash_attempts: 0,
            interruptions: 0,
            suspect: false,
            cancelling: false,
            ..self.to(self.runnable())
        }
    }
}

/// The event of an edge, or `None` if nothing changed that anyone could see.
#[must_use]
pub fn event_of(from: &Standing, to: &Standing) -> Option<&'static str> {
    if from.state == to.state && from.attempt == to.attempt {
        return None;
    }
    Some(match to.state {
        TaskState::Queued if from.state == TaskState::Running => "task.interrupted",
        // A task is created once. One that is blocked again was retried with its workflow, whose
        // `workflow.started` says so; back to its instant none goes.
        TaskState::Blocked | TaskState::Scheduled => return None,
        TaskState::Queued => "task.queued",
        TaskState::Running => "task.started",
        TaskState::Waiting => "task.waiting",
        TaskState::Retrying => "task.retrying",
        TaskState::Succeeded => "task.succeeded",
        TaskState::Failed => "task.failed",
        TaskState::Cancelled => "task.cancelled",
        TaskState::TimedOut => "task.timed_out",
        TaskState::Dead => "task.dead",
    })
}

/// How long to wait before the next attempt: exponential with full jitter.
/// `failures` counts from 1; `chance` is drawn evenly from 0 to 1 by the caller.
#[must_use]
pub fn backoff(failures: u32, chance: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(30);
    let longest = MIN_BACKOFF.saturating_mul(1 << doublings).min(MAX_BACKOFF);
    longest.mul_f64(chance.clamp(0.0, 1.0))
}

/// The place in a queue, smaller first: a higher priority is worth [`PRIORITY_STEP`] of waiting,
/// so that what waits long enough comes first in the end.
#[must_use]
pub fn rank(ready_at: Timestamp, priority: u8) -> i64 {
    let step = i64::try_from(PRIORITY_STEP.as_micros()).unwrap_or(i64::MAX);
    ready_at
        .as_micros()
        .saturating_sub(i64::from(priority).saturating_mul(step))
}

#[cfg(test)]
#[path = "transition_tests.rs"]
mod tests;
