//! `/health` and `/api/v1/health/…`: how the parts are doing, the worst first.
//!
//! `/health` is 503 when something is critical or when the database could not be asked; else 200.

use hyper::StatusCode;

use super::call::Call;
use super::problem::Problem;
use super::reply;
use super::router::Outcome;
use super::tasks::Nothing;
use crate::domain::health::{HealthCheck, HealthReport, HealthStatus};
use crate::domain::name::nearest;

/// `GET /health`
pub(super) async fn report(call: Call) -> Outcome {
    call.query.only(&[])?;
    match call.handles.health.report() {
        Some(report) => reply::with_status(status_of(&report), &*report),
        None => reply::json(&nothing_yet()),
    }
}

/// Before the first round.
fn nothing_yet() -> HealthReport {
    HealthReport {
        status: HealthStatus::Unknown,
        checked_at: crate::clock::now(),
        checks: Vec::new(),
    }
}

/// 503 for what a load balancer must know.
fn status_of(report: &HealthReport) -> StatusCode {
    let blind =
        |check: &HealthCheck| check.name == "database" && check.status == HealthStatus::Unknown;
    if report.status == HealthStatus::Critical || report.checks.iter().any(blind) {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    }
}

/// `GET /api/v1/health/checks`
pub(super) async fn checks(call: Call) -> Outcome {
    call.query
        .only(&["status", "component", "limit", "cursor"])?;
    let statuses: Vec<&str> = call.query.all("status").collect();
    let components: Vec<&str> = call.query.all("component").collect();
    let named = |wanted: &[&str], it: &str| wanted.is_empty() || wanted.contains(&it);
    let keep = |check: &HealthCheck| {
        named(&statuses, check.status.as_str()) && named(&components, check.component.as_str())
    };
    reply::turned(&call, all(&call), |check| check.name.as_str(), keep)
}

fn all(call: &Call) -> Vec<HealthCheck> {
    let report = call.handles.health.report();
    report
        .map(|report| report.checks.clone())
        .unwrap_or_default()
}

/// The check of that name; 404 with the nearest.
fn find(call: &Call, name: &str) -> Result<HealthCheck, Problem> {
    let checks = all(call);
    let near = nearest(name, checks.iter().map(|check| check.name.as_str())).map(str::to_owned);
    checks
        .into_iter()
        .find(|check| check.name == name)
        .ok_or_else(|| Problem::not_found("check", name, near.as_deref()))
}

/// `GET /api/v1/health/checks/{name}`
pub(super) async fn check(mut call: Call) -> Outcome {
    call.query.only(&[])?;
    let name = call.text();
    reply::json(&find(&call, &name)?)
}

/// `GET /api/v1/health/checks/{name}/history`
pub(super) async fn history(mut call: Call) -> Outcome {
    call.query.only(&["limit", "cursor"])?;
    let name = call.text();
    let page = call
        .handles
        .records
        .health_history(&name, call.query.page()?)
        .await?;
    if page.items.is_empty() {
        find(&call, &name)?;
    }
    reply::page(&call.path, &call.query, &page)
}

/// `POST /api/v1/health/checks/{name}:run`
pub(super) async fn run(mut call: Call) -> Outcome {
    let Nothing {} = call.json_or_default().await?;
    let name = call.text();
    reply::json(&call.handles.health.run(&name).await?)
}
