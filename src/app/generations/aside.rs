//! Marks that the database did not take, in a file of their own until it does.
//!
//! Rely on: the file is written aside and renamed, so that nobody reads half of it. One that cannot be
//! written is said once; nothing waits for it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::domain::name::Name;

/// The file's name in the data directory.
const FILE: &str = "generations.json";

/// The marks that are kept aside.
#[derive(Debug)]
pub(in crate::app) struct Aside {
    path: PathBuf,
    marks: BTreeMap<Name, u64>,
    /// Whether it was said that the file cannot be written.
    said: bool,
}

impl Aside {
    /// What an earlier daemon on this data directory left.
    pub(in crate::app) fn open(data_dir: &Path) -> Self {
        let path = data_dir.join(FILE);
        let marks = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "marks of lives cannot be read");
                BTreeMap::new()
            }),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(path = %path.display(), %error, "marks of lives cannot be read");
                }
                BTreeMap::new()
            }
        };
        Self {
            path,
            marks,
            said: false,
        }
    }

    /// The mark of an agent, if one is kept.
    pub(in crate::app) fn mark(&self, agent: &Name) -> Option<u64> {
        self.marks.get(agent).copied()
    }

    /// The database did not take this mark.
    pub(in crate::app) fn keep(&mut self, agent: &Name, mark: u64) {
        if self.marks.insert(agent.clone(), mark) == Some(mark) {
            return;
        }
        match self.write() {
            Ok(()) => self.said = false,
            Err(error) => {
                if !std::mem::replace(&mut self.said, true) {
                    let path = self.path.display();
                    tracing::warn!(%path, %error, "marks of lives are kept nowhere");
                }
            }
        }
    }

    /// The database has all of them.
    pub(in crate::app) fn clear(&mut self) {
        if std::mem::take(&mut self.marks).is_empty() {
            return;
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "not removed");
        }
    }

    fn write(&self) -> io::Result<()> {
        let aside = self.path.with_extension("new");
        std::fs::write(&aside, serde_json::to_vec(&self.marks)?)?;
        std::fs::rename(&aside, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_that_the_database_did_not_take_are_there_for_the_next_daemon_until_it_has_them() {
        let dir = tempfile::tempdir().unwrap();
        let echo: Name = "echo".parse().unwrap();
        let mut aside = Aside::open(dir.path());
        aside.keep(&echo, 200);
        aside.keep(&echo, 400);
        let mut next = Aside::open(dir.path());
        assert_eq!(next.mark(&echo), Some(400));
        next.clear();
        assert_eq!(Aside::open(dir.path()).mark(&echo), None);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        std::fs::write(dir.path().join(FILE), "{").unwrap();
        assert_eq!(
            Aside::open(dir.path()).mark(&echo),
            None,
            "no reason to stop"
        );
    }
}
