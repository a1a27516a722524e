//! Why a task stands where it stands.

use serde::Serialize;
use serde_json::{Value, json};

use crate::domain::ids::TaskId;
use crate::domain::query::QueueState;
use crate::domain::task::{Task, TaskState};
use crate::http::call::Call;
use crate::http::reply;
use crate::http::router::Outcome;

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Reason {
    code: &'static str,
    message: String,
}

/// `GET /api/v1/tasks/{id}/explain`
pub(in crate::http) async fn explain(mut call: Call) -> Outcome {
    call.query.only(&[])?;
    let id: TaskId = call.id("task")?;
    let handles = &call.handles;
    let task = handles.records.task(id).await?;
    let attempts = handles.records.task_attempts(id).await?;
    let mut reasons = plain(&task);
    if task.state == TaskState::Queued {
        let queue = handles.work.queue(task.queue.clone()).await?;
        reasons.extend(held_by_queue(&task, &queue));
        let agents = serde_json::to_value(handles.agents.agents().await?).unwrap_or_default();
        reasons.extend(takers(&task, agents.as_array().map_or(&[], Vec::as_slice)));
        if reasons.is_empty() {
            let message = "it waits for a free slot; better ranked tasks go first".to_owned();
            reasons.push(Reason {
                code: "no_free_slot",
                message,
            });
        }
    }
    let waits = matches!(task.state, TaskState::Scheduled | TaskState::Retrying);
    reply::json(&json!({
        "id": task.id, "state": task.state, "reasons": reasons, "lease": task.lease,
        "next_attempt_at": waits.then_some(task.run_at), "expires_at": task.expires_at,
        "attempt": task.attempt, "max_attempts": task.max_attempts,
        "crash_attempts": task.crash_attempts, "interruptions": task.interruptions,
        "attempts": attempts,
    }))
}

/// What the task itself says.
fn plain(task: &Task) -> Vec<Reason> {
    let error = task
        .error
        .as_ref()
        .map_or("", |error| error.message.as_str());
    let (code, message) = match task.state {
        TaskState::Queued => return Vec::new(),
        TaskState::Blocked => (
            "dependency",
            format!("it waits for {}", task.depends_on.join(", ")),
        ),
        TaskState::Scheduled => ("run_at", format!("it may run at {}", task.run_at)),
        TaskState::Retrying => (
            "backoff",
            format!(
                "attempt {} failed ({error}); the next is at {}",
                task.attempt, task.run_at
            ),
        ),
        TaskState::Waiting => ("signal", "it waits for a signal".to_owned()),
        TaskState::Running => {
            let holder = task
                .lease
                .as_ref()
                .and_then(|lease| lease.instance.as_deref());
            (
                "running",
                format!("{} holds its lease", holder.unwrap_or("an agent")),
            )
        }
        TaskState::Succeeded => ("succeeded", "it is done".to_owned()),
        TaskState::Failed => ("failed", error.to_owned()),
        TaskState::Cancelled => ("cancelled", error.to_owned()),
        TaskState::TimedOut => ("timed_out", error.to_owned()),
        TaskState::Dead => {
            let reason = task.reason.as_deref().unwrap_or("dead");
            ("dead", format!("{reason}: {error}"))
        }
    };
    vec![Reason { code, message }]
}

/// What its queue does to it.
fn held_by_queue(task: &Task, queue: &QueueState) -> Vec<Reason> {
    let name = &queue.spec.name;
    let mut reasons = Vec::new();
    let mut add = |code, message| reasons.push(Reason { code, message });
    if let Some(pause) = &queue.pause {
        let until = pause
            .until
            .map_or_else(String::new, |until| format!(" until {until}"));
        add("queue_paused", format!("queue '{name}' is paused{until}"));
    }
    let running = queue.stats.tasks.get("running").copied().unwrap_or(0);
    if let Some(most) = queue.spec.limits.concurrency
        && running >= u64::from(most)
    {
        add(
            "queue_concurrency",
            format!("{running} tasks of queue '{name}' run, as many as may"),
        );
    }
    if let Some(rate) = queue.spec.limits.rate {
        let message = format!(
            "queue '{name}' starts {} tasks in {:?} at most",
            rate.max, rate.period
        );
        add("queue_rate_limit", message);
    }
    if let Some(key) = task
        .concurrency_key
        .as_ref()
        .filter(|_| queue.spec.per_key.any())
    {
        add(
            "key_limit",
            format!("tasks with the key '{key}' have limits of their own"),
        );
    }
    reasons
}

/// Whether anybody is there who takes it.
fn takers(task: &Task, agents: &[Value]) -> Option<Reason> {
    let fits = |agent: &&Value| match (&task.agent, &task.role) {
        (Some(name), _) => agent["name"] == name.as_str(),
        (None, Some(role)) => agent["name"] == role.as_str() || agent["role"] == role.as_str(),
        // Agents do not show the queue they take from; any may.
        (None, None) => true,
    };
    let fitting: Vec<_> = agents.iter().filter(fits).collect();
    let ready = |agent: &&Value| {
        agent["replicas"]["ready"].as_u64().unwrap_or(0) > 0 && agent["desired"] == "running"
    };
    if fitting.iter().any(ready) {
        return None;
    }
    let states: Vec<_> = fitting
        .iter()
        .map(|agent| format!("{} is {}", text(&agent["name"]), text(&agent["state"])))
        .collect();
    Some(Reason {
        code: "no_agent_ready",
        message: format!("no agent that takes it is ready: {}", states.join(", ")),
    })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("unknown")
}
