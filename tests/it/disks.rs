//! Disks that fill up or fail, under the daemon as its users meet it.

mod kept;
mod power;

use std::cell::RefCell;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::daemon::{Daemon, binary, eventually};

/// An agent that ends its task when a file is there, and one that ends it at once.
fn agents(flag: &Path) -> String {
    format!(
        "[monitoring]\nhealth_interval = '500ms'\nsample_interval = '200ms'\n\
         [agents.waiter]\nkind = 'process'\nprotocol = 'exec'\n\
         command = ['sh', '-c', 'until [ -e {} ]; do sleep 0.05; done; echo 7']\n\
         [agents.echo]\nkind = 'process'\ncommand = ['{}', 'sample-agent', 'echo']\n",
        flag.display(),
        binary().display()
    )
}

/// A disk of its own for a data directory: a small tmpfs where this user may mount one, else the
/// directory itself, whose files a preloaded library fails to write.
enum Disk {
    Small(PathBuf),
    Faulty { folder: tempfile::TempDir },
}

impl Disk {
    fn mount(directory: &Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=24m,mode=0755", "tmpfs"])
            .arg(directory)
            .output();
        let mounted = mounted.is_ok_and(|mounted| mounted.status.success());
        mounted.then(|| Self::Small(directory.to_owned()))
    }

    fn faulty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/disks/faulty.c");
        let built = Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .arg(folder.path().join("faulty.so"))
            .arg(source)
            .arg("-ldl")
            .output()
            .unwrap();
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        Self::Faulty { folder }
    }

    /// What the daemon's environment must have.
    fn variables(&self, data_dir: &Path) -> Vec<(String, String)> {
        let Self::Faulty { folder } = self else {
            return Vec::new();
        };
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        vec![
            ("LD_PRELOAD".into(), text(&folder.path().join("faulty.so"))),
            ("FAULT_FILE".into(), text(&folder.path().join("fault"))),
            ("FAULT_DIR".into(), text(data_dir)),
        ]
    }

    fn fails(&self, how: &str) {
        let Self::Faulty { folder } = self else {
            unreachable!("a small disk does not fail")
        };
        fs::write(folder.path().join("fault"), how).unwrap();
    }

    fn works(&self) {
        if let Self::Faulty { folder } = self {
            fs::remove_file(folder.path().join("fault")).unwrap();
        }
    }

    /// Leaves no byte.
    fn fill(&self) {
        match self {
            Self::Faulty { .. } => self.fails("full"),
            Self::Small(directory) => fill(directory, 0),
        }
    }

    /// Leaves less than the daemon wants to have back, and more than it needs to end what runs.
    fn fill_again(&self) {
        if let Self::Small(directory) = self {
            fill(directory, 1 << 20);
        }
    }

    fn empty(&self) {
        match self {
            Self::Faulty { .. } => self.works(),
            Self::Small(directory) => fs::remove_file(directory.join("filler")).unwrap(),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Self::Small(directory) = self {
            drop(Command::new("umount").arg("-l").arg(&directory).status());
            drop(fs::remove_dir_all(directory.parent().unwrap()));
        }
    }
}

/// Fills a directory's disk up to so many bytes.
fn fill(directory: &Path, left: u64) {
    let file = directory.join("filler");
    let mut filler = fs::File::options()
        .create(true)
        .append(true)
        .open(file)
        .unwrap();
    for piece in [1 << 18, 1 << 12, 1] {
        let bytes = vec![7; piece];
        let free = || {
            let disk = rustix::fs::statvfs(directory).unwrap();
            disk.f_bavail * disk.f_frsize
        };
        while free() >= left + piece as u64 && filler.write_all(&bytes).is_ok() {}
    }
}

/// Submits until the disk is full and stays so: what the database gives back at first is taken.
fn submit_until_it_stays_full(daemon: &Daemon, disk: &Disk) -> Vec<String> {
    let mut all = Vec::new();
    eventually("it stays full", || {
        let (accepted, (status, refusal)) = submit_until_refused(daemon);
        all.extend(accepted);
        assert_eq!(
            (status, &refusal["code"]),
            (507, &Value::from("storage_full")),
            "{refusal}"
        );
        // The room that was kept back is given free when the daemon has found out, not before.
        let is_full = || daemon.get("/readyz").0 == 503;
        let found_out = is_full();
        disk.fill_again();
        (found_out && is_full()).then_some(())
    });
    all
}

/// Submits tasks to `echo`, each larger than the one before, until one is refused; gives the ids of those that
/// were accepted, and the refusal.
fn submit_until_refused(daemon: &Daemon) -> (Vec<String>, (u16, Value)) {
    let mut accepted = Vec::new();
    for n in 0..5_000 {
        let payload = "x".repeat((n * 500).min(200_000));
        let body = format!(r#"{{"agent":"echo","payload":"{payload}"}}"#);
        let (status, text) = daemon.post("/api/v1/tasks", &body);
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        match status {
            202 => accepted.push(answer["id"].as_str().unwrap().to_owned()),
            _ => return (accepted, (status, answer)),
        }
    }
    unreachable!("the disk never fills up: {} tasks", accepted.len())
}

fn state(daemon: &Daemon, task: &str) -> String {
    let (_, text) = daemon.get(&format!("/api/v1/tasks/{task}"));
    let task: Value = serde_json::from_str(&text).unwrap_or_default();
    task["state"].as_str().unwrap_or_default().to_owned()
}

fn all_succeed(daemon: &Daemon, tasks: &[String]) {
    for task in tasks {
        eventually("an accepted task is done", || {
            (state(daemon, task) == "succeeded").then_some(())
        });
        let attempts = daemon.json(&["tasks", "attempts", task]);
        let attempts = attempts["items"].as_array().unwrap();
        let done = attempts.iter().filter(|it| it["outcome"] == "succeeded");
        assert_eq!(done.count(), 1, "{attempts:?}");
    }
}

fn database_check(daemon: &Daemon) -> String {
    let (_, text) = daemon.get("/api/v1/health/checks/database");
    let check: Value = serde_json::from_str(&text).unwrap_or_default();
    check["status"].as_str().unwrap_or_default().to_owned()
}

/// A daemon on a disk of its own; the disk is dropped after it.
fn daemon_on(
    disk: &RefCell<Option<Disk>>,
    more: &str,
    flag: &Path,
    make: impl FnOnce(&Path) -> Disk,
) -> Daemon {
    Daemon::prepared(&(agents(flag) + more), |data_dir| {
        let made = make(data_dir);
        let variables = made.variables(data_dir);
        disk.replace(Some(made));
        variables
    })
}

/// Fills it up, and asks for one of everything; gives the tasks that were accepted before.
fn refuses_what_is_new(daemon: &Daemon, disk: &Disk) -> Vec<String> {
    let accepted = submit_until_it_stays_full(daemon, disk);
    let (status, _) = daemon.post(
        "/api/v1/messages",
        r#"{"to":"echo","type":"custom","content":1}"#,
    );
    assert_eq!(status, 507, "a message");
    let upload = "x".repeat(900_000);
    let (status, said) = daemon.post("/api/v1/artifacts", &upload);
    assert_eq!(status, 507, "an artifact: {said}");
    assert_eq!(daemon.get("/livez").0, 200);
    let (status, said) = daemon.get("/readyz");
    assert!(status == 503 && said.contains("full"), "{said}");
    eventually("health says so", || {
        (database_check(daemon) == "critical").then_some(())
    });
    accepted
}

/// Each loss and its end are in the journal, and the log was not flooded.
fn was_told_without_a_storm(daemon: &Daemon) {
    eventually("the journal has each loss and its end", || {
        let [lost, restored] =
            ["database.lost", "database.restored"].map(|it| daemon.events(it).len());
        (lost > 0 && lost == restored).then_some(())
    });
    let log = daemon.log();
    // How busy the machine is is another story.
    let loud = log.lines().filter(|line| {
        (line.contains("WARN") || line.contains("ERROR")) && !line.contains("check=system")
    });
    assert!(loud.count() < 100, "a storm in the log:\n{log}");
}

#[test]
fn a_full_disk_refuses_new_work_with_507_stores_what_runs_and_is_forgotten_when_there_is_room() {
    let (disk, scratch) = (RefCell::default(), tempfile::tempdir().unwrap());
    let flag = scratch.path().join("flag");
    let daemon = daemon_on(&disk, "", &flag, |dir| {
        Disk::mount(dir).unwrap_or_else(Disk::faulty)
    });
    let disk = disk.borrow();
    let disk = disk.as_ref().unwrap();
    let runs = daemon.json(&["tasks", "submit", "--agent", "waiter", "--payload", "1"]);
    let runs = runs["id"].as_str().unwrap().to_owned();
    eventually("it runs", || {
        (state(&daemon, &runs) == "running").then_some(())
    });
    disk.fill();

    let accepted = refuses_what_is_new(&daemon, disk);
    fs::write(&flag, "").unwrap();
    // A small disk has the room that was kept back; one that fails has none.
    let small = matches!(disk, Disk::Small(_));
    if small {
        eventually("what ran is stored while the disk is full", || {
            (state(&daemon, &runs) == "succeeded").then_some(())
        });
        assert_eq!(daemon.get("/readyz").0, 503, "it is full all the while");
    }
    disk.empty();
    eventually("it takes work again", || {
        let (status, _) = daemon.post("/api/v1/tasks", r#"{"agent":"echo","payload":1}"#);
        (status == 202).then_some(())
    });
    eventually("it is ready again", || {
        (daemon.get("/readyz").0 == 200).then_some(())
    });
    eventually("health says so", || {
        matches!(database_check(&daemon).as_str(), "healthy" | "warning").then_some(())
    });
    all_succeed(&daemon, &accepted);
    all_succeed(&daemon, &[runs]);
    was_told_without_a_storm(&daemon);
}

#[test]
fn a_daemon_that_is_killed_on_a_full_disk_comes_back_on_it_and_loses_nothing() {
    let (disk, scratch) = (RefCell::default(), tempfile::tempdir().unwrap());
    let flag = scratch.path().join("flag");
    fs::write(&flag, "").unwrap();
    let mut daemon = daemon_on(&disk, "", &flag, |dir| {
        Disk::mount(dir).unwrap_or_else(Disk::faulty)
    });
    let disk = disk.borrow();
    let disk = disk.as_ref().unwrap();
    disk.fill();
    let mut accepted = submit_until_it_stays_full(&daemon, disk);
    daemon.signal("KILL");
    daemon.wait();
    if matches!(disk, Disk::Faulty { .. }) {
        // It cannot write a byte, not even the file that says where it listens.
        disk.empty();
    }
    daemon.spawn_again();
    assert_eq!(daemon.get("/livez").0, 200);
    if matches!(disk, Disk::Small(_)) {
        // What the log of the first life held is free again: it takes a little more, or nothing.
        accepted.extend(submit_until_it_stays_full(&daemon, disk));
        disk.empty();
    }
    all_succeed(&daemon, &accepted);
}

#[test]
fn what_could_not_be_brought_to_the_disk_is_not_acknowledged_and_what_was_is_there() {
    let (disk, scratch) = (RefCell::default(), tempfile::tempdir().unwrap());
    let flag = scratch.path().join("flag");
    let mut daemon = daemon_on(&disk, "", &flag, |_| Disk::faulty());
    let disk = disk.borrow();
    let disk = disk.as_ref().unwrap();
    let submit = |daemon: &Daemon, agent: &str| -> (u16, Value) {
        let body = format!(r#"{{"agent":"{agent}","payload":1}}"#);
        let (status, text) = daemon.post("/api/v1/tasks", &body);
        (status, serde_json::from_str(&text).unwrap_or_default())
    };
    let id = |answer: &Value| answer["id"].as_str().unwrap().to_owned();
    let mut acknowledged: Vec<_> = (0..20).map(|_| id(&submit(&daemon, "echo").1)).collect();
    let (_, runs) = submit(&daemon, "waiter");
    let runs = id(&runs);
    eventually("it runs", || {
        (state(&daemon, &runs) == "running").then_some(())
    });

    disk.fails("sync");
    for _ in 0..5 {
        let (status, refusal) = submit(&daemon, "echo");
        assert_eq!(
            (status, &refusal["code"]),
            (503, &Value::from("database_unavailable")),
            "{refusal}"
        );
    }
    // Its result comes while nothing can be stored, and waits.
    fs::write(&flag, "").unwrap();
    eventually("it is not ready", || {
        (daemon.get("/readyz").0 == 503).then_some(())
    });
    assert_eq!(daemon.get("/livez").0, 200);

    disk.works();
    eventually("it takes work again", || {
        let (status, answer) = submit(&daemon, "echo");
        (status == 202).then(|| acknowledged.push(id(&answer)))
    });
    acknowledged.push(runs);
    all_succeed(&daemon, &acknowledged);
    eventually("the journal has the loss and its end", || {
        let told = |kind| !daemon.events(kind).is_empty();
        (told("database.lost") && told("database.restored")).then_some(())
    });
    daemon.crash_and_start_again();
    all_succeed(&daemon, &acknowledged);
}
