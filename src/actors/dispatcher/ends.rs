//! The end of an execution, on its way into the database.

use std::time::Duration;

use actix::prelude::*;

use super::actor::{Ctx, Dispatcher, later};
use super::desk::Ended;
use crate::domain::ids::{LeaseId, TaskId};
use crate::domain::query::{Settled, Settlement};
use crate::domain::transition::backoff;
use crate::persistence::StoreError;

/// The first wait before the store is asked again; doubles up to [`MAX_STORE_BACKOFF`].
const MIN_STORE_BACKOFF: Duration = Duration::from_millis(100);
/// The longest wait before the store is asked again.
const MAX_STORE_BACKOFF: Duration = Duration::from_secs(5);
/// An execution's end is in the database, or can never be.
#[derive(Message)]
#[rtype(result = "()")]
struct EndStored {
    task: TaskId,
    lease: LeaseId,
    stored: std::result::Result<Settled, StoreError>,
}

impl Handler<EndStored> for Dispatcher {
    type Result = ();

    fn handle(
        &mut self,
        EndStored {
            task,
            lease,
            stored,
        }: EndStored,
        ctx: &mut Ctx,
    ) {
        self.memory.lock().desk.settling.remove(&lease);
        match stored {
            Ok(settled) if settled.stale => {
                tracing::info!(%task, %lease, "a result came late and was kept as stale");
            }
            Ok(settled) => self.ask_to_give_up(settled.cancel, "its workflow failed", ctx),
            Err(error) => tracing::error!(%task, %error, "the end of an execution was refused"),
        }
        self.made_room(ctx);
        self.answer_drains();
    }
}

impl Dispatcher {
    /// Brings the end of an execution into the database, however long that takes.
    pub(super) fn end(&mut self, ended: Ended, ctx: &mut Ctx) {
        let Ended {
            task,
            lease,
            attempt,
            outcome,
        } = ended;
        self.memory.lock().desk.settling.insert(lease);
        let backoff = backoff(attempt, self.handle.chance());
        let settlement = Settlement {
            task,
            lease_id: lease,
            outcome,
            backoff,
        };
        let (store, session, chance) = (self.store(), self.handle.session(), self.handle.clone());
        later(ctx, async move {
            let mut wait = MIN_STORE_BACKOFF;
            let stored = loop {
                match store.settle(session, settlement.clone()).await {
                    Err(error) if may_pass(&error) => {
                        tracing::warn!(%task, %error, "a result waits for the database");
                        tokio::time::sleep(wait.mul_f64(0.5 + chance.chance() / 2.0)).await;
                        wait = (wait * 2).min(MAX_STORE_BACKOFF);
                    }
                    done => break done,
                }
            };
            EndStored {
                task,
                lease,
                stored,
            }
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

/// Whether the store may do later what it does not do now.
const fn may_pass(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unavailable { .. }
            | StoreError::StorageFull { .. }
            | StoreError::Overloaded { .. }
    )
}
