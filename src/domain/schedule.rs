//! Schedules: when work falls due by itself, and which of it is done when it was missed.
//!
//! A rule is cron in a time zone, or a fixed interval counted from 1970-01-01 UTC. Around a change
//! of the clocks: a fixed time that does not exist falls due right after the gap, one that comes
//! twice falls due once, the first time; `*` and `*/n` follow the clock on the wall.
//!
//! Invariant: pure; the present is an argument.

mod status;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use serde::Serialize;

pub use self::status::{ScheduleRecord, ScheduleRun, ScheduleStatus};

use super::name::{Name, nearest};
use super::task::Target;
use super::timestamp::Timestamp;
use super::workflow::WorkflowDefinition;

/// The most schedules of a daemon.
pub const MAX_SCHEDULES: usize = 500;
/// What fell due longer ago than this was missed.
pub const MISSED_AFTER: Duration = Duration::from_secs(10);
/// Missed firings that `catch_up = "all"` makes up for, unless configured.
pub const DEFAULT_CATCH_UP_MAX: u32 = 10;
/// Firings that wait at most for the one before to end.
pub const MAX_WAITING: i64 = 10;
/// Firings that can fall due inside [`MISSED_AFTER`], both its ends with it, and one more.
const ON_TIME_AT_MOST: usize = 12;

/// When a schedule's work falls due.
#[derive(Debug, Clone)]
pub enum Rule {
    /// Cron: five fields, or six with seconds first, in a time zone.
    Cron {
        /// The pattern.
        cron: Box<Cron>,
        /// The zone of its times.
        zone: TimeZone,
    },
    /// Every so often, counted from 1970-01-01 UTC.
    Every(Duration),
}

/// Why a rule is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRule {
    /// The pattern is none.
    #[error(
        "'{text}' is no cron pattern: {problem}; write minute hour day month weekday, such as '0 3 * * *', or @daily"
    )]
    Cron {
        /// As written.
        text: String,
        /// What is wrong.
        problem: String,
    },
    /// The time zone is unknown.
    #[error("there is no time zone '{zone}'{hint}")]
    Zone {
        /// As written.
        zone: String,
        /// The nearest, as words; may be empty.
        hint: String,
    },
}

impl Rule {
    /// Reads a cron pattern and the name of its time zone.
    ///
    /// # Errors
    /// [`InvalidRule`] names what is wrong.
    pub fn cron(text: &str, zone: &str) -> Result<Self, InvalidRule> {
        let refused = |problem: String| InvalidRule::Cron {
            text: text.to_owned(),
            problem,
        };
        let parser = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build();
        let cron = parser
            .parse(text)
            .map_err(|error| refused(error.to_string()))?;
        let rule = Self::Cron {
            cron: Box::new(cron),
            zone: time_zone(zone)?,
        };
        match rule.next_after(Timestamp::default()) {
            Some(_) => Ok(rule),
            None => Err(refused("it never falls due".to_owned())),
        }
    }

    /// The first instant after `after` at which it falls due.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(span) => {
                let step = micros(*span);
                let next = after.as_micros().div_euclid(step).checked_add(1)?;
                Some(Timestamp::from_micros(next.checked_mul(step)?))
            }
            Self::Cron { cron, zone } => {
                let from = zoned(after, zone)?;
                let next = cron.find_next_occurrence(&from, false).ok()?;
                Some(Timestamp::from_micros(next.timestamp().as_microsecond()))
            }
        }
    }

    /// The last instant, not after `now`, at which it fell due.
    fn last_until(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(span) => {
                let step = micros(*span);
                let last = now.as_micros().div_euclid(step).checked_mul(step)?;
                Some(Timestamp::from_micros(last))
            }
            Self::Cron { cron, zone } => {
                let until = zoned(now, zone)?;
                let last = cron.find_previous_occurrence(&until, true).ok()?;
                Some(Timestamp::from_micros(last.timestamp().as_microsecond()))
            }
        }
    }

    /// At most the last `most` instants after `since` and not after `now`, the oldest first.
    fn between(&self, since: Timestamp, now: Timestamp, most: usize) -> Vec<Timestamp> {
        let (mut found, mut until) = (Vec::new(), now);
        while found.len() < most {
            let Some(at) = self.last_until(until).filter(|at| *at > since) else {
                break;
            };
            found.push(at);
            until = Timestamp::from_micros(at.as_micros() - 1);
        }
        found.reverse();
        found
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX).max(1)
}

/// The instant on the clocks of a zone, in whole seconds.
fn zoned(at: Timestamp, zone: &TimeZone) -> Option<jiff::Zoned> {
    let second = at.as_micros().div_euclid(1_000_000);
    let instant = jiff::Timestamp::from_second(second).ok()?;
    Some(instant.to_zoned(zone.clone()))
}

fn time_zone(name: &str) -> Result<TimeZone, InvalidRule> {
    TimeZone::get(name).map_err(|_| {
        let known: Vec<String> = jiff::tz::db()
            .available()
            .map(|zone| zone.to_string())
            .collect();
        let near = nearest(name, known.iter().map(String::as_str));
        InvalidRule::Zone {
            zone: name.to_owned(),
            hint: near.map_or_else(String::new, |near| format!("; did you mean '{near}'?")),
        }
    })
}

/// What happens when work falls due while the last of the same schedule has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It is left out.
    Skip,
    /// It waits for the end of the last.
    Queue,
    /// Both run.
    Allow,
    /// The last is cancelled.
    Replace,
}

/// What happens to firings that were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// They are left out.
    None,
    /// The last is made up for.
    Last,
    /// All are, up to a number, the newest.
    All,
}

/// What a firing starts.
#[derive(Debug, Clone)]
pub enum ScheduledWork {
    /// A task.
    Task {
        /// Who it is for.
        target: Target,
        /// What it carries.
        payload: serde_json::Value,
    },
    /// A workflow, its input filled in.
    Workflow(Box<WorkflowDefinition>),
}

/// One schedule, checked.
#[derive(Debug, Clone)]
pub struct ScheduleSpec {
    /// Its name.
    pub name: Name,
    /// When it falls due.
    pub rule: Rule,
    /// The rule as written, with its zone.
    pub shown: String,
    /// What happens while the last one runs.
    pub overlap: Overlap,
    /// What happens to missed firings.
    pub catch_up: CatchUp,
    /// How many `CatchUp::All` makes up for.
    pub catch_up_max: u32,
    /// It fires later than due by a part of this, the same each time.
    pub jitter: Duration,
    /// What it starts.
    pub work: ScheduledWork,
}

/// What is to be done about a schedule now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// What fires, the oldest first.
    pub fire: Vec<Timestamp>,
    /// The newest of what was missed and is left out.
    pub left_out: Option<Timestamp>,
}

impl ScheduleSpec {
    /// How much later than due it fires.
    #[must_use]
    pub fn delay(&self) -> Duration {
        let span = micros(self.jitter);
        if self.jitter.is_zero() {
            return Duration::ZERO;
        }
        let mut hasher = DefaultHasher::new();
        self.name.as_str().hash(&mut hasher);
        Duration::from_micros(hasher.finish() % span.unsigned_abs())
    }

    /// When it fires next after what has been looked at.
    #[must_use]
    pub fn fires_after(&self, considered: Timestamp) -> Option<Timestamp> {
        Some(self.rule.next_after(considered)?.after(self.delay()))
    }

    /// What is to be done about all that fell due after `considered`.
    #[must_use]
    pub fn plan(&self, considered: Timestamp, now: Timestamp) -> Plan {
        let reached = self.reached(now);
        // So many to make up for, those that are on time, and the one before, which is left out.
        let most = usize::try_from(self.catch_up_max)
            .unwrap_or(0)
            .saturating_add(ON_TIME_AT_MOST);
        let mut due = self.rule.between(considered, reached, most);
        let missed = due.partition_point(|at| reached.since(*at) > MISSED_AFTER);
        let made_up = match self.catch_up {
            CatchUp::None => 0,
            // What is on time already is the last.
            CatchUp::Last => usize::from(missed == due.len()),
            CatchUp::All => usize::try_from(self.catch_up_max).unwrap_or(usize::MAX),
        };
        let left_out = missed.saturating_sub(made_up);
        Plan {
            left_out: due.get(left_out.wrapping_sub(1)).copied(),
            fire: due.split_off(left_out),
        }
    }

    /// Up to which instant of the rule firings have come.
    #[must_use]
    pub fn reached(&self, now: Timestamp) -> Timestamp {
        Timestamp::from_micros(now.as_micros().saturating_sub(micros_of(self.delay())))
    }
}

fn micros_of(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
