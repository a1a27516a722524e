//! Writing the log back into the database, beside the writer.
//!
//! Inside a commit it would hold up everybody who waits for one: it brings hundreds of pages to the
//! disk. So a thread does it on a connection of its own while the writer goes on (a passive
//! checkpoint waits for nobody and nobody for it). What the writer adds meanwhile keeps the log from
//! beginning anew; when that is little, the writer writes it back itself, between two commits.
//!
//! SQLite syncs the database only when the whole log is in it, which is at the writer's turn. So the thread
//! brings what it wrote to the disk by itself, and leaves the writer's sync next to nothing.
//!
//! Rely on: under load the log stays near [`LONG`] pages, and nothing is added to one of [`TOO_LONG`]
//! before it was tried to write it back, unless a reader still needs it. Of a disk that failed the writer
//! hears with its next commit: the system tells of what it lost once, so nothing of the log that may be
//! lost in the database may begin anew. Other errors are not told: a log that is not written back stays.
//!
//! Not here: the log's end after silence and at closing, see [`super::writer`].

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use super::connection;
use super::fault::{Fault, SqlResult};
use super::kept_open::KeptOpen;
use crate::domain::restart::{DEFAULT_INTENSITY, DeathWindow};

/// Pages in the log from which on it is written back. Most pages of the hot tables are written again
/// and again: fewer, larger write-backs write each of them once.
const LONG: u32 = 3_000;
/// Pages that the writer itself writes back, so that the log can begin anew.
const FEW: u32 = 400;
/// Pages in the log from which on the writer waits for the write-back.
const TOO_LONG: u32 = 16_000;
/// Pages that the log must grow by before it is tried again, if a reader needs it still.
const REST: u32 = 1_000;
/// The longest that the writer waits for a write-back.
const PATIENCE: Duration = Duration::from_secs(5);

/// How the log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Log {
    /// Pages in it.
    pages: u32,
    /// Of these, from the first on, those that are in the database too.
    written_back: u32,
}

impl Log {
    fn left(self) -> u32 {
        self.pages.saturating_sub(self.written_back)
    }
}

/// What is to be done about the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Nothing,
    /// The other thread writes it back.
    Beside,
    /// The writer writes the rest back.
    Finish,
}

/// The last thing that was done about a long log.
#[derive(Debug, Clone, Copy)]
struct Tried {
    log: Log,
    step: Step,
}

/// What is to be done next, as the log stands.
fn next(log: Log, tried: Option<Tried>) -> Step {
    if log.pages < LONG || log.left() == 0 {
        return Step::Nothing;
    }
    let step = if log.left() <= FEW || log.pages >= TOO_LONG {
        Step::Finish
    } else {
        Step::Beside
    };
    match tried {
        // It moved nothing, or did not let the log begin anew: somebody reads it.
        Some(tried)
            if (tried.step == Step::Finish || tried.log.written_back == log.written_back)
                && log.pages < tried.log.pages.saturating_add(REST) =>
        {
            Step::Nothing
        }
        _ => step,
    }
}

/// Keeps the log short; lives as long as the writer.
pub(super) struct Checkpoints {
    turn: Arc<Turn>,
    path: PathBuf,
    file: Option<Arc<File>>,
    thread: Option<JoinHandle<()>>,
    tried: Option<Tried>,
    begun: Instant,
    deaths: DeathWindow,
}

#[derive(Default)]
struct Turn {
    state: Mutex<State>,
    /// The disk did not take what was written back.
    failed: AtomicBool,
    changed: Condvar,
    #[cfg(test)]
    fails: Mutex<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Rests,
    Works,
    Ended,
}

impl Checkpoints {
    /// Opens the connection beside the writer's, and starts the thread.
    pub(super) fn start(path: &Path, kept_open: &KeptOpen) -> SqlResult<Self> {
        let mut checkpoints = Self {
            turn: Arc::default(),
            path: path.to_owned(),
            file: kept_open.file(path)?,
            thread: None,
            tried: None,
            begun: Instant::now(),
            deaths: DeathWindow::default(),
        };
        checkpoints.begin()?;
        Ok(checkpoints)
    }

    fn begin(&mut self) -> SqlResult<()> {
        let conn = connection::open_checkpointer(&self.path)?;
        let (file, turn) = (self.file.clone(), Arc::<Turn>::default());
        let theirs = Arc::clone(&turn);
        let thread = std::thread::Builder::new()
            .name("store-log".into())
            .spawn(move || {
                let _ends = Ends(&theirs);
                theirs.serve(&conn, file.as_deref());
            });
        if let Err(error) = &thread {
            tracing::warn!(%error, "the writer writes its log back itself");
            turn.set(State::Ended);
        }
        (self.turn, self.thread) = (turn, thread.ok());
        Ok(())
    }

    /// The thread has panicked, or there was none: the next one, as often as a part of the daemon is
    /// restarted. Without one the writer writes its log back itself, and is slower.
    fn begin_anew(&mut self) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        drop(thread.join());
        if self.deaths.record(self.begun.elapsed(), DEFAULT_INTENSITY) {
            tracing::error!("what writes the log back panics again and again; the writer does it");
            return;
        }
        tracing::error!("what writes the log back beside the writer panicked and begins anew");
        if let Err(error) = self.begin() {
            tracing::warn!(%error, "the writer writes its log back itself");
        }
    }

    /// Whether the disk failed beside the writer.
    pub(super) fn check(&self) -> SqlResult<()> {
        if self.turn.failed.load(Relaxed) {
            let message = "the database was not brought to it beside its writer";
            return Err(Fault::Disk(message.into()));
        }
        Ok(())
    }

    /// Waits for the end of the thread; whether the disk failed beside the writer.
    pub(super) fn end(mut self) -> SqlResult<()> {
        self.join();
        self.check()
    }

    fn join(&mut self) {
        self.turn.set(State::Ended);
        if let Some(thread) = self.thread.take() {
            // It ends after the pages it is at; one that panicked has ended too.
            drop(thread.join());
        }
    }

    /// After each commit: does what the log's length asks for.
    pub(super) fn committed(&mut self, conn: &Connection) -> SqlResult<()> {
        if self.turn.is(State::Ended) {
            // What it had to tell goes with its turn.
            self.check()?;
            self.begin_anew();
        }
        self.check()?;
        let Ok(log) = look(conn) else {
            return Ok(());
        };
        if log.pages < LONG {
            self.tried = None;
            return Ok(());
        }
        if self.turn.is(State::Works) {
            if log.pages >= TOO_LONG {
                self.turn.wait(PATIENCE);
            }
            return Ok(());
        }
        let step = next(log, self.tried);
        match step {
            Step::Nothing => return Ok(()),
            Step::Beside if self.turn.begin() => {}
            Step::Beside | Step::Finish => write_back(conn)?,
        }
        self.tried = Some(Tried { log, step });
        Ok(())
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.join();
    }
}

/// However the thread ends: nobody waits for it any more.
struct Ends<'t>(&'t Turn);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.set(State::Ended);
    }
}

impl Turn {
    fn serve(&self, conn: &Connection, file: Option<&File>) {
        loop {
            {
                let mut state = self.state.lock();
                while *state == State::Rests {
                    self.changed.wait(&mut state);
                }
                if *state == State::Ended {
                    return;
                }
            }
            #[cfg(test)]
            assert!(!*self.fails.lock(), "writing back fails");
            let written = write_back(conn);
            let synced = file.map_or(Ok(()), File::sync_data);
            let synced = synced.map_err(|error| Fault::Disk(error.to_string()));
            if let Err(error) = written.and(synced) {
                tracing::error!(%error, "the database was not brought to the disk beside its writer");
                self.failed.store(true, Relaxed);
            }
            let mut state = self.state.lock();
            if *state == State::Works {
                *state = State::Rests;
            }
            self.changed.notify_all();
        }
    }

    /// Lets the thread begin; false if there is none.
    fn begin(&self) -> bool {
        let mut state = self.state.lock();
        if *state == State::Ended {
            return false;
        }
        *state = State::Works;
        self.changed.notify_all();
        true
    }

    fn is(&self, wanted: State) -> bool {
        *self.state.lock() == wanted
    }

    fn set(&self, wanted: State) {
        *self.state.lock() = wanted;
        self.changed.notify_all();
    }

    /// Waits until the thread rests.
    fn wait(&self, at_most: Duration) {
        let mut state = self.state.lock();
        let busy = |state: &mut State| *state == State::Works;
        self.changed.wait_while_for(&mut state, busy, at_most);
    }
}

/// How the log stands; touches nothing.
fn look(conn: &Connection) -> rusqlite::Result<Log> {
    let mut look = conn.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?;
    let count = |pages: i64| u32::try_from(pages).unwrap_or(0);
    look.query_row([], |row| {
        Ok(Log {
            pages: count(row.get(1)?),
            written_back: count(row.get(2)?),
        })
    })
}

/// Writes back what no reader needs, and waits for nobody; tells of a disk that fails.
fn write_back(conn: &Connection) -> SqlResult<()> {
    let written = conn
        .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")
        .and_then(|mut write| write.query_row([], |_| Ok(())));
    match written.map_err(Fault::from) {
        Err(fault) if fault.is_io() => Err(fault),
        Err(error) => {
            tracing::debug!(%error, "the log was not written back");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Whether the whole log is still to be written back, as it is for who opens a database anew.
pub(super) fn begins_anew(conn: &Connection) -> SqlResult<bool> {
    Ok(look(conn)?.written_back == 0)
}

#[cfg(test)]
mod tests;
