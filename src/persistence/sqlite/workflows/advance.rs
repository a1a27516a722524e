//! Moving on: a task has ended, a step opens or ends, and so on until nothing more follows.

use std::collections::VecDeque;

use super::end::{complete, fail};
use super::open::{Opened, open};
use super::step::{Run, Step, dependents};
use super::undo;
use crate::domain::ids::{LeaseId, TaskId};
use crate::domain::task::{TaskError, TaskState};
use crate::domain::transition::Command;
use crate::domain::workflow::{OnFailure, WorkflowState};
use crate::persistence::sqlite::tasks::{Change, TaskRow, move_to, rows_of_workflow};
use crate::persistence::sqlite::{SqlResult, WriteTx};

/// What followed from the end of a task.
#[derive(Debug, Default)]
pub(in crate::persistence::sqlite) struct Onward {
    /// Tasks may have become runnable.
    pub(in crate::persistence::sqlite) unblocked: bool,
    /// Running tasks whose agents must be told to give them up.
    pub(in crate::persistence::sqlite) cancel: Vec<(TaskId, LeaseId)>,
}

/// Moves the workflow of a task that has become final, if it has one.
pub(in crate::persistence::sqlite) fn task_ended(
    tx: &mut WriteTx<'_>,
    task: &TaskRow,
    state: TaskState,
    error: Option<&TaskError>,
) -> SqlResult<Onward> {
    let (Some(key), Some(step)) = (task.workflow_key, &task.step) else {
        return Ok(Onward::default());
    };
    let run = Run::by_key(tx, key)?;
    let failed = (state != TaskState::Succeeded).then(|| Failure::of(task, state, error));
    match run.state {
        WorkflowState::Compensating => return undo::task_ended(tx, &run, step, failed.as_ref()),
        state if state.is_final() => return Ok(Onward::default()),
        _ => {}
    }
    let mut advance = Advance::of(run);
    advance.item_ended(tx, step, failed)?;
    advance.run(tx)
}

/// Why a task of the workflow did not succeed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// The task's name.
    pub(super) task: String,
    /// Its state.
    pub(super) state: TaskState,
    /// Its error.
    pub(super) error: Option<TaskError>,
}

impl Failure {
    pub(super) fn of(task: &TaskRow, state: TaskState, error: Option<&TaskError>) -> Self {
        Self {
            task: task.name.clone(),
            state,
            error: error.cloned(),
        }
    }
}

/// What is still to be done.
enum Next {
    /// A step waits for nothing any more.
    Open(String),
    /// A step has ended.
    Ended { step: String, succeeded: bool },
    /// A step can never run.
    Cancel(String),
}

/// One workflow moving on.
pub(super) struct Advance {
    run: Run,
    next: VecDeque<Next>,
    onward: Onward,
}

impl Advance {
    pub(super) fn of(run: Run) -> Self {
        Self {
            run,
            next: VecDeque::new(),
            onward: Onward::default(),
        }
    }

    /// A step waits for nothing any more.
    pub(super) fn open(&mut self, step: String) {
        self.next.push_back(Next::Open(step));
    }

    /// Does all that follows.
    pub(super) fn run(mut self, tx: &mut WriteTx<'_>) -> SqlResult<Onward> {
        while let Some(next) = self.next.pop_front() {
            match next {
                Next::Open(step) => self.step_opens(tx, &step)?,
                Next::Ended { step, succeeded } => self.step_ended(tx, &step, succeeded)?,
                Next::Cancel(step) => self.step_cancelled(tx, &step)?,
            }
        }
        Ok(self.onward)
    }

    fn step_opens(&mut self, tx: &mut WriteTx<'_>, name: &str) -> SqlResult<()> {
        let mut step = Step::of(tx, &self.run, name)?;
        "open".clone_into(&mut step.state);
        let opened = open(tx, &self.run, &step)?;
        step.items_left = opened.items();
        step.save(tx, &self.run)?;
        match opened {
            Opened::Tasks(0) => {
                self.next.push_back(Next::Ended {
                    step: name.to_owned(),
                    succeeded: true,
                });
            }
            Opened::Tasks(_) => self.onward.unblocked = true,
            Opened::Waits => {}
            Opened::Ended(failure) => self.item_ended(tx, name, failure)?,
        }
        Ok(())
    }

    pub(super) fn item_ended(
        &mut self,
        tx: &mut WriteTx<'_>,
        name: &str,
        failed: Option<Failure>,
    ) -> SqlResult<()> {
        let mut step = Step::of(tx, &self.run, name)?;
        step.items_left = (step.items_left - 1).max(0);
        step.items_failed += i64::from(failed.is_some());
        step.save(tx, &self.run)?;
        let policy = step.definition.on_failure.unwrap_or(OnFailure::Fail);
        match failed {
            Some(failure) if policy != OnFailure::Continue => {
                self.next.clear();
                self.onward = match policy {
                    OnFailure::Compensate => undo::begin(tx, &self.run, &failure)?,
                    _ => fail(tx, &self.run, &failure)?,
                };
            }
            _ if step.items_left == 0 => {
                let succeeded = step.items_failed == 0;
                self.next.push_back(Next::Ended {
                    step: name.to_owned(),
                    succeeded,
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn step_ended(&mut self, tx: &mut WriteTx<'_>, name: &str, succeeded: bool) -> SqlResult<()> {
        let word = if succeeded { "succeeded" } else { "failed" };
        self.close_step(tx, name, word)?;
        for dependent in dependents(tx, &self.run, name)? {
            if !succeeded {
                self.next.push_back(Next::Cancel(dependent));
                continue;
            }
            let mut step = Step::of(tx, &self.run, &dependent)?;
            step.waiting_on = (step.waiting_on - 1).max(0);
            step.save(tx, &self.run)?;
            if step.waiting_on == 0 && step.state == "waiting" {
                self.next.push_back(Next::Open(dependent));
            }
        }
        self.complete_if_done(tx)
    }

    fn step_cancelled(&mut self, tx: &mut WriteTx<'_>, name: &str) -> SqlResult<()> {
        if Step::of(tx, &self.run, name)?.state != "waiting" {
            return Ok(());
        }
        for task in rows_of_workflow(tx, self.run.key, Some(name))? {
            let to = task.after(Command::UpstreamFailed)?;
            move_to(tx, &task, to, &Change::default())?;
        }
        self.close_step(tx, name, "cancelled")?;
        for dependent in dependents(tx, &self.run, name)? {
            self.next.push_back(Next::Cancel(dependent));
        }
        self.complete_if_done(tx)
    }

    fn close_step(&mut self, tx: &WriteTx<'_>, name: &str, word: &str) -> SqlResult<()> {
        self.run.steps_left -= 1;
        tx.execute(
            "UPDATE workflow_steps SET state = ?3 WHERE workflow_key = ?1 AND name = ?2",
            (self.run.key, name, word),
        )?;
        tx.execute(
            "UPDATE workflows SET steps_left = ?2 WHERE key = ?1",
            (self.run.key, self.run.steps_left),
        )?;
        Ok(())
    }

    fn complete_if_done(&mut self, tx: &mut WriteTx<'_>) -> SqlResult<()> {
        match self.run.steps_left {
            0 => complete(tx, &self.run),
            _ => Ok(()),
        }
    }
}
