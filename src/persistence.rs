//! The store seam: everything that is kept, in domain words.
//!
//! A [`Store`] is a cheap handle. Writes go onto the bounded queue of one writer; what is queued
//! is committed together and each write is acknowledged after its own commit. A write that the
//! database refuses fails alone. Reads run beside the writer.
//!
//! Journal rows are inserted in the transaction of the change they report and handed to the event
//! sink after the commit.
//!
//! Invariants: an acknowledged write survives `kill -9`; nothing here knows actix.

use std::time::Duration;

use crate::domain::agent::{Desired, InstanceId};
use crate::domain::event::{Event, NewEvent};
use crate::domain::ids::{LeaseId, MessageId, SessionId, TaskId, WorkflowId};
use crate::domain::name::Name;
use crate::domain::query::{
    Cancelled, ClaimedTask, DatabaseStatus, EventFilter, Page, PageRequest, Pruned, QueueStats,
    Settled, Settlement, SlotOffer, Submitted, TaskFilter, WorkflowFilter,
};
use crate::domain::record::{
    AgentMetrics, AgentRecord, Crash, HealthRecord, Message, RecoveryRun, RestartBudget, Session,
    SpawnedProcess, SystemMetrics,
};
use crate::domain::task::{NewTask, Progress, Task, TaskAttempt, TaskState};
use crate::domain::workflow::{NewWorkflow, Workflow, WorkflowState};

/// Why the store did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached now; trying again later may help.
    #[error("{operation}: database unavailable: {message}")]
    Unavailable {
        /// What was asked.
        operation: &'static str,
        /// The database's words.
        message: String,
    },
    /// No room on the disk.
    #[error("{operation}: no room left for the database: {message}")]
    StorageFull {
        /// What was asked.
        operation: &'static str,
        /// The database's words.
        message: String,
    },
    /// The writer's queue is full.
    #[error("{operation}: too many writes are waiting")]
    Overloaded {
        /// What was asked.
        operation: &'static str,
    },
    /// What was named does not exist.
    #[error("{what} '{name}' does not exist")]
    NotFound {
        /// `task`, `workflow`, …
        what: &'static str,
        /// Its name or id.
        name: String,
    },
    /// What was asked is impossible in the present state.
    #[error("{0}")]
    Conflict(String),
    /// The same idempotency key came with another request.
    #[error("idempotency key '{0}' was used for another request")]
    IdempotencyMismatch(String),
    /// The request can never be stored (too large, a broken reference, a bad cursor).
    #[error("{0}")]
    Invalid(String),
    /// The database refused the data, or holds what it should not.
    #[error("{operation}: {message}")]
    Rejected {
        /// What was asked.
        operation: &'static str,
        /// The database's words.
        message: String,
    },
}

/// Shorthand of this room.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Called with the journal rows of each commit, in order, after the commit.
pub type EventSink = std::sync::Arc<dyn Fn(Vec<Event>) + Send + Sync>;

/// What the start of a session found and did.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionStart {
    /// The new session.
    pub session: Session,
    /// Sessions that ended without saying so.
    pub lost_sessions: u64,
    /// Tasks that went back to their queues.
    pub rescued: u64,
    /// Tasks that had been interrupted too often.
    pub dead: u64,
}

/// The handle of the store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {}

#[allow(
    missing_docs,
    unused_variables,
    clippy::todo,
    reason = "signatures agreed first"
)]
impl Store {
    // Sessions. On SQLite a begin ends every earlier session and rescues what it held, at once.
    pub async fn begin_session(
        &self,
        node: &str,
        pid: u32,
        lease: Duration,
    ) -> Result<SessionStart> {
        todo!()
    }
    pub async fn renew_session(&self, session: SessionId, lease: Duration) -> Result<()> {
        todo!()
    }
    pub async fn end_session(&self, session: SessionId) -> Result<()> {
        todo!()
    }
    /// Takes back what lost sessions and expired leases hold; runs at start and every 10 s.
    pub async fn rescue(&self, session: SessionId) -> Result<u64> {
        todo!()
    }

    // Agents.
    /// Inserts, or updates kind and hash; an operator's overrides whose key changed in the file are dropped.
    pub async fn register_agent(&self, agent: AgentRecord) -> Result<AgentRecord> {
        todo!()
    }
    pub async fn agents(&self) -> Result<Vec<AgentRecord>> {
        todo!()
    }
    pub async fn set_desired(&self, agent: &Name, desired: Option<Desired>) -> Result<()> {
        todo!()
    }
    pub async fn set_replicas(&self, agent: &Name, replicas: Option<u32>) -> Result<()> {
        todo!()
    }
    /// Highest generation and restarts so far.
    pub async fn save_generation(
        &self,
        agent: &Name,
        generation: u64,
        restarts_total: u64,
    ) -> Result<()> {
        todo!()
    }
    pub async fn process_spawned(&self, process: SpawnedProcess) -> Result<()> {
        todo!()
    }
    pub async fn process_ended(&self, instance: &InstanceId, generation: u64) -> Result<()> {
        todo!()
    }
    pub async fn spawned_processes(&self) -> Result<Vec<SpawnedProcess>> {
        todo!()
    }
    pub async fn log_crash(&self, crash: Crash) -> Result<()> {
        todo!()
    }
    pub async fn crashes(&self, agent: &Name, limit: u32) -> Result<Vec<Crash>> {
        todo!()
    }
    pub async fn save_restart_budget(&self, budget: RestartBudget) -> Result<()> {
        todo!()
    }
    pub async fn restart_budgets(&self) -> Result<Vec<RestartBudget>> {
        todo!()
    }

    // Tasks.
    /// Stores a task; with an offer that fits, already claimed for it in the same commit.
    pub async fn create_task(
        &self,
        session: SessionId,
        task: NewTask,
        offer: Option<SlotOffer>,
    ) -> Result<Submitted> {
        todo!()
    }
    /// Hands out queued tasks up to the free slots, best rank first.
    pub async fn claim(
        &self,
        session: SessionId,
        offers: Vec<SlotOffer>,
    ) -> Result<Vec<ClaimedTask>> {
        todo!()
    }
    /// Ends one execution under its lease; moves the task, and its workflow, on.
    pub async fn settle(&self, session: SessionId, settlement: Settlement) -> Result<Settled> {
        todo!()
    }
    pub async fn update_progress(
        &self,
        task: TaskId,
        lease: LeaseId,
        progress: Progress,
    ) -> Result<()> {
        todo!()
    }
    /// Moves a task by hand along an edge that the transition function knows (operator's tools).
    pub async fn update_task_status(
        &self,
        task: TaskId,
        to: TaskState,
        reason: &str,
    ) -> Result<Task> {
        todo!()
    }
    pub async fn cancel_task(&self, task: TaskId, reason: &str) -> Result<Cancelled> {
        todo!()
    }
    pub async fn retry_task(&self, task: TaskId) -> Result<Task> {
        todo!()
    }
    /// Queues what is due; says when the next is.
    pub async fn queue_due(&self) -> Result<(u64, Option<Duration>)> {
        todo!()
    }
    pub async fn task(&self, id: TaskId) -> Result<Task> {
        todo!()
    }
    pub async fn tasks(&self, filter: TaskFilter, page: PageRequest) -> Result<Page<Task>> {
        todo!()
    }
    pub async fn task_attempts(&self, id: TaskId) -> Result<Vec<TaskAttempt>> {
        todo!()
    }
    pub async fn queues(&self) -> Result<Vec<QueueStats>> {
        todo!()
    }
    /// Queued tasks by agent (tasks addressed to the agent itself or to its role).
    pub async fn queued_by_target(&self) -> Result<Vec<(String, u64)>> {
        todo!()
    }

    // Workflows.
    pub async fn create_workflow(&self, workflow: NewWorkflow) -> Result<(Workflow, bool)> {
        todo!()
    }
    pub async fn update_workflow_status(
        &self,
        workflow: WorkflowId,
        to: WorkflowState,
        reason: &str,
    ) -> Result<Workflow> {
        todo!()
    }
    pub async fn cancel_workflow(&self, workflow: WorkflowId, reason: &str) -> Result<Cancelled> {
        todo!()
    }
    pub async fn retry_workflow(&self, workflow: WorkflowId) -> Result<Workflow> {
        todo!()
    }
    pub async fn workflow(&self, id: WorkflowId) -> Result<Workflow> {
        todo!()
    }
    pub async fn workflows(
        &self,
        filter: WorkflowFilter,
        page: PageRequest,
    ) -> Result<Page<Workflow>> {
        todo!()
    }
    pub async fn workflow_definition(
        &self,
        id: WorkflowId,
    ) -> Result<crate::domain::workflow::WorkflowDefinition> {
        todo!()
    }
    pub async fn workflow_counts(&self) -> Result<Vec<(WorkflowState, u64)>> {
        todo!()
    }

    // Messages.
    pub async fn log_message(&self, message: Message) -> Result<()> {
        todo!()
    }
    pub async fn message_delivered(&self, id: MessageId) -> Result<()> {
        todo!()
    }
    pub async fn messages(&self, to: Option<Name>, page: PageRequest) -> Result<Page<Message>> {
        todo!()
    }

    // Health, metrics, recovery, journal.
    pub async fn log_health_check(&self, records: Vec<HealthRecord>) -> Result<()> {
        todo!()
    }
    pub async fn health_history(
        &self,
        check: &str,
        page: PageRequest,
    ) -> Result<Page<HealthRecord>> {
        todo!()
    }
    pub async fn update_agent_metrics(&self, metrics: Vec<AgentMetrics>) -> Result<()> {
        todo!()
    }
    pub async fn agent_metrics(&self, agent: &Name, limit: u32) -> Result<Vec<AgentMetrics>> {
        todo!()
    }
    pub async fn log_system_metrics(&self, metrics: SystemMetrics) -> Result<()> {
        todo!()
    }
    pub async fn system_metrics(&self, limit: u32) -> Result<Vec<SystemMetrics>> {
        todo!()
    }
    /// Inserts or replaces, by id.
    pub async fn log_recovery_run(&self, run: RecoveryRun) -> Result<()> {
        todo!()
    }
    pub async fn recovery_runs(
        &self,
        action: Option<String>,
        page: PageRequest,
    ) -> Result<Page<RecoveryRun>> {
        todo!()
    }
    pub async fn append_events(&self, events: Vec<NewEvent>) -> Result<()> {
        todo!()
    }
    pub async fn events(&self, filter: EventFilter, limit: u32) -> Result<Vec<Event>> {
        todo!()
    }

    // The database itself.
    /// Answers from memory; never waits for the database.
    pub fn status(&self) -> DatabaseStatus {
        todo!()
    }
    /// One tiny write and one tiny read, there and back.
    pub async fn ping(&self) -> Result<Duration> {
        todo!()
    }
    /// Removes what retention says, in batches that hold the writer for 50 ms at most.
    pub async fn prune(&self) -> Result<Pruned> {
        todo!()
    }
    /// Commits what is queued, refuses what comes later, checkpoints and closes.
    pub async fn close(&self) -> Result<()> {
        todo!()
    }
}
