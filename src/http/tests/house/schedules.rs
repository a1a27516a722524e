//! The house has no schedules.

use super::{Rooms, done};
use crate::domain::query::{Page, PageRequest};
use crate::domain::schedule::{ScheduleRun, ScheduleStatus};
use crate::domain::task::IdempotencyKey;
use crate::domain::timestamp::Timestamp;
use crate::http::{Answer, Problem, Schedules};

fn none(name: &str) -> Problem {
    Problem::not_found("schedule", name, None)
}

impl Schedules for Rooms {
    fn schedules(&self) -> Answer<'_, Vec<ScheduleStatus>> {
        done(Ok(Vec::new()))
    }
    fn schedule<'a>(&'a self, name: &'a str) -> Answer<'a, ScheduleStatus> {
        done(Err(none(name)))
    }
    fn schedule_history<'a>(
        &'a self,
        name: &'a str,
        _: PageRequest,
    ) -> Answer<'a, Page<ScheduleRun>> {
        done(Err(none(name)))
    }
    fn pause_schedule<'a>(
        &'a self,
        name: &'a str,
        _: Option<Timestamp>,
        _: Option<String>,
    ) -> Answer<'a, ScheduleStatus> {
        done(Err(none(name)))
    }
    fn resume_schedule<'a>(&'a self, name: &'a str) -> Answer<'a, ScheduleStatus> {
        done(Err(none(name)))
    }
    fn trigger_schedule<'a>(
        &'a self,
        name: &'a str,
        _: Option<IdempotencyKey>,
    ) -> Answer<'a, ScheduleRun> {
        done(Err(none(name)))
    }
}
