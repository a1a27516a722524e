//! The actor: submissions, claims, hand-overs, settlements.
//!
//! A handler takes its message apart, asks the desk, and starts what must go to the store; the
//! store's answer comes back as a message. So nothing here waits.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::deadlines::{Deadlines, Due};
use super::desk::{Desk, Ended, Placed, Reserved};
use super::handle::DispatcherHandle;
use super::{DispatchError, RESCUE_PERIOD, Result};
use crate::actors::life::Hosted;
use crate::actors::runner::AgentContext;
use crate::actors::work::TaskFrame;
use crate::domain::ids::{LeaseId, TaskId};
use crate::domain::query::{ClaimedTask, Claims, Settled, Settlement, Submitted};
use crate::domain::task::NewTask;
use crate::domain::transition::backoff;
use crate::persistence::{Store, StoreError};

/// The first wait before the store is asked again; doubles up to [`MAX_STORE_BACKOFF`].
const MIN_STORE_BACKOFF: Duration = Duration::from_millis(100);
/// The longest wait before the store is asked again.
const MAX_STORE_BACKOFF: Duration = Duration::from_secs(5);
/// How long claims rest after the store refused one.
const CLAIM_BACKOFF: Duration = Duration::from_secs(1);
/// Messages that may wait, reports apart.
const MAILBOX: usize = 10_000;

/// What the lives of the dispatcher share: it goes on where an earlier life broke off.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) desk: Desk,
    pub(super) deadlines: Deadlines,
    /// A claim is on its way.
    pub(super) claiming: bool,
    /// Claims rest, the store refused one.
    pub(super) claims_rest: bool,
    /// Who waits for the desk to be empty, and how much was taken back so far.
    pub(super) drains: Vec<oneshot::Sender<u64>>,
    pub(super) leftovers: u64,
    /// Leases that nobody here knew at the last sweep.
    pub(super) strangers: Vec<LeaseId>,
}

/// The dispatcher.
pub struct Dispatcher {
    pub(super) handle: DispatcherHandle,
    pub(super) memory: Arc<Mutex<Memory>>,
    pub(super) timer: Option<(Instant, SpawnHandle)>,
}

/// Shorthand of this room.
pub(super) type Ctx = AgentContext<Dispatcher>;

impl Actor for Dispatcher {
    type Context = AgentContext<Self>;

    fn started(&mut self, ctx: &mut Ctx) {
        {
            let mut memory = self.memory.lock();
            // What was on its way answers this life; a claim that does not is made again.
            memory.claiming = false;
            memory.desk.news_for_all();
            memory
                .deadlines
                .add(Instant::now() + RESCUE_PERIOD, Due::Upkeep);
        }
        self.look_for_due(ctx);
        self.claim(ctx);
        self.arm(ctx);
    }
}

impl Hosted for Dispatcher {
    const MAILBOX: usize = MAILBOX;
}

/// Store a task and hand it out, if a slot is free.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Submit {
    pub(super) task: NewTask,
    pub(super) answer: oneshot::Sender<Result<Submitted>>,
}

/// The store has answered a submission.
#[derive(Message)]
#[rtype(result = "()")]
struct TaskStored {
    reserved: Option<Reserved>,
    stored: std::result::Result<Submitted, StoreError>,
    answer: oneshot::Sender<Result<Submitted>>,
}

/// Tasks may have been queued.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Wake;

/// Tasks may fall due.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct LookForDue;

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
    looked: std::result::Result<(u64, Option<Duration>), StoreError>,
}

/// An execution's end is in the database, or can never be.
#[derive(Message)]
#[rtype(result = "()")]
struct EndStored {
    task: TaskId,
    lease: LeaseId,
    stored: std::result::Result<Settled, StoreError>,
}

impl Handler<Submit> for Dispatcher {
    type Result = ();

    fn handle(&mut self, Submit { task, answer }: Submit, ctx: &mut Ctx) {
        let reserved = {
            let mut memory = self.memory.lock();
            if memory.desk.draining {
                // A caller who has gone away does not want the answer.
                answer.send(Err(DispatchError::Draining)).ok();
                return;
            }
            let now = task.run_at.is_none();
            now.then(|| memory.desk.reserve(&task.target)).flatten()
        };
        let (store, session) = (self.store(), self.handle.session());
        let offer = reserved.as_ref().map(|reserved| reserved.offer.clone());
        later(ctx, async move {
            let stored = store.create_task(session, task, offer).await;
            TaskStored {
                reserved,
                stored,
                answer,
            }
        });
    }
}

impl Handler<TaskStored> for Dispatcher {
    type Result = ();

    fn handle(&mut self, done: TaskStored, ctx: &mut Ctx) {
        if let Some(reserved) = &done.reserved {
            self.memory.lock().desk.release(reserved, false);
        }
        let claimed = done
            .stored
            .as_ref()
            .ok()
            .and_then(|stored| stored.claimed.clone());
        // The caller first: it is told of the commit, not of the hand-over.
        done.answer
            .send(done.stored.map_err(DispatchError::from))
            .ok();
        match claimed {
            Some(task) => self.place(task, ctx),
            None if done.reserved.is_some() => self.claim(ctx),
            None => {}
        }
    }
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
        {
            let mut memory = self.memory.lock();
            memory.claiming = false;
            for slot in &reserved {
                let dry = claimed.dry.contains(&slot.offer.instance);
                memory.desk.release(slot, dry);
            }
        }
        for task in claimed.tasks {
            self.place(task, ctx);
        }
        self.claim(ctx);
        self.answer_drains();
    }
}

impl Handler<DueQueued> for Dispatcher {
    type Result = ();

    fn handle(&mut self, DueQueued { looked }: DueQueued, ctx: &mut Ctx) {
        match looked {
            Ok((_, next)) => {
                if let Some(span) = next {
                    self.memory
                        .lock()
                        .deadlines
                        .add(Instant::now() + span, Due::Queue);
                    self.arm(ctx);
                }
            }
            // The upkeep looks again.
            Err(error) => tracing::warn!(%error, "what is due could not be queued"),
        }
    }
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
        self.answer_drains();
    }
}

impl Dispatcher {
    pub(super) fn store(&self) -> Store {
        self.handle.store().clone()
    }

    /// Claims queued tasks for every free slot, unless a claim is on its way.
    pub(super) fn claim(&mut self, ctx: &mut Ctx) {
        let reserved = {
            let mut memory = self.memory.lock();
            if memory.claiming || memory.claims_rest {
                return;
            }
            let reserved = memory.desk.reserve_all();
            memory.claiming = !reserved.is_empty();
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

    fn claim_failed(&mut self, reserved: &[Reserved], error: &StoreError, ctx: &mut Ctx) {
        tracing::warn!(%error, "no tasks could be claimed");
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
        let now = Instant::now();
        let placed = self.memory.lock().desk.place(&task, now);
        self.hand_over(&task, placed, now, ctx);
    }

    /// Gives a task to its agent that was put beside before.
    pub(super) fn begin_parked(&mut self, task: ClaimedTask, ctx: &mut Ctx) {
        let now = Instant::now();
        let placed = self.memory.lock().desk.begin(&task, now);
        self.hand_over(&task, placed, now, ctx);
    }

    fn hand_over(&mut self, task: &ClaimedTask, placed: Placed, now: Instant, ctx: &mut Ctx) {
        {
            let mut memory = self.memory.lock();
            if let Placed::Begun(_) = placed {
                memory
                    .deadlines
                    .add(now + task.timeout, Due::Attempt(task.lease_id));
            }
        }
        match placed {
            Placed::Parked => {}
            Placed::Ended(ended) => self.end(ended, ctx),
            Placed::Begun(port) => {
                if port.assign(frame(task)).is_err() {
                    let ended = {
                        let mut memory = self.memory.lock();
                        memory
                            .deadlines
                            .remove(now + task.timeout, Due::Attempt(task.lease_id));
                        memory.desk.refused(task)
                    };
                    self.end(ended, ctx);
                } else {
                    self.arm(ctx);
                }
            }
        }
    }

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

    /// Queues what is due.
    pub(super) fn look_for_due(&mut self, ctx: &mut Ctx) {
        let store = self.store();
        later(ctx, async move {
            DueQueued {
                looked: store.queue_due().await,
            }
        });
    }

    /// Sets the timer for what is due next.
    pub(super) fn arm(&mut self, ctx: &mut Ctx) {
        let Some(next) = self.memory.lock().deadlines.next() else {
            return;
        };
        if self.timer.as_ref().is_some_and(|(at, _)| *at <= next) {
            return;
        }
        if let Some((_, timer)) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let span = next.saturating_duration_since(Instant::now());
        let timer = ctx.run_later(span, |this, ctx| {
            this.timer = None;
            this.time_is_up(ctx);
            this.arm(ctx);
        });
        self.timer = Some((next, timer));
    }

    fn time_is_up(&mut self, ctx: &mut Ctx) {
        let now = Instant::now();
        loop {
            let Some(due) = self.memory.lock().deadlines.take(now) else {
                return;
            };
            match due {
                Due::Attempt(lease) => self.attempt_timed_out(lease, ctx),
                Due::Grace(lease) => self.not_given_up(lease, ctx),
                Due::Queue => self.look_for_due(ctx),
                Due::Drain => self.drain_is_over(ctx),
                Due::Upkeep => self.upkeep(ctx),
                Due::Claim => {
                    self.memory.lock().claims_rest = false;
                    self.claim(ctx);
                }
            }
        }
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

fn frame(task: &ClaimedTask) -> TaskFrame {
    TaskFrame {
        id: task.id,
        workflow_id: task.workflow_id,
        name: task.name.clone(),
        payload: task.payload.clone(),
        attempt: task.attempt,
        lease_id: task.lease_id,
        timeout: task.timeout,
    }
}

/// Starts work whose end comes back as a message: past the mailbox' bound, since every such work
/// stands for one message or lease that was let in.
pub(super) fn later<M>(ctx: &Ctx, work: impl Future<Output = M> + 'static)
where
    M: Message<Result = ()> + Send + 'static,
    Dispatcher: Handler<M>,
{
    let me = ctx.me();
    actix_rt::spawn(async move {
        let done = work.await;
        // Without a dispatcher the sweep of the next life finds what was left.
        me.report(done).ok();
    });
}
