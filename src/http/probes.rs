//! Probes and what the daemon says of itself: `/livez`, `/readyz`, `/startupz`, `/version`.
//!
//! `/livez` asks nobody: it answers as long as requests are served at all. `/readyz` asks the
//! database's state, which is kept in memory, and the supervisor with a deadline of its own, so
//! that it answers while either hangs.

use std::time::Duration;

use hyper::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::call::Call;
use super::handles::Handles;
use super::problem::Problem;
use super::reply;
use super::router::Outcome;
use crate::domain::agent::{AgentState, Desired};

/// How long `/readyz` waits for the supervisor.
const READY_DEADLINE: Duration = Duration::from_secs(1);

/// One condition of readiness.
#[derive(Debug, Serialize)]
struct Condition {
    name: &'static str,
    ok: bool,
    message: String,
}

impl Condition {
    fn of(name: &'static str, trouble: Option<String>) -> Self {
        Self {
            name,
            ok: trouble.is_none(),
            message: trouble.unwrap_or_else(|| "ok".to_owned()),
        }
    }
}

/// `GET /livez`
pub(super) async fn livez(_call: Call) -> Outcome {
    reply::json(&json!({"status": "alive"}))
}

/// `GET /startupz`
pub(super) async fn startupz(call: Call) -> Outcome {
    if call.handles.readiness.borrow().started {
        return reply::json(&json!({"status": "started"}));
    }
    let detail = "the first round of health checks has not ended";
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "starting", detail).retry_later())
}

/// `GET /readyz`
pub(super) async fn readyz(call: Call) -> Outcome {
    call.query.only(&["verbose"])?;
    let handles = &call.handles;
    let conditions = [
        Condition::of("daemon", daemon(handles)),
        Condition::of("database", database(handles)),
        Condition::of("schema", schema(handles)),
        Condition::of("agents", agents(handles).await),
    ];
    let missing: Vec<String> = conditions
        .iter()
        .filter(|condition| !condition.ok)
        .map(|condition| format!("{}: {}", condition.name, condition.message))
        .collect();
    if !missing.is_empty() {
        let problem = Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "not_ready",
            missing.join("; "),
        );
        return Err(problem
            .with("missing", json!(missing))
            .with("conditions", json!(conditions))
            .retry_later());
    }
    if call.query.flag("verbose") {
        return reply::json(&json!({"status": "ready", "conditions": conditions}));
    }
    reply::json(&json!({"status": "ready"}))
}

fn daemon(handles: &Handles) -> Option<String> {
    let readiness = *handles.readiness.borrow();
    match (readiness.started, readiness.draining) {
        (_, true) => Some("draining".to_owned()),
        (false, _) => Some("starting".to_owned()),
        (true, false) => readiness
            .part_down
            .map(|part| format!("its {part} is being restarted")),
    }
}

fn database(handles: &Handles) -> Option<String> {
    let status = handles.records.status();
    let trouble = || {
        status
            .last_error
            .unwrap_or_else(|| "takes no writes".to_owned())
    };
    (!status.writable).then(trouble)
}

fn schema(handles: &Handles) -> Option<String> {
    let none = handles.records.status().schema_version == 0;
    none.then(|| "not migrated".to_owned())
}

/// The critical agents that should be ready and are not.
async fn agents(handles: &Handles) -> Option<String> {
    let agents = match tokio::time::timeout(READY_DEADLINE, handles.agents.agents()).await {
        Ok(Ok(agents)) => agents,
        Ok(Err(problem)) => return Some(problem.detail().to_owned()),
        Err(_) => {
            return Some(format!(
                "the supervisor did not answer within {READY_DEADLINE:?}"
            ));
        }
    };
    let missing: Vec<String> = agents
        .iter()
        .filter(|agent| agent.critical && agent.desired == Desired::Running)
        .filter(|agent| agent.state != AgentState::Ready)
        .map(|agent| format!("{} is {}", agent.name, agent.state.as_str()))
        .collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}

/// `GET /version`
pub(super) async fn version(call: Call) -> Outcome {
    reply::json(&call.handles.about)
}
