//! What a task of a Rust agent sees of its surroundings: one execution, under one lease.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::Instant;

use super::open_tasks::OpenTasks;
use crate::actors::life::Life;
use crate::actors::work::{AgentMessage, AgentSpent, AgentSubmission, TaskFrame, WorkSink};
use crate::domain::agent::InstanceId;
use crate::domain::ids::{LeaseId, TaskId, WorkflowId};
use crate::domain::name::Name;
use crate::domain::spend::Usage;
use crate::domain::trace::TraceParent;

/// One execution of a task. Cheap to clone; may outlive it, then what it reports goes nowhere.
#[derive(Debug, Clone)]
pub struct Scope {
    inner: Arc<Inner>,
    cancelled: watch::Receiver<bool>,
}

#[derive(Debug)]
struct Inner {
    instance: InstanceId,
    id: TaskId,
    workflow_id: Option<WorkflowId>,
    name: String,
    attempt: u32,
    lease: LeaseId,
    traceparent: Option<TraceParent>,
    deadline: Instant,
    tasks: Arc<OpenTasks>,
    work: Arc<dyn WorkSink>,
    runtime: Handle,
}

/// What a scope is made from, beside the task.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) life: Life,
    pub(crate) tasks: Arc<OpenTasks>,
    pub(crate) work: Arc<dyn WorkSink>,
    pub(crate) runtime: Handle,
}

impl Scope {
    pub(crate) fn new(
        surroundings: Surroundings,
        task: &TaskFrame,
        cancelled: watch::Receiver<bool>,
    ) -> Self {
        let inner = Inner {
            instance: surroundings.life.instance,
            id: task.id,
            workflow_id: task.workflow_id,
            name: task.name.clone(),
            attempt: task.attempt,
            lease: task.lease_id,
            traceparent: task.traceparent,
            deadline: Instant::now() + task.timeout,
            tasks: surroundings.tasks,
            work: surroundings.work,
            runtime: surroundings.runtime,
        };
        Self {
            inner: Arc::new(inner),
            cancelled,
        }
    }

    /// The task.
    #[must_use]
    pub fn task_id(&self) -> TaskId {
        self.inner.id
    }

    /// The workflow it belongs to.
    #[must_use]
    pub fn workflow_id(&self) -> Option<WorkflowId> {
        self.inner.workflow_id
    }

    /// The task's word for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Which execution of the task this is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.inner.attempt
    }

    /// Under what it runs: good for fencing one's own writes elsewhere.
    #[must_use]
    pub fn lease(&self) -> LeaseId {
        self.inner.lease
    }

    /// The trace that asked for the task, for calls to others on its behalf.
    #[must_use]
    pub fn traceparent(&self) -> Option<TraceParent> {
        self.inner.traceparent
    }

    /// When the attempt is over, whether it is done or not.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.inner.deadline
    }

    /// Under which owner the task's artifacts belong: its workflow, else the task itself.
    #[must_use]
    pub fn artifact_owner(&self) -> String {
        match self.inner.workflow_id {
            Some(workflow) => workflow.to_string(),
            None => self.inner.id.to_string(),
        }
    }

    /// Says how far the task is, from 0 to 100.
    pub fn progress(&self, percent: f64, message: impl Into<String>) {
        let inner = &self.inner;
        if inner.tasks.progress(inner.id) == Some(inner.lease) {
            let message = Some(message.into());
            let percent = Some(percent.clamp(0.0, 100.0));
            inner.work.progress(inner.id, inner.lease, percent, message);
        }
    }

    /// Says that the task will be silent for at most this long: it is not stalled till then.
    pub fn busy(&self, reason: &str, at_most: Duration) {
        let inner = &self.inner;
        if let Some(at_most) = inner.tasks.busy(inner.id, at_most) {
            inner.work.busy(inner.id, reason, at_most);
        }
    }

    /// Says what was spent since it was last said; counts at once, for the task while it is open and
    /// for the agent in any case.
    pub fn spent(&self, usage: Usage) {
        let inner = &self.inner;
        let open = inner.tasks.lease(inner.id) == Some(inner.lease);
        let of = open.then_some((inner.id, inner.lease));
        inner.work.spent(AgentSpent {
            from: inner.instance.clone(),
            of,
            usage,
            with_answer: false,
        });
    }

    /// Whether the task should give up: it was cancelled, or its agent's life is over.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow() || self.cancelled.has_changed().is_err()
    }

    /// Waits until the task should give up.
    pub async fn cancelled(&self) {
        let mut signal = self.cancelled.clone();
        // An error means that nobody is left to cancel it: the life is over.
        signal.wait_for(|cancelled| *cancelled).await.ok();
    }

    /// Asks for another task, for an agent.
    pub fn submit_to_agent(&self, agent: Name, payload: serde_json::Value) {
        self.submit(Some(agent), None, payload);
    }

    /// Asks for another task, for whoever has the role.
    pub fn submit_to_role(&self, role: Name, payload: serde_json::Value) {
        self.submit(None, Some(role), payload);
    }

    fn submit(&self, agent: Option<Name>, role: Option<Name>, payload: serde_json::Value) {
        self.inner.work.submit(AgentSubmission {
            from: self.inner.instance.clone(),
            name: None,
            agent,
            role,
            payload,
            traceparent: self.inner.traceparent,
        });
    }

    /// Sends a message to another agent.
    pub fn message(&self, to: Name, kind: impl Into<String>, content: serde_json::Value) {
        self.inner.work.message(AgentMessage {
            from: self.inner.instance.clone(),
            to,
            kind: kind.into(),
            content,
        });
    }

    /// Runs work that computes or blocks on the blocking pool, so that it does not hold the thread
    /// of other agents. Such work cannot be ended from outside: it asks
    /// [`Scope::is_cancelled`] from time to time. A panic in it is one of the task.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> T {
        let scope = self.clone();
        let running = self.inner.runtime.spawn_blocking(move || work(&scope));
        match running.await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => again(&*panic),
                // The runtime goes down, and this task with it.
                Err(_cancelled) => std::future::pending().await,
            },
        }
    }
}

/// Panics with the text of a panic that was caught on another thread.
#[expect(clippy::panic, reason = "passes on a panic that user code raised")]
fn again(panic: &(dyn std::any::Any + Send)) -> ! {
    let literal = panic.downcast_ref::<&str>().copied();
    let text = literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    panic!("in blocking work: {}", text.unwrap_or("no text"))
}
