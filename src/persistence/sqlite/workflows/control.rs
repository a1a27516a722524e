//! Cancelling a workflow, and running it again from where it failed.

use serde_json::json;

use super::advance::Advance;
use super::end::{cancel_rest, finish};
use super::step::{Run, Step};
use super::{undo, wait};
use crate::domain::event::NewEvent;
use crate::domain::ids::WorkflowId;
use crate::domain::query::Cancelled;
use crate::domain::task::TaskState;
use crate::domain::transition::{Command, WaitsFor, rank};
use crate::domain::workflow::{Workflow, WorkflowState};
use crate::persistence::StoreError;
use crate::persistence::sqlite::tasks::{
    Change, TaskRow, cancelled_error, move_to, rows_of_workflow,
};
use crate::persistence::sqlite::{Fault, SqlResult, WriteTx};

/// Cancels a workflow and every task of it that has not ended.
pub(in crate::persistence::sqlite) fn cancel(
    tx: &mut WriteTx<'_>,
    id: WorkflowId,
    reason: &str,
) -> SqlResult<Cancelled> {
    let run = Run::by_id(tx, id)?;
    match run.state {
        WorkflowState::Cancelled => Ok(Cancelled {
            tasks: Vec::new(),
            running: Vec::new(),
        }),
        state if state.is_final() => Err(conflict(&run, "cancel")),
        _ => {
            let mut error = cancelled_error(reason);
            if let Some(cause) = undo::cause(tx, &run)? {
                let left = format!("{reason}; it was being undone: {}", cause.message);
                error.message = left;
            }
            finish(tx, &run, WorkflowState::Cancelled, None, Some(&error))?;
            cancel_rest(tx, &run, Command::Cancel, Some(&error))
        }
    }
}

fn conflict(run: &Run, what: &str) -> Fault {
    let state = run.state.as_str();
    Fault::Store(StoreError::Conflict(format!(
        "cannot {what} workflow '{}': it is {state}",
        run.id
    )))
}

/// Moves a workflow by hand: `cancelled` cancels it, `running` retries it.
pub(super) fn move_by_hand(
    tx: &mut WriteTx<'_>,
    id: WorkflowId,
    to: WorkflowState,
    reason: &str,
) -> SqlResult<Workflow> {
    match to {
        WorkflowState::Cancelled => {
            cancel(tx, id, reason)?;
            super::read(tx.conn(), id)
        }
        WorkflowState::Running => retry(tx, id),
        _ => Err(Fault::Store(StoreError::Conflict(format!(
            "a workflow cannot be made {} by hand; cancelled and running can be asked for",
            to.as_str()
        )))),
    }
}

/// Runs a workflow again from the tasks that did not succeed; what succeeded is kept.
pub(super) fn retry(tx: &mut WriteTx<'_>, id: WorkflowId) -> SqlResult<Workflow> {
    let run = Run::by_id(tx, id)?;
    match run.state {
        WorkflowState::Failed | WorkflowState::Cancelled => {}
        WorkflowState::Completed | WorkflowState::Compensating => {
            return Err(conflict(&run, "retry"));
        }
        WorkflowState::Pending | WorkflowState::Running => {
            return super::read(tx.conn(), id);
        }
    }
    if let Some(undone) = undo::undone_step(tx, &run)? {
        return Err(Fault::Store(StoreError::Conflict(format!(
            "cannot retry workflow '{id}': '{undone}' was undone; run the workflow anew"
        ))));
    }
    let mut again = Again {
        run,
        succeeded: Vec::new(),
        to_open: Vec::new(),
    };
    again.prepare(tx)?;
    let steps_left = again.reset_steps(tx)?;
    let (now, run) = (
        tx.now(),
        Run {
            steps_left,
            state: WorkflowState::Running,
            ..run
        },
    );
    tx.execute(
        "UPDATE workflows SET state = 'running', started_at = coalesce(started_at, ?2), \
         finished_at = NULL, error = NULL, output = NULL, steps_left = ?3 WHERE key = ?1",
        (run.key, now, steps_left),
    )?;
    let data = json!({"retry": true});
    let subject = run.id.to_string();
    tx.event(NewEvent {
        kind: "workflow.started",
        subject,
        at: now,
        data,
    })?;
    let mut advance = Advance::of(run);
    again
        .to_open
        .into_iter()
        .for_each(|step| advance.open(step));
    if steps_left == 0 {
        super::end::complete(tx, &run)?;
    }
    advance.run(tx)?;
    super::read(tx.conn(), id)
}

/// A workflow on its way back.
struct Again {
    run: Run,
    succeeded: Vec<String>,
    to_open: Vec<String>,
}

impl Again {
    /// Refuses while tasks still run, and finds the steps that are done.
    fn prepare(&mut self, tx: &mut WriteTx<'_>) -> SqlResult<()> {
        for step in forward(tx, &self.run)? {
            let name = step.definition.name.clone();
            let rows = rows_of_workflow(tx, self.run.key, Some(&name))?;
            if rows
                .iter()
                .any(|task| task.standing.state == TaskState::Running)
            {
                return Err(Fault::Store(StoreError::Conflict(format!(
                    "task '{name}' of workflow '{}' is still being given up; try again in a moment",
                    self.run.id
                ))));
            }
            let opened = !step.never_opened();
            let done = |task: &TaskRow| task.standing.state == TaskState::Succeeded;
            if opened && rows.iter().all(done) {
                self.succeeded.push(name);
            }
        }
        Ok(())
    }

    /// Puts every step that is not done back to where it can go on; says how many there are.
    fn reset_steps(&mut self, tx: &mut WriteTx<'_>) -> SqlResult<i64> {
        let mut left = 0;
        for mut step in forward(tx, &self.run)? {
            let done = self.succeeded.contains(&step.definition.name);
            if done {
                "succeeded".clone_into(&mut step.state);
                (step.waiting_on, step.items_left) = (0, 0);
            } else {
                left += 1;
                self.reset(tx, &mut step)?;
            }
            step.save(tx, &self.run)?;
        }
        Ok(left)
    }

    fn reset(&mut self, tx: &mut WriteTx<'_>, step: &mut Step) -> SqlResult<()> {
        let name = step.definition.name.clone();
        let missing = |upstream: &String| !self.succeeded.contains(upstream);
        let waiting_on = step
            .definition
            .upstream()
            .iter()
            .filter(|name| missing(name))
            .count();
        step.waiting_on = i64::try_from(waiting_on).unwrap_or(i64::MAX);
        let mut rows = rows_of_workflow(tx, self.run.key, Some(&name))?;
        // A for_each that could not be resolved left one task without a place to say so.
        if step.definition.for_each.is_some() && rows.iter().any(|task| task.item.is_none()) {
            tx.execute(
                "DELETE FROM tasks WHERE workflow_key = ?1 AND step = ?2 AND item IS NULL",
                (self.run.key, &name),
            )?;
            rows.clear();
        }
        let never_opened = step.never_opened() || rows.is_empty();
        let asks = step.definition.awaits().is_some();
        if let Some(signal) = step.definition.awaits() {
            wait::forget(tx, &self.run, signal, &rows)?;
        }
        let resolved = !never_opened && !asks && !rows.iter().any(unresolved);
        step.items_failed = 0;
        if resolved {
            "open".clone_into(&mut step.state);
            step.items_left = self.retry_rows(tx, rows, WaitsFor::Slot)?;
        } else {
            "waiting".clone_into(&mut step.state);
            step.items_left = 0;
            self.retry_rows(tx, rows, WaitsFor::Upstream)?;
            if step.waiting_on == 0 {
                self.to_open.push(name);
            }
        }
        Ok(())
    }

    fn retry_rows(
        &self,
        tx: &mut WriteTx<'_>,
        rows: Vec<TaskRow>,
        waits_for: WaitsFor,
    ) -> SqlResult<i64> {
        let (now, mut left) = (tx.now(), 0);
        for task in rows {
            if task.standing.state == TaskState::Succeeded {
                continue;
            }
            let task = task.waiting_for(waits_for);
            let to = task.after(Command::Retry)?;
            let again = Change {
                rank: Some(rank(now, task.priority)),
                run_at: Some(now),
                ..Change::default()
            };
            move_to(tx, &task, to, &again)?;
            left += 1;
        }
        Ok(left)
    }
}

/// The steps that undo none.
fn forward(tx: &WriteTx<'_>, run: &Run) -> SqlResult<Vec<Step>> {
    let mut steps = Step::all(tx, run)?;
    steps.retain(|step| step.undoes.is_none());
    Ok(steps)
}

/// A task that failed before it ran still has its references.
fn unresolved(task: &TaskRow) -> bool {
    task.standing.state == TaskState::Failed && task.standing.attempt == 0
}
