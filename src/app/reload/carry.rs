//! A change carried out, room by room.
//!
//! Whom work can be addressed to changes before the agents do, so that nobody new is idle and nobody
//! who goes gets more; if the supervisor does not take it, that is taken back.

use super::{ReloadError, Rooms};
use crate::actors::agent::child_factory;
use crate::actors::supervisor::{Declaration, Redeclared, SupervisorError};
use crate::app::boot::record_of;
use crate::app::house::level;
use crate::config::Config;
use crate::domain::agent::AgentSpec;
use crate::domain::record::AgentRecord;
use crate::domain::reload::{Change, Does, ReloadPlan};
use crate::telemetry::logging;

/// Takes over `next` where `before` held. With an error nothing has changed, except perhaps where
/// the supervisor did not answer in time.
pub(super) async fn out(
    rooms: &Rooms,
    before: &Config,
    next: &Config,
    plan: &ReloadPlan,
) -> Result<(), ReloadError> {
    let declared = declaration(rooms, next, plan).await?;
    address(rooms, next);
    if let Err(error) = rooms.agents.redeclare(declared).await {
        if error != SupervisorError::Timeout {
            address(rooms, before);
        }
        return Err(error.into());
    }
    rooms.dispatcher.set_schedules(next.schedules());
    rooms.dispatcher.declared_anew();
    let recovery = next.recovery();
    rooms.health.set_actions(recovery.actions.clone().into());
    rooms.healer.set_spec(recovery.clone().into());
    rooms.health.set_settings(next.monitoring().health);
    if next.logging().level != before.logging().level {
        logging::set_level(level(next.logging().level));
    }
    note_settings(rooms, next, plan).await;
    let declared = next.agents().keys().cloned().collect();
    rooms.records.declared(declared).await;
    Ok(())
}

/// Whom work can be addressed to, and how much of it.
fn address(rooms: &Rooms, config: &Config) {
    let agents = config.agents().values();
    rooms.dispatcher.set_known_agents(agents);
    rooms.dispatcher.set_queues(config.queues());
}

async fn declaration(
    rooms: &Rooms,
    next: &Config,
    plan: &ReloadPlan,
) -> Result<Declaration, ReloadError> {
    let mut agents = Vec::new();
    for spec in next.agents().values() {
        agents.push(redeclared(rooms, spec, plan).await?);
    }
    let supervisor = next.supervisor();
    Ok(Declaration {
        groups: next.groups().values().cloned().collect(),
        agents,
        budgets: rooms.store.restart_budgets().await?,
        deaths: rooms.store.last_deaths().await?,
        alone: Some(supervisor.root.clone()),
        critical_grace: Some(supervisor.critical_grace),
    })
}

/// One agent with what it needs: a row if anything of it changes, and what makes its lives if they
/// begin anew.
async fn redeclared(
    rooms: &Rooms,
    spec: &AgentSpec,
    plan: &ReloadPlan,
) -> Result<Redeclared, ReloadError> {
    let change = plan.agent(spec.name.as_str());
    let mut record: Option<AgentRecord> = None;
    if change.is_some() {
        let known = rooms.store.register_agent(record_of(spec)).await?;
        if change.is_some_and(|change| change.does == Does::Start) {
            rooms.records.reserve_for_new(&known).await?;
        }
        record = Some(known);
    }
    let anew = change.is_some_and(|change| matches!(change.does, Does::Start | Does::Restart));
    let factory = match anew {
        true => Some(child_factory(spec, &rooms.environment).map_err(|unknown| {
            let key = format!("agents.{}.actor", spec.name);
            ReloadError::Invalid(vec![(key, unknown.to_string())])
        })?),
        false => None,
    };
    Ok(Redeclared {
        spec: spec.clone(),
        factory,
        record,
    })
}

/// Deaths from now on are kept with the settings that hold now.
async fn note_settings(rooms: &Rooms, next: &Config, plan: &ReloadPlan) {
    for spec in next.agents().values() {
        let change = plan.agent(spec.name.as_str()).map(|unit| unit.change);
        if !matches!(change, Some(Change::Added | Change::Changed)) {
            continue;
        }
        let hash = next.settings_of(&spec.name).hash;
        match rooms.store.settings_in_force(&spec.name, hash).await {
            Ok(known) => rooms.records.runs_with(spec.name.clone(), known).await,
            Err(error) => {
                tracing::warn!(agent = %spec.name, %error, "deaths are kept with the settings before");
            }
        }
    }
}
