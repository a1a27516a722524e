//! `/api/v1/config`: what the daemon runs with, and what a change of its files would do, or does.
//!
//! Nothing but what the daemon was started with is ever read: no request brings settings along.

use serde::Deserialize;

use super::call::Call;
use super::problem::Problem;
use super::reply;
use super::router::Outcome;
use super::tasks::Nothing;

/// Hex digits of a plan's digest.
const DIGEST_CHARS: usize = 64;

/// `:apply`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Apply {
    /// The digest of the plan that was looked at; whatever there is, without it.
    plan: Option<String>,
}

/// `GET /api/v1/config`
pub(super) async fn get(call: Call) -> Outcome {
    call.query.only(&[])?;
    reply::json(&*call.handles.config.shown())
}

/// `POST /api/v1/config:plan`
pub(super) async fn plan(mut call: Call) -> Outcome {
    call.query.only(&[])?;
    let Nothing {} = call.json_or_default().await?;
    reply::json(&call.handles.config.plan().await?)
}

/// `POST /api/v1/config:apply`
pub(super) async fn apply(mut call: Call) -> Outcome {
    call.query.only(&[])?;
    let Apply { plan } = call.json_or_default().await?;
    let is_digest = |text: &String| {
        text.len() == DIGEST_CHARS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    if plan.as_ref().is_some_and(|text| !is_digest(text)) {
        let detail = format!("expected the 'plan' of a plan: {DIGEST_CHARS} hex digits");
        return Err(Problem::validation(&detail).at("#/plan", detail));
    }
    reply::json(&call.handles.config.apply(plan).await?)
}
