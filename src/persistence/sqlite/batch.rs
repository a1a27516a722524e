//! One batch: many writes, one commit. A write that is refused fails alone.
//!
//! What comes while the batch is carried out joins it: a commit costs the disk the same however many
//! writes it holds, and those who wait for the last one come back while this one is under way.
//!
//! The first pass runs without savepoints (they cost more than a small write does). Most refusals
//! come before the first change and cost nothing; one that comes later rolls the batch back, and a
//! second pass runs every write inside its own savepoint. Journal rows are inserted together, at the
//! end.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;

use super::events;
use super::fault::{Fault, Reach, SqlResult};
use super::write::{Job, Notes, WriteTx};
use crate::clock;
use crate::domain::timestamp::Timestamp;
use crate::persistence::StoreError;

/// How one write of the pass ended.
enum Step {
    /// It stands, or was refused without a trace.
    Clean,
    /// It was refused and left changes behind.
    Traces,
}

/// Runs and commits the batch and what `more` adds to it; on success the journal rows it made stand in
/// the notes. On an error nothing of it is stored.
pub(super) fn commit(
    conn: &Connection,
    jobs: &mut Vec<Box<dyn Job>>,
    notes: &mut Notes,
    more: impl Fn(&mut Vec<Box<dyn Job>>),
) -> SqlResult<()> {
    let outcome = first_pass(conn, jobs, notes, more)
        .and_then(|clean| {
            if clean {
                Ok(())
            } else {
                careful_pass(conn, jobs, notes)
            }
        })
        .and_then(|()| events::insert(conn, &mut notes.events))
        .and_then(|()| run(conn, "COMMIT"));
    notes.forget();
    if outcome.is_err() {
        notes.events.clear();
        roll_back(conn);
    }
    outcome
}

/// Says whether every write left what it should; if not, the transaction is over.
fn first_pass(
    conn: &Connection,
    jobs: &mut Vec<Box<dyn Job>>,
    notes: &mut Notes,
    more: impl Fn(&mut Vec<Box<dyn Job>>),
) -> SqlResult<bool> {
    run(conn, "BEGIN IMMEDIATE")?;
    let (mut now, mut done) = (clock::now(), 0);
    while let Some(job) = jobs.get_mut(done) {
        if let Step::Traces = step(conn, job.as_mut(), now, notes)? {
            notes.events.clear();
            notes.forget();
            roll_back(conn);
            return Ok(false);
        }
        done += 1;
        if done == jobs.len() {
            more(jobs);
            now = now.max(clock::now());
        }
    }
    Ok(true)
}

fn careful_pass(conn: &Connection, jobs: &mut [Box<dyn Job>], notes: &mut Notes) -> SqlResult<()> {
    run(conn, "BEGIN IMMEDIATE")?;
    let now = clock::now();
    for job in jobs {
        let mark = notes.events.len();
        run(conn, "SAVEPOINT one_write")?;
        if let Step::Traces = step(conn, job.as_mut(), now, notes)? {
            notes.events.truncate(mark);
            notes.forget();
            run(conn, "ROLLBACK TO one_write")?;
        }
        run(conn, "RELEASE one_write")?;
    }
    Ok(())
}

/// Runs one write. An error means that the whole batch is lost.
fn step(
    conn: &Connection,
    job: &mut dyn Job,
    now: Timestamp,
    notes: &mut Notes,
) -> SqlResult<Step> {
    let (before, told) = (conn.total_changes(), notes.events.len());
    let ran = catch_unwind(AssertUnwindSafe(|| {
        job.run(&mut WriteTx::new(conn, now, notes))
    }));
    let fault = match ran {
        Ok(Ok(())) => return Ok(Step::Clean),
        Ok(Err(fault)) => fault,
        Err(_) => Fault::Store(StoreError::Rejected {
            operation: "write",
            message: "it panicked; the log has the place".into(),
        }),
    };
    // Some errors end the transaction by themselves; what the neighbours wrote went with it.
    if fault.reach() != Reach::Write || conn.is_autocommit() {
        return Err(fault);
    }
    job.refuse(fault);
    Ok(if conn.total_changes() == before {
        notes.events.truncate(told);
        Step::Clean
    } else {
        Step::Traces
    })
}

fn run(conn: &Connection, sql: &str) -> SqlResult<()> {
    conn.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// Ends the transaction if there still is one.
fn roll_back(conn: &Connection) {
    if !conn.is_autocommit()
        && let Err(error) = conn.execute_batch("ROLLBACK")
    {
        tracing::warn!(%error, "the database did not roll back");
    }
}
