//! Schedules in SQLite: each instant at which one falls due is decided once, in the transaction
//! that makes its task or workflow.
//!
//! `considered` says up to where a schedule's rule has been looked at; a firing and its step forward
//! are one commit, and the row of an instant is unique, so it fires once whoever looks, and however
//! often.

mod start;
mod trigger;

use std::time::Duration;

use serde_json::json;

use self::start::start;
pub(crate) use self::trigger::trigger;
use super::tasks::limits::Rules;
use super::tasks::{cursor_key, page_limit};
use super::{Fault, SqlResult, Sqlite, WriteTx, all, first};
use crate::domain::event::NewEvent;
use crate::domain::ids::SessionId;
use crate::domain::name::Name;
use crate::domain::query::{Fired, Page, PageRequest};
use crate::domain::schedule::{MAX_WAITING, Overlap, ScheduleRecord, ScheduleRun, ScheduleSpec};
use crate::domain::timestamp::Timestamp;
use crate::persistence::{Result, StoreError};

/// Runs that are kept of each schedule.
const KEPT_RUNS: i64 = 1_000;
/// One that was asked for is kept for as long as the key of its request, whatever came after it.
const KEPT_BY_HAND: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) async fn fire(
    db: &Sqlite,
    session: SessionId,
    specs: std::sync::Arc<[ScheduleSpec]>,
) -> Result<Fired> {
    let rules = db.rules();
    db.write("fire schedules", move |tx| {
        fire_in(tx, session, &specs, &rules)
    })
    .await
}

/// Looks at every schedule in one transaction.
pub(super) fn fire_in(
    tx: &mut WriteTx<'_>,
    session: SessionId,
    specs: &[ScheduleSpec],
    rules: &Rules,
) -> SqlResult<Fired> {
    let mut pass = Pass::of(session, rules);
    forget_others(tx, specs)?;
    for spec in specs {
        pass.look_at(tx, spec)?;
    }
    Ok(pass.fired)
}

pub(crate) async fn pause(
    db: &Sqlite,
    name: &Name,
    paused: bool,
    until: Option<Timestamp>,
    reason: Option<String>,
) -> Result<()> {
    let name = name.clone();
    db.write("pause a schedule", move |tx| {
        pause_in(tx, &name, paused, until, reason.as_deref())
    })
    .await
}

/// Pauses or resumes a schedule that has begun.
pub(super) fn pause_in(
    tx: &WriteTx<'_>,
    name: &Name,
    paused: bool,
    until: Option<Timestamp>,
    reason: Option<&str>,
) -> SqlResult<()> {
    // What fell due while it was paused is left out.
    let rested =
        "UPDATE schedules SET considered = max(considered, ?2) WHERE name = ?1 AND paused = 1";
    tx.execute(rested, (name, tx.now()))?;
    let changed = tx.execute(
        "UPDATE schedules SET paused = ?2, paused_until = ?3, reason = ?4 WHERE name = ?1",
        (name, paused, until, reason),
    )?;
    match changed {
        0 => Err(Fault::Store(StoreError::Unavailable {
            operation: "pause a schedule",
            message: "the schedule has not begun yet; try again in a moment".to_owned(),
        })),
        _ => Ok(()),
    }
}

/// What is done in one transaction.
struct Pass<'r> {
    session: SessionId,
    rules: &'r Rules,
    fired: Fired,
}

impl<'r> Pass<'r> {
    fn of(session: SessionId, rules: &'r Rules) -> Self {
        Self {
            session,
            rules,
            fired: Fired::default(),
        }
    }

    fn look_at(&mut self, tx: &mut WriteTx<'_>, spec: &ScheduleSpec) -> SqlResult<()> {
        let now = tx.now();
        let record = record(tx, spec)?;
        let reached = spec.reached(now);
        if record.rests(now) {
            consider(tx, spec, reached.max(record.considered))?;
            self.wake_at(record.paused_until, now);
            return Ok(());
        }
        // A pause that ended by itself: what fell due in it is left out.
        let ended = record.paused_until.filter(|_| record.paused);
        let since = record.considered.max(ended.unwrap_or_default());
        if ended.is_some() {
            let over = "UPDATE schedules SET paused = 0, paused_until = NULL, reason = NULL WHERE name = ?1";
            tx.execute(over, [&spec.name])?;
        }
        self.wake_waiting(tx, spec)?;
        let plan = spec.plan(since, now);
        if let Some(due) = plan.left_out {
            self.skip(tx, spec, due, "missed")?;
        }
        for due in plan.fire {
            self.fall_due(tx, spec, due)?;
        }
        let considered = reached.max(since);
        if spec
            .rule
            .next_after(record.considered)
            .is_none_or(|next| next <= considered)
        {
            consider(tx, spec, considered)?;
        }
        self.wake_at(spec.fires_after(considered), now);
        Ok(())
    }

    fn wake_at(&mut self, at: Option<Timestamp>, now: Timestamp) {
        let next = at.map(|at| at.since(now));
        self.fired.next = [self.fired.next, next].into_iter().flatten().min();
    }

    /// An instant has come.
    fn fall_due(
        &mut self,
        tx: &mut WriteTx<'_>,
        spec: &ScheduleSpec,
        due: Timestamp,
    ) -> SqlResult<()> {
        if decided(tx, spec, due)? {
            return Ok(());
        }
        if start::finds_no_room(tx, spec, self.rules)? {
            return self.skip(tx, spec, due, "queue_full");
        }
        if spec.overlap == Overlap::Allow {
            return self.begin(tx, spec, due, "due").map(drop);
        }
        let waiting = waiting(tx, spec)?;
        match (start::active(tx, &spec.name)?, spec.overlap) {
            (None, _) if waiting == 0 => self.begin(tx, spec, due, "due").map(drop),
            (Some(active), Overlap::Replace) => {
                self.fired.cancel.extend(start::cancel(tx, active)?);
                self.begin(tx, spec, due, "due").map(drop)
            }
            (_, Overlap::Queue) if waiting < MAX_WAITING => {
                insert(tx, spec, due, "waiting", "overlap", None)?;
                self.fired.waiting = true;
                Ok(())
            }
            _ => self.skip(tx, spec, due, "overlap"),
        }
    }

    /// What waits has its turn when nothing of its schedule runs.
    fn wake_waiting(&mut self, tx: &mut WriteTx<'_>, spec: &ScheduleSpec) -> SqlResult<()> {
        let oldest = "SELECT due_at FROM schedule_runs WHERE schedule = ?1 AND outcome = 'waiting' \
                      ORDER BY key LIMIT 1";
        let Some(due) = tx.first(oldest, [&spec.name], |row| row.get(0))? else {
            return Ok(());
        };
        if start::active(tx, &spec.name)?.is_none() {
            let gone = "DELETE FROM schedule_runs WHERE schedule = ?1 AND due_at = ?2";
            tx.execute(gone, (&spec.name, due))?;
            self.begin(tx, spec, due, "due")?;
        }
        self.fired.waiting |= waiting(tx, spec)? > 0;
        Ok(())
    }

    fn begin(
        &mut self,
        tx: &mut WriteTx<'_>,
        spec: &ScheduleSpec,
        due: Timestamp,
        reason: &'static str,
    ) -> SqlResult<start::Started> {
        let started = start(tx, self.session, spec, due)?;
        insert(tx, spec, due, "fired", reason, Some(started))?;
        self.fired.count += 1;
        let mut data = json!({"due_at": due, "reason": reason});
        data[started.key()] = started.text().into();
        tell(tx, "schedule.fired", spec, data)?;
        Ok(started)
    }

    fn skip(
        &mut self,
        tx: &mut WriteTx<'_>,
        spec: &ScheduleSpec,
        due: Timestamp,
        reason: &'static str,
    ) -> SqlResult<()> {
        if decided(tx, spec, due)? {
            return Ok(());
        }
        insert(tx, spec, due, "skipped", reason, None)?;
        tell(
            tx,
            "schedule.skipped",
            spec,
            json!({"due_at": due, "reason": reason}),
        )
    }
}

fn tell(
    tx: &mut WriteTx<'_>,
    kind: &'static str,
    spec: &ScheduleSpec,
    data: serde_json::Value,
) -> SqlResult<()> {
    let at = tx.now();
    tx.event(NewEvent {
        kind,
        subject: spec.name.to_string(),
        at,
        data,
    })
}

fn decided(tx: &WriteTx<'_>, spec: &ScheduleSpec, due: Timestamp) -> SqlResult<bool> {
    let sql = "SELECT 1 FROM schedule_runs WHERE schedule = ?1 AND due_at = ?2";
    Ok(tx.first(sql, (&spec.name, due), |_| Ok(()))?.is_some())
}

fn waiting(tx: &WriteTx<'_>, spec: &ScheduleSpec) -> SqlResult<i64> {
    let sql = "SELECT count(*) FROM schedule_runs WHERE schedule = ?1 AND outcome = 'waiting'";
    Ok(tx.first(sql, [&spec.name], |row| row.get(0))?.unwrap_or(0))
}

fn insert(
    tx: &WriteTx<'_>,
    spec: &ScheduleSpec,
    due: Timestamp,
    outcome: &str,
    reason: &str,
    started: Option<start::Started>,
) -> SqlResult<()> {
    tx.execute(
        "INSERT INTO schedule_runs (schedule, due_at, outcome, reason, task_id, workflow_id, at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (
            &spec.name,
            due,
            outcome,
            reason,
            started.and_then(start::Started::task),
            started.and_then(start::Started::workflow),
            tx.now(),
        ),
    )?;
    tx.execute(
        "DELETE FROM schedule_runs WHERE schedule = ?1 AND outcome <> 'waiting' AND key <= \
         (SELECT key FROM schedule_runs WHERE schedule = ?1 ORDER BY key DESC LIMIT 1 OFFSET ?2) \
         AND NOT (reason = 'trigger' AND at >= ?3)",
        (&spec.name, KEPT_RUNS, tx.now().before(KEPT_BY_HAND)),
    )?;
    Ok(())
}

/// The schedule's row; a new schedule, and one with another rule, begins now.
fn record(tx: &WriteTx<'_>, spec: &ScheduleSpec) -> SqlResult<ScheduleRecord> {
    tx.execute(
        "INSERT INTO schedules (name, rule, considered) VALUES (?1, ?2, ?3) \
         ON CONFLICT (name) DO UPDATE SET rule = excluded.rule, considered = excluded.considered \
         WHERE rule <> excluded.rule",
        (&spec.name, &spec.shown, tx.now()),
    )?;
    let sql = [RECORDS, " WHERE name = ?1"].concat();
    tx.first(&sql, [&spec.name], read_record)?
        .ok_or(Fault::Sql(rusqlite::Error::QueryReturnedNoRows))
}

fn consider(tx: &WriteTx<'_>, spec: &ScheduleSpec, until: Timestamp) -> SqlResult<()> {
    let sql = "UPDATE schedules SET considered = ?2 WHERE name = ?1";
    tx.execute(sql, (&spec.name, until))?;
    Ok(())
}

/// Schedules that are configured no more begin anew when they come back.
fn forget_others(tx: &WriteTx<'_>, specs: &[ScheduleSpec]) -> SqlResult<()> {
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let sql = "DELETE FROM schedules WHERE name NOT IN (SELECT value FROM json_each(?1))";
    tx.execute(sql, [json!(names).to_string()])?;
    Ok(())
}

const RECORDS: &str = "SELECT name, considered, paused, paused_until, reason FROM schedules";

fn read_record(row: &rusqlite::Row<'_>) -> rusqlite::Result<ScheduleRecord> {
    Ok(ScheduleRecord {
        name: row.get(0)?,
        considered: row.get(1)?,
        paused: row.get(2)?,
        paused_until: row.get(3)?,
        reason: row.get(4)?,
    })
}

const RUNS: &str = "SELECT r.key, r.schedule, r.due_at, r.outcome, r.reason, r.task_id, \
    r.workflow_id, coalesce(t.state, w.state), r.at FROM schedule_runs AS r \
    LEFT JOIN tasks AS t ON t.id = r.task_id LEFT JOIN workflows AS w ON w.id = r.workflow_id \
    WHERE 1 ";

fn read_run(row: &rusqlite::Row<'_>) -> rusqlite::Result<ScheduleRun> {
    Ok(ScheduleRun {
        schedule: row.get(1)?,
        due_at: row.get(2)?,
        outcome: row.get(3)?,
        reason: row.get(4)?,
        task_id: row.get(5)?,
        workflow_id: row.get(6)?,
        state: row.get(7)?,
        at: row.get(8)?,
    })
}

/// How the schedules stand, each with what came of it last.
pub(crate) async fn standing(db: &Sqlite) -> Result<Vec<(ScheduleRecord, Option<ScheduleRun>)>> {
    db.read("list schedules", |conn| {
        let records = all(conn, RECORDS, [], read_record)?;
        let last = [RUNS, "AND r.schedule = ?1 ORDER BY r.key DESC LIMIT 1"].concat();
        let with_last = |record: ScheduleRecord| {
            let run = first(conn, &last, [&record.name], read_run)?;
            Ok((record, run))
        };
        records.into_iter().map(with_last).collect()
    })
    .await
}

/// What came of a schedule, the newest first.
pub(crate) async fn history(
    db: &Sqlite,
    name: &Name,
    page: PageRequest,
) -> Result<Page<ScheduleRun>> {
    let name = name.clone();
    db.read("list runs of a schedule", move |conn| {
        let before = cursor_key(&page)?.unwrap_or(i64::MAX);
        let limit = page_limit(&page);
        let sql = [
            RUNS,
            "AND r.schedule = ?1 AND r.key < ?2 ORDER BY r.key DESC LIMIT ?3",
        ]
        .concat();
        let most = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let mut found = all(conn, &sql, (&name, before, most), |row| {
            Ok((row.get::<_, i64>(0)?, read_run(row)?))
        })?;
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| has_more);
        Ok(Page {
            next_cursor: next.map(|(key, _)| format!("{key:x}")),
            items: found.into_iter().map(|(_, run)| run).collect(),
            has_more,
        })
    })
    .await
}

#[cfg(test)]
mod tests;
