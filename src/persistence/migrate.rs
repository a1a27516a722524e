//! Migrations: the set this binary knows, compared with the history of a database.
//!
//! The scripts stand under `migrations/BACKEND/{up,down}` and are embedded. Refinery applies the
//! ups; the downs, and their copies in the history (so that an older binary can go down from a
//! newer schema), are ours. Changed, missing, newer and skipped are different errors, each with
//! its way out.
//!
//! Not here: SQL, see `sqlite::migrations`.

use serde::Serialize;

use crate::domain::timestamp::Timestamp;

/// One migration, up and down.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script {
    /// Its number.
    pub(crate) version: u32,
    /// Its name: `initial_schema`.
    pub(crate) name: &'static str,
    /// Leads from the version before to this one.
    pub(crate) up: &'static str,
    /// Leads back.
    pub(crate) down: &'static str,
}

impl Script {
    /// `V1__initial_schema`.
    pub(crate) fn full_name(&self) -> String {
        format!("V{}__{}", self.version, self.name)
    }
}

macro_rules! scripts {
    ($backend:literal: $($version:literal $name:literal),* $(,)?) => {
        &[$(Script {
            version: $version,
            name: $name,
            up: include_str!(concat!("../../migrations/", $backend, "/up/V", $version, "__", $name, ".sql")),
            down: include_str!(concat!("../../migrations/", $backend, "/down/V", $version, "__", $name, ".sql")),
        }),*]
    };
}

/// The migrations of SQLite, in order.
pub(crate) const SQLITE: &[Script] = scripts!("sqlite": 1 "initial_schema", 2 "indexes", 3 "columns", 4 "queues", 5 "signals",
        6 "schedules", 7 "messages", 8 "supervision", 9 "checks", 10 "black_box", 11 "events_by_type",
        12 "pauses_and_traces", 13 "spend");

/// The version this binary works with.
#[must_use]
pub const fn latest() -> u32 {
    SQLITE[SQLITE.len() - 1].version
}

/// A migration that stands in a database's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) version: u32,
    pub(crate) name: String,
    pub(crate) checksum: String,
}

/// One line of `db history`: a migration that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryEntry {
    /// The migration's number.
    pub version: u32,
    /// Its name.
    pub name: String,
    /// `up` or `down`.
    pub direction: String,
    /// When.
    pub at: Timestamp,
    /// The up script's checksum.
    pub checksum: String,
    /// The version of the program that did it.
    pub program: String,
}

/// One line of `db migrate status`: a migration and whether the database has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MigrationStatus {
    /// The migration's number.
    pub version: u32,
    /// Its name.
    pub name: String,
    /// `applied`, `pending`, or what is wrong: `changed`, `missing`, `newer`, `skipped`.
    pub state: String,
}

/// Why a database and this binary do not go together, or a migration did not go through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MigrateError {
    /// The script is not the one that was applied.
    #[error(
        "migration V{version}__{name} was changed after it was applied to this database; use the binary that applied it, or restore the script and build again"
    )]
    Changed {
        /// The migration's number.
        version: u32,
        /// Its name.
        name: String,
    },
    /// The database has a migration that this binary lost.
    #[error(
        "migration V{version}__{name} was applied to this database but is missing from this binary; use a build that has it"
    )]
    Missing {
        /// The migration's number.
        version: u32,
        /// Its name.
        name: String,
    },
    /// The database went further than this binary can follow.
    #[error(
        "the database is at schema version {database}, newer than this binary's {binary}; use a newer agent-system, or go back with `agent-system db migrate down --to {binary}`"
    )]
    Newer {
        /// The database's version.
        database: u32,
        /// The latest version that this binary knows.
        binary: u32,
    },
    /// The history has a hole.
    #[error(
        "migration V{version}__{name} is absent from the database's history though later ones are there; restore a backup, or go back with `agent-system db migrate down --to {back}`"
    )]
    Skipped {
        /// The migration's number.
        version: u32,
        /// Its name.
        name: String,
        /// The version before it.
        back: u32,
    },
    /// No such version.
    #[error("there is no schema version {wanted}; versions are 0 to {latest}")]
    NoSuchVersion {
        /// What was asked for.
        wanted: u32,
        /// The latest there is.
        latest: u32,
    },
    /// Up was asked to go down, or down to go up.
    #[error(
        "the database is at schema version {current}; `db migrate {direction} --to {wanted}` leads the other way"
    )]
    WrongWay {
        /// Where it is.
        current: u32,
        /// `up` or `down`.
        direction: &'static str,
        /// What was asked for.
        wanted: u32,
    },
    /// Neither the history nor this binary has the way back.
    #[error(
        "there is no down script for migration V{version}__{name}; use the binary that applied it, or restore a backup"
    )]
    NoWayBack {
        /// The migration's number.
        version: u32,
        /// Its name.
        name: String,
    },
    /// The database refused a script, or could not be asked.
    #[error("migration to version {version} failed and was rolled back: {message}")]
    Failed {
        /// The migration's number.
        version: u32,
        /// The database's words.
        message: String,
    },
}

/// Refuses a history that this binary cannot work with.
pub(crate) fn verify(
    applied: &[Applied],
    known: &[Script],
    checksum: impl Fn(&Script) -> String,
) -> Result<(), MigrateError> {
    let binary = known.last().map_or(0, |script| script.version);
    let database = applied.iter().map(|row| row.version).max().unwrap_or(0);
    for row in applied.iter().filter(|row| row.version <= binary) {
        let (version, name) = (row.version, row.name.clone());
        match known.iter().find(|script| script.version == version) {
            None => return Err(MigrateError::Missing { version, name }),
            Some(script) if script.name != name || checksum(script) != row.checksum => {
                return Err(MigrateError::Changed { version, name });
            }
            Some(_) => {}
        }
    }
    if database > binary {
        return Err(MigrateError::Newer { database, binary });
    }
    let skipped = |script: &&Script| {
        script.version < database && !applied.iter().any(|row| row.version == script.version)
    };
    match known.iter().find(skipped) {
        None => Ok(()),
        Some(script) => Err(MigrateError::Skipped {
            version: script.version,
            name: script.name.into(),
            back: script.version.saturating_sub(1),
        }),
    }
}
