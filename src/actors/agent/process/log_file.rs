//! An agent's log file: written by a thread of the blocking pool, rotated by size.
//!
//! A disk that is slow or full never holds up the agent: what does not fit into the queue is left
//! out and counted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::domain::agent::LogFileSpec;

/// Lines that wait for the disk.
const MAX_WAITING: usize = 1_000;
/// Lines written at once.
const BATCH: usize = 256;

/// The way to the file; the file is closed with it.
#[derive(Debug, Clone)]
pub(super) struct LogFile {
    lines: mpsc::Sender<String>,
    lost: Arc<AtomicU64>,
}

impl LogFile {
    /// Opens the file below `directory` for appending.
    pub(super) fn start(runtime: &Handle, directory: &std::path::Path, spec: &LogFileSpec) -> Self {
        let (lines, waiting) = mpsc::channel(MAX_WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let rotating = Rotating {
            path: directory.join(&spec.file),
            spec: spec.clone(),
            open: None,
        };
        runtime.spawn(write_all(waiting, rotating, lost.clone()));
        Self { lines, lost }
    }

    /// Takes a line in, or counts it as lost.
    pub(super) fn line(&self, text: String) {
        if self.lines.try_send(text).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes until nobody can send any more.
async fn write_all(mut waiting: mpsc::Receiver<String>, mut file: Rotating, lost: Arc<AtomicU64>) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut broken = false;
    while waiting.recv_many(&mut batch, BATCH).await > 0 {
        let missing = lost.swap(0, Ordering::Relaxed);
        if missing > 0 {
            batch.push(format!("[agent-system] {missing} lines lost"));
        }
        let lines = std::mem::take(&mut batch);
        let (path, spec) = (file.path.clone(), file.spec.clone());
        let written = tokio::task::spawn_blocking(move || {
            let result = file.write(&lines);
            (file, result)
        });
        let (back, result) = written.await.unwrap_or_else(|error| {
            // These lines may be lost; those that follow are not.
            let open = None;
            (Rotating { path, spec, open }, Err(io::Error::other(error)))
        });
        file = back;
        // Said once when it begins, not for every line.
        if let (Err(error), false) = (&result, broken) {
            tracing::warn!(file = %file.path.display(), %error, "log file cannot be written");
        }
        broken = result.is_err();
    }
}

/// A file that is set aside when it is full.
struct Rotating {
    path: PathBuf,
    spec: LogFileSpec,
    open: Option<(File, u64)>,
}

impl Rotating {
    fn write(&mut self, lines: &[String]) -> io::Result<()> {
        #[cfg(test)]
        assert!(!lines.iter().any(|line| line == "fail"), "writing fails");
        for line in lines {
            let (mut file, size) = self.take_open()?;
            file.write_all(line.as_bytes())?;
            file.write_all(b"\n")?;
            let size = size + line.len() as u64 + 1;
            if size >= self.spec.max_size {
                drop(file);
                self.rotate()?;
            } else {
                self.open = Some((file, size));
            }
        }
        Ok(())
    }

    fn take_open(&mut self) -> io::Result<(File, u64)> {
        if let Some(open) = self.open.take() {
            return Ok(open);
        }
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)?;
        let size = file.metadata()?.len();
        Ok((file, size))
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    /// `file` becomes `file.1`, `file.1` becomes `file.2`; what is too many or too old goes.
    fn rotate(&self) -> io::Result<()> {
        for number in (1..self.spec.keep).rev() {
            present(fs::rename(self.numbered(number), self.numbered(number + 1)))?;
        }
        if self.spec.keep == 0 {
            return fs::remove_file(&self.path);
        }
        fs::rename(&self.path, self.numbered(1))?;
        self.remove_old()
    }

    fn remove_old(&self) -> io::Result<()> {
        for number in 1..=self.spec.keep {
            let file = self.numbered(number);
            let modified = fs::metadata(&file).and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|modified| modified.elapsed().ok());
            if age.is_some_and(|age| age > self.spec.max_age) {
                present(fs::remove_file(&file))?;
            }
        }
        Ok(())
    }
}

/// What is not there needs no moving.
fn present(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_panic_while_a_log_is_written_does_not_end_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let spec = LogFileSpec {
            file: "a.log".into(),
            max_size: 1 << 20,
            max_age: Duration::from_secs(60),
            keep: 2,
        };
        let log = LogFile::start(&Handle::current(), dir.path(), &spec);
        log.line("fail".to_owned());
        let written = async {
            while !fs::read_to_string(dir.path().join("a.log"))
                .is_ok_and(|text| text.contains("on\n"))
            {
                log.line("on".to_owned());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(90), written)
            .await
            .expect("it goes on");
    }

    #[test]
    fn a_full_file_is_set_aside_and_only_so_many_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = Rotating {
            path: dir.path().join("logs/a.log"),
            spec: LogFileSpec {
                file: "a.log".into(),
                max_size: 4,
                max_age: Duration::from_secs(60),
                keep: 2,
            },
            open: None,
        };
        let lines = ["one", "two", "six", "x"].map(str::to_owned);
        file.write(&lines).unwrap();
        let read = |name: &str| fs::read_to_string(dir.path().join("logs").join(name)).ok();
        assert_eq!(read("a.log").as_deref(), Some("x\n"));
        assert_eq!(read("a.log.1").as_deref(), Some("six\n"));
        assert_eq!(read("a.log.2").as_deref(), Some("two\n"));
        assert_eq!(read("a.log.3"), None);
    }
}
