//! Copies of a database: taken while it is written, and looked through before they are trusted.

use std::fs::File;
use std::path::Path;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::connection::{self, BUSY_TIMEOUT};
use super::fault::{Fault, SqlResult};
use super::migrations;
use super::write::{all, first};
use crate::persistence::migrate::MigrateError;

/// Pages copied at once.
const STEP_PAGES: i32 = 256;
/// So many steps are brought to the disk together: what piles up would hold up the commits beside.
const SYNC_EVERY: u32 = 8;

/// Why a file is not what a database of ours should be.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// No database, or another program's.
    Foreign,
    /// Not whole; the first of what is wrong.
    Damaged(String),
    /// Its schema and this binary do not go together.
    Schema(MigrateError),
    /// It cannot be read.
    Unreadable(Fault),
}

/// Bytes of a database's pages, those in its log included.
pub(crate) fn bytes(path: &Path) -> SqlResult<u64> {
    let conn = connection::open_reader(path)?;
    let size = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";
    let bytes = first(&conn, size, [], |row| row.get::<_, i64>(0))?;
    Ok(u64::try_from(bytes.unwrap_or(0)).unwrap_or(0))
}

/// Copies what is committed at this moment into a new file, which is one file without a log. The
/// writer of the source is never waited for, nor does it wait.
pub(crate) fn copy(source: &Path, target: &Path) -> SqlResult<()> {
    let source = connection::open_reader(source)?;
    // The open transaction holds the copy at one moment, however often the database is written.
    let moment = source.unchecked_transaction()?;
    first(
        &moment,
        "SELECT count(*) FROM sqlite_master",
        [],
        |_| Ok(()),
    )?;
    let mut copy = Connection::open(target)?;
    copy.busy_timeout(BUSY_TIMEOUT)?;
    // It is synced by hand.
    copy.pragma_update(None, "synchronous", "OFF")?;
    copy_pages(&moment, &mut copy, target)?;
    copy.pragma_update(None, "journal_mode", "DELETE")?;
    copy.close().map_err(|(_, error)| Fault::Sql(error))?;
    sync(target)
}

fn copy_pages(source: &Connection, copy: &mut Connection, target: &Path) -> SqlResult<()> {
    let copying = Backup::new(source, copy)?;
    let mut steps = 0_u32;
    loop {
        match copying.step(STEP_PAGES)? {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            // Nobody else knows the copy, and a reader of the source waits for nobody.
            _ => return Err(Fault::Lost("the copy is in use by another process".into())),
        }
        steps += 1;
        if steps.is_multiple_of(SYNC_EVERY) {
            sync(target)?;
        }
    }
}

fn sync(file: &Path) -> SqlResult<()> {
    let synced = File::open(file).and_then(|file| file.sync_all());
    synced.map_err(|error| Fault::Lost(format!("{}: {error}", file.display())))
}

/// Reads a file through; gives its schema's version if it is a database of ours, whole, and one
/// that this binary can work with.
pub(crate) fn check(path: &Path) -> Result<u32, Unfit> {
    let conn = look(path).map_err(unfit)?;
    let found = all(&conn, "PRAGMA integrity_check(1)", [], |row| {
        row.get::<_, String>(0)
    });
    match found.map_err(unfit)?.first() {
        Some(verdict) if verdict == "ok" => {}
        Some(fault) => return Err(Unfit::Damaged(fault.clone())),
        None => return Err(Unfit::Damaged("it cannot be checked".into())),
    }
    match migrations::version(&conn).map_err(unfit)? {
        0 => Err(Unfit::Foreign),
        _ => migrations::check(&conn).map_err(Unfit::Schema),
    }
}

/// Whether a file is a database of ours, of whatever version.
pub(crate) fn is_ours(path: &Path) -> bool {
    let version = look(path).and_then(|conn| migrations::version(&conn));
    version.is_ok_and(|version| version > 0)
}

fn look(path: &Path) -> SqlResult<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    Ok(conn)
}

fn unfit(fault: Fault) -> Unfit {
    let code = match &fault {
        Fault::Sql(error) => error.sqlite_error_code(),
        _ => None,
    };
    match code {
        Some(ErrorCode::NotADatabase) => Unfit::Foreign,
        Some(ErrorCode::DatabaseCorrupt) => Unfit::Damaged(fault.to_string()),
        _ => Unfit::Unreadable(fault),
    }
}

/// Writes a log that was left back into its database, if that can be done; the lock must be held.
pub(crate) fn write_back(path: &Path) {
    let written = connection::open_writer(path, connection::Synchronous::Full, false)
        .and_then(|conn| connection::truncate_log(&conn));
    if let Err(error) = written {
        tracing::debug!(%error, path = %path.display(), "its log stays beside it");
    }
}
