//! Retention in turns: what each writes is small, and others have the writer in between.
//!
//! A job removes a chunk of so many rows and says where the next one begins: no chunk looks again at
//! what an earlier one has passed, so none looks at many more rows than it was given.

use std::time::Duration;

use rusqlite::Connection;
use tokio::time::Instant;

use super::add;
use crate::domain::query::Pruned;
use crate::domain::timestamp::Timestamp;
use crate::persistence::Result;
use crate::persistence::sqlite::pace::{Pace, REST};
use crate::persistence::sqlite::{SqlResult, Sqlite, WriteTx};

/// One thing that retention does.
pub(super) trait Job: Sync {
    /// Removes what is too old, of so many rows from there on.
    fn chunk(&self, tx: &mut WriteTx<'_>, from: Position, rows: u32) -> SqlResult<Chunk>;

    /// Counts what it would remove now.
    fn count(&self, conn: &Connection, now: Timestamp, old: &mut Pruned) -> SqlResult<()>;
}

/// How far a job has come: behind the row with this instant and this key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) at: Timestamp,
    pub(super) key: i64,
}

impl Position {
    pub(super) const START: Self = Self {
        at: Timestamp::from_micros(i64::MIN),
        key: i64::MIN,
    };
}

/// What one chunk did.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) removed: Pruned,
    /// Where the next one begins; nothing if this was the last.
    pub(super) next: Option<Position>,
}

impl Chunk {
    /// A chunk of one table.
    pub(super) fn of(table: &str, removed: usize, next: Option<Position>) -> Self {
        let mut chunk = Self {
            removed: Pruned::new(),
            next,
        };
        add(&mut chunk.removed, table, removed as u64);
        chunk
    }
}

/// What one turn did.
struct Turn {
    removed: Pruned,
    next: Option<Position>,
    pace: Pace,
    took: Duration,
}

/// Does a job to its end; between two turns others get theirs.
pub(super) async fn in_turns(
    db: &Sqlite,
    job: &'static dyn Job,
    pruned: &mut Pruned,
) -> Result<()> {
    let (mut pace, mut from) = (Pace::default(), Position::START);
    loop {
        let turn = db.write("prune", move |tx| turn(tx, job, pace, from));
        let turn = turn.await?;
        db.held(turn.took);
        for (table, rows) in turn.removed {
            add(pruned, &table, rows);
        }
        let Some(next) = turn.next else {
            return Ok(());
        };
        (pace, from) = (turn.pace, next);
        tokio::time::sleep(turn.took * REST).await;
    }
}

/// Chunk after chunk until nothing is left or the turn has lasted for long enough.
fn turn(
    tx: &mut WriteTx<'_>,
    job: &dyn Job,
    mut pace: Pace,
    mut from: Position,
) -> SqlResult<Turn> {
    let began = Instant::now();
    let mut removed = Pruned::new();
    loop {
        let before = began.elapsed();
        let chunk = job.chunk(tx, from, pace.rows())?;
        let took = began.elapsed();
        pace.took(took - before);
        for (table, rows) in chunk.removed {
            add(&mut removed, &table, rows);
        }
        match chunk.next {
            Some(next) if Pace::goes_on(took, took - before) => from = next,
            next => {
                return Ok(Turn {
                    removed,
                    next,
                    pace,
                    took,
                });
            }
        }
    }
}
