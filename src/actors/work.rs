//! The seam between those who have work and those who do it.
//!
//! ```text
//! dispatcher ──assign, cancel──▶ TaskPort (one life of an agent) ◀──deliver── post
//! dispatcher ◀─settled, progress, submit── WorkSink
//! supervisor ──agent_ready, agent_gone──▶ WorkSink   (in this order for each generation)
//! dispatcher ──restart_instance──▶ AgentControl (the supervisor)
//! ```
//!
//! Both sides are traits, so each side is tested without the other.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::agent::InstanceId;
use crate::domain::exit::ExitReason;
use crate::domain::ids::{LeaseId, TaskId, WorkflowId};
use crate::domain::message::Message;
use crate::domain::name::Name;
use crate::domain::spend::Usage;
use crate::domain::task::TaskError;
use crate::domain::trace::TraceParent;

/// A task as an agent gets it.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskFrame {
    /// The task.
    pub id: TaskId,
    /// The workflow it belongs to.
    pub workflow_id: Option<WorkflowId>,
    /// A word for people.
    pub name: String,
    /// What to work on.
    pub payload: serde_json::Value,
    /// Which execution, from 1.
    pub attempt: u32,
    /// Goes back with the result.
    pub lease_id: LeaseId,
    /// The longest this attempt may take, counted from receipt.
    pub timeout: Duration,
    /// The trace that asked for it.
    pub traceparent: Option<TraceParent>,
}

/// The life behind a port has ended, or its mailbox is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the agent takes no task")]
pub struct PortClosed;

/// The way into one life of an agent. Never blocks.
pub trait TaskPort: Send + Sync + Debug {
    /// Hands a task over. `Ok` means that the life will settle it or end.
    ///
    /// # Errors
    /// [`PortClosed`] if the life has ended; the task was not begun.
    fn assign(&self, task: TaskFrame) -> Result<(), PortClosed>;

    /// Asks the life to give a task up; it settles it as cancelled, or with its result.
    fn cancel(&self, task: TaskId, reason: &str);

    /// Hands a message over. The life says by the receipt when it has taken the message; a receipt
    /// that is dropped says that it did not, and the message is handed over again.
    ///
    /// # Errors
    /// [`PortClosed`] if the life has ended, or takes no messages.
    fn deliver(&self, message: Message, receipt: Receipt) -> Result<(), PortClosed> {
        drop((message, receipt));
        Err(PortClosed)
    }
}

/// What becomes of a message that was handed to a life: taken, or, if the receipt is dropped
/// before, not. Says so exactly once; the call must not block.
pub struct Receipt(Option<Box<dyn FnOnce(bool) + Send>>);

impl Receipt {
    /// A receipt that tells whether the message was taken.
    #[must_use]
    pub fn new(tell: impl FnOnce(bool) + Send + 'static) -> Self {
        Self(Some(Box::new(tell)))
    }

    /// The life has taken the message: it is not handed over again.
    pub fn taken(mut self) {
        if let Some(tell) = self.0.take() {
            tell(true);
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell(false);
        }
    }
}

impl Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Receipt")
    }
}

/// A life that takes work.
#[derive(Debug, Clone)]
pub struct ReadyAgent {
    /// The replica.
    pub instance: InstanceId,
    /// Which life.
    pub generation: u64,
    /// The role it also takes work for.
    pub role: Option<Name>,
    /// The queue it also takes work from.
    pub queue: Name,
    /// Tasks it takes at once.
    pub concurrency: u32,
    /// The way in.
    pub port: Arc<dyn TaskPort>,
}

/// How a life ended one execution.
#[derive(Debug, Clone, PartialEq)]
pub enum AgentOutcome {
    /// With a result.
    Output(serde_json::Value),
    /// With an error.
    Failed(TaskError),
    /// It gave the task up as asked.
    Cancelled,
}

/// A task asked for by an agent.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentSubmission {
    /// Who asks.
    pub from: InstanceId,
    /// A word for people.
    pub name: Option<String>,
    /// The agent it is for …
    pub agent: Option<Name>,
    /// … or the role.
    pub role: Option<Name>,
    /// What to work on.
    pub payload: serde_json::Value,
    /// The trace of the task that asks.
    pub traceparent: Option<TraceParent>,
}

/// A message to another agent.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentMessage {
    /// Who sends it.
    pub from: InstanceId,
    /// Who it is for.
    pub to: Name,
    /// Its type.
    pub kind: String,
    /// What it says.
    pub content: serde_json::Value,
}

/// What an agent says it has spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentSpent {
    /// Who says so.
    pub from: InstanceId,
    /// For which execution; for none, or for one that has ended, it counts for the agent alone.
    pub of: Option<(TaskId, LeaseId)>,
    /// How much.
    pub usage: Usage,
    /// The end of the execution comes right behind it: however much it is, that is not taken back.
    pub with_answer: bool,
}

/// What the dispatcher hears. No call blocks; what is reported is never dropped, since the number
/// of open reports is bounded by the number of leases.
pub trait WorkSink: Send + Sync + Debug {
    /// A life takes work from now on.
    fn agent_ready(&self, agent: ReadyAgent);
    /// A life takes nothing new, but finishes what it holds (drain, pause).
    fn agent_draining(&self, instance: &InstanceId, generation: u64);
    /// A life has ended; what it held goes back. `wanted` if it was told to end.
    fn agent_gone(&self, instance: &InstanceId, generation: u64, reason: &ExitReason);
    /// An execution has ended.
    fn settled(&self, instance: &InstanceId, task: TaskId, lease: LeaseId, outcome: AgentOutcome);
    /// An execution goes on.
    fn progress(&self, task: TaskId, lease: LeaseId, percent: Option<f64>, message: Option<String>);
    /// An execution declares that it will be silent for at most this long.
    fn busy(&self, task: TaskId, reason: &str, at_most: Duration);
    /// An agent says what it has spent; counted before this returns. Nobody need count.
    fn spent(&self, spent: AgentSpent) {
        drop(spent);
    }
    /// An agent asks for a task.
    fn submit(&self, submission: AgentSubmission);
    /// An agent sends a message.
    fn message(&self, message: AgentMessage);
}

/// Who can end and restart one life of an agent: the supervisor, as the dispatcher sees it.
pub trait AgentControl: Send + Sync + Debug {
    /// Ends this life by force and starts another; nothing if it is not the present life. What it
    /// held is told by [`WorkSink::agent_gone`] as after every end. Never blocks.
    fn restart_instance(&self, instance: &InstanceId, generation: u64, reason: &str);
}
