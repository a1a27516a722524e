//! Operations of the store on schedules.
//!
//! Each forwards to the backend; what it does stands there.

use std::sync::Arc;

use super::sqlite::schedules;
use super::{Result, Store};
use crate::domain::ids::SessionId;
use crate::domain::name::Name;
use crate::domain::query::{Fired, Page, PageRequest};
use crate::domain::schedule::{ScheduleRecord, ScheduleRun, ScheduleSpec};
use crate::domain::task::IdempotencyKey;
use crate::domain::timestamp::Timestamp;

impl Store {
    /// Does what the schedules have come to; each instant once, with its task or workflow in the
    /// same commit.
    pub async fn fire_schedules(
        &self,
        session: SessionId,
        specs: Arc<[ScheduleSpec]>,
    ) -> Result<Fired> {
        schedules::fire(self.sqlite(), session, specs).await
    }

    /// Fires a schedule now, whatever its rule, its pause and its overlap say; with a key that was
    /// seen within a day, says what that fired.
    pub async fn trigger_schedule(
        &self,
        session: SessionId,
        spec: ScheduleSpec,
        key: Option<IdempotencyKey>,
    ) -> Result<ScheduleRun> {
        schedules::trigger(self.sqlite(), session, spec, key).await
    }

    /// Pauses a schedule, until an instant or for good, or resumes it.
    pub async fn pause_schedule(
        &self,
        name: &Name,
        paused: bool,
        until: Option<Timestamp>,
        reason: Option<String>,
    ) -> Result<()> {
        schedules::pause(self.sqlite(), name, paused, until, reason).await
    }

    /// How the schedules stand, each with what came of it last.
    pub async fn schedules(&self) -> Result<Vec<(ScheduleRecord, Option<ScheduleRun>)>> {
        schedules::standing(self.sqlite()).await
    }

    /// What came of a schedule, the newest first.
    pub async fn schedule_history(
        &self,
        name: &Name,
        page: PageRequest,
    ) -> Result<Page<ScheduleRun>> {
        schedules::history(self.sqlite(), name, page).await
    }
}
