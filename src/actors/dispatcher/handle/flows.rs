//! What workflows are told from outside, and what falls due by itself.

use std::sync::Arc;

use super::DispatcherHandle;
use crate::actors::dispatcher::Result;
use crate::actors::dispatcher::flows::GiveSignal;
use crate::domain::ids::WorkflowId;
use crate::domain::schedule::ScheduleSpec;
use crate::domain::workflow::Workflow;

impl DispatcherHandle {
    /// Tells a workflow what it waits for. The same again is no news; what comes too early is
    /// kept.
    ///
    /// # Errors
    /// [`DispatchError`](crate::actors::dispatcher::DispatchError); what is not waited for, or was given otherwise, is refused.
    pub async fn signal_workflow(
        &self,
        id: WorkflowId,
        signal: String,
        payload: serde_json::Value,
    ) -> Result<Workflow> {
        self.ask(|answer| GiveSignal {
            id,
            signal,
            payload,
            answer,
        })
        .await?
    }

    /// What falls due by itself; set once, before the dispatcher begins.
    pub fn set_schedules(&self, specs: &[ScheduleSpec]) {
        // A second set would be a second configuration; the first stays.
        drop(self.0.schedules.set(specs.into()));
    }

    pub(in crate::actors::dispatcher) fn schedule_specs(&self) -> Arc<[ScheduleSpec]> {
        self.0
            .schedules
            .get()
            .cloned()
            .unwrap_or_else(|| Arc::new([]))
    }
}
