//! Spend: what is reported is counted at once and kept as soon as the database takes it, windows
//! begin and end, and what spends too much is stopped.

use std::time::Duration;

use actix::prelude::*;
use tokio::time::Instant;

use super::actor::{Ctx, Dispatcher, Memory, later};
use super::deadlines::Due;
use super::desk::Ended;
use super::handle::DispatcherHandle;
use crate::actors::work::AgentSpent;
use crate::clock;
use crate::domain::ids::LeaseId;
use crate::domain::name::Name;
use crate::domain::spend::{SpendView, SpendWrite, Stored, Window};
use crate::domain::task::{Outcome, TaskError};
use crate::persistence::StoreError;
use crate::telemetry::metrics::record;

/// The longest wait before the database is asked again; half of it at least.
const REST: Duration = Duration::from_secs(2);
/// The code of a task that was stopped because it, or its agent, has spent too much.
const EXCEEDED: &str = "spend_exceeded";

/// Something was reported, or is due.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct SpendNews;

/// A sum was kept, or was not.
#[derive(Message)]
#[rtype(result = "()")]
struct SpendKept {
    write: SpendWrite,
    stored: Result<(), StoreError>,
}

/// What is stored of a window was read.
#[derive(Message)]
#[rtype(result = "()")]
struct WindowRead {
    agent: Name,
    window: Window,
    stored: Result<Stored, StoreError>,
}

impl Handler<SpendNews> for Dispatcher {
    type Result = ();

    fn handle(&mut self, _: SpendNews, ctx: &mut Ctx) {
        self.memory.lock().desk.spends.woken = false;
        self.look_at_spend(ctx);
    }
}

impl Handler<SpendKept> for Dispatcher {
    type Result = ();

    fn handle(&mut self, SpendKept { write, stored }: SpendKept, ctx: &mut Ctx) {
        let agent = write.agent.clone();
        let failed = stored.as_ref().is_err_and(StoreError::is_temporary);
        let rests = self.memory.lock().desk.spends.written(write, failed);
        match stored {
            Ok(()) => {}
            Err(error) if rests => {
                tracing::warn!(%agent, %error, "what was spent waits for the database");
            }
            Err(error) if failed => tracing::debug!(%agent, %error, "spend waits"),
            Err(error) => tracing::error!(%agent, %error, "what was spent could not be kept"),
        }
        if rests {
            self.ask_again_later(ctx);
        }
        self.look_at_spend(ctx);
        self.answer_drains();
    }
}

impl Handler<WindowRead> for Dispatcher {
    type Result = ();

    fn handle(&mut self, read: WindowRead, ctx: &mut Ctx) {
        let WindowRead {
            agent,
            window,
            stored,
        } = read;
        if let Err(error) = &stored {
            tracing::debug!(%agent, %error, "a window of spend could not be read");
            return self.ask_again_later(ctx);
        }
        let entered = {
            let mut memory = self.memory.lock();
            let spends = &mut memory.desk.spends;
            spends.read(&agent, window, stored.ok(), clock::now())
        };
        self.look_at_spend(ctx);
        if entered {
            self.claim_for_all(ctx);
        }
    }
}

impl Dispatcher {
    /// Stops what has spent too much, keeps what was spent, and enters windows that have begun.
    pub(super) fn look_at_spend(&mut self, ctx: &mut Ctx) {
        let now = clock::now();
        let (over, writes, reads) = {
            let mut memory = self.memory.lock();
            let Memory {
                desk, deadlines, ..
            } = &mut *memory;
            let Some(next) = desk.spends.next_window() else {
                // Somebody may have lost his ceiling with something unsaved.
                let writes = desk.spends.take_writes(now);
                record::spend_ratios(desk.spends.ratios());
                drop(memory);
                return self.keep_spend(writes, ctx);
            };
            // Never at once again: a window that cannot be read is asked for at the upkeep.
            let span = next.since(now).max(REST);
            deadlines.add(Instant::now() + span, Due::Spend);
            let spends = &mut desk.spends;
            record::spend_ratios(spends.ratios());
            (
                spends.to_stop(),
                spends.take_writes(now),
                spends.take_reads(now),
            )
        };
        self.arm(ctx);
        self.keep_spend(writes, ctx);
        for (agent, window) in reads {
            self.read_window(agent, window, ctx);
        }
        for (lease, why) in over {
            self.spends_too_much(lease, why);
        }
    }

    fn keep_spend(&self, writes: Vec<SpendWrite>, ctx: &Ctx) {
        for write in writes {
            let store = self.store();
            later(ctx, async move {
                let stored = store.record_spend(write.clone()).await;
                SpendKept { write, stored }
            });
        }
    }

    fn read_window(&self, agent: Name, window: Window, ctx: &Ctx) {
        let store = self.store();
        later(ctx, async move {
            let stored = store.spend_window(agent.clone(), window).await;
            WindowRead {
                agent,
                window,
                stored,
            }
        });
    }

    fn ask_again_later(&mut self, ctx: &mut Ctx) {
        let wait = REST.mul_f64(0.5 + self.handle.chance() / 2.0);
        self.memory
            .lock()
            .deadlines
            .add(Instant::now() + wait, Due::Spend);
        self.arm(ctx);
    }

    /// A window may have ended, or the database may be there again.
    pub(super) fn spend_is_due(&mut self, ctx: &mut Ctx) {
        self.memory.lock().desk.spends.go_on();
        self.look_at_spend(ctx);
    }

    /// A task has spent more than it may: it is settled so, its agent is asked to give it up. One
    /// that is asked already is not asked twice.
    fn spends_too_much(&mut self, lease: LeaseId, why: String) {
        let ended = {
            let mut memory = self.memory.lock();
            let held = memory.desk.held(lease);
            if held.is_none_or(|(.., held)| held.ended || held.cancelling) {
                return;
            }
            memory.end_early(lease, &why)
        };
        let Some((task, attempt)) = ended else {
            return;
        };
        let ended = Ended {
            task,
            lease,
            attempt,
            outcome: Outcome::Failed(TaskError {
                code: EXCEEDED.to_owned(),
                message: why,
                retryable: false,
            }),
        };
        self.end(ended);
    }
}

impl DispatcherHandle {
    /// What an agent has spent and may; `None` if nobody counts.
    #[must_use]
    pub fn spend_of(&self, agent: &Name) -> Option<SpendView> {
        self.memory().lock().desk.spends.view(agent)
    }

    /// An agent says what it has spent; counted before this returns.
    pub(super) fn count_spend(&self, said: &AgentSpent) {
        record::agent_spent(said.from.agent.as_str(), said.usage);
        let wake = self.memory().lock().desk.spends.report(said);
        if wake {
            self.report(SpendNews);
        }
    }
}
