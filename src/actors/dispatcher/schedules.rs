//! Schedules: looked at when the next falls due, when what a firing waits for has ended, and every
//! upkeep, since the clock on the wall may be set.

use std::sync::Arc;

use actix::prelude::*;
use tokio::time::Instant;

use super::actor::{Ctx, Dispatcher, later};
use super::deadlines::Due;
use super::{DispatchError, DispatcherHandle, Result};
use crate::clock;
use crate::domain::name::{Name, nearest};
use crate::domain::query::{Fired, Page, PageRequest};
use crate::domain::schedule::{ScheduleRun, ScheduleSpec, ScheduleStatus};
use crate::domain::task::IdempotencyKey;
use crate::domain::timestamp::Timestamp;
use crate::persistence::StoreError;

/// Something may fall due, or have its turn.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct LookAtSchedules;

/// What fell due has been fired.
#[derive(Message)]
#[rtype(result = "()")]
struct SchedulesFired {
    fired: std::result::Result<Fired, StoreError>,
}

impl Handler<LookAtSchedules> for Dispatcher {
    type Result = ();

    fn handle(&mut self, _: LookAtSchedules, ctx: &mut Ctx) {
        self.look_at_schedules(ctx);
    }
}

impl Handler<SchedulesFired> for Dispatcher {
    type Result = ();

    fn handle(&mut self, SchedulesFired { fired }: SchedulesFired, ctx: &mut Ctx) {
        match fired {
            Ok(fired) => {
                if fired.waiting {
                    self.handle.feed().firings_wait();
                }
                self.ask_to_give_up(fired.cancel, "its schedule fired again", ctx);
                if let Some(span) = fired.next {
                    let at = Instant::now() + span;
                    self.memory.lock().deadlines.add(at, Due::Schedules);
                    self.arm(ctx);
                }
            }
            // The upkeep looks again.
            Err(error) => tracing::warn!(%error, "schedules could not be fired"),
        }
    }
}

impl Dispatcher {
    /// Fires what has fallen due.
    pub(super) fn look_at_schedules(&mut self, ctx: &mut Ctx) {
        let specs = self.handle.schedule_specs();
        if !self.handle.has_schedules() || self.memory.lock().desk.draining {
            return;
        }
        let (store, session) = (self.store(), self.handle.session());
        later(ctx, async move {
            SchedulesFired {
                fired: store.fire_schedules(session, specs).await,
            }
        });
    }
}

impl DispatcherHandle {
    fn schedule_spec(&self, name: &str) -> Result<ScheduleSpec> {
        let specs = self.schedule_specs();
        let found = specs.iter().find(|spec| spec.name.as_str() == name);
        found.cloned().ok_or_else(|| {
            let near = nearest(name, specs.iter().map(|spec| spec.name.as_str()));
            DispatchError::UnknownSchedule {
                name: name.to_owned(),
                hint: near.map_or_else(String::new, |near| format!("; did you mean '{near}'?")),
            }
        })
    }

    /// The schedules, in the order of their names in the configuration.
    ///
    /// # Errors
    /// If the database is away.
    pub async fn schedules(&self) -> Result<Vec<ScheduleStatus>> {
        let (standing, now) = (self.store().schedules().await?, clock::now());
        let specs: Arc<[ScheduleSpec]> = self.schedule_specs();
        let status = |spec: &ScheduleSpec| {
            let known = standing.iter().find(|(record, _)| record.name == spec.name);
            let (record, last) = known.cloned().unzip();
            spec.status(record, last.flatten(), now)
        };
        Ok(specs.iter().map(status).collect())
    }

    /// One schedule.
    ///
    /// # Errors
    /// If there is none, or the database is away.
    pub async fn schedule(&self, name: &str) -> Result<ScheduleStatus> {
        let spec = self.schedule_spec(name)?;
        let found = self.schedules().await?;
        let found = found.into_iter().find(|status| status.name == spec.name);
        Ok(found.unwrap_or_else(|| spec.status(None, None, clock::now())))
    }

    /// What came of a schedule, the newest first.
    ///
    /// # Errors
    /// If there is none, the cursor is none, or the database is away.
    pub async fn schedule_history(
        &self,
        name: &str,
        page: PageRequest,
    ) -> Result<Page<ScheduleRun>> {
        let name: Name = self.schedule_spec(name)?.name;
        Ok(self.store().schedule_history(&name, page).await?)
    }

    /// Pauses a schedule. What falls due meanwhile is left out for good.
    ///
    /// # Errors
    /// If there is none, or it cannot be stored.
    pub async fn pause_schedule(
        &self,
        name: &str,
        until: Option<Timestamp>,
        reason: Option<String>,
    ) -> Result<ScheduleStatus> {
        let spec = self.schedule_spec(name)?;
        self.store()
            .pause_schedule(&spec.name, true, until, reason)
            .await?;
        self.schedule(name).await
    }

    /// Resumes a schedule.
    ///
    /// # Errors
    /// If there is none, or it cannot be stored.
    pub async fn resume_schedule(&self, name: &str) -> Result<ScheduleStatus> {
        let spec = self.schedule_spec(name)?;
        self.store()
            .pause_schedule(&spec.name, false, None, None)
            .await?;
        self.report(LookAtSchedules);
        self.schedule(name).await
    }

    /// Fires a schedule now, paused or not, whatever runs; once for each key of idempotency.
    ///
    /// # Errors
    /// If there is none, the daemon is stopping, or it cannot be stored.
    pub async fn trigger_schedule(
        &self,
        name: &str,
        key: Option<IdempotencyKey>,
    ) -> Result<ScheduleRun> {
        if self.is_draining() {
            return Err(DispatchError::Draining);
        }
        let spec = self.schedule_spec(name)?;
        let store = self.store();
        Ok(store.trigger_schedule(self.session(), spec, key).await?)
    }
}
