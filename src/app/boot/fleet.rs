//! The agents of the configuration, with what earlier lives of the daemon left of them.

use std::sync::Arc;

use futures_util::future::try_join_all;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use super::ground::Ground;
use crate::actors::agent::{AgentEnvironment, Launcher, Registry, child_factory, children};
use crate::actors::dispatcher::DispatcherHandle;
use crate::actors::pool::Pool;
use crate::actors::probes::OutsideProber;
use crate::actors::supervisor::{self, Child, Outside, Plan, SupervisorHandle};
use crate::app::StartError;
use crate::app::control::Control;
use crate::app::generations::Aside;
use crate::app::news::News;
use crate::app::records::{Records, Settings};
use crate::clock;
use crate::config::Config;
use crate::domain::agent::AgentSpec;
use crate::domain::record::{AgentRecord, Overrides};
use crate::persistence::artifacts::Artifacts;

/// The agents, started.
pub(super) struct Fleet {
    pub(super) tree: SupervisorHandle,
    pub(super) records: Arc<Records>,
    /// What agents need of the daemon.
    pub(super) environment: AgentEnvironment,
    /// Rung when an agent has settled.
    pub(super) settled: Arc<Notify>,
}

/// Starts the tree of agents.
pub(super) async fn start(
    config: &Config,
    ground: &Ground,
    dispatcher: &DispatcherHandle,
    registry: Registry,
    artifacts: Artifacts,
    pool: Arc<Pool>,
) -> Result<Fleet, StartError> {
    let environment = AgentEnvironment {
        work: Arc::new(dispatcher.clone()),
        launcher: launcher(&ground.owner)?,
        artifacts,
        registry,
        log_dir: config.data_dir().join("logs"),
    };
    let mut children = Vec::new();
    let mut settings = Settings::new();
    for spec in config.agents().values() {
        let factory = child_factory(spec, &environment)?;
        let record = ground.store.register_agent(record_of(spec)).await?;
        let hash = config.settings_of(&spec.name).hash.clone();
        let known = ground.store.settings_in_force(&spec.name, hash).await?;
        settings.insert(spec.name.clone(), known);
        children.push(Child {
            spec: spec.clone(),
            factory,
            record: Some(record),
        });
    }
    let aside = Aside::open(config.data_dir());
    raise(&mut children, &aside);
    let records = Records::new(ground.store.clone(), settings, aside);
    let kept = children.iter().filter_map(|child| child.record.as_ref());
    try_join_all(kept.map(|record| records.reserve(record))).await?;
    let settled = Arc::<Notify>::default();
    let tree = supervisor::start(Plan {
        groups: config.groups().values().cloned().collect(),
        children,
        budgets: ground.store.restart_budgets().await?,
        deaths: ground.store.last_deaths().await?,
        outside: Outside {
            facts: Some(Arc::new(News {
                journal: ground.journal.clone(),
                settled: settled.clone(),
            })),
            records: Some(records.clone()),
            work: Some(Arc::new(dispatcher.clone())),
            prober: Some(OutsideProber::new(environment.launcher.clone())),
            exits: None,
        },
        pool: Some(pool),
        seed: None,
        alone: Some(config.supervisor().root.clone()),
        critical_grace: Some(config.supervisor().critical_grace),
        wall: clock::WallClock::default(),
    })?;
    dispatcher.set_control(Arc::new(Control::new(tree.clone())));
    Ok(Fleet {
        tree,
        records,
        environment,
        settled,
    })
}

/// No life has a number that an earlier daemon may have used while the database was lost.
fn raise(children: &mut [Child], aside: &Aside) {
    for record in children
        .iter_mut()
        .filter_map(|child| child.record.as_mut())
    {
        let mark = aside.mark(&record.name).unwrap_or_default();
        record.generation = record.generation.max(mark);
    }
}

fn launcher(owner: &str) -> Result<Launcher, StartError> {
    children::inherit();
    let started = Launcher::start(tokio::runtime::Handle::current(), owner);
    started.map_err(|source| StartError::System {
        what: "start the launcher of processes",
        source,
    })
}

/// An agent's row when nothing is known of it.
pub(in crate::app) fn record_of(spec: &AgentSpec) -> AgentRecord {
    let now = clock::now();
    let kind = serde_json::to_value(spec.runs.kind()).unwrap_or_default();
    AgentRecord {
        name: spec.name.clone(),
        kind: kind.as_str().unwrap_or_default().to_owned(),
        overrides: Overrides::default(),
        config_hash: hash_of(spec),
        generation: 0,
        restarts_total: 0,
        created_at: now,
        updated_at: now,
    }
}

/// What of an operator's overrides depends on the file: the number of replicas. A change there takes
/// effect, everything else leaves the override as it is.
fn hash_of(spec: &AgentSpec) -> String {
    let digest = Sha256::digest(spec.replicas.to_le_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
