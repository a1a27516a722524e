//! Claims: queued tasks go to free slots, and claimed tasks to their agents.

use std::time::Duration;

use actix::prelude::*;
use tokio::time::Instant;

use super::actor::{Ctx, Dispatcher, later};
use super::deadlines::Due;
use super::desk::{Placed, Reserved};
use crate::actors::work::TaskFrame;
use crate::domain::query::{ClaimedTask, Claims, DueWork};
use crate::persistence::StoreError;

/// How long claims rest after the store refused one.
const CLAIM_BACKOFF: Duration = Duration::from_secs(1);
/// Tasks may have been queued.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Wake;

/// Tasks may fall due.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct LookForDue;

/// Limits or pauses have changed.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct QueuesChanged;

impl Handler<QueuesChanged> for Dispatcher {
    type Result = ();

    fn handle(&mut self, _: QueuesChanged, ctx: &mut Ctx) {
        self.claim_for_all(ctx);
        self.look_for_due(ctx);
        self.look_at_spend(ctx);
    }
}

/// The store has answered a claim.
#[derive(Message)]
#[rtype(result = "()")]
struct TasksClaimed {
    reserved: Vec<Reserved>,
    claimed: std::result::Result<Claims, StoreError>,
}

/// What was due has been queued.
#[derive(Message)]
#[rtype(result = "()")]
struct DueQueued {
    looked: std::result::Result<DueWork, StoreError>,
}

impl Handler<Wake> for Dispatcher {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Ctx) {
        let news = self.handle.feed().take_news();
        self.memory.lock().desk.news(news);
        self.claim(ctx);
    }
}

impl Handler<LookForDue> for Dispatcher {
    type Result = ();

    fn handle(&mut self, _: LookForDue, ctx: &mut Ctx) {
        self.handle.feed().heard_due();
        self.look_for_due(ctx);
    }
}

impl Handler<TasksClaimed> for Dispatcher {
    type Result = ();

    fn handle(&mut self, TasksClaimed { reserved, claimed }: TasksClaimed, ctx: &mut Ctx) {
        let claimed = match claimed {
            Ok(claimed) => claimed,
            Err(error) => return self.claim_failed(&reserved, &error, ctx),
        };
        // Before their slots are let go: nobody else is offered them in between.
        for task in claimed.tasks {
            self.place(task, ctx);
        }
        {
            let mut memory = self.memory.lock();
            memory.claiming = false;
            for slot in &reserved {
                let dry = claimed.dry.contains(&slot.offer.instance);
                memory.desk.release(slot, dry);
            }
            memory.held_back = claimed.held_back;
            if claimed.held_back && memory.ended_meanwhile {
                memory.desk.news_for_all();
            }
            if let Some(span) = claimed.next {
                memory.deadlines.add(Instant::now() + span, Due::Limit);
            }
        }
        self.arm(ctx);
        self.claim(ctx);
        self.answer_drains();
    }
}

impl Handler<DueQueued> for Dispatcher {
    type Result = ();

    fn handle(&mut self, DueQueued { looked }: DueQueued, ctx: &mut Ctx) {
        match looked {
            Ok(DueWork {
                next,
                stop,
                cancel,
                resumed,
                ..
            }) => {
                if !stop.is_empty() {
                    self.made_room(ctx);
                }
                if resumed > 0 {
                    self.claim_for_all(ctx);
                }
                for (_, lease) in stop {
                    self.has_expired(lease);
                }
                self.ask_to_give_up(cancel, "its workflow failed", ctx);
                if let Some(span) = next {
                    self.memory
                        .lock()
                        .deadlines
                        .add(Instant::now() + span, Due::Queue);
                }
                self.arm(ctx);
            }
            // The upkeep looks again.
            Err(error) => tracing::warn!(%error, "what is due could not be queued"),
        }
    }
}

impl Dispatcher {
    /// Claims queued tasks for every free slot, unless a claim is on its way.
    pub(super) fn claim(&mut self, ctx: &mut Ctx) {
        let reserved = {
            let mut memory = self.memory.lock();
            if memory.claiming || memory.claims_rest {
                return;
            }
            let reserved = memory.desk.reserve_all();
            memory.claiming = !reserved.is_empty();
            memory.ended_meanwhile = false;
            reserved
        };
        if reserved.is_empty() {
            return;
        }
        let (store, session) = (self.store(), self.handle.session());
        let offers = reserved.iter().map(|slot| slot.offer.clone()).collect();
        later(ctx, async move {
            let claimed = store.claim(session, offers).await;
            TasksClaimed { reserved, claimed }
        });
    }

    /// Claims for those too for whom nothing was left: something gave way.
    pub(super) fn claim_for_all(&mut self, ctx: &mut Ctx) {
        self.memory.lock().desk.news_for_all();
        self.claim(ctx);
    }

    /// An execution has ended: it may have made room under a limit.
    pub(super) fn made_room(&mut self, ctx: &mut Ctx) {
        let waited = {
            let mut memory = self.memory.lock();
            memory.ended_meanwhile = true;
            std::mem::take(&mut memory.held_back)
        };
        if waited {
            self.claim_for_all(ctx);
        }
    }

    fn claim_failed(&mut self, reserved: &[Reserved], error: &StoreError, ctx: &mut Ctx) {
        // A database that is lost or full has said so itself, once.
        if error.is_temporary() {
            tracing::debug!(%error, "no tasks could be claimed");
        } else {
            tracing::warn!(%error, "no tasks could be claimed");
        }
        {
            let mut memory = self.memory.lock();
            memory.claiming = false;
            memory.claims_rest = true;
            reserved
                .iter()
                .for_each(|slot| memory.desk.release(slot, false));
            memory
                .deadlines
                .add(Instant::now() + CLAIM_BACKOFF, Due::Claim);
        }
        self.arm(ctx);
        self.answer_drains();
    }

    /// Gives a claimed task to its agent.
    pub(super) fn place(&mut self, task: ClaimedTask, ctx: &mut Ctx) {
        let placed = self.memory.lock().desk.place(&task);
        self.hand_over(task, placed, ctx);
    }

    /// Gives a task to its agent that was put beside before.
    pub(super) fn begin_parked(&mut self, task: ClaimedTask, ctx: &mut Ctx) {
        let placed = self.memory.lock().desk.begin(&task);
        self.hand_over(task, placed, ctx);
    }

    fn hand_over(&mut self, mut task: ClaimedTask, placed: Placed, ctx: &mut Ctx) {
        {
            let mut memory = self.memory.lock();
            if let Placed::Begun(_) = placed {
                memory
                    .deadlines
                    .add(Instant::now() + task.timeout, Due::Attempt(task.lease_id));
            }
        }
        match placed {
            Placed::Parked => {}
            Placed::Ended(ended) => self.end(ended),
            Placed::Begun(port) => {
                if port.assign(frame(&mut task)).is_err() {
                    let ended = {
                        let mut memory = self.memory.lock();
                        memory.deadlines.remove(Due::Attempt(task.lease_id));
                        memory.desk.refused(&task)
                    };
                    self.end(ended);
                } else {
                    self.arm(ctx);
                }
            }
        }
    }

    /// Queues what is due.
    pub(super) fn look_for_due(&mut self, ctx: &mut Ctx) {
        let store = self.store();
        later(ctx, async move {
            DueQueued {
                looked: store.queue_due().await,
            }
        });
    }
}

/// What the agent gets. Payload and name go with it: what remains says who holds the task.
fn frame(task: &mut ClaimedTask) -> TaskFrame {
    TaskFrame {
        id: task.id,
        workflow_id: task.workflow_id,
        name: std::mem::take(&mut task.name),
        payload: task.payload.take(),
        attempt: task.attempt,
        lease_id: task.lease_id,
        timeout: task.timeout,
        traceparent: task.traceparent,
    }
}
