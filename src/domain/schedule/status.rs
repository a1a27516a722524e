//! What is kept of schedules, and how they are shown.

use serde::Serialize;

use super::{CatchUp, Overlap, ScheduleSpec, ScheduledWork};
use crate::domain::ids::{TaskId, WorkflowId};
use crate::domain::name::Name;
use crate::domain::task::Target;
use crate::domain::timestamp::Timestamp;

/// A schedule as it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScheduleStatus {
    /// Its name.
    pub name: Name,
    /// Its rule, with its zone.
    pub rule: String,
    /// What it starts: `agent echo`, `workflow nightly`.
    pub starts: String,
    /// What happens while the last one runs.
    pub overlap: Overlap,
    /// What happens to missed firings.
    pub catch_up: CatchUp,
    /// Whether it is paused.
    pub paused: bool,
    /// Until when; `None`: until resumed.
    pub paused_until: Option<Timestamp>,
    /// Why it is paused.
    pub reason: Option<String>,
    /// When it fires next.
    pub next_at: Option<Timestamp>,
    /// What came of it last.
    pub last: Option<ScheduleRun>,
}

/// One firing, or one that was left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScheduleRun {
    /// The schedule.
    pub schedule: Name,
    /// When it was due.
    pub due_at: Timestamp,
    /// `fired`, `waiting` or `skipped`.
    pub outcome: String,
    /// Why: `due`, `trigger`, `overlap`, `missed`.
    pub reason: String,
    /// The task it started.
    pub task_id: Option<TaskId>,
    /// The workflow it started.
    pub workflow_id: Option<WorkflowId>,
    /// The state of what it started, while that is kept.
    pub state: Option<String>,
    /// When this was decided.
    pub at: Timestamp,
}

/// What is kept of a schedule beside its runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleRecord {
    /// Its name.
    pub name: Name,
    /// Up to which instant of its rule all was done or left out.
    pub considered: Timestamp,
    /// Whether it is paused.
    pub paused: bool,
    /// Until when; `None`: until resumed.
    pub paused_until: Option<Timestamp>,
    /// Why it is paused.
    pub reason: Option<String>,
}

impl ScheduleRecord {
    /// Whether it rests now.
    #[must_use]
    pub fn rests(&self, now: Timestamp) -> bool {
        self.paused && self.paused_until.is_none_or(|until| now < until)
    }
}

impl ScheduleSpec {
    /// How it stands.
    #[must_use]
    pub fn status(
        &self,
        record: Option<ScheduleRecord>,
        last: Option<ScheduleRun>,
        now: Timestamp,
    ) -> ScheduleStatus {
        let rests = record.as_ref().is_some_and(|record| record.rests(now));
        let considered = record.as_ref().map_or(now, |record| record.considered);
        let known = record.filter(|_| rests);
        ScheduleStatus {
            name: self.name.clone(),
            rule: self.shown.clone(),
            starts: match &self.work {
                ScheduledWork::Workflow(definition) => format!("workflow {}", definition.name),
                ScheduledWork::Task { target, .. } => match target {
                    Target::Agent(name) => format!("agent {name}"),
                    Target::Role(name) => format!("role {name}"),
                    Target::Queue(name) => format!("queue {name}"),
                },
            },
            overlap: self.overlap,
            catch_up: self.catch_up,
            paused: rests,
            paused_until: known.as_ref().and_then(|record| record.paused_until),
            reason: known.and_then(|record| record.reason),
            next_at: if rests {
                None
            } else {
                self.fires_after(considered)
            },
            last,
        }
    }
}
