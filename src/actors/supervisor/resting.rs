//! Services that ask to be left alone for a while (`Retry-After`): their agent is offered for no
//! new task until that is over. It stays ready: what it holds goes on, and nothing is counted.

use std::time::Duration;

use tokio::time::Instant;

use super::Supervisor;
use super::timers::Due;
use super::tree::Slot;

impl Supervisor {
    /// A service asks for a rest; of several, the one that ends last counts.
    pub(super) fn service_rests(&mut self, slot: Slot, span: Duration) {
        let (generation, until) = (self.generation(slot), Instant::now() + span);
        let instance = self.tree.instance(slot);
        let Some(probed) = self.probed_mut(slot) else {
            return;
        };
        if probed.rests_until.is_some_and(|known| known >= until) {
            return;
        }
        probed.rests_until = Some(until);
        self.timers.set(until, Due::ServiceRested(slot, generation));
        tracing::info!(agent = %instance, ?span, "its service asks to be left alone: no new task till then");
        if let Some(work) = &self.outside.work {
            work.agent_draining(&instance, generation);
        }
    }

    /// Whether its service asked to be left alone.
    pub(super) fn rests(&mut self, slot: Slot) -> bool {
        let until = self.probed_mut(slot).and_then(|probed| probed.rests_until);
        until.is_some_and(|until| until > Instant::now())
    }

    /// A rest may be over: a longer one may have been asked for since.
    pub(super) fn service_has_rested(&mut self, slot: Slot, generation: u64) {
        let replica = self.tree.replica(slot);
        let offered = replica.is_some_and(|it| it.is_in(generation) && it.is_ready());
        if offered && !self.rests(slot) {
            self.offer(slot);
        }
    }
}
