//! Power that fails: whatever was not brought to the disk is taken back, and all that was acknowledged is
//! there, also when the disk refused a sync of the database before.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use serde_json::Value;

use super::state;
use crate::daemon::{Daemon, binary, eventually, is_running};

/// A disk that remembers how to take back what was not synced.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/disks/power.c");
        let built = Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .arg(folder.path().join("power.so"))
            .arg(source)
            .arg("-ldl")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{said}");
        fs::create_dir(folder.path().join("undo")).unwrap();
        Self { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn variables(&self, data_dir: &Path) -> Vec<(String, String)> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        vec![
            ("LD_PRELOAD".into(), text(&self.file("power.so"))),
            ("POWER_DIR".into(), text(data_dir)),
            ("POWER_UNDO".into(), text(&self.file("undo"))),
            ("POWER_FAULT".into(), text(&self.file("fault"))),
        ]
    }

    /// Which sync of the database fails next.
    fn fails(&self, which: &str) {
        fs::write(self.file("fault"), which).unwrap();
    }

    fn has_failed(&self) -> bool {
        !self.file("fault").exists()
    }

    /// Whether something was written that is not synced.
    fn is_owed(&self) -> bool {
        let mut undo = fs::read_dir(self.file("undo")).unwrap().flatten();
        undo.any(|undo| undo.metadata().unwrap().len() > 8)
    }

    /// Kills the daemon while the disk is owed something, and takes that back; who loads it stops, as its
    /// port may be another's in the next moment.
    fn loses_power(&self, daemon: &Daemon, stop: &AtomicBool) {
        eventually("it has written what is not synced", || {
            daemon.signal("STOP");
            // Each thread goes on until it hears of it, and may sync meanwhile.
            eventually("it stands still", || {
                stands_still(daemon.pid()).then_some(())
            });
            let owed = self.is_owed().then_some(());
            stop.store(owed.is_some(), Relaxed);
            daemon.signal(if owed.is_some() { "KILL" } else { "CONT" });
            owed
        });
        eventually("it is gone", || (!is_running(daemon.pid())).then_some(()));
        let undo = fs::read_dir(self.file("undo")).unwrap().flatten();
        let lost =
            undo.map(|undo| take_back(&undo.path(), &daemon.data_dir().join(undo.file_name())));
        assert!(lost.sum::<usize>() > 0);
    }
}

/// Whether every thread of a process is stopped.
fn stands_still(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let mut stats =
        threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
    stats.all(|stat| {
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('T'))
    })
}

/// Ends the load, also where the test fails: it would go on for ever.
struct Ends<'s>(&'s AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn take_back(undo: &Path, file: &Path) -> usize {
    let noted = fs::read(undo).unwrap();
    let mut noted = Noted(&noted);
    let (Some(size), Ok(mut bytes)) = (noted.number(), fs::read(file)) else {
        return 0;
    };
    let mut lost = 0;
    // A note that was being written when the daemon was killed is of a write that was not made.
    while let Some((block, before)) = noted.block() {
        let (begin, end) = (block * BLOCK, block * BLOCK + before.len());
        bytes.resize(bytes.len().max(end), 0);
        bytes[begin..end].copy_from_slice(before);
        lost += 1;
    }
    bytes.resize(size, 0);
    fs::write(file, bytes).unwrap();
    lost
}

/// Bytes of a block, as the library has it.
const BLOCK: usize = 4096;

struct Noted<'n>(&'n [u8]);

impl<'n> Noted<'n> {
    fn bytes(&mut self, count: usize) -> Option<&'n [u8]> {
        let (head, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(head)
    }

    fn number(&mut self) -> Option<usize> {
        let bytes = self.bytes(8)?.try_into().unwrap();
        usize::try_from(u64::from_ne_bytes(bytes)).ok()
    }

    fn block(&mut self) -> Option<(usize, &'n [u8])> {
        let (block, length) = (self.number()?, self.number()?);
        Some((block, self.bytes(length)?))
    }
}

const AGENTS: &str = "[agents.echo]\nkind = 'process'\nconcurrency = 4\ncommand = ['BINARY', 'sample-agent', 'echo']\n";

/// Submits large tasks until it is told to stop; the ids of those that were accepted.
fn load(daemon: &Daemon, stop: &AtomicBool, accepted: &parking_lot::Mutex<Vec<String>>) {
    let body = format!(r#"{{"agent":"echo","payload":"{}"}}"#, "x".repeat(100_000));
    while !stop.load(Relaxed) {
        let (status, text) = daemon.post("/api/v1/tasks", &body);
        // One that was cut off told nobody anything.
        let task: Value = serde_json::from_str(&text).unwrap_or_default();
        if let (202, Some(id)) = (status, task["id"].as_str()) {
            accepted.lock().push(id.to_owned());
        }
    }
}

/// What is wrong with a database and its log; they are left as they are.
fn faults(database: &Path) -> Vec<String> {
    let aside = tempfile::tempdir().unwrap();
    let copy = aside.path().join("copy.db");
    fs::copy(database, &copy).unwrap();
    fs::copy(
        database.with_extension("db-wal"),
        copy.with_extension("db-wal"),
    )
    .unwrap();
    let conn = rusqlite::Connection::open(&copy).unwrap();
    let mut check = conn.prepare("PRAGMA integrity_check(3)").unwrap();
    let lines = check.query_map([], |row| row.get(0)).unwrap();
    lines.collect::<Result<_, _>>().unwrap()
}

/// Each is there, and done once.
fn all_are_done(daemon: &Daemon, tasks: &[String]) {
    for task in tasks {
        eventually("an accepted task is done", || {
            (state(daemon, task) == "succeeded").then_some(())
        });
        let (_, attempts) = daemon.get(&format!("/api/v1/tasks/{task}/attempts"));
        assert_eq!(
            attempts.matches(r#""outcome":"succeeded""#).count(),
            1,
            "{attempts}"
        );
    }
}

#[test]
fn what_was_acknowledged_outlives_the_power_also_after_a_sync_of_the_database_failed() {
    let disk = Disk::new();
    let agents = AGENTS.replace("BINARY", binary().to_str().unwrap());
    let mut daemon = Daemon::prepared(&agents, |data_dir| disk.variables(data_dir));
    let accepted = parking_lot::Mutex::new(Vec::new());
    for fault in ["beside", "within", "none"] {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _ends = Ends(&stop);
            for _ in 0..3 {
                scope.spawn(|| load(&daemon, &stop, &accepted));
            }
            let many = |more: usize| {
                let wanted = accepted.lock().len() + more;
                eventually("more is accepted", || {
                    (accepted.lock().len() >= wanted).then_some(())
                });
            };
            many(10);
            if fault != "none" {
                disk.fails(fault);
                eventually("a sync fails", || disk.has_failed().then_some(()));
            }
            // The log is written back more than once meanwhile.
            many(90);
            disk.loses_power(&daemon, &stop);
        });
        daemon.wait();
        assert_eq!(faults(&daemon.database()), ["ok"], "{fault}");
        daemon.spawn_again();
        all_are_done(&daemon, &accepted.lock());
    }
}
