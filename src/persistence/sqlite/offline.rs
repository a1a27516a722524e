//! What is done to a database file before, or without, a store on it.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use super::connection::{self, Synchronous};
use super::fault::{Fault, SqlResult};
use super::shared::wal_of;
use super::sizes::free_in;
use super::write::{all, first};
use super::{Count, migrations};
use crate::persistence::OpenError;
use crate::persistence::lock::Lock;
use crate::persistence::migrate::{HistoryEntry, MigrateError, MigrationStatus};
use crate::persistence::offline::MigrationReport;

/// Takes the file's lock, makes it if it is missing and brings its schema up to date.
pub(super) fn prepare(
    path: &Path,
    synchronous: Synchronous,
) -> Result<(Lock, MigrationReport), OpenError> {
    let (lock, mut conn) = own(path, synchronous)?;
    let report = report(path, &mut conn, |conn| migrations::up(conn, None))?;
    Ok((lock, report))
}

/// Goes up to a version, or to the latest.
pub(crate) fn migrate_up(path: &Path, to: Option<u32>) -> Result<MigrationReport, OpenError> {
    let (_lock, mut conn) = own(path, Synchronous::Full)?;
    report(path, &mut conn, |conn| migrations::up(conn, to))
}

/// Goes down to a version.
pub(crate) fn migrate_down(path: &Path, to: u32) -> Result<MigrationReport, OpenError> {
    must_exist(path)?;
    let (_lock, mut conn) = own(path, Synchronous::Full)?;
    report(path, &mut conn, |conn| migrations::down(conn, to))
}

fn report(
    path: &Path,
    conn: &mut Connection,
    run: impl FnOnce(&mut Connection) -> Result<Vec<String>, MigrateError>,
) -> Result<MigrationReport, OpenError> {
    let version = |conn: &Connection| migrations::version(conn).map_err(|it| refused(path, &it));
    let from = version(conn)?;
    let steps = run(conn).map_err(|error| schema(path, error))?;
    Ok(MigrationReport {
        from,
        to: version(conn)?,
        steps,
    })
}

/// What stands in a database.
pub(crate) struct Look {
    /// The schema's version.
    pub(crate) version: u32,
    /// Rows of each table.
    pub(crate) rows: BTreeMap<String, u64>,
    /// Bytes of the file that wait to be used again.
    pub(crate) free_bytes: u64,
}

impl Look {
    pub(super) fn at(conn: &Connection) -> SqlResult<Self> {
        Ok(Self {
            version: migrations::version(conn)?,
            rows: rows(conn)?,
            free_bytes: free_in(conn)?,
        })
    }
}

/// Looks at a file.
pub(crate) fn look(path: &Path) -> Result<Look, OpenError> {
    read(path, Look::at)
}

fn rows(conn: &Connection) -> SqlResult<BTreeMap<String, u64>> {
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let tables: Vec<String> = all(conn, tables, [], |row| row.get(0))?;
    let count = |table: String| {
        let count = format!("SELECT count(*) FROM \"{table}\"");
        let rows = first(conn, &count, [], |row| row.get(0))?;
        Ok((table, rows.map_or(0, |Count(rows)| rows)))
    };
    tables.into_iter().map(count).collect()
}

/// Which migrations there are, and which of them the database has.
pub(crate) fn migration_status(path: &Path) -> Result<Vec<MigrationStatus>, OpenError> {
    if !path.exists() {
        let empty = Connection::open_in_memory().map_err(|error| refused(path, &error.into()))?;
        return migrations::status(&empty).map_err(|fault| refused(path, &fault));
    }
    read(path, migrations::status)
}

/// What is damaged, the first few.
pub(crate) fn faults(path: &Path) -> Result<Vec<String>, OpenError> {
    let found: Vec<String> = read(path, |conn| {
        all(conn, "PRAGMA quick_check(3)", [], |row| row.get(0))
    })?;
    Ok(found.into_iter().filter(|line| line != "ok").collect())
}

/// Every migration that was carried out.
pub(crate) fn history(path: &Path) -> Result<Vec<HistoryEntry>, OpenError> {
    read(path, migrations::history)
}

/// Bytes of the database and of its write-ahead log.
pub(crate) fn sizes(path: &Path) -> (u64, u64) {
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    (bytes(path), bytes(&wal_of(path)))
}

fn read<T>(path: &Path, query: impl FnOnce(&Connection) -> SqlResult<T>) -> Result<T, OpenError> {
    must_exist(path)?;
    connection::open_reader(path)
        .and_then(|conn| query(&conn))
        .map_err(|fault| refused(path, &fault))
}

fn must_exist(path: &Path) -> Result<(), OpenError> {
    if path.exists() {
        Ok(())
    } else {
        Err(OpenError::Missing(path.into()))
    }
}

/// Takes the file's lock and opens it for migration; makes it if it is missing.
fn own(path: &Path, synchronous: Synchronous) -> Result<(Lock, Connection), OpenError> {
    make_directory(path)?;
    let lock = Lock::database(path)?;
    let conn = open(path, synchronous).map_err(|fault| refused(path, &fault))?;
    let ours = migrations::is_ours(&conn).map_err(|fault| refused(path, &fault))?;
    if ours {
        Ok((lock, conn))
    } else {
        Err(OpenError::Foreign(path.into()))
    }
}

fn make_directory(path: &Path) -> Result<(), OpenError> {
    let Some(directory) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    else {
        return Ok(());
    };
    std::fs::create_dir_all(directory).map_err(|error| OpenError::NotWritable {
        path: path.into(),
        message: error.to_string(),
    })
}

fn open(path: &Path, synchronous: Synchronous) -> SqlResult<Connection> {
    let conn = connection::open_writer(path, synchronous, true)?;
    // A script may rebuild a table that others refer to.
    conn.pragma_update(None, "foreign_keys", false)?;
    Ok(conn)
}

fn schema(path: &Path, error: MigrateError) -> OpenError {
    OpenError::Schema {
        path: path.into(),
        error,
    }
}

fn refused(path: &Path, fault: &Fault) -> OpenError {
    match fault {
        Fault::Sql(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            OpenError::NotADatabase(path.into())
        }
        other => OpenError::NotWritable {
            path: path.into(),
            message: other.to_string(),
        },
    }
}
