//! `/api/v1/tasks`: durable work.
//!
//! A submission is answered after its commit; with `?wait=`, when the task has ended or the time is
//! over. With `Idempotency-Key`, the same request again
//! answers 200 with the first task; another request with the same key is 422. With `unique`, an
//! earlier task that holds the key is the answer: 200, with `"unique_conflict": true`.

mod bulk;
mod explain;
mod filter;
mod request;
mod unique;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::body;
use super::call::Call;
use super::handles::Handles;
use super::problem::Problem;
use super::reply;
use super::router::Outcome;
use crate::domain::ids::TaskId;
use crate::domain::query::{Submitted, TaskFilter};
use crate::domain::task::{NewTask, Task, TaskState};

pub(super) use bulk::{bulk, dead, purge_dead, retry_dead};
pub(super) use explain::explain;
pub(super) use request::{idempotency, idempotency_key};

/// The longest reason of a cancellation.
const MAX_REASON_BYTES: usize = 1024;

/// `POST /api/v1/tasks`
pub(super) async fn submit(mut call: Call) -> Outcome {
    call.query.only(&["wait"])?;
    let wait = call.wait()?;
    let value: serde_json::Value = call.json().await?;
    let key = idempotency(&call, &value)?;
    let mut task = body::shape::<request::TaskRequest>(&value)?.checked(key)?;
    task.traceparent = call.traceparent();
    let Submitted {
        task,
        existing,
        unique_conflict,
        ..
    } = match wait {
        None => call.handles.work.submit(task).await?,
        Some(span) => run(&call.handles, task, span).await?,
    };
    let location = format!("/api/v1/tasks/{}", task.id);
    let view = TaskView {
        task: &task,
        unique_conflict: unique_conflict.then_some(true),
    };
    reply::accepted(&view, existing, &location)
}

/// Waits for the end too. One that is stored is told even if that fails (the daemon stops): nobody
/// shall hand it in twice.
async fn run(handles: &Handles, task: NewTask, at_most: Duration) -> Result<Submitted, Problem> {
    let id = task.id;
    let ran = handles.unless_closing(handles.work.run_task(task, at_most));
    match ran.await {
        Ok(submitted) => Ok(submitted),
        Err(problem) => {
            let stored = handles.records.task(id).await;
            stored.map(Submitted::anew).map_err(|_| problem)
        }
    }
}

/// A task as a submission is answered with it.
#[derive(Serialize)]
struct TaskView<'a> {
    #[serde(flatten)]
    task: &'a Task,
    /// An earlier task holds the key of uniqueness: this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    unique_conflict: Option<bool>,
}

/// `GET /api/v1/tasks`
pub(super) async fn list(call: Call) -> Outcome {
    const KNOWN: &[&str] = &[
        "state",
        "agent",
        "role",
        "queue",
        "workflow_id",
        "name",
        "label",
        "limit",
        "cursor",
    ];
    let query = &call.query;
    query.only(KNOWN)?;
    let filter = TaskFilter {
        states: states(query.all("state"))?,
        agent: query.parsed("agent")?,
        role: query.parsed("role")?,
        queue: query.parsed("queue")?,
        workflow: query.parsed("workflow_id")?,
        name: query.get("name").map(str::to_owned),
        labels: query.all("label").map(label).collect::<Result<_, _>>()?,
    };
    let page = call.handles.records.tasks(filter, query.page()?).await?;
    reply::page(&call.path, query, &page)
}

fn states<'a>(words: impl Iterator<Item = &'a str>) -> Result<Vec<TaskState>, Problem> {
    words
        .map(|word| {
            TaskState::from_word(word).ok_or_else(|| {
                let known = TaskState::ALL.map(TaskState::as_str).join(", ");
                Problem::invalid_request(format!(
                    "query parameter 'state': '{word}' is none of {known}"
                ))
            })
        })
        .collect()
}

fn label(text: &str) -> Result<(String, String), Problem> {
    let (key, value) = text.split_once('=').ok_or_else(|| {
        Problem::invalid_request(format!(
            "query parameter 'label': '{text}' is not KEY=VALUE"
        ))
    })?;
    Ok((key.to_owned(), value.to_owned()))
}

/// `GET /api/v1/tasks/{id}`
pub(super) async fn get(mut call: Call) -> Outcome {
    call.query.only(&["wait"])?;
    let id: TaskId = call.id("task")?;
    let handles = &call.handles;
    let task = match call.wait()? {
        None => handles.records.task(id).await?,
        Some(span) => {
            handles
                .unless_closing(handles.work.task_wait(id, span))
                .await?
        }
    };
    reply::json(&task)
}

/// `GET /api/v1/tasks/{id}/attempts`
pub(super) async fn attempts(mut call: Call) -> Outcome {
    call.query.only(&[])?;
    let id: TaskId = call.id("task")?;
    let records = &call.handles.records;
    records.task(id).await?;
    reply::whole(records.task_attempts(id).await?)
}

/// `:cancel`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cancel {
    reason: Option<String>,
}

impl Cancel {
    /// The reason given, or the usual one.
    pub(super) fn reason(self) -> Result<String, Problem> {
        let reason = self
            .reason
            .unwrap_or_else(|| "cancelled by an operator".to_owned());
        if reason.len() <= MAX_REASON_BYTES {
            return Ok(reason);
        }
        let detail = format!("longer than {MAX_REASON_BYTES} bytes");
        Err(Problem::validation(format!("reason: {detail}")).at("#/reason", detail))
    }
}

/// A body that must be empty or `{}`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// `POST /api/v1/tasks/{id}:cancel`
pub(super) async fn cancel(mut call: Call) -> Outcome {
    let wanted: Cancel = call.json_or_default().await?;
    let id: TaskId = call.id("task")?;
    reply::json(&call.handles.work.cancel_task(id, wanted.reason()?).await?)
}

/// `POST /api/v1/tasks/{id}:retry`
pub(super) async fn retry(mut call: Call) -> Outcome {
    let Nothing {} = call.json_or_default().await?;
    let id: TaskId = call.id("task")?;
    reply::json(&call.handles.work.retry_task(id).await?)
}
