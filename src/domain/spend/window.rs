//! The calendar window that an instant lies in.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{RoundMode, Unit, Zoned};

use super::Per;
use crate::domain::timestamp::Timestamp;

/// A span of the calendar, in UTC: from its start to before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// When it begins.
    pub start: Timestamp,
    /// When the next one begins.
    pub end: Timestamp,
}

impl Window {
    /// The one that `now` lies in.
    #[must_use]
    pub fn at(per: Per, now: Timestamp) -> Self {
        Self::of_calendar(per, now).unwrap_or(Self {
            start: Timestamp::from_micros(i64::MIN),
            end: Timestamp::from_micros(i64::MAX),
        })
    }

    /// `None` outside of the calendar, which ends in the year 9999.
    fn of_calendar(per: Per, now: Timestamp) -> Option<Self> {
        let now = jiff::Timestamp::from_microsecond(now.as_micros()).ok()?;
        let now = now.to_zoned(TimeZone::UTC).datetime();
        let start = match per {
            Per::Hour => floor(now, Unit::Hour)?,
            Per::Day => floor(now, Unit::Day)?,
            Per::Month => floor(now, Unit::Day)?.first_of_month(),
        };
        let span = match per {
            Per::Hour => jiff::Span::new().hours(1),
            Per::Day => jiff::Span::new().days(1),
            Per::Month => jiff::Span::new().months(1),
        };
        Some(Self {
            start: instant(start)?,
            end: instant(start.checked_add(span).ok()?)?,
        })
    }
}

fn floor(at: DateTime, unit: Unit) -> Option<DateTime> {
    let down = jiff::civil::DateTimeRound::new()
        .smallest(unit)
        .mode(RoundMode::Floor);
    at.round(down).ok()
}

fn instant(at: DateTime) -> Option<Timestamp> {
    let zoned: Zoned = at.to_zoned(TimeZone::UTC).ok()?;
    Some(Timestamp::from_micros(zoned.timestamp().as_microsecond()))
}
