//! The dispatcher's schedules.

use futures_util::FutureExt;

use crate::actors::dispatcher::DispatcherHandle;
use crate::domain::query::{Page, PageRequest};
use crate::domain::schedule::{ScheduleRun, ScheduleStatus};
use crate::domain::task::IdempotencyKey;
use crate::domain::timestamp::Timestamp;
use crate::http::handles::{Answer, Schedules};

/// Boxes a call whose error becomes a problem.
macro_rules! answer {
    ($call:expr) => {
        async move { Ok($call.await?) }.boxed()
    };
}

impl Schedules for DispatcherHandle {
    fn schedules(&self) -> Answer<'_, Vec<ScheduleStatus>> {
        answer!(Self::schedules(self))
    }

    fn schedule<'a>(&'a self, name: &'a str) -> Answer<'a, ScheduleStatus> {
        answer!(Self::schedule(self, name))
    }

    fn schedule_history<'a>(
        &'a self,
        name: &'a str,
        page: PageRequest,
    ) -> Answer<'a, Page<ScheduleRun>> {
        answer!(Self::schedule_history(self, name, page))
    }

    fn pause_schedule<'a>(
        &'a self,
        name: &'a str,
        until: Option<Timestamp>,
        reason: Option<String>,
    ) -> Answer<'a, ScheduleStatus> {
        answer!(Self::pause_schedule(self, name, until, reason))
    }

    fn resume_schedule<'a>(&'a self, name: &'a str) -> Answer<'a, ScheduleStatus> {
        answer!(Self::resume_schedule(self, name))
    }

    fn trigger_schedule<'a>(
        &'a self,
        name: &'a str,
        key: Option<IdempotencyKey>,
    ) -> Answer<'a, ScheduleRun> {
        answer!(Self::trigger_schedule(self, name, key))
    }
}
