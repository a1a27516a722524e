//! The daemon's own actors: a tree of their own, under the same policies as agents.
//!
//! They are not agents: they take no tasks, show in no list, and their end is the daemon's when it
//! cannot be helped.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::ground::{Ground, Unstarted};
use crate::actors::dispatcher::DispatcherHandle;
use crate::actors::healer::{HealerDeps, HealerHandle};
use crate::actors::health::{HealthDeps, HealthHandle};
use crate::actors::life::ChildFactory;
use crate::actors::persistence;
use crate::actors::pool::Pool;
use crate::actors::supervisor::{self, Child, Outside, Plan, SupervisorHandle};
use crate::app::StartError;
use crate::app::effects::Effects;
use crate::app::view::View;
use crate::config::Config;
use crate::domain::agent::{AgentProgram, AgentSpec, OnStall, ProbePolicy, StopPolicy};
use crate::domain::restart::RestartPolicy;

/// How often each of them is asked for a sign, and how long it may take.
const SIGN: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3));
/// SIGTERM; actors have no use for it.
const NO_SIGNAL: i32 = 15;

/// The daemon's own actors, started.
pub(super) struct Inner {
    pub(super) tree: SupervisorHandle,
    pub(super) dispatcher: DispatcherHandle,
    pub(super) health: HealthHandle,
    pub(super) healer: HealerHandle,
}

/// Starts them all.
pub(super) fn start(
    config: &Config,
    ground: &Ground,
    dispatcher: Unstarted,
    (agents, settled): (SupervisorHandle, Arc<Notify>),
    view: Arc<View>,
    pool: Arc<Pool>,
) -> Result<Inner, StartError> {
    let facts = ground.journal.fact_sink();
    let store = Arc::new(ground.store.clone());
    let (monitor, health) = HealthHandle::child(HealthDeps {
        settings: config.monitoring().health,
        actions: config.recovery().actions.clone().into(),
        store: store.clone(),
        agents: view,
        facts: facts.clone(),
        settled,
        probe: HealthDeps::host(config.data_dir()),
    });
    let (surgeon, healer) = HealerHandle::child(HealerDeps {
        spec: Arc::new(config.recovery().clone()),
        health: health.clone(),
        effects: Arc::new(Effects {
            supervisor: agents,
            store: ground.store.clone(),
            dispatcher: dispatcher.handle.clone(),
        }),
        store,
        facts: facts.clone(),
    });
    let mut children = Vec::new();
    if let Some(keeper) = persistence::child(&ground.store, facts) {
        children.push(child("persistence", keeper));
    }
    children.extend([
        child("journal", ground.journal.child(ground.store.clone())),
        child("dispatcher", dispatcher.child),
        child("health", monitor),
        child("healer", surgeon),
    ]);
    let tree = supervisor::start(Plan {
        children,
        outside: Outside::default(),
        pool: Some(pool),
        ..Plan::default()
    })?;
    Ok(Inner {
        tree,
        dispatcher: dispatcher.handle,
        health,
        healer,
    })
}

#[expect(clippy::expect_used, reason = "literals that are names")]
fn child(name: &str, factory: Arc<dyn ChildFactory>) -> Child {
    let spec = AgentSpec {
        name: name.parse().expect("a name"),
        runs: AgentProgram::Actor {
            actor: name.to_owned(),
            settings: serde_json::Value::Null,
        },
        role: None,
        group: None,
        replicas: 1,
        critical: true,
        restart: RestartPolicy::default(),
        depends_on: BTreeMap::new(),
        concurrency: 1,
        queue: "inner".parse().expect("a name"),
        stall_timeout: Duration::from_secs(120),
        on_stall: OnStall::Report,
        stop: StopPolicy {
            drain_timeout: Duration::from_millis(500),
            signal: NO_SIGNAL,
            timeout: Duration::from_millis(500),
        },
        start_timeout: Duration::from_secs(10),
        liveness: ProbePolicy {
            enabled: true,
            period: SIGN.0,
            timeout: SIGN.1,
            failure_threshold: 3,
            success_threshold: 1,
        },
        probes: Default::default(),
        labels: BTreeMap::new(),
    };
    Child {
        spec,
        factory,
        record: None,
    }
}
