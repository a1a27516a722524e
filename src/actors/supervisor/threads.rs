//! Handlers that block their thread: it is written off, its children start elsewhere, and who does it
//! again and again is quarantined before it holds one more.
//!
//! Rely on: a neighbour's budget pays nothing; each thread that is written off is counted; when too
//! many are held over all, the daemon ends rather than leak on.

use super::tree::Slot;
use super::{Escalation, Supervisor};
use crate::actors::pool::{Abandoned, Blocked, HELD_PER_REPLICA};
use crate::domain::exit::ExitReason;
use crate::telemetry::metrics::record;

impl Supervisor {
    /// An arbiter makes no step: it is written off, and its children start elsewhere.
    pub(super) fn on_blocked(&mut self, blocked: Blocked) {
        let verdict = self.places.abandon(blocked.arbiter);
        if verdict == Abandoned::Unknown {
            return;
        }
        record::arbiter_abandoned();
        tracing::error!(
            arbiter = blocked.arbiter,
            span_ms = super::ends::millis(blocked.span),
            "arbiter blocked by a handler and replaced"
        );
        for slot in self.tree.all_slots() {
            self.lost_arbiter(slot, blocked);
        }
        if verdict == Abandoned::TooMany {
            self.end_daemon(
                Escalation::ARBITERS,
                "too many threads are blocked by handlers",
            );
        }
    }

    /// Nobody watches the arbiters any more: a handler that blocks would go unnoticed.
    pub(super) fn on_blind(&mut self) {
        let why = "nobody can watch for handlers that block their thread";
        self.end_daemon(Escalation::ARBITERS, why);
    }

    /// Whether a replica's handlers hold as many threads as they may: another life could hold one
    /// more, and none of them ever comes back by itself.
    pub(super) fn holds_too_many_threads(&mut self, slot: Slot) -> bool {
        let places = self.places.clone();
        let Some(replica) = self.tree.replica_mut(slot) else {
            return false;
        };
        replica.blocked.retain(|id| places.holds_thread(*id));
        replica.blocked.len() >= HELD_PER_REPLICA
    }

    fn lost_arbiter(&mut self, slot: Slot, blocked: Blocked) {
        let Some(replica) = self.tree.replica_mut(slot) else {
            return;
        };
        let Some(life) = &replica.life else {
            return;
        };
        if life.place.arbiter() != Some(blocked.arbiter) {
            return;
        }
        life.grant.revoke();
        life.control.kill();
        let guilty = blocked.runner == Some(life.grant.runner());
        // Its last restart in place may not have been reported yet; that report is stale now.
        replica.generation = life.grant.generation();
        let generation = replica.generation;
        let reason = if guilty {
            replica.blocked.push(blocked.arbiter);
            ExitReason::stuck(blocked.span)
        } else {
            ExitReason::ArbiterGone
        };
        self.on_exited(slot, generation, reason);
    }
}
