//! What workflows are told from outside.

use super::DispatcherHandle;
use crate::actors::dispatcher::Result;
use crate::actors::dispatcher::flows::GiveSignal;
use crate::domain::ids::WorkflowId;
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
}
