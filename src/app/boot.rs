//! Puts the house together, from the ground up. Whatever cannot be had ends the start with an error
//! that names it; nothing is served before everything below it stands.

mod fleet;
mod ground;
mod inner;
mod serving;

pub(super) use fleet::record_of;

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use self::inner::Around;
use super::StartError;
use super::ports::{About, Listeners};
use super::records::Records;
use super::reload::{Reloader, Rooms};
use super::view::View;
use crate::actors::agent::{AgentEnvironment, Registry};
use crate::actors::dispatcher::DispatcherHandle;
use crate::actors::health::HealthHandle;
use crate::actors::journal::JournalHandle;
use crate::actors::pool::Pool;
use crate::actors::supervisor::SupervisorHandle;
use crate::config::{Config, LoadRequest, StopBudget};
use crate::domain::ids::SessionId;
use crate::http::{Close, Readiness, Server};
use crate::persistence::Store;
use crate::persistence::artifacts::Artifacts;
use crate::telemetry::metrics::Metrics;

/// A daemon that stands.
pub(super) struct House {
    pub(super) store: Store,
    pub(super) session: SessionId,
    pub(super) journal: JournalHandle,
    pub(super) dispatcher: DispatcherHandle,
    /// The agents' tree.
    pub(super) agents: SupervisorHandle,
    /// The tree of the daemon's own actors.
    pub(super) inner: SupervisorHandle,
    pub(super) health: HealthHandle,
    pub(super) readiness: watch::Sender<Readiness>,
    pub(super) close: Close,
    pub(super) servers: [Arc<Server>; 2],
    pub(super) pools: [Arc<Pool>; 2],
    pub(super) budget: StopBudget,
    pub(super) about: About,
    pub(super) records: Arc<Records>,
    pub(super) reloader: Arc<Reloader>,
    pub(super) begun: Instant,
}

/// What the house is put on.
pub(super) struct Ground {
    listeners: Listeners,
    artifacts: Artifacts,
    ground: ground::Ground,
}

/// Lays the ground. No agent runs, and nothing is served: it may be given up at any point.
pub(super) async fn lay(config: &Config) -> Result<Ground, StartError> {
    Ok(Ground {
        listeners: Listeners::bind(config).await?,
        artifacts: open_artifacts(config)?,
        ground: ground::lay(config).await?,
    })
}

/// Puts the house together. Runs on the system arbiter.
pub(super) async fn boot(
    config: Config,
    Ground {
        listeners,
        artifacts,
        ground,
    }: Ground,
    request: LoadRequest,
    registry: Registry,
    metrics: Metrics,
    begun: Instant,
) -> Result<House, StartError> {
    let dispatcher = ground.dispatcher(&config);
    let readiness = watch::Sender::new(Readiness::default());
    let pools = [Pool::start(arbiters(&config)), Pool::start(1)];
    let fleet = fleet::start(
        &config,
        &ground,
        &dispatcher.handle,
        registry,
        artifacts.clone(),
        pools[0].clone(),
    )
    .await?;
    let (agents, records) = (fleet.tree.clone(), fleet.records.clone());
    let reloads = (request, fleet.environment.clone(), records.clone());
    let view = View::of(&agents, &dispatcher.handle);
    let around = Around {
        fleet,
        view: view.clone(),
        artifacts: artifacts.clone(),
        metrics: metrics.clone(),
    };
    let inner = inner::make(&config, &ground, dispatcher, around);
    let reloader = reloader(&config, &ground, &inner, agents.clone(), reloads);
    let answering = serving::Answering {
        config: &config,
        reloader: reloader.clone(),
        ground: &ground,
        inner: &inner,
        agents: agents.clone(),
        view,
        artifacts,
        metrics,
        readiness: readiness.clone(),
    };
    let served = answering.open(listeners)?;
    let (dispatcher, health) = (inner.dispatcher.clone(), inner.health.clone());
    let inner = inner.start(&served.servers, pools[1].clone(), readiness.clone())?;
    Ok(House {
        store: ground.store,
        session: ground.session.id,
        journal: ground.journal,
        dispatcher,
        agents,
        inner,
        health,
        readiness,
        close: served.close,
        servers: served.servers,
        pools,
        budget: config.stop_budget(),
        about: served.about,
        records,
        reloader,
        begun,
    })
}

/// Who takes over other settings.
fn reloader(
    config: &Config,
    ground: &ground::Ground,
    inner: &inner::Inner,
    agents: SupervisorHandle,
    (request, environment, records): (LoadRequest, AgentEnvironment, Arc<Records>),
) -> Arc<Reloader> {
    let rooms = Rooms {
        environment,
        store: ground.store.clone(),
        journal: ground.journal.clone(),
        records,
        agents,
        dispatcher: inner.dispatcher.clone(),
        health: inner.health.clone(),
        healer: inner.healer.clone(),
    };
    Reloader::new(request, config.clone(), rooms)
}

fn open_artifacts(config: &Config) -> Result<Artifacts, StartError> {
    Artifacts::open(config.data_dir()).map_err(|source| StartError::System {
        what: "open the artifacts",
        source,
    })
}

/// Threads for agents: what is configured, else one a processor.
fn arbiters(config: &Config) -> usize {
    let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let configured = config.supervisor().arbiters;
    configured.map_or(processors, |arbiters| {
        usize::try_from(arbiters).unwrap_or(processors)
    })
}
