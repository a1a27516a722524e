//! `GET /api/v1/agents/{name}/explain`: why an agent stands as it stands, and by which settings.

use serde::Serialize;
use serde_json::{Value, json};

use super::check_of;
use crate::domain::explain::{self, FaultSeen, Setting, Standing};
use crate::domain::name::Name;
use crate::domain::query::PageRequest;
use crate::domain::record::Overrides;
use crate::domain::timestamp::Timestamp;
use crate::http::call::Call;
use crate::http::reply;
use crate::http::router::Outcome;

/// The last crash alone.
const LAST: PageRequest = PageRequest {
    limit: 1,
    cursor: None,
};

/// The route.
pub(in crate::http) async fn explain(mut call: Call) -> Outcome {
    call.query.only(&[])?;
    let name = call.name("agent")?;
    let (standing, work) = call.handles.agents.standing(&name).await?;
    // Without a database the rest of the answer is still worth having.
    let crashes = call.handles.records.crashes(&name, LAST).await;
    let fault = crashes.map_or_else(
        |error| {
            tracing::debug!(%error, "explained without the last crash");
            None
        },
        |page| page.items.first().map(FaultSeen::of),
    );
    let told = explain::explain(&standing, &work, fault.as_ref());
    let known = call.handles.config.settings_of(&name);
    let settings = known.map_or_else(Vec::new, |known| in_force(&known.settings, &standing));
    reply::json(&json!({
        "name": standing.name,
        "desired": standing.desired,
        "desired_by": desired_by(&standing, &settings),
        "state": standing.state,
        "code": told.code,
        "answer": told.answer,
        "way_out": told.way_out,
        "overrides": standing.overrides,
        "waits_for": standing.waits_for,
        "budget": standing.budget,
        "group": standing.group,
        "replicas": standing.replicas,
        "work": work,
        "last_crash": fault,
        "check": check_of(&call, name.as_str()),
        "settings": settings,
    }))
}

/// Who asked for what is desired, and when.
fn desired_by(standing: &Standing, settings: &[InForce]) -> Value {
    if standing.overrides.desired.is_some() {
        let Overrides {
            set_at,
            paused_until,
            ..
        } = standing.overrides;
        return json!({"by": "operator", "at": set_at, "until": paused_until});
    }
    let declared = settings.first().map(|setting| setting.source.as_str());
    json!({"by": declared.unwrap_or("configuration"), "at": null, "until": null})
}

/// One setting as it holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct InForce {
    key: String,
    value: Value,
    source: String,
    /// What the configuration says, where an operator said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    declared: Option<Value>,
}

/// The settings as they hold: what an operator set wins, and shows what it hides.
fn in_force(settings: &[Setting], standing: &Standing) -> Vec<InForce> {
    let scaled = standing.overrides.replicas;
    let key = key_of(&standing.name, "replicas");
    let shown = settings.iter().map(|setting| match scaled {
        Some(replicas) if setting.key == key => InForce {
            key: setting.key.clone(),
            value: json!(replicas),
            source: by_operator(standing.overrides.set_at),
            declared: Some(json!({"value": setting.value, "source": setting.source})),
        },
        _ => InForce {
            key: setting.key.clone(),
            value: setting.value.clone(),
            source: setting.source.clone(),
            declared: None,
        },
    });
    shown.collect()
}

fn key_of(agent: &Name, key: &str) -> String {
    format!("agents.{agent}.{key}")
}

fn by_operator(at: Option<Timestamp>) -> String {
    match at {
        Some(at) => format!("operator at {at}"),
        None => "operator".to_owned(),
    }
}
