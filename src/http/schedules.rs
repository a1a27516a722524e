//! `/api/v1/schedules`: what falls due by itself.

use serde_json::json;

use super::call::Call;
use super::queues::Pause;
use super::reply;
use super::router::Outcome;
use super::tasks::{Nothing, idempotency};

/// `GET /api/v1/schedules`
pub(super) async fn list(call: Call) -> Outcome {
    call.query.only(&["limit", "cursor"])?;
    let schedules = call.handles.schedules.schedules().await?;
    reply::turned(
        &call,
        schedules,
        |schedule| schedule.name.as_str(),
        |_| true,
    )
}

/// `GET /api/v1/schedules/{name}`
pub(super) async fn get(mut call: Call) -> Outcome {
    call.query.only(&[])?;
    let name = call.text();
    reply::json(&call.handles.schedules.schedule(&name).await?)
}

/// `GET /api/v1/schedules/{name}/history`
pub(super) async fn history(mut call: Call) -> Outcome {
    call.query.only(&["limit", "cursor"])?;
    let (name, page) = (call.text(), call.query.page()?);
    let found = call.handles.schedules.schedule_history(&name, page).await?;
    reply::page(&call.path, &call.query, &found)
}

/// `POST /api/v1/schedules/{name}:pause`
pub(super) async fn pause(mut call: Call) -> Outcome {
    let wanted: Pause = call.json_or_default().await?;
    let Pause { until, reason } = wanted.checked()?;
    let name = call.text();
    let paused = call.handles.schedules.pause_schedule(&name, until, reason);
    reply::json(&paused.await?)
}

/// `POST /api/v1/schedules/{name}:resume`
pub(super) async fn resume(mut call: Call) -> Outcome {
    let Nothing {} = call.json_or_default().await?;
    let name = call.text();
    reply::json(&call.handles.schedules.resume_schedule(&name).await?)
}

/// `POST /api/v1/schedules/{name}:trigger`
pub(super) async fn trigger(mut call: Call) -> Outcome {
    let Nothing {} = call.json_or_default().await?;
    let name = call.text();
    // The key belongs to this schedule: for another one it is another request.
    let key = idempotency(&call, &json!({"trigger": name}))?;
    let triggered = call.handles.schedules.trigger_schedule(&name, key);
    reply::json(&triggered.await?)
}
