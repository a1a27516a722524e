//! Queues as operators see and steer them.

use std::collections::BTreeMap;

use super::DispatcherHandle;
use crate::actors::dispatcher::claims::QueuesChanged;
use crate::actors::dispatcher::{DispatchError, Result};
use crate::domain::name::{Name, nearest};
use crate::domain::query::{QueueState, QueueStats};
use crate::domain::queue::QueueSpec;
use crate::domain::task::Target;
use crate::domain::timestamp::Timestamp;
use crate::domain::workflow::WorkflowDefinition;

impl DispatcherHandle {
    /// Every queue: those configured, those that agents take from, those in which a task stands.
    ///
    /// # Errors
    /// If the database is away.
    pub async fn queue_states(&self) -> Result<Vec<QueueState>> {
        let stats = self.store().queues().await?;
        let mut pauses = self.store().queue_pauses().await?;
        let mut stats: BTreeMap<Name, QueueStats> =
            stats.into_iter().map(|it| (it.queue.clone(), it)).collect();
        let mut names = self.0.known.queues();
        names.extend(stats.keys().cloned());
        let specs = self.0.queues.lock().clone();
        let state = |name: Name| QueueState {
            spec: specs
                .get(&name)
                .cloned()
                .unwrap_or_else(|| QueueSpec::plain(name.clone())),
            stats: stats.remove(&name).unwrap_or_else(|| QueueStats {
                queue: name.clone(),
                tasks: BTreeMap::new(),
                oldest_queued_at: None,
            }),
            pause: pauses
                .iter()
                .position(|pause| pause.queue == name)
                .map(|place| pauses.swap_remove(place)),
        };
        Ok(names.into_iter().map(state).collect())
    }

    /// Hands out nothing more of a queue, until it is resumed or until then; what runs goes on.
    ///
    /// # Errors
    /// If there is no such queue, or the database is away.
    pub async fn pause_queue(
        &self,
        name: &Name,
        until: Option<Timestamp>,
        reason: Option<String>,
    ) -> Result<QueueState> {
        self.queue_state(name).await?;
        self.store()
            .pause_queue(name.clone(), until, reason)
            .await?;
        self.report(QueuesChanged);
        self.queue_state(name).await
    }

    /// Hands out of a queue again.
    ///
    /// # Errors
    /// If there is no such queue, or the database is away.
    pub async fn resume_queue(&self, name: &Name) -> Result<QueueState> {
        self.queue_state(name).await?;
        self.store().resume_queue(name.clone()).await?;
        self.report(QueuesChanged);
        self.queue_state(name).await
    }

    /// Refuses a workflow whose first tasks would wait where as much waits as may.
    pub(super) async fn admit_workflow(&self, definition: &WorkflowDefinition) -> Result<()> {
        let first = roots(definition);
        self.0.depths.admit_all(self.store(), first.iter()).await
    }

    /// One queue.
    ///
    /// # Errors
    /// If there is no such queue, or the database is away.
    pub async fn queue_state(&self, name: &Name) -> Result<QueueState> {
        let all = self.queue_states().await?;
        let near = nearest(name.as_str(), all.iter().map(|it| it.spec.name.as_str()));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
        all.into_iter()
            .find(|it| it.spec.name == *name)
            .ok_or_else(|| DispatchError::UnknownTarget {
                kind: "queue",
                name: name.to_string(),
                hint,
            })
    }
}

/// Who the tasks are for with which a workflow begins.
fn roots(definition: &WorkflowDefinition) -> Vec<Target> {
    let begins = definition
        .tasks
        .iter()
        .filter(|task| task.depends_on.is_empty());
    begins
        .filter_map(|task| match (&task.agent, &task.role) {
            (Some(agent), _) => Some(Target::Agent(agent.clone())),
            (None, role) => role.clone().map(Target::Role),
        })
        .collect()
}
