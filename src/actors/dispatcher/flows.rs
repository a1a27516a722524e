//! What workflows wait for from outside: signals given, and waits whose time is over.

use actix::prelude::*;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::actor::{Ctx, Dispatcher, later};
use super::deadlines::Due;
use super::{DispatchError, Result};
use crate::domain::ids::WorkflowId;
use crate::domain::query::{Expired, Signalled};
use crate::domain::workflow::Workflow;
use crate::persistence::StoreError;

/// Tell a workflow what it waits for.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct GiveSignal {
    pub(super) id: WorkflowId,
    pub(super) signal: String,
    pub(super) payload: Value,
    pub(super) answer: oneshot::Sender<Result<Workflow>>,
}

/// The store has answered a signal.
#[derive(Message)]
#[rtype(result = "()")]
struct SignalStored {
    stored: std::result::Result<Signalled, StoreError>,
    answer: oneshot::Sender<Result<Workflow>>,
}

/// A wait has begun.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct LookAtWaits;

/// Waits whose time was over have ended.
#[derive(Message)]
#[rtype(result = "()")]
struct WaitsEnded {
    ended: std::result::Result<Expired, StoreError>,
}

impl Handler<GiveSignal> for Dispatcher {
    type Result = ();

    fn handle(&mut self, given: GiveSignal, ctx: &mut Ctx) {
        let GiveSignal {
            id,
            signal,
            payload,
            answer,
        } = given;
        let store = self.store();
        later(ctx, async move {
            let stored = store.signal_workflow(id, &signal, payload).await;
            SignalStored { stored, answer }
        });
    }
}

impl Handler<SignalStored> for Dispatcher {
    type Result = ();

    fn handle(&mut self, SignalStored { stored, answer }: SignalStored, ctx: &mut Ctx) {
        let told = stored.map(|done| {
            self.ask_to_give_up(done.cancel, "its workflow failed", ctx);
            done.workflow
        });
        // A caller who has gone away does not want the answer.
        answer.send(told.map_err(DispatchError::from)).ok();
    }
}

impl Handler<LookAtWaits> for Dispatcher {
    type Result = ();

    fn handle(&mut self, _: LookAtWaits, ctx: &mut Ctx) {
        self.handle.feed().heard_waits();
        self.look_at_waits(ctx);
    }
}

impl Handler<WaitsEnded> for Dispatcher {
    type Result = ();

    fn handle(&mut self, WaitsEnded { ended }: WaitsEnded, ctx: &mut Ctx) {
        match ended {
            Ok(Expired { cancel, next }) => {
                self.ask_to_give_up(cancel, "its workflow failed", ctx);
                if let Some(span) = next {
                    let at = Instant::now() + span;
                    self.memory.lock().deadlines.add(at, Due::Waits);
                    self.arm(ctx);
                }
            }
            // The upkeep looks again.
            Err(error) => tracing::warn!(%error, "waits could not be ended"),
        }
    }
}

impl Dispatcher {
    /// Ends the waits whose time is over.
    pub(super) fn look_at_waits(&mut self, ctx: &mut Ctx) {
        let store = self.store();
        later(ctx, async move {
            WaitsEnded {
                ended: store.expire_waits().await,
            }
        });
    }
}
