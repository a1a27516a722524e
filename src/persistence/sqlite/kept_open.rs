//! The database's file, open for as long as its descriptor may not be closed.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::fault::SqlResult;
use super::shared::FileIdentity;

/// Files that stood under the path and are kept open, at most.
const MAX_KEPT: usize = 4;

/// The database's file, to be synced beside SQLite. With any descriptor that is closed the system takes
/// the locks of all connections of this process to that file away, so it stays open while anybody may
/// still use the file: until [`MAX_KEPT`] others have stood under the path since, and every connection to
/// it has been closed as often.
#[derive(Default)]
pub(super) struct KeptOpen(Mutex<VecDeque<(FileIdentity, Arc<File>)>>);

impl KeptOpen {
    pub(super) fn file(&self, path: &Path) -> SqlResult<Option<Arc<File>>> {
        let identity = FileIdentity::of(path)?;
        let mut kept = self.0.lock();
        let known = kept.iter().position(|(known, _)| *known == identity);
        let file = match known.and_then(|at| kept.remove(at)) {
            Some((_, file)) => file,
            None => match File::open(path) {
                Ok(opened) => Arc::new(opened),
                Err(_) => return Ok(None),
            },
        };
        kept.push_front((identity, file.clone()));
        kept.truncate(MAX_KEPT);
        Ok(Some(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_files_that_stood_under_the_path_only_a_few_are_kept_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent-system.db");
        let kept = KeptOpen::default();
        for n in 0..20 {
            let aside = dir.path().join(format!("{n}"));
            std::fs::write(&path, "").unwrap();
            kept.file(&path).unwrap();
            std::fs::rename(&path, &aside).unwrap();
            // The one before is back for a moment: known, not opened once more.
            let before = dir.path().join(format!("{}", n - i32::from(n > 0)));
            std::fs::rename(&before, &path).unwrap();
            kept.file(&path).unwrap();
            std::fs::rename(&path, &before).unwrap();
        }
        let here = dir.path().to_owned();
        let open = std::fs::read_dir("/proc/self/fd").unwrap();
        let open = open.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
        let open = open.filter(|file| file.starts_with(&here)).count();
        assert_eq!(open, MAX_KEPT);
    }
}
