//! Why a task stands where it stands.

use serde::Serialize;
use serde_json::{Value, json};

use crate::domain::ids::TaskId;
use crate::domain::query::{Full, HeldBack, QueueState};
use crate::domain::queue::RateLimit;
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
        let held = handles.records.held_back(&task).await?;
        reasons.extend(held_by_queue(&task, &queue, &held));
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
fn held_by_queue(task: &Task, queue: &QueueState, held: &HeldBack) -> Vec<Reason> {
    let name = &queue.spec.name;
    let mut reasons = Vec::new();
    let mut add = |code, message| reasons.push(Reason { code, message });
    if let Some(pause) = &queue.pause {
        let until = pause
            .until
            .map_or_else(String::new, |until| format!(" until {until}"));
        add("queue_paused", format!("queue '{name}' is paused{until}"));
    }
    if let Some(full) = &held.queue_full {
        let holders = named(full);
        let running = full.running;
        add(
            "queue_concurrency",
            format!("{running} tasks of queue '{name}' run, as many as may: {holders}"),
        );
    }
    if let (Some(opens), Some(rate)) = (held.queue_opens, queue.spec.limits.rate) {
        let RateLimit { max, period } = rate;
        let message = format!(
            "{max} tasks of queue '{name}' have started within {period:?}, as many as may; the next may at {opens}"
        );
        add("queue_rate_limit", message);
    }
    let key = task.concurrency_key.as_deref().unwrap_or_default();
    if let Some(full) = &held.key_full {
        let (running, holders) = (full.running, named(full));
        let message =
            format!("{running} tasks with the key '{key}' run, as many as may: {holders}");
        add("key_concurrency", message);
    }
    if let (Some(opens), Some(rate)) = (held.key_opens, queue.spec.per_key.rate) {
        let RateLimit { max, period } = rate;
        let message = format!(
            "{max} tasks with the key '{key}' have started within {period:?}, as many as may; the next may at {opens}"
        );
        add("key_rate_limit", message);
    }
    reasons
}

/// The holders of a limit that is reached.
fn named(full: &Full) -> String {
    let names: Vec<_> = full.holders.iter().map(ToString::to_string).collect();
    let more = full.running.saturating_sub(names.len() as u64);
    let more = (more > 0).then(|| format!(" and {more} more"));
    names.join(", ") + more.as_deref().unwrap_or_default()
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
    let able: Vec<_> = fitting.iter().copied().filter(ready).collect();
    if able.iter().any(|agent| agent["spend"]["held"] != true) {
        return None;
    }
    if !able.is_empty() {
        return Some(held_by_spend(&able));
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

/// Whoever could take it has spent what he may.
fn held_by_spend(agents: &[&Value]) -> Reason {
    let shown = agents.iter().map(|agent| {
        let (name, spend) = (text(&agent["name"]), &agent["spend"]);
        let (per, renews_at) = (text(&spend["per"]), text(&spend["renews_at"]));
        match spend["state"] == "exhausted" {
            true => format!(
                "{name} is held: spend of the {per} is exhausted, renews at {renews_at}; way out: raise \
                 agents.{name}.spend and reload (agent-system config apply)"
            ),
            false => format!(
                "{name} is held: what is left of its spend of the {per} is reserved by its open tasks"
            ),
        }
    });
    let message = shown.collect::<Vec<_>>().join("; ");
    Reason {
        code: "spend",
        message,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("unknown")
}
