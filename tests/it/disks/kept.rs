//! Messages and backups on a full disk: what was refused is nowhere, what was accepted arrives, and
//! nothing stays under a name that it does not deserve.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{Disk, all_succeed, daemon_on, submit_until_it_stays_full};
use crate::daemon::{Daemon, binary, eventually};

/// An agent that takes messages once a file is there.
fn late(flag: &Path) -> String {
    format!(
        "[agents.late]\nkind = 'process'\nprobes.startup = {{ protocol = true, period = '1s', failure_threshold = 300 }}\n\
         command = ['sh', '-c', 'until [ -e {} ]; do sleep 0.05; done; exec {} sample-agent echo']\n",
        flag.display(),
        binary().display()
    )
}

fn send(daemon: &Daemon, n: usize) -> (u16, Value) {
    let body = json!({"to": "late", "type": "custom", "content": n}).to_string();
    let (status, text) = daemon.post("/api/v1/messages", &body);
    (status, serde_json::from_str(&text).unwrap_or_default())
}

/// Where each message stands, by its content.
fn stand(daemon: &Daemon) -> Vec<(u64, String)> {
    let (_, text) = daemon.get("/api/v1/messages?to=late&limit=500");
    let list: Value = serde_json::from_str(&text).unwrap_or_default();
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let mut all: Vec<_> = items
        .iter()
        .map(|it| {
            let state = it["state"].as_str().unwrap().to_owned();
            (it["content"].as_u64().unwrap(), state)
        })
        .collect();
    all.sort();
    all
}

#[test]
fn messages_accepted_before_the_disk_was_full_are_acknowledged_and_refused_ones_are_nowhere() {
    let (disk, scratch) = (RefCell::default(), tempfile::tempdir().unwrap());
    let flag = scratch.path().join("flag");
    let mut daemon = daemon_on(&disk, &late(&flag), &flag, |dir| {
        Disk::mount(dir).unwrap_or_else(Disk::faulty)
    });
    let disk = disk.borrow();
    let disk = disk.as_ref().unwrap();
    for n in 0..5 {
        assert_eq!(send(&daemon, n).0, 202);
    }
    disk.fill();
    let accepted = submit_until_it_stays_full(&daemon, disk);
    for n in 100..105 {
        let (status, refusal) = send(&daemon, n);
        assert_eq!(
            (status, &refusal["code"]),
            (507, &Value::from("storage_full")),
            "{refusal}"
        );
    }
    fs::write(&flag, "").unwrap();
    let taken: Vec<_> = (0..5).map(|n| (n, "delivered".to_owned())).collect();
    if matches!(disk, Disk::Small(_)) {
        eventually("they are taken while the disk is full", || {
            (stand(&daemon) == taken).then_some(())
        });
        assert_eq!(daemon.get("/readyz").0, 503, "it is full all the while");
    }
    disk.empty();
    eventually("they are taken", || (stand(&daemon) == taken).then_some(()));
    eventually("messages are accepted again", || {
        (send(&daemon, 200).0 == 202).then_some(())
    });
    all_succeed(&daemon, &accepted);
    daemon.crash_and_start_again();
    let told: Vec<_> = stand(&daemon).into_iter().map(|(n, _)| n).collect();
    assert_eq!(
        told[..6],
        [0, 1, 2, 3, 4, 200],
        "what was acknowledged is stored"
    );
    assert!(told[6..].iter().all(|n| *n == 200), "{told:?}");
}

/// Files in the folder of backups, hidden ones too.
fn backups(daemon: &Daemon) -> Vec<String> {
    let folder = fs::read_dir(daemon.data_dir().join("backups"));
    let names = folder.into_iter().flatten().flatten();
    names
        .map(|it| it.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Asks for a backup; the status and the problem's code.
fn back_up(daemon: &Daemon) -> (u16, String) {
    let (status, text) = daemon.post("/api/v1/database:backup", r#"{"file":"b.db"}"#);
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    (
        status,
        answer["code"].as_str().unwrap_or_default().to_owned(),
    )
}

#[test]
fn a_backup_that_finds_the_disk_full_leaves_no_file_and_is_taken_when_there_is_room() {
    for faulty in [false, true] {
        let (disk, scratch) = (RefCell::default(), tempfile::tempdir().unwrap());
        let flag = scratch.path().join("flag");
        let daemon = daemon_on(&disk, "", &flag, |dir| match faulty {
            // It has room, it says, and then no byte can be written.
            true => Disk::faulty(),
            false => Disk::mount(dir).unwrap_or_else(Disk::faulty),
        });
        let disk = disk.borrow();
        let disk = disk.as_ref().unwrap();
        let task = daemon.json(&["tasks", "submit", "--agent", "echo", "--payload", "1"]);
        all_succeed(&daemon, &[task["id"].as_str().unwrap().to_owned()]);
        disk.fill();
        let full = (507, "storage_full".to_owned());
        assert_eq!(back_up(&daemon), full);
        assert_eq!(backups(&daemon), [""; 0], "not even a part of one");
        if matches!(disk, Disk::Faulty { .. }) {
            // What was let go of cannot be opened again, for reasons in other words.
            eventually("the database is lost", || {
                daemon.log().contains("stays lost").then_some(())
            });
            // Between two tries to open it there is nothing that it could be read through.
            for _ in 0..100 {
                assert_eq!(back_up(&daemon), full);
                let (status, said) = daemon.get("/readyz");
                assert!(status == 503 && said.contains("full"), "{said}");
            }
            assert_eq!(backups(&daemon), [""; 0], "not even a part of one");
        }
        assert_eq!(daemon.get("/livez").0, 200);
        let cli = daemon.cli(&[
            "db",
            "backup",
            "--data-dir",
            daemon.data_dir().to_str().unwrap(),
        ]);
        let said = String::from_utf8_lossy(&cli.stderr).into_owned();
        assert!(!cli.status.success() && said.contains("room"), "{said}");

        disk.empty();
        eventually("a backup is taken", || {
            (back_up(&daemon).0 == 201).then_some(())
        });
        let mut names = backups(&daemon);
        names.sort();
        assert_eq!(names, ["b.db", "b.db.artifacts"]);
        eventually("it takes work", || {
            let (status, _) = daemon.post("/api/v1/tasks", r#"{"agent":"echo","payload":1}"#);
            (status == 202).then_some(())
        });
    }
}
