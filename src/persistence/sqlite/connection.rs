//! Opening connections: pragmas, limits, and the words for a file that is not what it should be.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::fault::SqlResult;

/// How long a statement waits for another process that holds the file.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The write-ahead log is cut back to this after a checkpoint, bytes.
const JOURNAL_SIZE_LIMIT: i64 = 16 * 1024 * 1024;
/// Pages in the write-ahead log from which on a commit also writes it back, where nobody does that
/// beside it.
const CHECKPOINT_PAGES: i64 = 4000;
/// Page cache of the writer, KiB.
const WRITER_CACHE_KIB: i64 = 2048;
/// Page cache of each reader, KiB.
const READER_CACHE_KIB: i64 = 512;
/// Prepared statements kept by each connection.
const CACHED_STATEMENTS: usize = 128;

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// The disk: an acknowledged write survives power loss.
    #[default]
    Full,
    /// The operating system: it survives the death of the daemon, not of the machine.
    Normal,
}

/// Opens the connection of the writer; `create` makes the file if it is missing.
pub(crate) fn open_writer(
    path: &Path,
    synchronous: Synchronous,
    create: bool,
) -> SqlResult<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.pragma_update(None, "journal_mode", "WAL")?;
    let level = match synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
    };
    conn.pragma_update(None, "synchronous", level)?;
    conn.pragma_update(None, "journal_size_limit", JOURNAL_SIZE_LIMIT)?;
    conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    keep_prepared(&conn)?;
    Ok(conn)
}

/// Commits of this connection leave the log alone: somebody else writes it back.
pub(crate) fn leave_log(conn: &Connection) -> SqlResult<()> {
    Ok(conn.pragma_update(None, "wal_autocheckpoint", 0)?)
}

/// The end of this connection leaves the log alone, though it be the last one.
pub(crate) fn leave_log_at_closing(conn: &Connection) -> SqlResult<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(())
}

/// Opens a connection that writes the log back, and waits for nobody. It has the files open when this
/// returns: they are those of the writer.
pub(crate) fn open_checkpointer(path: &Path) -> SqlResult<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    leave_log(&conn)?;
    leave_log_at_closing(&conn)?;
    conn.pragma_query_value(None, "schema_version", |row| row.get::<_, i64>(0))?;
    Ok(conn)
}

/// Opens a connection that can only read.
pub(crate) fn open_reader(path: &Path) -> SqlResult<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.pragma_update(None, "query_only", true)?;
    leave_log_at_closing(&conn)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    keep_prepared(&conn)?;
    Ok(conn)
}

/// Statements are compiled once. Without the planner's guarantee SQLite compiles a cached statement
/// anew whenever a value is bound that might suit another of the partial indexes, which costs more
/// than the statement itself; each of ours names its index by literals instead.
fn keep_prepared(conn: &Connection) -> SqlResult<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    Ok(())
}

/// Writes the log back into the database and cuts it to nothing, if no reader needs it any more; says
/// whether that was so. Waits for nobody.
pub(crate) fn truncate_log(conn: &Connection) -> SqlResult<bool> {
    conn.busy_timeout(Duration::ZERO)?;
    let busy = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        row.get::<_, i64>(0)
    });
    conn.busy_timeout(BUSY_TIMEOUT)?;
    match busy {
        Ok(busy) => Ok(busy == 0),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The smallest write there is: proves that the file takes one.
pub(crate) fn touch(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update(None, "user_version", 1)
}
