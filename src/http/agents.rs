//! `/api/v1/agents` and `/api/v1/tree`: what is supervised, and what an operator does to it.
//!
//! Commands answer 200 with the agent as it then is; asking for what is already so is no error.
//! `:start`, `:stop` and `:restart` also take one replica: `echo%231` for `echo#1`.

mod explain;
pub(super) mod view;

use serde::Deserialize;
use serde_json::json;

pub(super) use self::explain::explain;
use super::call::{Call, wrong_parameter};
use super::handles::AgentCommand;
use super::pause;
use super::problem::Problem;
use super::reply;
use super::router::Outcome;
use super::tasks::Nothing;
use crate::domain::agent::{AgentKind, AgentState, AgentTarget};
use crate::domain::health::HealthCheck;
use crate::domain::ids::CrashId;
use crate::domain::timestamp::Timestamp;

/// `GET /api/v1/agents`
pub(super) async fn list(call: Call) -> Outcome {
    const KNOWN: &[&str] = &["state", "kind", "role", "group", "limit", "cursor"];
    call.query.only(KNOWN)?;
    let mut filters = Vec::new();
    for key in ["state", "kind", "role", "group"] {
        let wanted: Vec<&str> = call.query.all(key).collect();
        if let Some(words) = words(key) {
            known_words(key, &wanted, &words)?;
        }
        if !wanted.is_empty() {
            filters.push((key, wanted));
        }
    }
    let agents = call.handles.agents.agents().await?;
    let keep = |agent: &view::AgentView| {
        let passes =
            |(key, wanted): &(&str, Vec<&str>)| wanted.contains(&field(agent, key).as_str());
        filters.iter().all(passes)
    };
    reply::turned(&call, agents, |agent| agent.name.as_str(), keep)
}

/// The words that a filter may ask for, where they are fixed.
fn words(key: &str) -> Option<Vec<String>> {
    let kinds = [AgentKind::Actor, AgentKind::Process, AgentKind::Http];
    match key {
        "state" => Some(AgentState::ALL.map(|it| it.as_str().to_owned()).to_vec()),
        "kind" => Some(kinds.map(kind_word).to_vec()),
        _ => None,
    }
}

/// Refuses a word that no agent could ever have.
fn known_words(key: &str, wanted: &[&str], words: &[String]) -> Result<(), Problem> {
    let is_known = |wanted: &&str| words.iter().any(|word| word == wanted);
    match wanted.iter().find(|wanted| !is_known(wanted)) {
        None => Ok(()),
        Some(wanted) => {
            let allowed = format!("'{wanted}' is none of {}", words.join(", "));
            Err(wrong_parameter(key, &allowed))
        }
    }
}

fn kind_word(kind: AgentKind) -> String {
    json!(kind).as_str().unwrap_or_default().to_owned()
}

/// The text that a filter compares.
fn field(agent: &view::AgentView, key: &str) -> String {
    let name = |name: &Option<crate::domain::name::Name>| {
        name.as_ref().map(ToString::to_string).unwrap_or_default()
    };
    match key {
        "state" => agent.state.as_str().to_owned(),
        "role" => name(&agent.role),
        "group" => name(&agent.group),
        _ => kind_word(agent.kind),
    }
}

/// `GET /api/v1/agents/{name}`
pub(super) async fn get(mut call: Call) -> Outcome {
    call.query.only(&[])?;
    let name = call.name("agent")?;
    reply::json(&call.handles.agents.agent(&name).await?)
}

/// `GET /api/v1/tree`
pub(super) async fn tree(call: Call) -> Outcome {
    call.query.only(&[])?;
    reply::json(&call.handles.agents.tree().await?)
}

/// `GET /api/v1/agents/{name}/logs`
pub(super) async fn logs(mut call: Call) -> Outcome {
    call.query.only(&["limit"])?;
    let limit = call.query.limit_or(200)? as usize;
    let target: AgentTarget = call.id("agent")?;
    let mut lines = call.handles.agents.logs(target).await?;
    let surplus = lines.len().saturating_sub(limit);
    lines.drain(..surplus);
    reply::whole(lines)
}

/// `GET /api/v1/agents/{name}/crashes`
pub(super) async fn crashes(mut call: Call) -> Outcome {
    call.query.only(&["limit", "cursor"])?;
    let wanted = call.query.page()?;
    let name = call.name("agent")?;
    call.handles.agents.agent(&name).await?;
    let page = call.handles.records.crashes(&name, wanted).await?;
    reply::page(&call.path, &call.query, &page)
}

/// `GET /api/v1/agents/{name}/crashes/{id}`
pub(super) async fn crash(mut call: Call) -> Outcome {
    call.query.only(&[])?;
    let name = call.name("agent")?;
    let id: CrashId = call.id("crash")?;
    call.handles.agents.agent(&name).await?;
    reply::json(&call.handles.records.crash(&name, id).await?)
}

/// `GET /api/v1/agents/{name}/health`
pub(super) async fn health(mut call: Call) -> Outcome {
    call.query.only(&[])?;
    let name = call.name("agent")?;
    call.handles.agents.agent(&name).await?;
    match check_of(&call, name.as_str()) {
        Some(check) => reply::json(&check),
        None => Err(Problem::unavailable(format!(
            "agent '{name}' has not been checked yet"
        ))),
    }
}

fn check_of(call: &Call, agent: &str) -> Option<HealthCheck> {
    let wanted = format!("agent.{agent}");
    let report = call.handles.health.report()?;
    report
        .checks
        .iter()
        .find(|check| check.name == wanted)
        .cloned()
}

/// `:scale`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scale {
    replicas: u32,
}

/// The most replicas of one agent.
const MAX_REPLICAS: u32 = 1000;

/// `POST /api/v1/agents/{name}:start`
pub(super) async fn start(call: Call) -> Outcome {
    plain(call, AgentCommand::Start).await
}

/// `POST /api/v1/agents/{name}:stop`
pub(super) async fn stop(call: Call) -> Outcome {
    plain(call, AgentCommand::Stop).await
}

/// `POST /api/v1/agents/{name}:restart`
pub(super) async fn restart(call: Call) -> Outcome {
    plain(call, AgentCommand::Restart).await
}

/// `:pause`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pause {
    until: Option<Timestamp>,
}

/// `POST /api/v1/agents/{name}:pause`
pub(super) async fn pause(mut call: Call) -> Outcome {
    let Pause { until } = call.json_or_default().await?;
    command(call, AgentCommand::Pause(pause::ahead(until)?)).await
}

/// `POST /api/v1/agents/{name}:resume`
pub(super) async fn resume(call: Call) -> Outcome {
    plain(call, AgentCommand::Resume).await
}

/// `POST /api/v1/agents/{name}:scale`
pub(super) async fn scale(mut call: Call) -> Outcome {
    let Scale { replicas } = call.json().await?;
    if replicas > MAX_REPLICAS {
        let detail = format!("{replicas} is more than {MAX_REPLICAS}");
        return Err(Problem::validation(format!("replicas: {detail}")).at("#/replicas", detail));
    }
    command(call, AgentCommand::Scale(replicas)).await
}

/// A command without settings.
async fn plain(mut call: Call, what: AgentCommand) -> Outcome {
    let Nothing {} = call.json_or_default().await?;
    command(call, what).await
}

async fn command(mut call: Call, what: AgentCommand) -> Outcome {
    call.query.only(&[])?;
    let target: AgentTarget = call.id("agent")?;
    if target.index.is_some() && !takes_replica(what) {
        let detail = "only start, stop and restart take one replica; name the agent";
        return Err(Problem::invalid_request(detail));
    }
    reply::json(&call.handles.agents.command(target, what).await?)
}

const fn takes_replica(what: AgentCommand) -> bool {
    matches!(
        what,
        AgentCommand::Start | AgentCommand::Stop | AgentCommand::Restart
    )
}
