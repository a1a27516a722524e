//! Firing a schedule by hand: whatever its rule, its pause and its overlap say, once for each key of
//! idempotency.

use super::{Pass, RUNS, decided, read_run};
use crate::domain::ids::SessionId;
use crate::domain::schedule::{ScheduleRun, ScheduleSpec};
use crate::domain::task::IdempotencyKey;
use crate::persistence::Result;
use crate::persistence::sqlite::tasks::{remember, seen_before};
use crate::persistence::sqlite::{Fault, SqlResult, Sqlite, WriteTx};

/// The reason of a run that somebody asked for.
const BY_HAND: &str = "trigger";

/// Keys of idempotency are kept under this word.
const SCOPE: &str = "schedule";

pub(crate) async fn trigger(
    db: &Sqlite,
    session: SessionId,
    spec: ScheduleSpec,
    key: Option<IdempotencyKey>,
) -> Result<ScheduleRun> {
    let rules = db.rules();
    db.write("trigger a schedule", move |tx| {
        trigger_in(tx, Pass::of(session, &rules), &spec, key.as_ref())
    })
    .await
}

pub(super) fn trigger_in(
    tx: &mut WriteTx<'_>,
    mut pass: Pass<'_>,
    spec: &ScheduleSpec,
    key: Option<&IdempotencyKey>,
) -> SqlResult<ScheduleRun> {
    if let Some(run) = triggered_before(tx, spec, key)? {
        return Ok(run);
    }
    let mut due = tx.now();
    // Two of one commit, or one at an instant of the rule.
    while decided(tx, spec, due)? {
        due = due.after(std::time::Duration::from_micros(1));
    }
    let started = pass.begin(tx, spec, due, BY_HAND)?;
    remember(tx, SCOPE, key, started.bytes())?;
    let sql = [RUNS, "AND r.schedule = ?1 AND r.due_at = ?2"].concat();
    tx.first(&sql, (&spec.name, due), read_run)?
        .ok_or(Fault::Sql(rusqlite::Error::QueryReturnedNoRows))
}

/// What a trigger with this key of idempotency fired, while that is remembered.
fn triggered_before(
    tx: &WriteTx<'_>,
    spec: &ScheduleSpec,
    key: Option<&IdempotencyKey>,
) -> SqlResult<Option<ScheduleRun>> {
    let Some(started) = seen_before(tx, SCOPE, key)? else {
        return Ok(None);
    };
    let sql = [
        RUNS,
        "AND r.schedule = ?1 AND (r.task_id = ?2 OR r.workflow_id = ?2)",
    ]
    .concat();
    tx.first(&sql, (&spec.name, started), read_run)
}
