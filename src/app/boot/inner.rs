//! The daemon's own actors: a tree of their own, under the same policies as agents.
//!
//! They are not agents: they take no tasks and show in no list. They die and are restarted like
//! agents, with the same budget; when that is used up the daemon ends with 70, since it would only
//! limp. Meanwhile readiness says what is missing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::fleet::Fleet;
use super::ground::{Ground, Unstarted};
use crate::actors::agent::reaper;
use crate::actors::dispatcher::DispatcherHandle;
use crate::actors::errand;
use crate::actors::healer::{HealerDeps, HealerHandle};
use crate::actors::health::{HealthDeps, HealthHandle};
use crate::actors::life::ChildFactory;
use crate::actors::persistence;
use crate::actors::pool::Pool;
use crate::actors::supervisor::{self, Child, Outside, Plan, SupervisorHandle};
use crate::app::StartError;
use crate::app::effects::Effects;
use crate::app::parts::Parts;
use crate::app::threads;
use crate::app::upkeep;
use crate::app::view::View;
use crate::config::Config;
use crate::domain::agent::{AgentProgram, AgentSpec, OnStall, ProbePolicy, StopPolicy};
use crate::domain::restart::{GroupSpec, OnExhausted, RestartPolicy};
use crate::http::{Readiness, Server};
use crate::persistence::artifacts::Artifacts;
use crate::telemetry::metrics::Metrics;

/// How often each of them is asked for a sign, and how long it may take.
const SIGN: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3));
/// The rest before the second restart in a row, and the longest: callers wait meanwhile.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// SIGTERM; actors have no use for it.
const NO_SIGNAL: i32 = 15;

/// Their names.
const NAMES: &[&str] = &[
    "persistence",
    "journal",
    "records",
    "dispatcher",
    "health",
    "healer",
    "upkeep",
    "metrics",
    "api-port",
    "metrics-port",
    "launcher",
    "reaper",
];

/// What stands already when they start.
pub(super) struct Around {
    pub(super) fleet: Fleet,
    pub(super) view: Arc<View>,
    pub(super) artifacts: Artifacts,
    pub(super) metrics: Metrics,
}

/// The daemon's own actors, not yet started.
pub(super) struct Inner {
    children: Vec<Child>,
    pub(super) dispatcher: DispatcherHandle,
    pub(super) health: HealthHandle,
    pub(super) healer: HealerHandle,
}

/// Makes them all, but those who take connections.
pub(super) fn make(
    config: &Config,
    ground: &Ground,
    dispatcher: Unstarted,
    around: Around,
) -> Inner {
    let Around {
        fleet,
        view,
        metrics,
        ..
    } = around;
    let runtime = Handle::current();
    let facts = ground.journal.fact_sink();
    let store = Arc::new(ground.store.clone());
    let (monitor, health) = HealthHandle::child(HealthDeps {
        settings: config.monitoring().health,
        actions: config.recovery().actions.clone().into(),
        store: store.clone(),
        agents: view,
        facts: facts.clone(),
        settled: fleet.settled.clone(),
        probe: HealthDeps::host(config.data_dir()),
    });
    let (surgeon, healer) = HealerHandle::child(HealerDeps {
        spec: Arc::new(config.recovery().clone()),
        health: health.clone(),
        effects: Arc::new(Effects {
            supervisor: fleet.tree.clone(),
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
    let launcher = fleet.environment.launcher;
    children.extend([
        child("journal", ground.journal.child(ground.store.clone())),
        child("dispatcher", dispatcher.child),
        child("health", monitor),
        child("healer", surgeon),
        child("records", fleet.records.child()),
        child("upkeep", upkeep::child(&ground.store, &around.artifacts)),
        child(
            "metrics",
            errand::child_on(runtime.clone(), move || metrics.clone().upkeep()),
        ),
        child("reaper", errand::child_on(runtime, reaper::bury_orphans)),
        child("launcher", threads::child(launcher.panics())),
    ]);
    Inner {
        children,
        dispatcher: dispatcher.handle,
        health,
        healer,
    }
}

impl Inner {
    /// Starts them all, the ports last: the tree that they stand in.
    pub(super) fn start(
        mut self,
        [api, metrics]: &[Arc<Server>; 2],
        pool: Arc<Pool>,
        readiness: watch::Sender<Readiness>,
    ) -> Result<SupervisorHandle, StartError> {
        let (asked, scraped) = (api.address(), metrics.address());
        tracing::info!(
            "API and status page on http://{asked}/, metrics on http://{scraped}/metrics"
        );
        let ports = [("api-port", api), ("metrics-port", metrics)];
        self.children.extend(ports.map(|(name, server)| {
            let server = server.clone();
            let serve = move || server.clone().serve();
            child(name, errand::child_on(Handle::current(), serve))
        }));
        let tree = supervisor::start(Plan {
            children: self.children,
            outside: Outside {
                facts: Some(Arc::new(Parts::new(NAMES, readiness))),
                ..Outside::default()
            },
            pool: Some(pool),
            alone: Some(rules()),
            ..Plan::default()
        })?;
        Ok(tree)
    }
}

/// An agent's rules, but that the daemon does not go on without one of them.
#[expect(clippy::expect_used, reason = "a literal that is a name")]
fn rules() -> GroupSpec {
    GroupSpec {
        on_exhausted: OnExhausted::Exit,
        ..GroupSpec::alone("daemon".parse().expect("a name"))
    }
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
        restart: RestartPolicy {
            min_backoff: BACKOFF.0,
            max_backoff: BACKOFF.1,
            ..RestartPolicy::default()
        },
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
        spend: None,
    };
    Child {
        spec,
        factory,
        record: None,
    }
}
