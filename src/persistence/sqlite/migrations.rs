//! Migrations on SQLite: reads the history, goes up by refinery, goes down by scripts
//! of our own.

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

/// Whether this is a database of ours, or an empty one that becomes ours.
pub(crate) fn is_ours(conn: &Connection) -> SqlResult<bool> {
    Ok(has_table(conn, "refinery_schema_history")?
        || has_table(conn, "schema_history")?
        || first(conn, "SELECT 1 FROM sqlite_master", [], |_| Ok(()))?.is_none())
}

fn has_table(conn: &Connection, table: &str) -> SqlResult<bool> {
    let found = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1";
    Ok(first(conn, found, [table], |_| Ok(()))?.is_some())
}

/// What the database has, in order.
pub(crate) fn applied(conn: &Connection) -> SqlResult<Vec<Applied>> {
    if !has_table(conn, "refinery_schema_history")? {
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

/// Goes up to a version, or to the latest; says which migrations were applied.
pub(crate) fn up(conn: &mut Connection, to: Option<u32>) -> Migrated<Vec<String>> {
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
    keep_history(conn).map_err(|fault| failed(current, &fault))?;
    let pending = SQLITE
        .iter()
        .filter(|script| script.version > current && script.version <= to);
    pending
        .map(|script| apply(conn, script).map(|()| script.full_name()))
        .collect()
}

/// Makes our history, and the rows that a process did not live to write.
fn keep_history(conn: &Connection) -> SqlResult<()> {
    conn.execute_batch(HISTORY_TABLE)?;
    for row in applied(conn)? {
        let known = SQLITE.iter().find(|script| script.version == row.version);
        if let Some(script) = known
            && stored_way_back(conn, &row)?.is_none()
        {
            insert_history(conn, &row, "up", script.down)?;
        }
    }
    Ok(())
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

/// Goes down to a version; says which migrations were taken back.
pub(crate) fn down(conn: &mut Connection, to: u32) -> Migrated<Vec<String>> {
    let rows = applied(conn).map_err(|fault| failed(0, &fault))?;
    let current = rows.last().map_or(0, |row| row.version);
    if to > current {
        return Err(MigrateError::WrongWay {
            current,
            direction: "down",
            wanted: to,
        });
    }
    keep_history(conn).map_err(|fault| failed(current, &fault))?;
    let back = rows.iter().rev().filter(|row| row.version > to);
    back.map(|row| take_back(conn, row).map(|()| format!("V{}__{}", row.version, row.name)))
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

/// This binary's down script, if it has the migration as it was applied (a script that was mended
/// since goes the better way); else the one that came with it.
fn way_back(conn: &Connection, row: &Applied) -> SqlResult<Option<String>> {
    let known = SQLITE.iter().find(|script| script.version == row.version);
    if let Some(same) = known.filter(|script| checksum(script) == row.checksum) {
        return Ok(Some(same.down.to_owned()));
    }
    let stored = stored_way_back(conn, row)?;
    Ok(stored.or_else(|| known.map(|script| script.down.to_owned())))
}

fn stored_way_back(conn: &Connection, row: &Applied) -> SqlResult<Option<String>> {
    first(
        conn,
        "SELECT down_sql FROM schema_history
         WHERE version = ?1 AND direction = 'up' AND checksum = ?2 ORDER BY key DESC",
        (row.version, &row.checksum),
        |found| found.get(0),
    )
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
    if !has_table(conn, "schema_history")? {
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

#[cfg(test)]
mod tests;
