//! All artifacts as they are now, in another directory. A file never changes once it has its name, so
//! a second name for it is as good as a copy.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use serde::Serialize;

use super::UNFINISHED;

/// What was carried over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Carried {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were copied, since the target is on another file system.
    pub copied: u64,
}

/// Carries all finished artifacts into a directory, which is made, and syncs it.
pub(crate) fn carry(root: &Path, target: &Path) -> io::Result<Carried> {
    let mut carried = Carried::default();
    fs::create_dir_all(target)?;
    for owner in entries(root)? {
        let owner = owner?;
        if !owner.file_type()?.is_dir() {
            continue;
        }
        let folder = target.join(owner.file_name());
        fs::create_dir(&folder)?;
        for file in entries(&owner.path())? {
            let file = file?;
            if file.file_name().to_string_lossy().ends_with(UNFINISHED) {
                continue;
            }
            one(&file.path(), &folder.join(file.file_name()), &mut carried)?;
        }
        File::open(&folder)?.sync_all()?;
    }
    File::open(target)?.sync_all()?;
    Ok(carried)
}

/// What stands in a directory; nothing in one that is gone.
fn entries(directory: &Path) -> io::Result<Box<dyn Iterator<Item = io::Result<fs::DirEntry>>>> {
    match fs::read_dir(directory) {
        Ok(entries) => Ok(Box::new(entries)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Box::new(std::iter::empty())),
        Err(error) => Err(error),
    }
}

fn one(from: &Path, to: &Path, carried: &mut Carried) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => {}
        // Retention was faster: who needed it is no more.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_) => {
            fs::copy(from, to)?;
            File::open(to)?.sync_all()?;
            carried.copied += 1;
        }
    }
    carried.files += 1;
    carried.bytes += fs::metadata(to)?.len();
    Ok(())
}
