//! A log file that is rotated by size, its old ones removed by number and age.
//!
//! `daemon.log` becomes `daemon.log.1`, that one `daemon.log.2`, and so on. Lines are never split
//! between two files. A disk that is full costs lines, never the daemon.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Where a log file lies and how it is rotated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationPolicy {
    /// The file.
    pub path: PathBuf,
    /// It is rotated before a line would make it larger than this, bytes.
    pub max_size: u64,
    /// Rotated files older than this are removed.
    pub max_age: Duration,
    /// Rotated files kept.
    pub keep: u32,
}

/// An open log file.
#[derive(Debug)]
pub struct RotatingFile {
    policy: RotationPolicy,
    file: File,
    size: u64,
}

impl RotatingFile {
    /// Opens the file, or makes it and its directory; what it holds is kept.
    ///
    /// # Errors
    /// The system's, if it cannot be written.
    pub fn open(policy: RotationPolicy) -> io::Result<Self> {
        if let Some(parent) = policy.path.parent() {
            fs::create_dir_all(parent)?;
        }
        let (file, size) = open(&policy)?;
        Ok(Self { policy, file, size })
    }

    /// Appends a whole line (or several).
    ///
    /// # Errors
    /// The system's; the next line tries again.
    pub fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        let length = line.len() as u64;
        if self.size > 0 && self.size + length > self.policy.max_size {
            self.rotate()?;
        }
        self.file.write_all(line)?;
        self.size += length;
        Ok(())
    }

    fn rotated(&self, number: u32) -> PathBuf {
        let mut name = self.policy.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    fn rotate(&mut self) -> io::Result<()> {
        let keep = self.policy.keep;
        if keep == 0 {
            fs::remove_file(&self.policy.path)?;
        } else {
            for number in (1..keep).rev() {
                absent_is_fine(fs::rename(self.rotated(number), self.rotated(number + 1)))?;
            }
            fs::rename(&self.policy.path, self.rotated(1))?;
        }
        (self.file, self.size) = open(&self.policy)?;
        self.remove_old();
        Ok(())
    }

    /// Ages of files on a disk are the wall clock's by nature.
    fn remove_old(&self) {
        let now = u64::try_from(crate::clock::now().as_micros()).unwrap_or(0);
        let oldest =
            (SystemTime::UNIX_EPOCH + Duration::from_micros(now)).checked_sub(self.policy.max_age);
        for number in 1..=self.policy.keep {
            let path = self.rotated(number);
            let changed = fs::metadata(&path).and_then(|meta| meta.modified()).ok();
            if changed < oldest && changed.is_some() {
                // Tried again at the next rotation.
                fs::remove_file(path).ok();
            }
        }
    }
}

fn open(policy: &RotationPolicy) -> io::Result<(File, u64)> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&policy.path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
