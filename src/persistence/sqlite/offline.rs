//! What is done to a database file before, or without, a store on it.

use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use super::connection::{self, Synchronous};
use super::fault::Fault;
use super::migrations;
use crate::persistence::OpenError;
use crate::persistence::lock::Lock;
use crate::persistence::migrate::MigrateError;

/// Takes the file's lock, makes it if it is missing and brings its schema up to date.
pub(super) fn migrate(path: &Path, synchronous: Synchronous) -> Result<(Lock, u32), OpenError> {
    make_directory(path)?;
    let lock = Lock::database(path)?;
    let mut conn = open_for_migration(path, synchronous)?;
    migrations::up(&mut conn, None).map_err(|error| schema(path, error))?;
    let version = migrations::version(&conn).map_err(|fault| refused(path, &fault))?;
    Ok((lock, version))
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

fn open_for_migration(path: &Path, synchronous: Synchronous) -> Result<Connection, OpenError> {
    let opened = connection::open_writer(path, synchronous, true).and_then(|conn| {
        // A script may rebuild a table that others refer to.
        conn.pragma_update(None, "foreign_keys", false)?;
        Ok(conn)
    });
    opened.map_err(|fault| refused(path, &fault))
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
