//! `/api/v1/metrics/…`: figures of the past from the database, for charts, newest first.
//!
//! Not here: what Prometheus scrapes, which has a port of its own.

use super::call::Call;
use super::reply;
use super::router::Outcome;
use crate::domain::name::Name;

/// `GET /api/v1/metrics/system`
pub(super) async fn system(call: Call) -> Outcome {
    call.query.only(&["limit"])?;
    let limit = call.query.limit()?;
    reply::whole(call.handles.records.system_metrics(limit).await?)
}

/// `GET /api/v1/metrics/agents`
pub(super) async fn agents(call: Call) -> Outcome {
    call.query.only(&["agent", "limit"])?;
    let limit = call.query.limit()?;
    let names = match call.query.parsed::<Name>("agent")? {
        Some(name) => vec![call.handles.agents.agent(&name).await?.name],
        None => {
            let agents = call.handles.agents.agents().await?;
            agents.into_iter().map(|agent| agent.name).collect()
        }
    };
    let mut figures = Vec::new();
    for name in names {
        figures.extend(call.handles.records.agent_metrics(&name, limit).await?);
    }
    figures.sort_by(|a, b| b.at.cmp(&a.at).then_with(|| a.agent.cmp(&b.agent)));
    figures.truncate(limit as usize);
    reply::whole(figures)
}

/// `GET /api/v1/agents/{name}/metrics`
pub(super) async fn agent(mut call: Call) -> Outcome {
    call.query.only(&["limit"])?;
    let limit = call.query.limit()?;
    let name = call.name("agent")?;
    call.handles.agents.agent(&name).await?;
    reply::whole(call.handles.records.agent_metrics(&name, limit).await?)
}
