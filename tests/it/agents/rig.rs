//! Starts one agent and remembers what it reports.

mod specs;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use agent_system::actors::agent::{AgentEnvironment, Launcher, Registry, child_factory, owner_of};
use agent_system::actors::life::{Evidence, Life, LifeControl, LifeNote, LifeSink, Ready, Start};
use agent_system::actors::pool::Place;
use agent_system::actors::runner::Grant;
use agent_system::actors::work::{
    AgentMessage, AgentOutcome, AgentSpent, AgentSubmission, ReadyAgent, TaskFrame, TaskPort,
    WorkSink,
};
use agent_system::domain::agent::{AgentProgram, InstanceId, ProcessSpec};
use agent_system::domain::exit::ExitReason;
use agent_system::domain::ids::{LeaseId, TaskId};
use agent_system::domain::restart::{RestartRule, RestartType};
use agent_system::persistence::artifacts::Artifacts;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;

pub(super) use specs::{process, sample, script, speaking, spec};

/// Longer than anything here takes on a busy machine.
pub(super) const LONG: Duration = Duration::from_secs(90);

/// All that was reported.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) ready: Mutex<Vec<(u64, Ready)>>,
    pub(super) notes: Mutex<Vec<LifeNote>>,
    pub(super) exits: Mutex<Vec<ExitReason>>,
    pub(super) draining: Mutex<Vec<u64>>,
    pub(super) settled: Mutex<Vec<(TaskId, LeaseId, AgentOutcome)>>,
    pub(super) progress: Mutex<Vec<(TaskId, Option<f64>)>>,
    pub(super) busy: Mutex<Vec<Duration>>,
    pub(super) submitted: Mutex<Vec<AgentSubmission>>,
    pub(super) messages: Mutex<Vec<AgentMessage>>,
    pub(super) spent: Mutex<Vec<AgentSpent>>,
    /// Who settles a task panics.
    pub(super) explodes: AtomicBool,
    changed: Notify,
}

impl Memory {
    /// Waits until `look` finds something.
    pub(super) async fn until<T>(&self, what: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        let seen = async {
            loop {
                let changed = self.changed.notified();
                let mut changed = std::pin::pin!(changed);
                changed.as_mut().enable();
                if let Some(found) = look(self) {
                    return found;
                }
                changed.await;
            }
        };
        match tokio::time::timeout(LONG, seen).await {
            Ok(found) => found,
            Err(_) => panic!("not seen: {what}; {self:#?}"),
        }
    }

    fn tell(&self) {
        self.changed.notify_waiters();
    }
}

impl LifeSink for Memory {
    fn ready(&self, _: &InstanceId, generation: u64, ready: Ready) {
        self.ready.lock().push((generation, ready));
        self.tell();
    }

    fn noted(&self, _: &InstanceId, _: u64, note: LifeNote) {
        self.notes.lock().push(note);
        self.tell();
    }

    fn exited(&self, _: &InstanceId, _: u64, reason: ExitReason) {
        self.exits.lock().push(reason);
        self.tell();
    }
}

impl WorkSink for Memory {
    fn agent_ready(&self, _: ReadyAgent) {}
    fn agent_draining(&self, _: &InstanceId, generation: u64) {
        self.draining.lock().push(generation);
    }
    fn agent_gone(&self, _: &InstanceId, _: u64, _: &ExitReason) {}

    fn settled(&self, _: &InstanceId, task: TaskId, lease: LeaseId, outcome: AgentOutcome) {
        assert!(!self.explodes.load(Ordering::Relaxed), "settling fails");
        self.settled.lock().push((task, lease, outcome));
        self.tell();
    }

    fn progress(&self, task: TaskId, _: LeaseId, percent: Option<f64>, _: Option<String>) {
        self.progress.lock().push((task, percent));
        self.tell();
    }

    fn busy(&self, _: TaskId, _: &str, at_most: Duration) {
        self.busy.lock().push(at_most);
        self.tell();
    }

    fn spent(&self, spent: AgentSpent) {
        self.spent.lock().push(spent);
        self.tell();
    }

    fn submit(&self, submission: AgentSubmission) {
        self.submitted.lock().push(submission);
        self.tell();
    }

    fn message(&self, message: AgentMessage) {
        self.messages.lock().push(message);
        self.tell();
    }
}

/// One agent that runs.
pub(super) struct Rig {
    pub(super) control: Arc<dyn LifeControl>,
    pub(super) memory: Arc<Memory>,
    pub(super) environment: AgentEnvironment,
    pub(super) owner: String,
    _dir: tempfile::TempDir,
}

impl Rig {
    /// Starts a process that is not restarted.
    pub(super) fn start(process: ProcessSpec) -> Self {
        Self::start_with(AgentProgram::Process(process), Registry::built_in(), 0)
    }

    /// Starts an agent that may be restarted in place `restarts` times.
    pub(super) fn start_with(runs: AgentProgram, registry: Registry, restarts: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let memory = Arc::new(Memory::default());
        let owner = owner_of(dir.path());
        let program = Path::new(env!("CARGO_BIN_EXE_agent-system"));
        let handle = tokio::runtime::Handle::current();
        let environment = AgentEnvironment {
            work: memory.clone(),
            launcher: Launcher::start_through(handle, &owner, program).unwrap(),
            artifacts: Artifacts::open(dir.path()).unwrap(),
            registry,
            log_dir: dir.path().join("logs"),
        };
        let spec = spec(runs);
        let life = Life {
            instance: InstanceId {
                agent: spec.name.clone(),
                index: 0,
            },
            generation: 1,
            sink: memory.clone(),
        };
        let rule = RestartRule {
            kind: RestartType::Permanent,
            fatal_exit_codes: Vec::new(),
        };
        let control = child_factory(&spec, &environment).unwrap().start(Start {
            life,
            grant: Grant::new(Arc::new(rule), 1, restarts),
            place: Place::Here,
            keep_mail: true,
        });
        Self {
            control,
            memory,
            environment,
            owner,
            _dir: dir,
        }
    }

    /// Waits until life `generation` is ready.
    pub(super) async fn ready_of(&self, generation: u64) -> Ready {
        let found = |memory: &Memory| {
            let ready = memory.ready.lock();
            let of = ready.iter().find(|(of, _)| *of == generation)?;
            Some(of.1.clone())
        };
        self.memory.until("ready", found).await
    }

    pub(super) async fn ready(&self) -> Ready {
        self.ready_of(1).await
    }

    /// Waits for the way in.
    pub(super) async fn port(&self) -> Arc<dyn TaskPort> {
        self.ready().await.port.expect("it takes tasks")
    }

    /// Waits for the number of the process that was spawned as the `nth`.
    pub(super) async fn pid(&self, nth: usize) -> u32 {
        let found = |memory: &Memory| {
            let notes = memory.notes.lock();
            let mut pids = notes.iter().filter_map(|note| match note {
                LifeNote::Spawned { pid, .. } => Some(*pid),
                _ => None,
            });
            pids.nth(nth)
        };
        self.memory.until("spawned", found).await
    }

    /// Waits for the end.
    pub(super) async fn exit(&self) -> ExitReason {
        let found = |memory: &Memory| memory.exits.lock().first().cloned();
        self.memory.until("exit", found).await
    }

    /// Hands a task over and waits for its end.
    pub(super) async fn run(&self, payload: Value) -> AgentOutcome {
        let task = task(payload);
        let id = task.id;
        self.port().await.assign(task).unwrap();
        self.settled(id).await
    }

    /// Waits for the end of a task.
    pub(super) async fn settled(&self, id: TaskId) -> AgentOutcome {
        let found = |memory: &Memory| {
            let settled = memory.settled.lock();
            let of = settled.iter().find(|(task, ..)| *task == id)?;
            Some(of.2.clone())
        };
        self.memory.until("settled", found).await
    }

    pub(super) async fn probe(&self) -> Option<Evidence> {
        let asked = tokio::time::timeout(LONG, self.control.probe());
        asked.await.unwrap().ok()
    }

    /// The living processes that this agent started.
    pub(super) fn processes(&self) -> Vec<u32> {
        marked(&self.owner)
    }

    /// Waits until none is left.
    pub(super) async fn no_process_left(&self) {
        eventually("no process left", async || {
            self.processes().is_empty().then_some(())
        })
        .await;
    }
}

/// The living processes that carry an owner's mark.
pub(super) fn marked(owner: &str) -> Vec<u32> {
    let mark = format!("AGENT_SYSTEM_LIFE={owner}:");
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let carries = |pid: &u32| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ
            .split(|byte| *byte == 0)
            .any(|line| line.starts_with(mark.as_bytes()))
    };
    pids.filter(carries).collect()
}

/// Asks again until the answer is there, for a bounded time.
pub(super) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let begin = std::time::Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begin.elapsed() < LONG, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A task of its own.
pub(super) fn task(payload: Value) -> TaskFrame {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    TaskFrame {
        id: TaskId::from_bytes([number; 16]),
        workflow_id: None,
        name: "try".into(),
        payload,
        attempt: 1,
        lease_id: LeaseId::from_bytes([number; 16]),
        timeout: Duration::from_secs(60),
        traceparent: None,
    }
}

pub(super) fn failed_with(outcome: &AgentOutcome) -> (String, bool) {
    match outcome {
        AgentOutcome::Failed(error) => (error.code.clone(), error.retryable),
        other => panic!("did not fail: {other:?}"),
    }
}

pub(super) fn output(outcome: AgentOutcome) -> Value {
    match outcome {
        AgentOutcome::Output(output) => output,
        other => panic!("no output: {other:?}"),
    }
}

/// A small payload.
pub(super) fn hello() -> Value {
    json!({"text": "hello"})
}
