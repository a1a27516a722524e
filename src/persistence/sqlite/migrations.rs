//! Migrations on SQLite: reads the history, goes up by refinery, goes down by the stored scripts.

use refinery::{Migration, Runner, Target};
use rusqlite::Connection;

use super::fault::SqlResult;
use super::write::{all, first};
use crate::clock;
use crate::persistence::migrate::{
    Applied, HistoryEntry, MigrateError, MigrationStatus, SQLITE, Script, verify,
};

/// Made before the first migration and never dropped: it holds the way back.
const HISTORY_TABLE: &str = "
    CREATE TABLE IF NOT EXISTS schema_history (
        key       INTEGER PRIMARY KEY,
        version   INTEGER NOT NULL,
        name      TEXT    NOT NULL,
        direction TEXT    NOT NULL CHECK (direction IN ('up', 'down')),
        at        INTEGER NOT NULL,
        checksum  TEXT    NOT NULL,
        down_sql  TEXT    NOT NULL,
        program   TEXT    NOT NULL
    ) STRICT";

type Migrated<T> = Result<T, MigrateError>;

/// What the database has, in order.
pub(crate) fn applied(conn: &Connection) -> SqlResult<Vec<Applied>> {
    let table = "SELECT 1 FROM sqlite_master WHERE name = 'refinery_schema_history'";
    if first(conn, table, [], |_| Ok(()))?.is_none() {
        return Ok(Vec::new());
    }
    let rows = "SELECT version, name, checksum FROM refinery_schema_history ORDER BY version";
    all(conn, rows, [], |row| {
        Ok(Applied {
            version: row.get(0)?,
            name: row.get(1)?,
            checksum: row.get(2)?,
        })
    })
}

/// The version a database stands at; 0 without any migration.
pub(crate) fn version(conn: &Connection) -> SqlResult<u32> {
    Ok(applied(conn)?.last().map_or(0, |row| row.version))
}

/// Refuses a database whose history does not go with this binary.
pub(crate) fn check(conn: &Connection) -> Migrated<u32> {
    let applied = applied(conn).map_err(|fault| failed(0, &fault))?;
    verify(&applied, SQLITE, checksum)?;
    Ok(applied.last().map_or(0, |row| row.version))
}

/// Goes up to a version, or to the latest; says which versions were applied.
pub(crate) fn up(conn: &mut Connection, to: Option<u32>) -> Migrated<Vec<u32>> {
    let current = check(conn)?;
    let latest = SQLITE.last().map_or(0, |script| script.version);
    let to = to.unwrap_or(latest);
    if to > latest {
        return Err(MigrateError::NoSuchVersion { wanted: to, latest });
    }
    if to < current {
        return Err(MigrateError::WrongWay {
            current,
            direction: "up",
            wanted: to,
        });
    }
    conn.execute_batch(HISTORY_TABLE)
        .map_err(|error| failed(0, &error))?;
    let pending = SQLITE
        .iter()
        .filter(|script| script.version > current && script.version <= to);
    pending
        .map(|script| apply(conn, script).map(|()| script.version))
        .collect()
}

/// One step up. Refinery runs the script and its own history row in one transaction; our row, with
/// the way back, follows (and is made up for if the process dies in between).
fn apply(conn: &mut Connection, script: &Script) -> Migrated<()> {
    let version = script.version;
    let migrations = SQLITE
        .iter()
        .take_while(|known| known.version <= version)
        .map(migration)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed(version, &error))?;
    Runner::new(&migrations)
        .set_grouped(true)
        .set_target(Target::Version(version_of(version)))
        .run(conn)
        .map_err(|error| failed(version, &error))?;
    record(conn, script, "up").map_err(|fault| failed(version, &fault))
}

/// Goes down to a version; says which versions were taken back.
pub(crate) fn down(conn: &mut Connection, to: u32) -> Migrated<Vec<u32>> {
    let rows = applied(conn).map_err(|fault| failed(0, &fault))?;
    let current = rows.last().map_or(0, |row| row.version);
    if to > current {
        return Err(MigrateError::WrongWay {
            current,
            direction: "down",
            wanted: to,
        });
    }
    conn.execute_batch(HISTORY_TABLE)
        .map_err(|error| failed(0, &error))?;
    let back = rows.iter().rev().filter(|row| row.version > to);
    back.map(|row| take_back(conn, row).map(|()| row.version))
        .collect()
}

fn take_back(conn: &mut Connection, row: &Applied) -> Migrated<()> {
    let failed = |fault: super::Fault| failed(row.version, &fault);
    let down = way_back(conn, row)
        .map_err(failed)?
        .ok_or_else(|| MigrateError::NoWayBack {
            version: row.version,
            name: row.name.clone(),
        })?;
    step_down(conn, row, &down).map_err(failed)
}

fn step_down(conn: &mut Connection, row: &Applied, down: &str) -> SqlResult<()> {
    let transaction = conn.transaction()?;
    transaction.execute_batch(down)?;
    let forget = "DELETE FROM refinery_schema_history WHERE version = ?1";
    transaction.execute(forget, [row.version])?;
    insert_history(&transaction, row, "down", down)?;
    transaction.commit()?;
    Ok(())
}

/// The down script that came with the applied migration, else this binary's.
fn way_back(conn: &Connection, row: &Applied) -> SqlResult<Option<String>> {
    let stored = first(
        conn,
        "SELECT down_sql FROM schema_history
         WHERE version = ?1 AND direction = 'up' AND checksum = ?2 ORDER BY key DESC",
        (row.version, &row.checksum),
        |found| found.get(0),
    )?;
    let known = || SQLITE.iter().find(|script| script.version == row.version);
    Ok(stored.or_else(|| known().map(|script| script.down.to_owned())))
}

/// Which migrations there are, and which of them the database has.
pub(crate) fn status(conn: &Connection) -> SqlResult<Vec<MigrationStatus>> {
    let applied = applied(conn)?;
    let at = applied.last().map_or(0, |row| row.version);
    let known = SQLITE.iter().map(|script| {
        let row = applied.iter().find(|row| row.version == script.version);
        let state = match row {
            Some(row) if row.checksum != checksum(script) || row.name != script.name => "changed",
            Some(_) => "applied",
            None if script.version < at => "skipped",
            None => "pending",
        };
        line(script.version, script.name, state)
    });
    let latest = SQLITE.last().map_or(0, |script| script.version);
    let unknown = applied
        .iter()
        .filter(|row| !SQLITE.iter().any(|s| s.version == row.version));
    let unknown = unknown.map(|row| {
        let state = if row.version > latest {
            "newer"
        } else {
            "missing"
        };
        line(row.version, &row.name, state)
    });
    let mut lines: Vec<_> = known.chain(unknown).collect();
    lines.sort_by_key(|line| line.version);
    Ok(lines)
}

fn line(version: u32, name: &str, state: &str) -> MigrationStatus {
    MigrationStatus {
        version,
        name: name.into(),
        state: state.into(),
    }
}

/// Every migration that was carried out, oldest first.
pub(crate) fn history(conn: &Connection) -> SqlResult<Vec<HistoryEntry>> {
    let table = "SELECT 1 FROM sqlite_master WHERE name = 'schema_history'";
    if first(conn, table, [], |_| Ok(()))?.is_none() {
        return Ok(Vec::new());
    }
    let rows =
        "SELECT version, name, direction, at, checksum, program FROM schema_history ORDER BY key";
    all(conn, rows, [], |row| {
        Ok(HistoryEntry {
            version: row.get(0)?,
            name: row.get(1)?,
            direction: row.get(2)?,
            at: row.get(3)?,
            checksum: row.get(4)?,
            program: row.get(5)?,
        })
    })
}

fn record(conn: &Connection, script: &Script, direction: &str) -> SqlResult<()> {
    let row = Applied {
        version: script.version,
        name: script.name.into(),
        checksum: checksum(script),
    };
    insert_history(conn, &row, direction, script.down)
}

fn insert_history(conn: &Connection, row: &Applied, direction: &str, down: &str) -> SqlResult<()> {
    conn.execute(
        "INSERT INTO schema_history (version, name, direction, at, checksum, down_sql, program)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        (
            row.version,
            &row.name,
            direction,
            clock::now(),
            &row.checksum,
            down,
            env!("CARGO_PKG_VERSION"),
        ),
    )?;
    Ok(())
}

fn migration(script: &Script) -> Result<Migration, refinery::Error> {
    Migration::unapplied(&script.full_name(), script.up)
}

/// Refinery's checksum of number, name and up script, as it stands in the history.
fn checksum(script: &Script) -> String {
    migration(script).map_or_else(|error| error.to_string(), |it| it.checksum().to_string())
}

fn version_of(version: u32) -> i32 {
    i32::try_from(version).unwrap_or(i32::MAX)
}

fn failed(version: u32, error: &dyn std::fmt::Display) -> MigrateError {
    MigrateError::Failed {
        version,
        message: error.to_string(),
    }
}
