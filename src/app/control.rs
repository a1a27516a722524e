//! How the dispatcher has a life ended that does not obey.

use crate::actors::supervisor::SupervisorHandle;
use crate::actors::work::AgentControl;
use crate::domain::agent::InstanceId;

/// The supervisor, as the dispatcher sees it.
#[derive(Debug)]
pub(super) struct Control(SupervisorHandle);

impl Control {
    pub(super) const fn new(supervisor: SupervisorHandle) -> Self {
        Self(supervisor)
    }
}

impl AgentControl for Control {
    fn restart_instance(&self, instance: &InstanceId, generation: u64, reason: &str) {
        tracing::warn!(%instance, generation, reason, "an agent does not obey; ending its life");
        self.0.end_life(instance.clone(), generation);
    }
}
