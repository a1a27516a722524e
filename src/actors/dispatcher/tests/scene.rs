//! A dispatcher on a real store in a temporary directory, with agents that do as they are told.
//!
//! Time is paused and moves only by `advance`: a task parked on the blocking pool keeps tokio from
//! running the clock ahead while the store's threads work.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::mpsc;

use crate::actors::dispatcher::{CommitFeed, Dispatcher, DispatcherHandle, DispatcherParts};
use crate::actors::life::{ChildFactory, Life, LifeNote, LifeSink, Ready, Start};
use crate::actors::pool::Place;
use crate::actors::runner::{Address, Grant};
use crate::actors::work::{
    AgentControl, AgentOutcome, PortClosed, ReadyAgent, Receipt, TaskFrame, TaskPort, WorkSink,
};
use crate::clock;
use crate::domain::agent::{AgentProgram, AgentSpec, InstanceId, OnStall, ProbePolicy, StopPolicy};
use crate::domain::exit::ExitReason;
use crate::domain::ids::TaskId;
use crate::domain::message::Message;
use crate::domain::query::Submitted;
use crate::domain::restart::{RestartPolicy, RestartRule, RestartType};
use crate::domain::task::{NewTask, Target, Task, TaskError};
use crate::persistence::{SqliteOptions, Store, Synchronous, WriterKeeper};

/// A deadline of the real clock that is never reached unless something is broken.
pub(super) const LONG: Duration = Duration::from_secs(90);

/// Runs a claim.
pub(super) fn scene(claim: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let (_hold, release) = std::sync::mpsc::channel::<()>();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        // Ends when `_hold` is dropped.
        drop(tokio::task::spawn_blocking(move || release.recv()));
        claim.await;
        drop(_hold);
    });
}

/// Waits for what another thread brings, by the real clock.
pub(super) async fn soon<T>(what: &str, wanted: impl Future<Output = T>) -> T {
    let begun = std::time::Instant::now();
    let mut wanted = std::pin::pin!(wanted);
    loop {
        tokio::select! {
            biased;
            got = &mut wanted => return got,
            () = tokio::task::yield_now() => {
                assert!(begun.elapsed() < LONG, "waited in vain for {what}");
                std::thread::yield_now();
            }
        }
    }
}

/// The dispatcher and what surrounds it.
pub(super) struct World {
    pub(super) handle: DispatcherHandle,
    pub(super) store: Store,
    pub(super) keeper: WriterKeeper,
    pub(super) dir: tempfile::TempDir,
    pub(super) restarts: Arc<Restarts>,
    pub(super) dispatcher: Address<Dispatcher>,
}

/// What the supervisor was asked for.
#[derive(Debug, Default)]
pub(super) struct Restarts(pub(super) Mutex<Vec<(String, u64)>>);

impl AgentControl for Restarts {
    fn restart_instance(&self, instance: &InstanceId, generation: u64, _reason: &str) {
        self.0.lock().push((instance.to_string(), generation));
    }
}

#[derive(Debug)]
struct Silent;

impl LifeSink for Silent {
    fn ready(&self, _: &InstanceId, _: u64, _: Ready) {}
    fn noted(&self, _: &InstanceId, _: u64, _: LifeNote) {}
    fn exited(&self, _: &InstanceId, _: u64, _: ExitReason) {}
}

impl World {
    pub(super) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let feed = Arc::new(CommitFeed::default());
        let mut options = SqliteOptions::new(dir.path().join("test.db"));
        options.synchronous = Synchronous::Normal;
        let sink = feed.clone();
        options.listener.events = Arc::new(move |events| sink.committed(&events));
        let store = Store::open(options).await.unwrap();
        let keeper = store.keeper().unwrap();
        let begun = store.begin_session("node", 1, LONG).await.unwrap();
        let (handle, child) = Dispatcher::new(DispatcherParts {
            store: store.clone(),
            session: begun.session.id,
            feed,
            queue_capacity: 4,
            chance: || 0.0,
        });
        handle.set_known_agents(&[spec("echo", Some("worker")), spec("sum", None)]);
        let restarts = Arc::new(Restarts::default());
        handle.set_control(restarts.clone());
        let rule = RestartRule {
            kind: RestartType::Permanent,
            fatal_exit_codes: Vec::new(),
        };
        let instance = instance("dispatcher", 0);
        drop(child.start(Start {
            life: Life {
                instance,
                generation: 1,
                sink: Arc::new(Silent),
            },
            grant: Grant::unlimited(Arc::new(rule), 1),
            place: Place::Here,
            keep_mail: true,
        }));
        let dispatcher = child.address(0);
        Self {
            handle,
            store,
            keeper,
            dir,
            restarts,
            dispatcher,
        }
    }

    /// Waits until the dispatcher asks the store for nothing more.
    pub(super) async fn at_rest(&self) {
        let resting = async {
            while !self.handle.is_at_rest() {
                tokio::task::yield_now().await;
            }
        };
        soon("a dispatcher at rest", resting).await;
    }

    pub(super) async fn submit(&self, agent: &str) -> Submitted {
        self.handle.submit(for_agent(agent)).await.unwrap()
    }

    pub(super) async fn task(&self, id: TaskId) -> Task {
        self.store.task(id).await.unwrap()
    }

    /// The task when `wanted` holds.
    pub(super) async fn when(&self, id: TaskId, wanted: impl Fn(&Task) -> bool) -> Task {
        soon("a task's state", async {
            loop {
                let task = self.task(id).await;
                if wanted(&task) {
                    return task;
                }
            }
        })
        .await
    }

    pub(super) async fn end_of(&self, id: TaskId) -> Task {
        soon("a task's end", self.handle.task_wait(id, LONG))
            .await
            .unwrap()
    }

    /// A new life of `echo#index` takes work.
    pub(super) fn ready(&self, index: u32, generation: u64, concurrency: u32) -> Scripted {
        self.ready_as(instance("echo", index), generation, concurrency)
    }

    /// A new life of a worker takes work.
    pub(super) fn ready_as(
        &self,
        instance: InstanceId,
        generation: u64,
        concurrency: u32,
    ) -> Scripted {
        let (assigned, frames) = mpsc::unbounded_channel();
        let (cancelled, cancels) = mpsc::unbounded_channel();
        let (delivered, messages) = mpsc::unbounded_channel();
        let port = Arc::new(Port {
            assigned,
            cancelled,
            delivered,
            closed: AtomicBool::new(false),
        });
        self.handle.agent_ready(ReadyAgent {
            instance: instance.clone(),
            generation,
            role: Some("worker".parse().unwrap()),
            queue: "default".parse().unwrap(),
            concurrency,
            port: port.clone(),
        });
        let handle = self.handle.clone();
        Scripted {
            handle,
            instance,
            generation,
            port,
            frames,
            cancels,
            messages,
        }
    }
}

pub(super) fn instance(agent: &str, index: u32) -> InstanceId {
    InstanceId {
        agent: agent.parse().unwrap(),
        index,
    }
}

pub(super) fn for_agent(agent: &str) -> NewTask {
    let id = TaskId::from_bytes(clock::new_id());
    let target = Target::Agent(agent.parse().unwrap());
    NewTask::plain(id, "t".into(), target, json!({"n": 1}))
}

pub(super) fn spec(name: &str, role: Option<&str>) -> AgentSpec {
    let second = Duration::from_secs(1);
    AgentSpec {
        name: name.parse().unwrap(),
        runs: AgentProgram::Actor {
            actor: name.into(),
            settings: json!({}),
        },
        role: role.map(|role| role.parse().unwrap()),
        group: None,
        replicas: 1,
        critical: false,
        restart: RestartPolicy {
            kind: RestartType::Permanent,
            min_backoff: second,
            max_backoff: second,
            factor: 2.0,
            full_jitter: true,
            stable_after: second,
        },
        depends_on: BTreeMap::new(),
        concurrency: 1,
        queue: "default".parse().unwrap(),
        stall_timeout: second,
        on_stall: OnStall::Report,
        stop: StopPolicy {
            drain_timeout: second,
            signal: 15,
            timeout: second,
        },
        start_timeout: second,
        liveness: ProbePolicy {
            enabled: false,
            period: second,
            timeout: second,
            failure_threshold: 1,
            success_threshold: 1,
        },
        probes: Default::default(),
        labels: BTreeMap::new(),
        spend: None,
    }
}

#[derive(Debug)]
struct Port {
    assigned: mpsc::UnboundedSender<TaskFrame>,
    cancelled: mpsc::UnboundedSender<TaskId>,
    delivered: mpsc::UnboundedSender<(Message, Receipt)>,
    closed: AtomicBool,
}

impl TaskPort for Port {
    fn assign(&self, task: TaskFrame) -> Result<(), PortClosed> {
        if self.closed.load(Ordering::Acquire) {
            return Err(PortClosed);
        }
        self.assigned.send(task).map_err(|_| PortClosed)
    }

    fn cancel(&self, task: TaskId, _reason: &str) {
        self.cancelled.send(task).ok();
    }

    fn deliver(&self, message: Message, receipt: Receipt) -> Result<(), PortClosed> {
        self.delivered
            .send((message, receipt))
            .map_err(|_| PortClosed)
    }
}

/// One life of an agent, in the test's hands.
pub(super) struct Scripted {
    handle: DispatcherHandle,
    pub(super) instance: InstanceId,
    generation: u64,
    port: Arc<Port>,
    frames: mpsc::UnboundedReceiver<TaskFrame>,
    cancels: mpsc::UnboundedReceiver<TaskId>,
    messages: mpsc::UnboundedReceiver<(Message, Receipt)>,
}

impl Scripted {
    /// The next task it is given.
    pub(super) async fn task(&mut self) -> TaskFrame {
        soon("a hand-over", self.frames.recv()).await.unwrap()
    }

    /// The next task it is asked to give up.
    pub(super) async fn cancel(&mut self) -> TaskId {
        soon("a cancel", self.cancels.recv()).await.unwrap()
    }

    /// The next message it gets, taken.
    pub(super) async fn message(&mut self) -> Message {
        let (message, receipt) = soon("a message", self.messages.recv()).await.unwrap();
        receipt.taken();
        message
    }

    /// A task that it has been given already.
    pub(super) fn given(&mut self) -> Option<TaskFrame> {
        self.frames.try_recv().ok()
    }

    /// Whether it was given nothing more.
    pub(super) fn is_idle(&mut self) -> bool {
        self.frames.try_recv().is_err()
    }

    pub(super) fn close(&self) {
        self.port.closed.store(true, Ordering::Release);
    }

    pub(super) fn succeed(&self, task: &TaskFrame) {
        self.settle(task, AgentOutcome::Output(json!({"done": task.attempt})));
    }

    pub(super) fn fail(&self, task: &TaskFrame, retryable: bool) {
        let (code, message) = ("broken".into(), "broke".into());
        self.settle(
            task,
            AgentOutcome::Failed(TaskError {
                code,
                message,
                retryable,
            }),
        );
    }

    pub(super) fn give_up(&self, task: &TaskFrame) {
        self.settle(task, AgentOutcome::Cancelled);
    }

    fn settle(&self, task: &TaskFrame, outcome: AgentOutcome) {
        self.handle
            .settled(&self.instance, task.id, task.lease_id, outcome);
    }

    pub(super) fn drain(&self) {
        self.handle.agent_draining(&self.instance, self.generation);
    }

    pub(super) fn die(&self, reason: &ExitReason) {
        self.handle
            .agent_gone(&self.instance, self.generation, reason);
    }
}

/// A crash.
pub(super) fn crash() -> ExitReason {
    ExitReason::Signal {
        signal: 9,
        oom: false,
    }
}
