//! A world to check: agents, a database and a host that are as the test says.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::actors::health::host::{HostProbe, HostSample};
use crate::actors::health::seams::{AgentsView, HealthStore, ViewUnavailable};
use crate::actors::health::{HealthDeps, HealthHandle};
use crate::actors::life::LifeControl;
use crate::actors::testing::start;
use crate::domain::agent::{AgentKind, AgentState, Desired, Verdict};
use crate::domain::event::NewEvent;
use crate::domain::health::agent::{AgentHealthInput, InstanceHealth};
use crate::domain::health::{HealthReport, HealthSettings};
use crate::domain::query::{DatabaseStatus, Page, PageRequest, QueueStats};
use crate::domain::record::{AgentMetrics, HealthRecord, RecoveryRun, SystemMetrics};
use crate::domain::recovery::RecoverySpec;
use crate::domain::workflow::WorkflowState;
use crate::persistence::{Result, StoreError};

/// How something answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    Well,
    WithAnError,
    Never,
    WithAPanic,
}

/// What the world is like, and what was told to it.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) agents: Vec<AgentHealthInput>,
    pub(crate) view: Answers,
    pub(crate) ping: Answers,
    pub(crate) writes: Answers,
    pub(crate) database: DatabaseStatus,
    pub(crate) cpu: f64,
    pub(crate) samples: u32,
    pub(crate) looks: u32,
    pub(crate) records: Vec<HealthRecord>,
    pub(crate) agent_rows: Vec<AgentMetrics>,
    pub(crate) system_rows: Vec<SystemMetrics>,
    pub(crate) runs: Vec<RecoveryRun>,
    pub(crate) events: Vec<NewEvent>,
}

/// Cheap to clone; all clones are one world.
#[derive(Debug, Clone)]
pub(crate) struct World(pub(crate) Arc<Mutex<State>>);

impl World {
    /// All is well; these agents are ready.
    pub(crate) fn of(agents: &[&str]) -> Self {
        Self(Arc::new(Mutex::new(State {
            agents: agents.iter().map(|name| ready(name)).collect(),
            view: Answers::Well,
            ping: Answers::Well,
            writes: Answers::Well,
            database: database(),
            cpu: 0.1,
            samples: 0,
            looks: 0,
            records: Vec::new(),
            agent_rows: Vec::new(),
            system_rows: Vec::new(),
            runs: Vec::new(),
            events: Vec::new(),
        })))
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock());
    }

    pub(crate) fn get<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.0.lock())
    }

    /// Puts an agent's only replica into a state.
    pub(crate) fn put(&self, agent: &str, state: AgentState) {
        self.set(|world| {
            let found = world.agents.iter_mut().find(|a| a.name.as_ref() == agent);
            found.expect("an agent").instances[0].state = state;
        });
    }

    pub(crate) fn facts(&self) -> Arc<dyn Fn(NewEvent) + Send + Sync> {
        let world = self.clone();
        Arc::new(move |event| world.set(|state| state.events.push(event)))
    }

    pub(crate) fn deps(&self) -> HealthDeps {
        HealthDeps {
            settings: HealthSettings::default(),
            actions: RecoverySpec::default().actions.into(),
            store: Arc::new(self.clone()),
            agents: Arc::new(self.clone()),
            facts: self.facts(),
            settled: Arc::default(),
            probe: Arc::new(Mutex::new(self.clone())),
        }
    }

    /// A monitor of this world, and the hold on it.
    pub(crate) fn monitor(&self) -> (HealthHandle, Arc<dyn LifeControl>) {
        self.monitor_that_hears(Arc::default())
    }

    /// The same, told by `settled` when an agent has settled.
    pub(crate) fn monitor_that_hears(
        &self,
        settled: Arc<tokio::sync::Notify>,
    ) -> (HealthHandle, Arc<dyn LifeControl>) {
        let deps = HealthDeps {
            settled,
            ..self.deps()
        };
        let (child, handle) = HealthHandle::child(deps);
        (handle, start(child.as_ref()))
    }
}

/// Waits for the next report that `is` so.
pub(crate) async fn report_that(
    handle: &HealthHandle,
    is: impl Fn(&HealthReport) -> bool,
) -> Arc<HealthReport> {
    let mut reports = handle.subscribe();
    let seen = reports.wait_for(|report| report.as_ref().is_some_and(|report| is(report)));
    tokio::time::timeout(Duration::from_secs(600), seen)
        .await
        .expect("the report comes")
        .expect("the monitor lives")
        .clone()
        .expect("a report")
}

/// Runs a claim on one thread under paused time.
pub(crate) fn paused(claim: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, claim);
}

fn ready(name: &str) -> AgentHealthInput {
    AgentHealthInput {
        name: name.parse().expect("a name"),
        kind: AgentKind::Actor,
        desired: Desired::Running,
        critical: false,
        instances: vec![InstanceHealth {
            index: 0,
            state: AgentState::Ready,
            verdict: Verdict::Idle,
            pid: None,
            uptime: Some(Duration::from_secs(1)),
            response: None,
            missed_probes: 0,
            unreachable: None,
            failure_threshold: 3,
            restarts_in_window: 0,
            last_reason: None,
            ended_normally: false,
        }],
        queue_depth: 0,
        queue_capacity: 100,
        held_back: false,
        spend: None,
        running: 0,
        errors_total: 0,
        restarts_total: 0,
        cpu_seconds: None,
        memory_bytes: None,
    }
}

fn database() -> DatabaseStatus {
    DatabaseStatus {
        backend: "sqlite".to_owned(),
        location: "test".to_owned(),
        schema_version: 1,
        size_bytes: 1,
        wal_bytes: 1,
        free_bytes: 0,
        disk_free_bytes: None,
        longest_prune_ms: 0.0,
        readers: 4,
        readers_busy: 0,
        writes_queued: 0,
        writes_capacity: 100,
        writable: true,
        last_error: None,
    }
}

async fn answer<T>(answers: Answers, value: T) -> Result<T> {
    match answers {
        Answers::Well => Ok(value),
        Answers::WithAnError => Err(StoreError::Unavailable {
            operation: "test",
            message: "gone".to_owned(),
        }),
        Answers::Never => std::future::pending().await,
        Answers::WithAPanic => panic!("as told"),
    }
}

impl AgentsView for World {
    fn snapshot(
        &self,
    ) -> BoxFuture<'static, std::result::Result<Vec<AgentHealthInput>, ViewUnavailable>> {
        self.set(|state| state.looks += 1);
        let (view, agents) = self.get(|state| (state.view, state.agents.clone()));
        async move {
            answer(view, agents)
                .await
                .map_err(|error| ViewUnavailable(error.to_string()))
        }
        .boxed()
    }
}

impl HostProbe for World {
    fn sample(&mut self) -> HostSample {
        self.set(|state| state.samples += 1);
        HostSample {
            at: Instant::now(),
            cpu: Some(self.get(|state| state.cpu)),
            memory: Some((10, 100)),
            disk: Some(0.2),
        }
    }
    fn memory_source(&self) -> &'static str {
        "host"
    }
    fn cpu_source(&self) -> &'static str {
        "host"
    }
}

impl HealthStore for World {
    fn status(&self) -> DatabaseStatus {
        self.get(|state| state.database.clone())
    }
    fn ping(&self) -> BoxFuture<'static, Result<Duration>> {
        answer(self.get(|state| state.ping), Duration::from_millis(1)).boxed()
    }
    fn log_health_check(&self, records: Vec<HealthRecord>) -> BoxFuture<'static, Result<()>> {
        self.set(|state| state.records.extend(records));
        answer(self.get(|state| state.writes), ()).boxed()
    }
    fn update_agent_metrics(&self, rows: Vec<AgentMetrics>) -> BoxFuture<'static, Result<()>> {
        self.set(|state| state.agent_rows.extend(rows));
        answer(self.get(|state| state.writes), ()).boxed()
    }
    fn log_system_metrics(&self, row: SystemMetrics) -> BoxFuture<'static, Result<()>> {
        self.set(|state| state.system_rows.push(row));
        answer(self.get(|state| state.writes), ()).boxed()
    }
    fn queues(&self) -> BoxFuture<'static, Result<Vec<QueueStats>>> {
        answer(Answers::Well, Vec::new()).boxed()
    }
    fn workflow_counts(&self) -> BoxFuture<'static, Result<Vec<(WorkflowState, u64)>>> {
        answer(Answers::Well, Vec::new()).boxed()
    }
    fn log_recovery_run(&self, run: RecoveryRun) -> BoxFuture<'static, Result<()>> {
        self.set(|state| {
            state.runs.retain(|kept| kept.id != run.id);
            state.runs.push(run);
        });
        answer(self.get(|state| state.writes), ()).boxed()
    }
    fn recovery_runs(&self, _: PageRequest) -> BoxFuture<'static, Result<Page<RecoveryRun>>> {
        let items: Vec<_> = self.get(|state| state.runs.iter().rev().cloned().collect());
        let page = Page {
            items,
            next_cursor: None,
            has_more: false,
        };
        answer(self.get(|state| state.writes), page).boxed()
    }
}
