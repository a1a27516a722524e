//! The writer thread: takes what is queued, commits it, publishes, answers, takes again.
//!
//! The commit in progress is the batching window, and what comes while a batch is carried out joins
//! it; nothing lingers. The thread ends when the store
//! is closed, when the next one is asked for, when the connection is lost, or by a panic; the queue
//! outlives it. Who keeps the
//! store starts the next one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::batch;
use super::checkpoint::{self, Checkpoints};
use super::connection;
use super::fault::{Fault, Reach, SqlResult};
use super::queue::Taken;
use super::shared::{Condition, FileIdentity, Shared};
use super::write::{Job, Notes};
use crate::persistence::Result;

/// The most writes in one commit.
const MAX_BATCH: usize = 1024;
/// After this much silence a log that has grown is written back into the database.
const IDLE_CHECKPOINT: Duration = Duration::from_secs(2);

/// Why a writer thread ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriterExit {
    /// The store was closed.
    Closed,
    /// It made room for the next one, which was asked for.
    Relieved,
    /// The database cannot be written any more.
    Lost {
        /// The database's words.
        message: String,
    },
    /// A panic in the writer itself.
    Panicked,
}

/// A writer thread as its keeper sees it.
pub(super) struct WriterThread {
    /// Whether the database could be opened and written.
    pub(super) started: oneshot::Receiver<Result<()>>,
    /// Why it ended.
    pub(super) ended: oneshot::Receiver<WriterExit>,
}

/// Starts a writer thread.
pub(super) fn spawn(shared: Arc<Shared>) -> std::io::Result<WriterThread> {
    let (report_start, started) = oneshot::channel();
    let (report_end, ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("store-writer".into())
        .spawn(move || {
            let ran = catch_unwind(AssertUnwindSafe(|| live(&shared, report_start)));
            let exit = ran.unwrap_or(WriterExit::Panicked);
            shared.writer_ended(&exit);
            // A keeper who has gone away does not want to know.
            drop(report_end.send(exit));
        })?;
    Ok(WriterThread { started, ended })
}

fn live(shared: &Shared, report_start: oneshot::Sender<Result<()>>) -> WriterExit {
    let opened = open(shared).or_else(|fault| match shared.makes_room(&fault) {
        true => open(shared),
        false => Err(fault),
    });
    let mut opened = match opened {
        Ok(opened) => opened,
        Err(fault) => {
            shared.lose(&fault);
            drop(report_start.send(Err(fault.as_error("open the database"))));
            return WriterExit::Lost {
                message: fault.to_string(),
            };
        }
    };
    shared.reserve.lay();
    shared.set_condition(Condition::Open);
    shared.queue.reopen();
    shared.opened();
    drop(report_start.send(Ok(())));
    let left = serve(shared, &mut opened);
    let Opened {
        conn, checkpoints, ..
    } = opened;
    // Before the log is written back for the last time.
    let beside = checkpoints.end();
    match left.and_then(|leave| beside.map(|()| leave)) {
        Ok(Leave::Closed) => {
            write_back(&conn);
            close(conn);
            WriterExit::Closed
        }
        Ok(Leave::Relieved) => {
            close(conn);
            WriterExit::Relieved
        }
        Err(fault) => {
            let message = fault.to_string();
            shared.struck(&fault);
            if fault.is_io() {
                leave_log(&conn);
            }
            shared.set_condition(Condition::Lost {
                message: message.clone(),
            });
            WriterExit::Lost { message }
        }
    }
}

/// What a writer works with.
struct Opened {
    conn: Connection,
    identity: FileIdentity,
    checkpoints: Checkpoints,
}

/// Opens the file and proves by a tiny write that it takes writes.
fn open(shared: &Shared) -> SqlResult<Opened> {
    let conn = connection::open_writer(&shared.path, shared.synchronous, false)?;
    connection::leave_log(&conn)?;
    if shared.disk_failed.load(Relaxed) {
        connection::leave_log_at_closing(&conn)?;
        renew_log(&conn)?;
        shared.disk_failed.store(false, Relaxed);
    }
    shared.damage.refuse(&conn, &shared.path)?;
    connection::touch(&conn)?;
    let checkpoints = Checkpoints::start(&shared.path, &shared.kept_open)?;
    let identity = FileIdentity::of(&shared.path)?;
    shared.sizes.measure(&shared.path);
    Ok(Opened {
        conn,
        identity,
        checkpoints,
    })
}

/// Writes the whole log back and begins it anew. After a failed sync pages of the log, and those of the
/// database that were written back since the one before, may be on the disk or not, and nobody is told a
/// second time: a sync that succeeds says nothing of them.
fn renew_log(conn: &Connection) -> SqlResult<()> {
    if checkpoint::begins_anew(conn)? && connection::truncate_log(conn)? {
        return Ok(());
    }
    let message = "a reader still needs the log of a disk that failed";
    Err(Fault::Lost(message.into()))
}

/// Leaves the log to the next one who opens the database, who writes all of it back.
fn leave_log(conn: &Connection) {
    if let Err(error) = connection::leave_log_at_closing(conn) {
        tracing::warn!(%error, "the log may be written back although the disk failed");
    }
}

/// Why a writer ends while its connection is good.
enum Leave {
    Closed,
    Relieved,
}

/// Commits batch after batch until the store is closed, the next writer asked for or the
/// connection lost.
fn serve(shared: &Shared, opened: &mut Opened) -> SqlResult<Leave> {
    let mut jobs: Vec<Box<dyn Job>> = Vec::new();
    let mut notes = Notes::default();
    loop {
        let idle = shared.log_is_long().then_some(IDLE_CHECKPOINT);
        match shared.queue.take(&mut jobs, MAX_BATCH, idle) {
            Taken::Closed => return Ok(Leave::Closed),
            Taken::Relieved => return Ok(Leave::Relieved),
            Taken::Idle => {
                opened.checkpoints.check()?;
                cut_log(shared, &opened.conn)?;
            }
            Taken::Batch => {
                carry_out(shared, opened, &mut jobs, &mut notes)?;
                opened.checkpoints.committed(&opened.conn)?;
            }
        }
    }
}

/// One batch from the queue to the callers.
fn carry_out(
    shared: &Shared,
    opened: &Opened,
    jobs: &mut Vec<Box<dyn Job>>,
    notes: &mut Notes,
) -> SqlResult<()> {
    let began = Instant::now();
    let committed = opened.identity.check(&shared.path).and_then(|()| {
        let more = |jobs: &mut Vec<_>| shared.queue.take_more(jobs, MAX_BATCH);
        batch::commit(&opened.conn, jobs, notes, more)
    });
    match committed {
        Ok(()) => {
            shared.committed(notes.take_events(), began.elapsed(), jobs.len());
            jobs.drain(..).for_each(|job| job.answer(None));
            Ok(())
        }
        Err(fault) => {
            jobs.drain(..).for_each(|job| job.answer(Some(&fault)));
            if fault.reach() == Reach::Connection {
                Err(fault)
            } else {
                Ok(())
            }
        }
    }
}

fn cut_log(shared: &Shared, conn: &Connection) -> SqlResult<()> {
    // A reader may need the log still; then it is tried again after the next silence.
    if connection::truncate_log(conn)? {
        shared.checkpointed();
    }
    Ok(())
}

/// Writes the log back into the database.
fn write_back(conn: &Connection) {
    let checkpointed = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    if let Err(error) = checkpointed {
        tracing::warn!(%error, "the write-ahead log was not written back; the next start does it");
        leave_log(conn);
    }
}

fn close(conn: Connection) {
    if let Err((_, error)) = conn.close() {
        tracing::warn!(%error, "the database did not close");
    }
}
