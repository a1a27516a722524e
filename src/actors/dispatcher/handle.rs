//! The dispatcher's handle: the only way to it.

mod declared;
mod flows;
mod queues;
mod reads;
mod waits;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::actor::{Dispatcher, Memory, TaskStored};
use super::commands::{Cancel, Drain, Unwanted};
use super::depths::Depths;
use super::desk::{Desk, Ended};
use super::feed::CommitFeed;
use super::known::Known;
use super::reports::DeskChanged;
use super::{COMMAND_WITHIN, DispatchError, Result};
use crate::actors::post::Post;
use crate::actors::runner::{Address, HostedChild, TellError};
use crate::actors::work::AgentControl;
use crate::domain::agent::InstanceId;
use crate::domain::ids::{SessionId, TaskId, WorkflowId};
use crate::domain::message::{Message, NewMessage};
use crate::domain::name::Name;
use crate::domain::query::{Cancelled, Submitted};
use crate::domain::queue::QueueSpec;
use crate::domain::schedule::ScheduleSpec;
use crate::domain::task::{NewTask, Task, TaskState};
use crate::domain::workflow::{NewWorkflow, Workflow};
use crate::persistence::Store;

/// What a dispatcher is made of.
#[derive(Debug, Clone)]
pub struct DispatcherParts {
    /// Where tasks are kept.
    pub store: Store,
    /// This daemon's life; it has begun.
    pub session: SessionId,
    /// The feed that the store's event sink calls.
    pub feed: Arc<CommitFeed>,
    /// Tasks that may wait for one agent, role or queue
    /// ([`QUEUE_CAPACITY`](super::QUEUE_CAPACITY) unless configured).
    pub queue_capacity: u64,
    /// Draws evenly from 0 to 1, for jitter.
    pub chance: fn() -> f64,
}

struct Shared {
    parts: DispatcherParts,
    memory: Arc<Mutex<Memory>>,
    known: Known,
    depths: Depths,
    queues: Mutex<BTreeMap<Name, QueueSpec>>,
    schedules: Mutex<Arc<[ScheduleSpec]>>,
    /// Whether there has been a schedule in this life of the daemon.
    scheduled: AtomicBool,
    post: Post,
    control: OnceLock<Arc<dyn AgentControl>>,
    address: OnceLock<Address<Dispatcher>>,
    runtime: tokio::runtime::Handle,
}

/// The way to the dispatcher. Cheap to clone.
#[derive(Clone)]
pub struct DispatcherHandle(Arc<Shared>);

impl fmt::Debug for DispatcherHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DispatcherHandle").finish_non_exhaustive()
    }
}

impl Dispatcher {
    /// A dispatcher to be started by a supervisor, and its handle. Needs a running runtime, whose
    /// workers carry what callers do not wait for.
    #[must_use]
    pub fn new(parts: DispatcherParts) -> (DispatcherHandle, Arc<HostedChild<Self>>) {
        let feed = parts.feed.clone();
        let handle = DispatcherHandle(Arc::new(Shared {
            memory: Arc::default(),
            known: Known::default(),
            depths: Depths::new(parts.queue_capacity),
            queues: Mutex::default(),
            post: Post::new(parts.store.clone()),
            parts,
            schedules: Mutex::new(Arc::new([])),
            scheduled: AtomicBool::new(false),
            control: OnceLock::new(),
            address: OnceLock::new(),
            runtime: tokio::runtime::Handle::current(),
        }));
        let made = handle.clone();
        let child = HostedChild::new(move |_life| Self {
            handle: made.clone(),
            memory: made.0.memory.clone(),
            timer: None,
        });
        feed.connect(child.address(0));
        // The cell is new: this is the only one who sets it.
        drop(handle.0.address.set(child.address(0)));
        (handle, child)
    }
}

impl DispatcherHandle {
    /// Who restarts an agent that does not obey; set once, at the start.
    pub fn set_control(&self, control: Arc<dyn AgentControl>) {
        // A second one would be a second supervisor; the first stays.
        drop(self.0.control.set(control));
    }

    /// Stores a task; if a slot is free, it is handed out by the same commit.
    ///
    /// # Errors
    /// [`DispatchError`]; nothing was stored, except perhaps with [`DispatchError::NoAnswer`].
    pub async fn submit(&self, task: NewTask) -> Result<Submitted> {
        self.0.known.check(&task.target)?;
        self.0.depths.admit(self.store(), &task.target).await?;
        let target = task.target.clone();
        let submitted = answered(self.hand_in(task)).await.and_then(|done| done);
        let waits = |done: &Submitted| done.task.state != TaskState::Running && !done.existing;
        if !submitted.as_ref().is_ok_and(waits) {
            self.0.depths.forget(&target);
        }
        submitted
    }

    /// Puts a task onto the writer's queue, with a slot for it if one is free; the dispatcher hears
    /// of the commit first, then whoever waits here.
    fn hand_in(&self, task: NewTask) -> oneshot::Receiver<Result<Submitted>> {
        let (answer, waiting) = oneshot::channel();
        let reserved = {
            let mut memory = self.0.memory.lock();
            if memory.desk.draining {
                drop(answer.send(Err(DispatchError::Draining)));
                return waiting;
            }
            let now = task.run_at.is_none();
            now.then(|| memory.desk.reserve(&task.target)).flatten()
        };
        let offer = reserved.as_ref().map(|reserved| reserved.offer.clone());
        let me = self.clone();
        let then = move |stored| {
            me.hand_back(TaskStored {
                reserved,
                stored,
                answer,
            });
        };
        self.store()
            .create_task_then(self.session(), task, offer, then);
        waiting
    }

    /// Stores a workflow and begins it; says whether its idempotency key had been seen.
    ///
    /// # Errors
    /// [`DispatchError`]; nothing was stored.
    pub async fn run_workflow(&self, workflow: NewWorkflow) -> Result<(Workflow, bool)> {
        if self.is_draining() {
            return Err(DispatchError::Draining);
        }
        self.0.known.check_definition(&workflow.definition)?;
        self.admit_workflow(&workflow.definition).await?;
        Ok(self.store().create_workflow(workflow).await?)
    }

    /// Cancels a task. One that runs is final when its agent has given it up.
    ///
    /// # Errors
    /// [`DispatchError`]; a task that ended otherwise cannot be cancelled.
    pub async fn cancel_task(&self, id: TaskId, reason: &str) -> Result<Task> {
        self.cancel(Unwanted::Task(id), reason).await?;
        self.task(id).await
    }

    /// Cancels a workflow and what it has not finished.
    ///
    /// # Errors
    /// [`DispatchError`]; a workflow that ended otherwise cannot be cancelled.
    pub async fn cancel_workflow(&self, id: WorkflowId, reason: &str) -> Result<Workflow> {
        self.cancel(Unwanted::Workflow(id), reason).await?;
        self.workflow(id).await
    }

    async fn cancel(&self, what: Unwanted, reason: &str) -> Result<Cancelled> {
        let reason = reason.to_owned();
        self.ask(|answer| Cancel {
            what,
            reason,
            answer,
        })
        .await?
    }

    /// Runs a task again that ended without success.
    ///
    /// # Errors
    /// [`DispatchError`]; a task that succeeded, or belongs to a workflow, is not run again.
    pub async fn retry_task(&self, id: TaskId) -> Result<Task> {
        if self.is_draining() {
            return Err(DispatchError::Draining);
        }
        Ok(self.store().retry_task(id).await?)
    }

    /// Runs a workflow again from the tasks that did not succeed.
    ///
    /// # Errors
    /// [`DispatchError`]; a workflow that completed is not run again.
    pub async fn retry_workflow(&self, id: WorkflowId) -> Result<Workflow> {
        if self.is_draining() {
            return Err(DispatchError::Draining);
        }
        Ok(self.store().retry_workflow(id).await?)
    }

    /// Stores a message for an agent; it is handed over as soon as a life takes it. Says whether
    /// its idempotency key had been seen.
    ///
    /// # Errors
    /// [`DispatchError`] if there is no such agent, it takes no messages, too many wait for it, or
    /// the message cannot be stored.
    pub async fn send_message(&self, message: NewMessage) -> Result<(Message, bool)> {
        self.0.known.check_recipient(&message.to)?;
        if self.is_draining() {
            return Err(DispatchError::Draining);
        }
        Ok(self.0.post.send(message).await?)
    }

    /// Hands nothing out any more and waits until nothing is held, at most `within`; then takes
    /// back what is left. Says how many tasks were taken back.
    ///
    /// # Errors
    /// [`DispatchError::NoAnswer`] if the database does not take what is left in time.
    pub async fn drain(&self, within: Duration) -> Result<u64> {
        self.0.post.close();
        let (answer, waiting) = oneshot::channel();
        self.address()
            .report(Drain { within, answer })
            .map_err(refused)?;
        let deadline = within.saturating_add(COMMAND_WITHIN);
        let answered = tokio::time::timeout(deadline, waiting).await;
        answered
            .ok()
            .and_then(std::result::Result::ok)
            .ok_or(DispatchError::NoAnswer)
    }

    /// Whether the daemon is stopping.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.memory.lock().desk.draining
    }

    pub(super) fn store(&self) -> &Store {
        &self.0.parts.store
    }

    pub(super) fn memory(&self) -> &Mutex<Memory> {
        &self.0.memory
    }

    pub(super) fn known(&self) -> &Known {
        &self.0.known
    }

    pub(super) fn post(&self) -> &Post {
        &self.0.post
    }

    pub(super) fn session(&self) -> SessionId {
        self.0.parts.session
    }

    pub(super) fn feed(&self) -> &CommitFeed {
        &self.0.parts.feed
    }

    pub(super) fn chance(&self) -> f64 {
        (self.0.parts.chance)()
    }

    pub(super) fn restart_instance(&self, instance: &InstanceId, generation: u64, reason: &str) {
        match self.0.control.get() {
            Some(control) => control.restart_instance(instance, generation, reason),
            None => tracing::error!(%instance, reason, "nobody here can restart the agent"),
        }
    }

    /// Changes who takes work, at once; the dispatcher ends what that gives back.
    pub(super) fn change_desk(&self, change: impl FnOnce(&mut Desk) -> Vec<Ended>) {
        let left = {
            let mut memory = self.0.memory.lock();
            let left = change(&mut memory.desk);
            let leases = left.iter().map(|ended| ended.lease);
            memory.desk.settling.extend(leases);
            left
        };
        self.report(DeskChanged { left });
    }

    /// Sends what must not be lost; its number is bounded elsewhere.
    pub(super) fn report<M>(&self, message: M)
    where
        Dispatcher: actix::Handler<M>,
        M: actix::Message<Result = ()> + Send + 'static,
    {
        if self.address().report(message).is_err() {
            tracing::error!("the dispatcher has ended; a report was lost");
        }
    }

    /// Brings the dispatcher the store's answer to what was asked for it. Without a dispatcher the
    /// sweep of the next life finds what was left.
    pub(super) fn hand_back<M>(&self, message: M)
    where
        Dispatcher: actix::Handler<M>,
        M: actix::Message<Result = ()> + Send + 'static,
    {
        self.address().report(message).ok();
    }

    /// Sends what may be lost.
    pub(super) fn tell<M>(&self, message: M)
    where
        Dispatcher: actix::Handler<M>,
        M: actix::Message<Result = ()> + Send + 'static,
    {
        if let Err(error) = self.address().tell(message) {
            tracing::debug!(%error, "a report was dropped");
        }
    }

    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.0.runtime.spawn(work));
    }

    async fn ask<M, R>(&self, message: impl FnOnce(oneshot::Sender<R>) -> M) -> Result<R>
    where
        Dispatcher: actix::Handler<M>,
        M: actix::Message<Result = ()> + Send + 'static,
    {
        let (answer, waiting) = oneshot::channel();
        self.address().tell(message(answer)).map_err(refused)?;
        answered(waiting).await
    }

    #[expect(clippy::expect_used, reason = "set before the handle is given out")]
    fn address(&self) -> &Address<Dispatcher> {
        self.0.address.get().expect("a handle has an address")
    }
}

async fn answered<R>(waiting: oneshot::Receiver<R>) -> Result<R> {
    let answered = tokio::time::timeout(COMMAND_WITHIN, waiting).await;
    answered
        .ok()
        .and_then(std::result::Result::ok)
        .ok_or(DispatchError::NoAnswer)
}

fn refused(error: TellError) -> DispatchError {
    match error {
        TellError::Full => DispatchError::Overloaded,
        TellError::Closed => DispatchError::Draining,
    }
}

#[cfg(test)]
impl DispatcherHandle {
    /// Whether no claim is on its way or due: a submission finds every slot that is free.
    pub(super) fn is_at_rest(&self) -> bool {
        let memory = self.0.memory.lock();
        !memory.claiming && !self.feed().has_news() && memory.desk.asks_nothing()
    }
}
