//! Operations of the store on work: tasks and workflows.
//!
//! Each forwards to the backend; what it does stands there.

use super::sqlite::{tasks, workflows};
use super::{Result, Store};
use crate::domain::ids::{LeaseId, SessionId, TaskId, WorkflowId};
use crate::domain::name::Name;
use crate::domain::query::{
    Cancelled, Claims, DueWork, Expired, HeldBack, Page, PageRequest, QueueStats, Settled,
    Settlement, Signalled, SlotOffer, Submitted, TaskFilter, WorkflowFilter,
};
use crate::domain::queue::{QueuePause, QueueSpec};
use crate::domain::task::{NewTask, Progress, Target, Task, TaskAttempt, TaskState};
use crate::domain::timestamp::Timestamp;
use crate::domain::workflow::{NewWorkflow, Workflow, WorkflowDefinition, WorkflowState};

impl Store {
    /// Stores a task; with an offer that fits, already claimed for it in the same commit.
    pub async fn create_task(
        &self,
        session: SessionId,
        task: NewTask,
        offer: Option<SlotOffer>,
    ) -> Result<Submitted> {
        tasks::create_task(self.sqlite(), session, task, offer).await
    }

    /// As [`Self::create_task`], told instead of awaited: `then` is called once, after the commit
    /// on the writer's thread, or at once if the write is not taken. It must not block.
    pub fn create_task_then(
        &self,
        session: SessionId,
        task: NewTask,
        offer: Option<SlotOffer>,
        then: impl FnOnce(Result<Submitted>) + Send + 'static,
    ) {
        tasks::create_task_then(self.sqlite(), session, task, offer, then);
    }

    /// Hands out queued tasks up to the free slots, best rank first; says for whom none is left.
    pub async fn claim(&self, session: SessionId, offers: Vec<SlotOffer>) -> Result<Claims> {
        tasks::claim(self.sqlite(), session, offers).await
    }

    /// Ends one execution under its lease; moves the task, and its workflow, on.
    pub async fn settle(&self, session: SessionId, settlement: Settlement) -> Result<Settled> {
        tasks::settle(self.sqlite(), session, settlement).await
    }

    /// As [`Self::settle`], told as by [`Self::create_task_then`]; the settlement comes back too,
    /// so that it can be tried again.
    pub fn settle_then(
        &self,
        session: SessionId,
        settlement: Settlement,
        then: impl FnOnce(Settlement, Result<Settled>) + Send + 'static,
    ) {
        tasks::settle_then(self.sqlite(), session, settlement, then);
    }

    /// Keeps what the agent last said of its progress, while its lease holds.
    pub async fn update_progress(
        &self,
        task: TaskId,
        lease: LeaseId,
        progress: Progress,
    ) -> Result<()> {
        tasks::update_progress(self.sqlite(), task, lease, progress).await
    }

    /// Moves a task by hand along an edge that the transition function knows (operator's tools).
    pub async fn update_task_status(
        &self,
        task: TaskId,
        to: TaskState,
        reason: &str,
    ) -> Result<Task> {
        tasks::update_task_status(self.sqlite(), task, to, reason).await
    }

    /// Makes a task final, or marks it so that its agent is told; nothing if it is final already.
    pub async fn cancel_task(&self, task: TaskId, reason: &str) -> Result<Cancelled> {
        tasks::cancel_task(self.sqlite(), task, reason).await
    }

    /// Queues a final task anew, with fresh attempts.
    pub async fn retry_task(&self, task: TaskId) -> Result<Task> {
        tasks::retry_task(self.sqlite(), task).await
    }

    /// Removes a dead task that belongs to no workflow, with its executions.
    pub async fn purge_task(&self, task: TaskId) -> Result<()> {
        tasks::purge_task(self.sqlite(), task).await
    }

    /// Queues what is due and ends what has waited or lived too long; says when the next is.
    pub async fn queue_due(&self) -> Result<DueWork> {
        tasks::queue_due(self.sqlite()).await
    }

    /// What limits the queues, from now on; before the first claim.
    pub fn set_queues<'a>(&self, specs: impl IntoIterator<Item = &'a QueueSpec>) {
        self.sqlite().set_queues(specs.into_iter());
    }

    /// Hands out nothing more of a queue, until it is resumed or, if given, until then.
    pub async fn pause_queue(
        &self,
        queue: Name,
        until: Option<Timestamp>,
        reason: Option<String>,
    ) -> Result<()> {
        tasks::pause_queue(self.sqlite(), queue, until, reason).await
    }

    /// Hands out of a queue again.
    pub async fn resume_queue(&self, queue: Name) -> Result<()> {
        tasks::resume_queue(self.sqlite(), queue).await
    }

    /// The queues that are paused.
    pub async fn queue_pauses(&self) -> Result<Vec<QueuePause>> {
        tasks::queue_pauses(self.sqlite()).await
    }

    /// One task.
    pub async fn task(&self, id: TaskId) -> Result<Task> {
        tasks::task(self.sqlite(), id).await
    }

    /// Tasks, newest first.
    pub async fn tasks(&self, filter: TaskFilter, page: PageRequest) -> Result<Page<Task>> {
        tasks::tasks(self.sqlite(), filter, page).await
    }

    /// What holds a queued task back: the limits that bind now, and who holds their places.
    pub async fn held_back(&self, task: &Task) -> Result<HeldBack> {
        tasks::held_back(self.sqlite(), task).await
    }

    /// The executions of a task, oldest first.
    pub async fn task_attempts(&self, id: TaskId) -> Result<Vec<TaskAttempt>> {
        tasks::task_attempts(self.sqlite(), id).await
    }

    /// What stands in each queue.
    pub async fn queues(&self) -> Result<Vec<QueueStats>> {
        tasks::queues(self.sqlite()).await
    }

    /// Queued tasks by agent (tasks addressed to the agent itself or to its role).
    pub async fn queued_by_target(&self) -> Result<Vec<(String, u64)>> {
        tasks::queued_by_target(self.sqlite()).await
    }

    /// Queued tasks by who they are for.
    pub async fn queue_depths(&self) -> Result<Vec<(Target, u64)>> {
        tasks::queue_depths(self.sqlite()).await
    }

    /// The tasks a session holds, with their leases.
    pub async fn held_by(&self, session: SessionId) -> Result<Vec<(TaskId, LeaseId)>> {
        tasks::held_by(self.sqlite(), session).await
    }
}

impl Store {
    /// Stores a workflow and its tasks; `true` if the idempotency key had been seen: this is the first run then.
    pub async fn create_workflow(&self, workflow: NewWorkflow) -> Result<(Workflow, bool)> {
        workflows::create_workflow(self.sqlite(), workflow).await
    }

    /// Moves a workflow by hand along a legal edge (operator's tools).
    pub async fn update_workflow_status(
        &self,
        workflow: WorkflowId,
        to: WorkflowState,
        reason: &str,
    ) -> Result<Workflow> {
        workflows::update_workflow_status(self.sqlite(), workflow, to, reason).await
    }

    /// Cancels a workflow and every task of it that is not final.
    pub async fn cancel_workflow(&self, workflow: WorkflowId, reason: &str) -> Result<Cancelled> {
        workflows::cancel_workflow(self.sqlite(), workflow, reason).await
    }

    /// Tells a workflow what it waits for, once; what comes too early is kept.
    pub async fn signal_workflow(
        &self,
        workflow: WorkflowId,
        signal: &str,
        payload: serde_json::Value,
    ) -> Result<Signalled> {
        workflows::signal_workflow(self.sqlite(), workflow, signal, payload).await
    }

    /// Ends the waits whose time is over; says when the next one's is.
    pub async fn expire_waits(&self) -> Result<Expired> {
        workflows::expire_waits(self.sqlite()).await
    }

    /// Runs what failed of a final workflow again.
    pub async fn retry_workflow(&self, workflow: WorkflowId) -> Result<Workflow> {
        workflows::retry_workflow(self.sqlite(), workflow).await
    }

    /// One workflow.
    pub async fn workflow(&self, id: WorkflowId) -> Result<Workflow> {
        workflows::workflow(self.sqlite(), id).await
    }

    /// Workflows, newest first.
    pub async fn workflows(
        &self,
        filter: WorkflowFilter,
        page: PageRequest,
    ) -> Result<Page<Workflow>> {
        workflows::workflows(self.sqlite(), filter, page).await
    }

    /// What a workflow was asked to do.
    pub async fn workflow_definition(&self, id: WorkflowId) -> Result<WorkflowDefinition> {
        workflows::workflow_definition(self.sqlite(), id).await
    }

    /// How many workflows stand in which state.
    pub async fn workflow_counts(&self) -> Result<Vec<(WorkflowState, u64)>> {
        workflows::workflow_counts(self.sqlite()).await
    }
}
