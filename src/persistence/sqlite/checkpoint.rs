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
//! before it was tried to write it back, unless a reader still needs it. Errors are not told: a log
//! that is not written back stays, and the next commit meets the same disk.
//!
//! Not here: the log's end after silence and at closing, see [`super::writer`].

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

use super::connection;
use super::fault::SqlResult;
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

    /// After each commit: does what the log's length asks for.
    pub(super) fn committed(&mut self, conn: &Connection) {
        if self.turn.is(State::Ended) {
            self.begin_anew();
        }
        let Ok(log) = look(conn) else {
            return;
        };
        if log.pages < LONG {
            self.tried = None;
            return;
        }
        if self.turn.is(State::Works) {
            if log.pages >= TOO_LONG {
                self.turn.wait(PATIENCE);
            }
            return;
        }
        let step = next(log, self.tried);
        match step {
            Step::Nothing => return,
            Step::Beside if self.turn.begin() => {}
            Step::Beside | Step::Finish => write_back(conn),
        }
        self.tried = Some(Tried { log, step });
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.turn.set(State::Ended);
        if let Some(thread) = self.thread.take() {
            // It ends after the pages it is at; one that panicked has ended too.
            drop(thread.join());
        }
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
            write_back(conn);
            if let Some(Err(error)) = file.map(File::sync_data) {
                // SQLite's own sync, through a descriptor of its own, meets it too.
                tracing::debug!(%error, "the database was not synced beside its writer");
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

/// Writes back what no reader needs, and waits for nobody.
fn write_back(conn: &Connection) {
    let written = conn
        .prepare_cached("PRAGMA wal_checkpoint(PASSIVE)")
        .and_then(|mut write| write.query_row([], |_| Ok(())));
    if let Err(error) = written {
        tracing::debug!(%error, "the log was not written back");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets the thread panic; whether there is another after the next commit.
    fn comes_back(checkpoints: &mut Checkpoints, conn: &Connection) -> bool {
        let turn = checkpoints.turn.clone();
        *turn.fails.lock() = true;
        assert!(turn.begin());
        turn.wait(Duration::from_secs(10));
        assert!(turn.is(State::Ended));
        checkpoints.committed(conn);
        checkpoints.turn.is(State::Rests)
    }

    #[test]
    fn what_writes_the_log_back_begins_anew_after_a_panic_and_leaves_it_to_the_writer_in_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent-system.db");
        let conn = Connection::open(&path).unwrap();
        conn.pragma_update(None, "journal_mode", "WAL").unwrap();
        let mut checkpoints = Checkpoints::start(&path, &KeptOpen::default()).unwrap();
        for _ in 0..5 {
            assert!(comes_back(&mut checkpoints, &conn));
        }
        assert!(
            !comes_back(&mut checkpoints, &conn),
            "the sixth in a minute"
        );
        checkpoints.committed(&conn);
        assert!(!checkpoints.turn.begin(), "the writer does it");
    }

    const fn log(pages: u32, written_back: u32) -> Log {
        Log {
            pages,
            written_back,
        }
    }

    const fn tried(step: Step, pages: u32, written_back: u32) -> Option<Tried> {
        Some(Tried {
            step,
            log: log(pages, written_back),
        })
    }

    #[test]
    fn a_long_log_is_written_back_beside_the_writer_and_ended_by_it_when_little_is_left() {
        use Step::{Beside, Finish, Nothing};
        let cases = [
            (log(LONG - 1, 0), None, Nothing),
            (log(LONG, 0), None, Beside),
            (log(LONG, LONG), None, Nothing),
            (log(LONG, LONG - FEW), None, Finish),
            (log(LONG, LONG - FEW - 1), None, Beside),
            // It moved: on with it.
            (log(3_500, 3_000), tried(Beside, 3_000, 0), Beside),
            (log(3_300, 3_000), tried(Beside, 3_000, 0), Finish),
            // A reader holds it: not before it has grown.
            (log(3_500, 0), tried(Beside, 3_000, 0), Nothing),
            (log(4_000, 0), tried(Beside, 3_000, 0), Beside),
            (log(3_310, 3_300), tried(Finish, 3_300, 3_000), Nothing),
            (log(4_300, 4_000), tried(Finish, 3_300, 3_000), Finish),
            (log(TOO_LONG, 0), None, Finish),
        ];
        for (log, tried, step) in cases {
            assert_eq!(next(log, tried), step, "{log:?} after {tried:?}");
        }
    }
}
