//! The end of an execution, on its way into the database.

use std::time::Duration;

use actix::prelude::*;

use super::actor::{Ctx, Dispatcher};
use super::desk::Ended;
use super::handle::DispatcherHandle;
use crate::clock;
use crate::domain::query::{Settled, Settlement};
use crate::domain::transition::backoff;
use crate::persistence::StoreError;

/// The first wait before the store is asked again; doubles up to [`MAX_STORE_BACKOFF`].
const MIN_STORE_BACKOFF: Duration = Duration::from_millis(100);
/// The longest wait before the store is asked again.
const MAX_STORE_BACKOFF: Duration = Duration::from_secs(5);
/// The store has answered the end of an execution.
#[derive(Message)]
#[rtype(result = "()")]
struct EndStored {
    settlement: Settlement,
    stored: std::result::Result<Settled, StoreError>,
    /// How long to wait if it cannot be stored now.
    wait: Duration,
}

impl Handler<EndStored> for Dispatcher {
    type Result = ();

    fn handle(&mut self, done: EndStored, ctx: &mut Ctx) {
        let EndStored {
            settlement,
            stored,
            wait,
        } = done;
        let (task, lease) = (settlement.task, settlement.lease_id);
        if let Some(error) = stored.as_ref().err().filter(|error| may_pass(error)) {
            if wait == MIN_STORE_BACKOFF {
                tracing::warn!(%task, %error, "a result waits for the database");
            }
            return self.store_later(settlement, wait);
        }
        self.memory.lock().desk.settling.remove(&lease);
        let refused = stored.is_err();
        match stored {
            Ok(settled) if settled.stale => {
                tracing::info!(%task, %lease, "a result came late and was kept as stale");
            }
            Ok(settled) if settled.cancel.is_empty() => {}
            Ok(settled) => self.ask_to_give_up(settled.cancel, "its workflow failed", ctx),
            Err(error) => tracing::error!(%task, %error, "the end of an execution was refused"),
        }
        if let Some(spend) = settlement.spend {
            if refused {
                self.memory.lock().desk.spends.keep_alone(*spend);
            }
            // What the task held may let another one start; what it spent may stop others.
            self.look_at_spend(ctx);
            self.claim(ctx);
        }
        self.made_room(ctx);
        self.answer_drains();
    }
}

impl Dispatcher {
    /// Brings the end of an execution into the database, however long that takes.
    pub(super) fn end(&mut self, ended: Ended) {
        let Ended {
            task,
            lease,
            attempt,
            outcome,
        } = ended;
        let spend = {
            let mut memory = self.memory.lock();
            memory.desk.settling.insert(lease);
            memory.desk.spends.close(lease, clock::now())
        };
        let settlement = Settlement {
            task,
            lease_id: lease,
            outcome,
            backoff: backoff(attempt, self.handle.chance()),
            spend: spend.map(Box::new),
        };
        store(self.handle.clone(), settlement, MIN_STORE_BACKOFF);
    }

    fn store_later(&self, settlement: Settlement, wait: Duration) {
        let handle = self.handle.clone();
        let next = (wait * 2).min(MAX_STORE_BACKOFF);
        actix_rt::spawn(async move {
            tokio::time::sleep(wait.mul_f64(0.5 + handle.chance() / 2.0)).await;
            store(handle, settlement, next);
        });
    }

    /// Tells those who wait for it that nothing is held any more.
    pub(super) fn answer_drains(&mut self) {
        let mut memory = self.memory.lock();
        if memory.desk.draining && memory.desk.is_idle() {
            let leftovers = memory.leftovers;
            for drain in memory.drains.drain(..) {
                // A caller who has gone away does not want the answer.
                drain.send(leftovers).ok();
            }
        }
    }
}

/// Asks the store once; `wait` is for the next time.
fn store(handle: DispatcherHandle, settlement: Settlement, wait: Duration) {
    let (ground, session) = (handle.store().clone(), handle.session());
    ground.settle_then(session, settlement, move |settlement, stored| {
        handle.hand_back(EndStored {
            settlement,
            stored,
            wait,
        });
    });
}

/// Whether the store may do later what it does not do now.
const fn may_pass(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unavailable { .. }
            | StoreError::StorageFull { .. }
            | StoreError::Overloaded { .. }
    )
}
