//! What a firing starts, what still runs of a schedule, and how that is cancelled.

use std::collections::BTreeMap;

use crate::clock;
use crate::domain::ids::{LeaseId, SessionId, TaskId, WorkflowId};
use crate::domain::name::Name;
use crate::domain::schedule::{ScheduleSpec, ScheduledWork};
use crate::domain::task::{DEFAULT_QUEUE, NewTask, Target};
use crate::domain::timestamp::Timestamp;
use crate::domain::workflow::NewWorkflow;
use crate::persistence::sqlite::tasks::limits::Rules;
use crate::persistence::sqlite::{SqlResult, WriteTx, tasks, workflows};

/// The newest firings among which one that still runs is looked for.
const LOOKED_AT: u32 = 100;

/// What was started.
#[derive(Clone, Copy)]
pub(super) enum Started {
    Task(TaskId),
    Workflow(WorkflowId),
}

impl Started {
    pub(super) fn task(self) -> Option<TaskId> {
        match self {
            Self::Task(id) => Some(id),
            Self::Workflow(_) => None,
        }
    }

    pub(super) fn workflow(self) -> Option<WorkflowId> {
        match self {
            Self::Task(_) => None,
            Self::Workflow(id) => Some(id),
        }
    }

    pub(super) fn bytes(&self) -> &[u8; 16] {
        match self {
            Self::Task(id) => id.as_bytes(),
            Self::Workflow(id) => id.as_bytes(),
        }
    }

    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Task(_) => "task_id",
            Self::Workflow(_) => "workflow_id",
        }
    }

    pub(super) fn text(self) -> String {
        match self {
            Self::Task(id) => id.to_string(),
            Self::Workflow(id) => id.to_string(),
        }
    }
}

/// Makes the task or workflow of a firing; it carries the schedule's name as a label.
pub(super) fn start(
    tx: &mut WriteTx<'_>,
    session: SessionId,
    spec: &ScheduleSpec,
    due: Timestamp,
) -> SqlResult<Started> {
    let labels = BTreeMap::from([
        ("schedule".to_owned(), spec.name.to_string()),
        ("due_at".to_owned(), due.to_string()),
    ]);
    match &spec.work {
        ScheduledWork::Task { target, payload } => {
            let id = TaskId::from_bytes(clock::new_id());
            let (name, target) = (spec.name.to_string(), target.clone());
            let task = NewTask {
                labels,
                ..NewTask::plain(id, name, target, payload.clone())
            };
            tasks::create_in(tx, session, &task)?;
            Ok(Started::Task(id))
        }
        ScheduledWork::Workflow(definition) => {
            let id = WorkflowId::from_bytes(clock::new_id());
            let workflow = NewWorkflow {
                id,
                definition: (**definition).clone(),
                labels,
                idempotency: None,
                traceparent: None,
            };
            workflows::create_in(tx, &workflow)?;
            Ok(Started::Workflow(id))
        }
    }
}

/// Whether as many tasks wait where this one would as may. Workflows are not counted beforehand.
pub(super) fn finds_no_room(
    tx: &WriteTx<'_>,
    spec: &ScheduleSpec,
    rules: &Rules,
) -> SqlResult<bool> {
    let ScheduledWork::Task { target, .. } = &spec.work else {
        return Ok(false);
    };
    let (sql, word, queue) = match target {
        Target::Agent(agent) => (
            "SELECT count(*) FROM (SELECT 1 FROM tasks WHERE state = 'queued' \
             AND agent IS NOT NULL AND agent = ?1 LIMIT ?2)",
            agent,
            DEFAULT_QUEUE,
        ),
        Target::Role(role) => (
            "SELECT count(*) FROM (SELECT 1 FROM tasks WHERE state = 'queued' \
             AND role IS NOT NULL AND role = ?1 LIMIT ?2)",
            role,
            DEFAULT_QUEUE,
        ),
        Target::Queue(queue) => (
            "SELECT count(*) FROM (SELECT 1 FROM tasks WHERE state = 'queued' \
             AND agent IS NULL AND role IS NULL AND queue = ?1 LIMIT ?2)",
            queue,
            queue.as_str(),
        ),
    };
    let most = i64::try_from(rules.capacity(queue)).unwrap_or(i64::MAX);
    let waiting: Option<i64> = tx.first(sql, (word, most), |row| row.get(0))?;
    Ok(waiting.unwrap_or(0) >= most)
}

/// What a schedule started last and has not ended.
pub(super) fn active(tx: &WriteTx<'_>, schedule: &Name) -> SqlResult<Option<Started>> {
    let found: Option<(Option<TaskId>, Option<WorkflowId>)> = tx.first(
        "SELECT r.task_id, r.workflow_id FROM (SELECT * FROM schedule_runs WHERE schedule = ?1 \
         AND outcome = 'fired' ORDER BY key DESC LIMIT ?2) AS r \
         LEFT JOIN tasks AS t ON t.id = r.task_id \
         LEFT JOIN workflows AS w ON w.id = r.workflow_id \
         WHERE (t.key IS NOT NULL AND t.finished_at IS NULL) \
         OR (w.key IS NOT NULL AND w.finished_at IS NULL) LIMIT 1",
        (schedule, LOOKED_AT),
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(found.and_then(|(task, workflow)| {
        let task = task.map(Started::Task);
        task.or(workflow.map(Started::Workflow))
    }))
}

/// Cancels what was started; the running tasks whose agents must be told.
pub(super) fn cancel(tx: &mut WriteTx<'_>, started: Started) -> SqlResult<Vec<(TaskId, LeaseId)>> {
    let reason = "its schedule fired again";
    let done = match started {
        Started::Task(id) => tasks::cancel_in(tx, id, reason)?,
        Started::Workflow(id) => workflows::cancel_in(tx, id, reason)?,
    };
    Ok(done.running)
}
