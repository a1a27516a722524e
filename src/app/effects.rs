//! What recovery actions do to the rest of the house.

use futures_util::FutureExt as _;

use crate::actors::healer::{EffectFailed, EffectResult, RecoveryEffects};
use crate::actors::supervisor::SupervisorHandle;
use crate::domain::agent::AgentTarget;
use crate::domain::name::Name;
use crate::persistence::Store;

/// The effects of the running daemon.
#[derive(Debug)]
pub(super) struct Effects {
    pub(super) supervisor: SupervisorHandle,
    pub(super) store: Store,
}

impl RecoveryEffects for Effects {
    fn restart_agent(&self, agent: &Name) -> EffectResult {
        let supervisor = self.supervisor.clone();
        let target = AgentTarget {
            agent: agent.clone(),
            index: None,
        };
        async move {
            match supervisor.restart(target).await {
                Ok(status) => Ok(format!("restarted {}", status.name)),
                Err(error) => Err(EffectFailed(error.to_string())),
            }
        }
        .boxed()
    }

    fn reconnect_database(&self) -> EffectResult {
        let store = self.store.clone();
        async move {
            match store.ping().await {
                Ok(span) => Ok(format!("the database answers again, in {span:?}")),
                Err(error) => Err(EffectFailed(error.to_string())),
            }
        }
        .boxed()
    }
}
