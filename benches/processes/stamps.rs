//! When processes began: a FIFO into which each writes the instant of its first instructions and
//! its number, see `first.c`.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The program that says when it began, compiled into `dir`.
pub(crate) fn program(dir: &Path) -> PathBuf {
    let program = dir.join("first");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/processes/first.c");
    let built = Command::new("cc")
        .args(["-O2", "-static", "-nostdlib", "-ffreestanding"])
        .arg("-fno-stack-protector")
        .arg("-o")
        .arg(&program)
        .arg(source)
        .status()
        .expect("a C compiler");
    assert!(built.success(), "first.c does not compile");
    program
}

/// Nanoseconds of `CLOCK_MONOTONIC`, as the program reads it.
pub(crate) fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec * 1_000_000_000 + now.tv_nsec).unwrap_or(0)
}

/// A process has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) at: u64,
    pub(crate) pid: u32,
}

/// Where one measurement's processes write.
pub(crate) struct Stamps {
    pub(crate) path: PathBuf,
    file: File,
}

impl Stamps {
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        let path = dir.join(name);
        let made = Command::new("mkfifo").arg(&path).status();
        assert!(made.expect("mkfifo runs").success(), "no FIFO");
        // Open both ways, so that it never ends while a process dies.
        let both = OpenOptions::new().read(true).write(true).open(&path);
        let file = both.expect("the FIFO opens");
        Self { path, file }
    }

    /// Waits for the next process to begin.
    pub(crate) fn next(&mut self) -> Stamp {
        let mut stamp = [0; 16];
        self.file.read_exact(&mut stamp).expect("a stamp");
        let word = |at: usize| {
            let bytes = stamp[at..at + 8].try_into().expect("eight bytes");
            u64::from_le_bytes(bytes)
        };
        Stamp {
            at: word(0),
            pid: u32::try_from(word(8)).expect("a process number"),
        }
    }

    /// Waits for so many.
    pub(crate) fn take(&mut self, count: usize) -> Vec<Stamp> {
        (0..count).map(|_| self.next()).collect()
    }
}

/// From an instant to the last of some beginnings.
pub(crate) fn until_last(begun: u64, stamps: &[Stamp]) -> Duration {
    let last = stamps.iter().map(|stamp| stamp.at).max().unwrap_or(begun);
    Duration::from_nanos(last.saturating_sub(begun))
}
