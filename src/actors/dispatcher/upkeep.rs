//! What is done every ten seconds: the session's lease is renewed, what lost sessions held is
//! taken back, and tasks that this life claimed but does not hold are put back.

use actix::prelude::*;
use tokio::time::Instant;

use super::actor::{Ctx, Dispatcher, later};
use super::deadlines::Due;
use super::desk::Ended;
use super::{RESCUE_PERIOD, SESSION_LEASE};
use crate::domain::ids::{LeaseId, SessionId, TaskId};
use crate::domain::task::Outcome;
use crate::persistence::{Result, Store};

/// What this life holds, as the database has it.
#[derive(Message)]
#[rtype(result = "()")]
struct Swept {
    held: Result<Vec<(TaskId, LeaseId)>>,
}

impl Handler<Swept> for Dispatcher {
    type Result = ();

    /// A lease that nobody here knows twice in a row was lost between a commit and its answer.
    fn handle(&mut self, Swept { held }: Swept, _: &mut Ctx) {
        self.memory.lock().sweeping = false;
        let held = match held {
            Ok(held) => held,
            Err(error) => return tracing::warn!(%error, "the upkeep of leases failed"),
        };
        let lost: Vec<_> = {
            let mut memory = self.memory.lock();
            memory.desk.forget_early_cancels();
            let strangers: Vec<_> = held
                .into_iter()
                .filter(|(_, lease)| !memory.desk.knows(*lease))
                .collect();
            let leases = strangers.iter().map(|(_, lease)| *lease).collect();
            let before = std::mem::replace(&mut memory.strangers, leases);
            strangers
                .into_iter()
                .filter(|(_, lease)| before.contains(lease))
                .collect()
        };
        for (task, lease) in lost {
            tracing::warn!(%task, %lease, "a hand-over was lost; the task goes back to its queue");
            let outcome = Outcome::Interrupted {
                reason: "its hand-over was lost".to_owned(),
            };
            self.end(Ended {
                task,
                lease,
                attempt: 1,
                outcome,
            });
        }
    }
}

impl Dispatcher {
    pub(super) fn upkeep(&mut self, ctx: &mut Ctx) {
        self.memory
            .lock()
            .deadlines
            .add(Instant::now() + RESCUE_PERIOD, Due::Upkeep);
        self.memory.lock().desk.news_for_all();
        self.claim(ctx);
        self.look_for_due(ctx);
        self.look_at_waits(ctx);
        // The clock on the wall may have been set: nothing sleeps past that for long.
        self.look_at_schedules(ctx);
        self.look_at_spend(ctx);
        // Each sweep sees all that was on its way at the one before.
        if std::mem::replace(&mut self.memory.lock().sweeping, true) {
            return;
        }
        let (store, session) = (self.store(), self.handle.session());
        later(ctx, async move {
            Swept {
                held: sweep(&store, session).await,
            }
        });
    }
}

async fn sweep(store: &Store, session: SessionId) -> Result<Vec<(TaskId, LeaseId)>> {
    store.renew_session(session, SESSION_LEASE).await?;
    let rescued = store.rescue(session).await?;
    if rescued > 0 {
        tracing::info!(rescued, "tasks of a lost session went back to their queues");
    }
    store.held_by(session).await
}

const _: () = assert!(
    RESCUE_PERIOD.as_secs() * 2 < SESSION_LEASE.as_secs(),
    "a lease must outlive a missed renewal"
);
