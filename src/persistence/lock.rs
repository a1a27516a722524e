//! One owner: a lock on a file that holds its owner's pid. The kernel lets go of it when the owner
//! dies, however it dies: at once, or a moment later if the owner was just starting a process, which has
//! all its files until it runs its program.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The lock's file in a data directory.
const DIRECTORY_LOCK: &str = "agent-system.lock";
/// How often the lock of an owner who is dead is tried again, and the rest before each time.
const TRIES: (u32, Duration) = (250, Duration::from_millis(20));

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("{} is in use by {}; stop it first, or choose another --data-dir", path.display(), owner(*pid))]
    LockedBy {
        /// What is locked.
        path: PathBuf,
        /// Who holds it, if it said so.
        pid: Option<u32>,
    },
    /// The lock's file could not be made or locked.
    #[error("cannot lock {}: {message}; make it writable for this user, or choose another --data-dir", path.display())]
    Unusable {
        /// What was to be locked.
        path: PathBuf,
        /// The system's words.
        message: String,
    },
}

fn owner(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".into(), |pid| format!("process {pid}"))
}

/// Exclusive ownership, for as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes a data directory; makes it if it is missing.
    ///
    /// # Errors
    /// If another process owns it, or it cannot be written.
    pub fn directory(directory: &Path) -> Result<Self, LockError> {
        std::fs::create_dir_all(directory).map_err(|error| unusable(directory, &error))?;
        Self::take_of_the_dead(directory, &directory.join(DIRECTORY_LOCK), rest)
    }

    /// Whether somebody owns a data directory, and its pid if it said so.
    #[must_use]
    pub fn owner(directory: &Path) -> Option<Option<u32>> {
        let mut file = File::open(directory.join(DIRECTORY_LOCK)).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(read_pid(&mut file)),
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }

    /// Takes a database's file, whatever directory it stands in.
    pub(crate) fn database(path: &Path) -> Result<Self, LockError> {
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        Self::take_of_the_dead(path, Path::new(&lock), rest)
    }

    /// Takes it, and waits for it where its owner is dead: whoever holds it then is a process in the
    /// making, which lets go of it when it runs its program.
    fn take_of_the_dead(
        what: &Path,
        lock: &Path,
        mut rest: impl FnMut(),
    ) -> Result<Self, LockError> {
        for _ in 0..TRIES.0 {
            match Self::take(what, lock) {
                Err(LockError::LockedBy { pid: Some(pid), .. }) if is_dead(pid) => rest(),
                taken => return taken,
            }
        }
        Self::take(what, lock)
    }

    fn take(what: &Path, lock: &Path) -> Result<Self, LockError> {
        let unusable = |error: std::io::Error| unusable(what, &error);
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(lock)
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::LockedBy {
                    path: what.into(),
                    pid: read_pid(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        // Over what stood there, and as long: on a full disk there is no room for another.
        match write!(file, "{:<16}", std::process::id()) {
            Err(error) if error.kind() != std::io::ErrorKind::StorageFull => {
                return Err(unusable(error));
            }
            _ => {}
        }
        Ok(Self { _file: file })
    }
}

fn unusable(what: &Path, error: &std::io::Error) -> LockError {
    LockError::Unusable {
        path: what.into(),
        message: error.to_string(),
    }
}

fn rest() {
    std::thread::park_timeout(TRIES.1);
}

/// Whether there is no such process, or only what is left of it.
fn is_dead(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return Path::new("/proc/self/stat").exists();
    };
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
    state.is_some_and(|state| state.starts_with(['Z', 'X']))
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_owner_and_the_second_is_told_its_pid() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::directory(dir.path()).unwrap();
        let second = Lock::directory(dir.path()).unwrap_err();
        let LockError::LockedBy { pid, .. } = &second else {
            panic!("{second}")
        };
        assert_eq!(*pid, Some(std::process::id()));
        assert!(second.to_string().contains(&std::process::id().to_string()));
        assert_eq!(Lock::owner(dir.path()), Some(Some(std::process::id())));
        drop(first);
        assert_eq!(Lock::owner(dir.path()), None);
        Lock::directory(dir.path()).unwrap();
    }

    #[test]
    fn a_lock_that_a_dead_owner_has_not_let_go_of_yet_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(DIRECTORY_LOCK);
        let mut dead = std::process::Command::new("true").spawn().unwrap();
        std::fs::write(&file, dead.id().to_string()).unwrap();
        dead.wait().unwrap();
        // As a process has it that was forked and does not run its program yet.
        let held = File::open(&file).unwrap();
        held.lock().unwrap();
        let (mut held, mut rests) = (Some(held), 0);
        let taken = Lock::take_of_the_dead(dir.path(), &file, || {
            rests += 1;
            drop(held.take_if(|_| rests == 3));
        });
        taken.unwrap();
        assert_eq!(rests, 3);
    }
}
