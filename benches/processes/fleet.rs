//! A supervised fleet of processes, as the daemon runs it: its own runtime, a pool of two arbiters,
//! the launcher's thread.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use actix::System;
use agent_system::actors::agent::{AgentEnvironment, Launcher, Registry, child_factory};
use agent_system::actors::life::ChildFactory;
use agent_system::actors::pool::Pool;
use agent_system::actors::supervisor::{Child, Plan, ShutdownSpans, SupervisorHandle, start};
use agent_system::actors::work::{
    AgentMessage, AgentOutcome, AgentSubmission, ReadyAgent, WorkSink,
};
use agent_system::domain::agent::{
    AgentProgram, AgentSpec, InstanceId, OnStall, ProbePolicy, ProcessProtocol, ProcessSpec,
    StopPolicy,
};
use agent_system::domain::exit::ExitReason;
use agent_system::domain::ids::{LeaseId, TaskId};
use agent_system::domain::restart::{GroupSpec, Intensity, RestartPolicy};
use agent_system::persistence::artifacts::Artifacts;
use tokio::sync::oneshot;

/// The daemon's binary, which becomes the agents.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_agent-system");

/// A fleet on threads of its own. Dropped, it is shut down.
pub(crate) struct Fleet {
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    go: Option<mpsc::Sender<()>>,
}

impl Fleet {
    /// Prepares one agent of so many replicas; nothing runs before [`Fleet::go`].
    pub(crate) fn new(dir: &Path, command: [&Path; 2], replicas: u32, spares: usize) -> Self {
        let dir = dir.to_owned();
        let command = command.map(PathBuf::from);
        let (go, told) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let (ready, prepared) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            let runtime = Arc::new(runtime);
            let shared = runtime.clone();
            System::with_tokio_rt(move || shared).block_on(async {
                let pool = Pool::start(2);
                let plan = plan(&dir, &command, replicas, spares, pool.clone());
                ready.send(()).ok();
                told.recv().ok();
                let handle = start(plan).expect("a supervisor");
                ended.await.ok();
                shut_down(&handle).await;
                pool.stop();
            });
            Arc::into_inner(runtime)
                .expect("the last one")
                .shutdown_timeout(Duration::from_secs(1));
        });
        prepared.recv().ok();
        Self {
            end: Some(end),
            thread: Some(thread),
            go: Some(go),
        }
    }

    /// Starts it.
    pub(crate) fn go(&mut self) {
        self.go.take();
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.go();
        if let Some(end) = self.end.take() {
            end.send(()).ok();
        }
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

async fn shut_down(handle: &SupervisorHandle) {
    let spans = ShutdownSpans {
        drain: Duration::from_millis(100),
        stop: Duration::from_secs(2),
    };
    handle.shutdown(spans).await.expect("it ends");
}

fn plan(dir: &Path, command: &[PathBuf], replicas: u32, spares: usize, pool: Arc<Pool>) -> Plan {
    let spec = spec(command, replicas);
    let runtime = tokio::runtime::Handle::current();
    let launcher = Launcher::start_with(runtime, "bench", Path::new(BINARY), spares);
    let environment = AgentEnvironment {
        work: Arc::new(Nobody),
        launcher: launcher.expect("a launcher"),
        artifacts: Artifacts::open(dir).expect("artifacts"),
        registry: Registry::built_in(),
        log_dir: dir.to_owned(),
    };
    let factory: Arc<dyn ChildFactory> = child_factory(&spec, &environment).expect("a factory");
    let group = GroupSpec {
        intensity: Intensity::Unlimited,
        ..GroupSpec::alone("all".parse().expect("a name"))
    };
    Plan {
        groups: vec![group],
        children: vec![Child {
            spec,
            factory,
            record: None,
        }],
        pool: Some(pool),
        ..Plan::default()
    }
}

fn spec(command: &[PathBuf], replicas: u32) -> AgentSpec {
    let command = command.iter().map(|word| word.display().to_string());
    let process = ProcessSpec {
        command: command.collect(),
        directory: None,
        protocol: ProcessProtocol::None,
        env: Default::default(),
        limits: Default::default(),
        log: None,
        settings: serde_json::Value::Null,
        success_exit_codes: vec![0],
        fatal_exit_codes: Vec::new(),
    };
    AgentSpec {
        name: "first".parse().expect("a name"),
        runs: AgentProgram::Process(process),
        role: None,
        group: Some("all".parse().expect("a name")),
        replicas,
        critical: false,
        restart: RestartPolicy {
            min_backoff: Duration::ZERO,
            ..RestartPolicy::default()
        },
        depends_on: BTreeMap::new(),
        concurrency: 1,
        queue: "default".parse().expect("a name"),
        stall_timeout: Duration::from_secs(120),
        on_stall: OnStall::Report,
        stop: StopPolicy {
            drain_timeout: Duration::from_millis(100),
            signal: 9,
            timeout: Duration::from_secs(1),
        },
        start_timeout: Duration::from_secs(30),
        liveness: ProbePolicy {
            enabled: false,
            period: Duration::from_secs(10),
            timeout: Duration::from_secs(3),
            failure_threshold: 3,
            success_threshold: 1,
        },
        probes: Default::default(),
        labels: BTreeMap::new(),
        spend: None,
    }
}

/// Nobody waits for work.
#[derive(Debug)]
struct Nobody;

impl WorkSink for Nobody {
    fn agent_ready(&self, _: ReadyAgent) {}
    fn agent_draining(&self, _: &InstanceId, _: u64) {}
    fn agent_gone(&self, _: &InstanceId, _: u64, _: &ExitReason) {}
    fn settled(&self, _: &InstanceId, _: TaskId, _: LeaseId, _: AgentOutcome) {}
    fn progress(&self, _: TaskId, _: LeaseId, _: Option<f64>, _: Option<String>) {}
    fn busy(&self, _: TaskId, _: &str, _: Duration) {}
    fn submit(&self, _: AgentSubmission) {}
    fn message(&self, _: AgentMessage) {}
}
