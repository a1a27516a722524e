//! What recovery actions do to the rest of the house.

use futures_util::FutureExt as _;

use crate::actors::dispatcher::DispatcherHandle;
use crate::actors::healer::{EffectFailed, EffectResult, RecoveryEffects};
use crate::actors::supervisor::{Revival, SupervisorHandle};
use crate::domain::name::Name;
use crate::persistence::Store;

/// The effects of the running daemon.
#[derive(Debug)]
pub(super) struct Effects {
    pub(super) supervisor: SupervisorHandle,
    pub(super) store: Store,
    pub(super) dispatcher: DispatcherHandle,
}

impl RecoveryEffects for Effects {
    fn restart_agent(&self, agent: &Name) -> EffectResult {
        let supervisor = self.supervisor.clone();
        let agent = agent.clone();
        async move {
            match supervisor.revive(&agent).await {
                Ok(done) => Ok(told(&agent, done)),
                Err(error) => Err(EffectFailed(error.to_string())),
            }
        }
        .boxed()
    }

    fn reconnect_database(&self) -> EffectResult {
        let store = self.store.clone();
        async move {
            match store.reconnect().await {
                Ok(span) => Ok(format!(
                    "the database was opened anew and answers, in {span:?}"
                )),
                Err(error) => Err(EffectFailed(error.to_string())),
            }
        }
        .boxed()
    }

    fn pause_queue(&self, queue: &Name, why: String) -> EffectResult {
        let (dispatcher, queue) = (self.dispatcher.clone(), queue.clone());
        async move {
            match dispatcher.pause_queue(&queue, None, Some(why)).await {
                Ok(_) => Ok(format!("paused queue '{queue}' until it is resumed")),
                Err(error) => Err(EffectFailed(error.to_string())),
            }
        }
        .boxed()
    }
}

/// What was done, for people.
fn told(agent: &Name, done: Revival) -> String {
    let Revival {
        ended,
        early,
        on_trial,
    } = done;
    let parts = [
        (early, "cut short the backoff of"),
        (on_trial, "started on trial"),
        (ended, "ended for new lives"),
    ];
    let done: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{what} {count} replicas"))
        .collect();
    match done.is_empty() {
        true => format!("{agent} is already on its way"),
        false => format!("{agent}: {}", done.join(", ")),
    }
}
