//! What is asked of the file system below: how much room there is, and to take some beforehand.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

/// What is written at once where room cannot be taken otherwise.
const PIECE: usize = 64 * 1024;

/// The directory that a file is in: `.` for a mere name.
pub(crate) fn directory_of(file: &Path) -> &Path {
    let parent = file.parent().filter(|it| !it.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Bytes that are free for this user on the disk of a directory. None where the file system does
/// not say: some that have no end tell zero of zero.
pub(crate) fn free_bytes(directory: &Path) -> Option<u64> {
    let disk = statvfs(directory).ok()?;
    (disk.f_blocks > 0).then(|| disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The share of the disk of a directory that is in use, of what this user may use: as `df` counts.
pub(crate) fn used_ratio(directory: &Path) -> Option<f64> {
    let disk = statvfs(directory).ok()?;
    let used = disk.f_blocks.saturating_sub(disk.f_bfree);
    let all = used + disk.f_bavail;
    (all > 0).then(|| used as f64 / all as f64)
}

/// Bytes of the whole disk of a directory.
pub(crate) fn total_bytes(directory: &Path) -> Option<u64> {
    let disk = statvfs(directory).ok()?;
    (disk.f_blocks > 0).then(|| disk.f_blocks.saturating_mul(disk.f_frsize))
}

/// Takes real room for a file that is empty.
pub(crate) fn take_room(file: &mut File, bytes: u64) -> io::Result<()> {
    match fallocate(&*file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(file, bytes),
        Err(error) => Err(error.into()),
    }
}

fn write_zeros(file: &mut File, bytes: u64) -> io::Result<()> {
    let piece = vec![0; PIECE];
    let mut left = bytes;
    while left > 0 {
        let now = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        file.write_all(&piece[..now])?;
        left -= now as u64;
    }
    file.sync_data()
}
