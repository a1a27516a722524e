//! `/api/v1/recovery/…`: what is done by itself about what is critical, and what was done.

use serde::Deserialize;
use serde_json::Value;

use super::call::Call;
use super::reply;
use super::router::Outcome;

/// `GET /api/v1/recovery/actions`
pub(super) async fn actions(call: Call) -> Outcome {
    call.query.only(&["limit", "cursor"])?;
    let actions = call.handles.recovery.actions().await?;
    reply::turned(&call, actions, name, |_| true)
}

fn name(action: &Value) -> &str {
    action["name"].as_str().unwrap_or_default()
}

/// `GET /api/v1/recovery/runs`
pub(super) async fn runs(call: Call) -> Outcome {
    let query = &call.query;
    query.only(&["action", "limit", "cursor"])?;
    let action = query.get("action").map(str::to_owned);
    let page = call
        .handles
        .records
        .recovery_runs(action, query.page()?)
        .await?;
    reply::page(&call.path, query, &page)
}

/// `:run`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    /// The check it answers, where it answers several.
    check: Option<String>,
}

/// `POST /api/v1/recovery/actions/{name}:run`
pub(super) async fn run(mut call: Call) -> Outcome {
    let Run { check } = call.json_or_default().await?;
    let name = call.text();
    let run = call.handles.recovery.run(&name, check.as_deref()).await?;
    reply::json(&run)
}
