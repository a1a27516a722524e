//! Effects of recovery that change a world and remember what they were told.

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::actors::healer::{EffectFailed, EffectResult, RecoveryEffects};
use crate::actors::health::tests::world::{Answers, World};
use crate::domain::agent::AgentState;
use crate::domain::name::Name;

/// What a restart does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cure {
    Works,
    WorksTheSecondTime,
    Fails,
    ChangesNothing,
    StartsForEver,
}

/// Effects that change the world and remember what they were told.
#[derive(Debug)]
pub(super) struct Doctor {
    pub(super) world: World,
    pub(super) cure: Cure,
    pub(super) done: Mutex<Vec<(Instant, String)>>,
    pub(super) changed: watch::Sender<usize>,
}

impl Doctor {
    fn did(&self, what: String) -> usize {
        let mut done = self.done.lock();
        done.push((Instant::now(), what));
        self.changed.send_replace(done.len());
        done.len()
    }
}

impl RecoveryEffects for Doctor {
    fn restart_agent(&self, agent: &Name) -> EffectResult {
        let times = self.did(format!("restart {agent}"));
        let works = match self.cure {
            Cure::Works => true,
            Cure::WorksTheSecondTime => times >= 2,
            Cure::StartsForEver => {
                self.world.put(agent.as_ref(), AgentState::Starting);
                false
            }
            Cure::Fails | Cure::ChangesNothing => false,
        };
        if works {
            self.world.put(agent.as_ref(), AgentState::Ready);
        }
        let answer = match (works, self.cure) {
            (false, Cure::ChangesNothing | Cure::StartsForEver) | (true, _) => {
                Ok(format!("restarted {agent}"))
            }
            (false, _) => Err(EffectFailed("the supervisor refused".to_owned())),
        };
        async move { answer }.boxed()
    }

    fn reconnect_database(&self) -> EffectResult {
        self.did("reconnect".to_owned());
        self.world
            .set(|w| (w.ping, w.writes) = (Answers::Well, Answers::Well));
        async { Ok("reconnected".to_owned()) }.boxed()
    }

    fn pause_queue(&self, queue: &Name, why: String) -> EffectResult {
        self.did(format!("pause {queue}: {why}"));
        async { Ok("paused".to_owned()) }.boxed()
    }
}
