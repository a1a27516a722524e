//! What the daemon can be asked: one handle for each room behind the HTTP interface.
//!
//! The traits name what this room needs and nothing more, so that its routes are tested without
//! the rooms behind them. Every answer has its deadline on the other side; what cannot be
//! answered comes back as the [`Problem`] that the caller gets.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::Serialize;
use tokio::sync::watch;

use super::agents::view::AgentView;
use super::problem::Problem;
use super::serve::Closing;
use crate::actors::persistence::PersistenceHandle;
use crate::actors::persistence::artifacts::Artifacts;
use crate::domain::agent::AgentTarget;
use crate::domain::event::Event;
use crate::domain::explain::{AgentSettings, Standing, WorkStanding};
use crate::domain::health::{HealthCheck, HealthReport};
use crate::domain::ids::{TaskId, WorkflowId};
use crate::domain::message::{Message, NewMessage};
use crate::domain::name::Name;
use crate::domain::query::{Page, PageRequest, QueueState, Submitted};
use crate::domain::record::RecoveryRun;
use crate::domain::reload::ReloadPlan;
use crate::domain::schedule::{ScheduleRun, ScheduleStatus};
use crate::domain::task::{IdempotencyKey, NewTask, Task};
use crate::domain::timestamp::Timestamp;
use crate::domain::workflow::{NewWorkflow, Workflow};

/// An answer that takes a moment.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, Problem>>;

/// What an operator can do to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentCommand {
    /// Run, and be restarted by policy.
    Start,
    /// Stay down until started.
    Stop,
    /// End the present life and begin the next.
    Restart,
    /// Take no new task, until then if an end is given.
    Pause(Option<Timestamp>),
    /// Take tasks again.
    Resume,
    /// Run so many replicas.
    Scale(u32),
}

/// The supervision tree.
pub trait Agents: Send + Sync {
    /// All agents, in the order of the configuration.
    fn agents(&self) -> Answer<'_, Vec<AgentView>>;
    /// One agent; 404 with the nearest name.
    fn agent<'a>(&'a self, name: &'a Name) -> Answer<'a, AgentView>;
    /// The tree as nested groups.
    fn tree(&self) -> Answer<'_, serde_json::Value>;
    /// Tells an agent, or a replica, what is wanted; answers with the agent as it then is.
    fn command(&self, target: AgentTarget, command: AgentCommand) -> Answer<'_, AgentView>;
    /// How an agent stands and what its work does, for an explanation; 404 with the nearest name.
    fn standing<'a>(&'a self, name: &'a Name) -> Answer<'a, (Standing, WorkStanding)>;
    /// The last log lines of an agent or a replica, oldest first.
    fn logs(&self, target: AgentTarget) -> Answer<'_, Vec<String>>;
}

/// Durable work.
pub trait Work: Send + Sync {
    /// Accepts a task, or answers with the one that was there before.
    fn submit(&self, task: NewTask) -> Answer<'_, Submitted>;
    /// As [`Work::submit`], answered when the task is final, or as it is when the time is over.
    fn run_task(&self, task: NewTask, at_most: Duration) -> Answer<'_, Submitted>;
    /// A task once it is final, or as it is when the time is over.
    fn task_wait(&self, id: TaskId, at_most: Duration) -> Answer<'_, Task>;
    /// Cancels a task.
    fn cancel_task(&self, id: TaskId, reason: String) -> Answer<'_, Task>;
    /// Queues a final task again.
    fn retry_task(&self, id: TaskId) -> Answer<'_, Task>;
    /// Every queue.
    fn queues(&self) -> Answer<'_, Vec<QueueState>>;
    /// One queue; 404 with the nearest name.
    fn queue(&self, name: Name) -> Answer<'_, QueueState>;
    /// Hands out nothing more of a queue, until it is resumed or until then.
    fn pause_queue(
        &self,
        name: Name,
        until: Option<Timestamp>,
        reason: Option<String>,
    ) -> Answer<'_, QueueState>;
    /// Hands out of a queue again.
    fn resume_queue(&self, name: Name) -> Answer<'_, QueueState>;
    /// Accepts a workflow; `true` if its idempotency key had been seen.
    fn run_workflow(&self, workflow: NewWorkflow) -> Answer<'_, (Workflow, bool)>;
    /// A workflow once it is final, or as it is when the time is over.
    fn workflow_wait(&self, id: WorkflowId, at_most: Duration) -> Answer<'_, Workflow>;
    /// Cancels a workflow and its tasks.
    fn cancel_workflow(&self, id: WorkflowId, reason: String) -> Answer<'_, Workflow>;
    /// Tells a workflow what it waits for.
    fn signal_workflow(
        &self,
        id: WorkflowId,
        signal: String,
        payload: serde_json::Value,
    ) -> Answer<'_, Workflow>;
    /// Runs again what failed of a workflow.
    fn retry_workflow(&self, id: WorkflowId) -> Answer<'_, Workflow>;
}

/// What falls due by itself; an unknown name is 404 with the nearest.
pub trait Schedules: Send + Sync {
    /// All of them.
    fn schedules(&self) -> Answer<'_, Vec<ScheduleStatus>>;
    /// One.
    fn schedule<'a>(&'a self, name: &'a str) -> Answer<'a, ScheduleStatus>;
    /// What came of one, the newest first.
    fn schedule_history<'a>(
        &'a self,
        name: &'a str,
        page: PageRequest,
    ) -> Answer<'a, Page<ScheduleRun>>;
    /// Pauses one.
    fn pause_schedule<'a>(
        &'a self,
        name: &'a str,
        until: Option<Timestamp>,
        reason: Option<String>,
    ) -> Answer<'a, ScheduleStatus>;
    /// Resumes one.
    fn resume_schedule<'a>(&'a self, name: &'a str) -> Answer<'a, ScheduleStatus>;
    /// Fires one now.
    fn trigger_schedule<'a>(
        &'a self,
        name: &'a str,
        key: Option<IdempotencyKey>,
    ) -> Answer<'a, ScheduleRun>;
}

/// Messages between agents.
pub trait Messages: Send + Sync {
    /// Accepts a message; `true` if its idempotency key had been seen.
    fn send(&self, message: NewMessage) -> Answer<'_, (Message, bool)>;
}

/// Health checks.
pub trait Health: Send + Sync {
    /// The last round, the worst first; `None` before the first. Never waits.
    fn report(&self) -> Option<Arc<HealthReport>>;
    /// Runs one check now; 404 with the nearest name.
    fn run<'a>(&'a self, check: &'a str) -> Answer<'a, HealthCheck>;
}

/// Recovery actions.
pub trait Recovery: Send + Sync {
    /// All actions, with what they wait for and when they last ran.
    fn actions(&self) -> Answer<'_, Vec<serde_json::Value>>;
    /// Runs one now, for its own check or the one named; 404 with the nearest name.
    fn run<'a>(&'a self, action: &'a str, check: Option<&'a str>) -> Answer<'a, RecoveryRun>;
}

/// The configuration that the daemon runs with, and its change.
pub trait Configuration: Send + Sync {
    /// All of it as a JSON object, secrets redacted. Never waits.
    fn shown(&self) -> Arc<serde_json::Value>;
    /// The settings of an agent, with where they came from, secrets redacted; `None` if it is not
    /// declared. Never waits.
    fn settings_of(&self, agent: &Name) -> Option<AgentSettings>;
    /// What would change if what the daemon was started with were read anew; 422 with every
    /// problem.
    fn plan(&self) -> Answer<'_, ReloadPlan>;
    /// Takes it over, if it is still what was planned; answers with what that changed. 409 if it is
    /// not, 422 with every problem; then nothing has changed.
    fn apply(&self, planned: Option<String>) -> Answer<'_, ReloadPlan>;
}

/// New journal entries.
pub trait Facts: Send + Sync {
    /// Entries from now on; a receiver that lags is told so by its channel.
    fn subscribe(&self) -> tokio::sync::broadcast::Receiver<Arc<Event>>;
}

/// How far the daemon's start and end are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Readiness {
    /// The first round of health checks has ended.
    pub started: bool,
    /// The daemon is about to end.
    pub draining: bool,
    /// A part of the daemon itself that has no life at this moment.
    pub part_down: Option<&'static str>,
}

/// Who answers here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionInfo {
    /// The binary's version.
    pub version: String,
    /// `development`, `testing`, `staging` or `production`.
    pub environment: String,
    /// The daemon's process.
    pub pid: u32,
    /// The node's name.
    pub node: String,
    /// When this life of the daemon began.
    pub started_at: Timestamp,
    /// Where it listens.
    pub ports: Ports,
}

/// The ports a daemon listens on; what was asked for may have been 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ports {
    /// The API and the status page.
    pub http: u16,
    /// `/metrics`.
    pub metrics: u16,
}

/// How much is taken of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long one request may take, beside what it asks to wait.
    pub request_timeout: Duration,
    /// The longest `?wait=`.
    pub wait: Duration,
    /// The longest body that is read as JSON.
    pub body_bytes: usize,
    /// The longest upload.
    pub artifact_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(30),
            wait: Duration::from_secs(60),
            body_bytes: 1 << 20,
            artifact_bytes: 4 << 30,
        }
    }
}

/// Everything that the routes ask.
#[derive(Clone)]
pub struct Handles {
    /// The supervision tree.
    pub agents: Arc<dyn Agents>,
    /// Durable work.
    pub work: Arc<dyn Work>,
    /// What falls due by itself.
    pub schedules: Arc<dyn Schedules>,
    /// Messages between agents.
    pub messages: Arc<dyn Messages>,
    /// Health checks.
    pub health: Arc<dyn Health>,
    /// Recovery actions.
    pub recovery: Arc<dyn Recovery>,
    /// New journal entries.
    pub facts: Arc<dyn Facts>,
    /// What is kept.
    pub records: PersistenceHandle,
    /// Large values.
    pub artifacts: Artifacts,
    /// How much is taken of a caller.
    pub limits: Limits,
    /// How far the start and the end are.
    pub readiness: watch::Receiver<Readiness>,
    /// Closes what streams.
    pub closing: Closing,
    /// Who answers.
    pub about: VersionInfo,
    /// The configuration.
    pub config: Arc<dyn Configuration>,
}

impl Handles {
    /// An answer, unless the daemon drains first: then 503, so that a caller that waits comes
    /// back to the next life of the daemon.
    pub(super) async fn unless_closing<T>(&self, answer: Answer<'_, T>) -> Result<T, Problem> {
        let mut closing = self.closing.clone();
        tokio::select! {
            biased;
            answer = answer => answer,
            () = closing.closed() => Err(Problem::draining()),
        }
    }
}
