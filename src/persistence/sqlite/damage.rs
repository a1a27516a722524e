//! A damaged database: met once, looked through, and left alone until another file stands in its place.
//!
//! Most of a damaged file still takes writes, so that it would be lost and restored with each statement
//! that meets the damage. Rely on: after a statement met damage nothing is written before the whole file
//! was looked through; one that is damaged is looked through once.
//!
//! Not here: reads, which tell their caller; copies, which are looked through before they are trusted.

use std::path::Path;

use parking_lot::Mutex;
use rusqlite::Connection;

use super::fault::{Fault, SqlResult};
use super::shared::FileIdentity;
use super::write::all;

/// What is known of damage.
#[derive(Default)]
pub(super) struct Damage(Mutex<Known>);

#[derive(Default)]
enum Known {
    #[default]
    Nothing,
    /// A statement met it.
    Suspected,
    /// It was found in this file, with these words.
    Found(FileIdentity, String),
}

impl Damage {
    /// A statement met damage.
    pub(super) fn suspect(&self) {
        *self.0.lock() = Known::Suspected;
    }

    /// Refuses a file in which damage was found. Looks through one in which it is suspected.
    pub(super) fn refuse(&self, conn: &Connection, path: &Path) -> SqlResult<()> {
        let mut known = self.0.lock();
        let identity = match &*known {
            Known::Nothing => return Ok(()),
            Known::Suspected => FileIdentity::of(path)?,
            Known::Found(file, words) => match FileIdentity::of(path)? {
                same if same == *file => return Err(Fault::Lost(words.clone())),
                another => another,
            },
        };
        let Some(fault) = first_fault(conn) else {
            *known = Known::Nothing;
            return Ok(());
        };
        let words = format!(
            "{} is damaged: {fault}; stop the daemon and restore a backup (db restore)",
            path.display()
        );
        *known = Known::Found(identity, words.clone());
        Err(Fault::Lost(words))
    }
}

/// The first thing that is wrong with a database, if any is.
fn first_fault(conn: &Connection) -> Option<String> {
    let looked = all(conn, "PRAGMA integrity_check(1)", [], |row| {
        row.get::<_, String>(0)
    });
    match looked {
        Ok(lines) => {
            let wrong: Vec<_> = lines.into_iter().filter(|line| line != "ok").collect();
            let first = wrong.into_iter().next()?;
            Some(first.lines().last().unwrap_or_default().to_owned())
        }
        Err(fault) => Some(fault.to_string()),
    }
}
