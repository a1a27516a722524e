//! Claims about backups and what is restored from them.

use std::fs;
use std::io::Write as _;

use rusqlite::Connection;
use serde_json::json;

use super::*;
use crate::clock;
use crate::domain::event::NewEvent;
use crate::persistence::offline::{self, migrate_up};
use crate::persistence::{SqliteOptions, StoreError};

fn fact(subject: String) -> NewEvent {
    NewEvent {
        kind: "agent.ready",
        subject,
        at: clock::now(),
        data: json!({}),
    }
}

async fn write(store: &Store, subject: &str) {
    store
        .append_events(vec![fact(subject.to_owned())])
        .await
        .unwrap();
}

fn subjects(path: &Path) -> Vec<String> {
    let conn = Connection::open(path).unwrap();
    let mut rows = conn
        .prepare("SELECT subject FROM events ORDER BY seq")
        .unwrap();
    let rows = rows.query_map([], |row| row.get(0)).unwrap();
    rows.map(std::result::Result::unwrap).collect()
}

fn to(file: impl Into<PathBuf>) -> BackupRequest {
    BackupRequest {
        file: Some(file.into()),
        force: false,
    }
}

fn by_force(request: &BackupRequest) -> BackupRequest {
    BackupRequest {
        force: true,
        ..request.clone()
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn artifact(artifacts: &Artifacts, name: &str, text: &str) {
    let mut writer = artifacts.create(name.parse().unwrap()).unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    writer.finish().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_taken_while_thousands_write_is_whole_and_holds_all_that_was_acknowledged_before()
{
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(SqliteOptions::new(dir.path().join("a.db")))
        .await
        .unwrap();
    for batch in 0..20 {
        let facts = (0..100).map(|n| fact(format!("before {batch} {n}")));
        store.append_events(facts.collect()).await.unwrap();
    }
    let writing = |writer: u32| {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..1_000 {
                write(&store, &format!("during {writer} {n}")).await;
            }
        })
    };
    let writers: Vec<_> = (0..4).map(writing).collect();
    let out = tempfile::tempdir().unwrap();
    let taken = store
        .backup(to(out.path().join("b.db")), None)
        .await
        .unwrap();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(
        names(out.path()),
        ["b.db"],
        "one file, and nothing beside it"
    );
    let stored = subjects(&taken.file);
    let before = stored.iter().filter(|it| it.starts_with("before")).count();
    assert_eq!(before, 2_000);
    // One moment: of each writer a beginning without a hole.
    for writer in 0..4 {
        let of = format!("during {writer} ");
        let mine: Vec<_> = stored
            .iter()
            .filter_map(|it| it.strip_prefix(&of))
            .collect();
        assert!(mine.iter().enumerate().all(|(n, it)| *it == n.to_string()));
    }
    assert_eq!(copy::check(&taken.file).unwrap(), taken.schema_version);
    assert_eq!(subjects(&dir.path().join("a.db")).len(), 6_000);
}

#[tokio::test]
async fn a_backup_replaces_nothing_but_a_backup_and_that_only_by_force() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(SqliteOptions::new(dir.path().join("a.db")))
        .await
        .unwrap();
    let request = to(dir.path().join("b.db"));
    store.backup(request.clone(), None).await.unwrap();
    write(&store, "later").await;
    let refused = store.backup(request.clone(), None).await.unwrap_err();
    assert!(matches!(refused, BackupError::Exists(_)), "{refused}");
    store.backup(by_force(&request), None).await.unwrap();
    assert_eq!(subjects(&dir.path().join("b.db")), ["later"]);

    fs::write(dir.path().join("notes.txt"), "not to be lost").unwrap();
    let notes = by_force(&to(dir.path().join("notes.txt")));
    let refused = store.backup(notes, None).await.unwrap_err();
    assert!(matches!(refused, BackupError::NotReplaced(_)), "{refused}");
    let of_others = dir.path().join("others.db");
    let others = rusqlite::Connection::open(&of_others).unwrap();
    others.execute_batch("CREATE TABLE kept (x)").unwrap();
    drop(others);
    let path = dir.path().join("stopped.db");
    let stopped = Store::open(SqliteOptions::new(&path)).await.unwrap();
    stopped.close().await.unwrap();
    for theirs in [of_others, path] {
        let refused = store.backup(by_force(&to(theirs)), None).await.unwrap_err();
        assert!(matches!(refused, BackupError::NotReplaced(_)), "{refused}");
    }
    let itself = by_force(&to(dir.path().join("a.db")));
    let refused = store.backup(itself, None).await.unwrap_err();
    assert!(matches!(refused, BackupError::Itself(_)), "{refused}");
    let nowhere = to(dir.path().join("no/such/folder/b.db"));
    let refused = store.backup(nowhere, None).await.unwrap_err();
    assert!(matches!(refused, BackupError::BadPath(_)), "{refused}");
    let _turn = store.sqlite().backup_turn().unwrap();
    let refused = store.backup(to("c.db"), None).await.unwrap_err();
    assert!(matches!(refused, BackupError::Busy), "{refused}");
}

#[tokio::test]
async fn without_a_path_a_backup_goes_beside_the_database() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(SqliteOptions::new(dir.path().join("a.db")))
        .await
        .unwrap();
    let taken = store.backup(BackupRequest::default(), None).await.unwrap();
    let folder = dir.path().canonicalize().unwrap().join(FOLDER);
    assert!(taken.file.starts_with(folder), "{taken:?}");
}

#[tokio::test]
async fn artifacts_come_with_a_backup_and_what_a_restore_replaces_is_kept_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let artifacts = Artifacts::open(dir.path()).unwrap();
    artifact(&artifacts, "wfl_1/a", "then");
    let store = Store::open(SqliteOptions::new(&path)).await.unwrap();
    write(&store, "then").await;
    let out = tempfile::tempdir().unwrap();
    let request = to(out.path().join("b.db"));
    let taken = store
        .backup(request.clone(), Some(&artifacts))
        .await
        .unwrap();
    assert_eq!(taken.artifacts.map(|it| (it.files, it.bytes)), Some((1, 4)));
    assert_eq!(names(out.path()), ["b.db", "b.db.artifacts"]);

    write(&store, "now").await;
    artifacts.remove_owner("wfl_1").unwrap();
    artifact(&artifacts, "wfl_2/b", "now");
    let refused = offline::restore(&path, dir.path(), &taken.file).unwrap_err();
    assert!(matches!(refused, BackupError::Locked(_)), "{refused}");
    store.close().await.unwrap();
    let restored = offline::restore(&path, dir.path(), &taken.file).unwrap();
    assert_eq!(subjects(&path), ["then"]);
    assert_eq!(subjects(&restored.kept.unwrap()), ["then", "now"]);
    assert_eq!(names(artifacts.root()), ["uploads", "wfl_1"]);
    assert_eq!(
        names(&restored.kept_artifacts.unwrap()),
        ["uploads", "wfl_2"]
    );
    // It can be restored again, and taken again in the place of the first.
    offline::restore(&path, dir.path(), &taken.file).unwrap();
    let store = Store::open(SqliteOptions::new(&path)).await.unwrap();
    store
        .backup(by_force(&request), Some(&artifacts))
        .await
        .unwrap();
    assert_eq!(names(out.path()), ["b.db", "b.db.artifacts"]);
}

#[tokio::test]
async fn the_log_of_the_database_before_is_never_found_beside_the_one_that_was_restored() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    migrate_up(&path, None).unwrap();
    let backup = dir.path().join("b.db");
    offline::backup(&path, None, &to(&backup)).unwrap();
    // A daemon was killed: what it had stored last is in the log alone.
    let killed = Connection::open(&path).unwrap();
    killed
        .execute_batch(
            "PRAGMA wal_autocheckpoint = 0;
             INSERT INTO events VALUES (1, randomblob(16), 'agent.ready', 'logged', 1, '{}');",
        )
        .unwrap();
    let (log, database) = (beside(&path, "-wal"), path.clone());
    let (kept_log, kept) = (fs::read(&log).unwrap(), fs::read(&database).unwrap());
    drop(killed);
    fs::write(&log, kept_log).unwrap();
    fs::write(&database, kept).unwrap();
    let restored = offline::restore(&path, dir.path(), &backup).unwrap();
    assert!(!log.exists());
    assert!(subjects(&path).is_empty());
    assert_eq!(subjects(&restored.kept.unwrap()), ["logged"]);
}

#[test]
fn what_is_no_whole_backup_of_ours_is_refused_by_what_is_wrong_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("out"));
    fs::create_dir(&out).unwrap();
    let path = data.join("a.db");
    migrate_up(&path, None).unwrap();
    let before = fs::read(&path).unwrap();
    let good = out.join("good.db");
    offline::backup(&path, None, &to(&good)).unwrap();
    let with = |name: &str, sql: &str| {
        let file = out.join(name);
        if !sql.contains("somebody") {
            fs::copy(&good, &file).unwrap();
        }
        Connection::open(&file).unwrap().execute_batch(sql).unwrap();
        file
    };
    let newer = "INSERT INTO refinery_schema_history VALUES (99, 'later', '', '1')";
    let changed = "UPDATE refinery_schema_history SET checksum = '1' WHERE version = 2";
    let cut = out.join("cut.db");
    fs::write(&cut, &fs::read(&good).unwrap()[..20_000]).unwrap();
    let holed = out.join("holed.db");
    let mut bytes = fs::read(&good).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8_192].fill(0xa5);
    fs::write(&holed, bytes).unwrap();
    let text = out.join("text.db");
    fs::write(
        &text,
        "certainly no database, but long enough to be taken for one ".repeat(20),
    )
    .unwrap();
    let cases = [
        (with("newer.db", newer), "newer than this binary"),
        (with("changed.db", changed), "was changed"),
        (
            with("foreign.db", "CREATE TABLE somebody_elses (x)"),
            "not a backup",
        ),
        (cut, "damaged"),
        (holed, "damaged"),
        (text, "not a backup"),
        (out.join("missing.db"), "there is no file"),
        (path.clone(), "is the database itself"),
    ];
    for (file, why) in cases {
        let refused = offline::restore(&path, &data, &file)
            .unwrap_err()
            .to_string();
        assert!(refused.contains(why), "{}: {refused}", file.display());
    }
    assert_eq!(fs::read(&path).unwrap(), before);
    let left = names(&data);
    assert!(
        left.iter()
            .all(|it| !it.contains("restore") && !it.contains("unfinished")),
        "{left:?}"
    );
}

#[test]
fn a_damaged_database_gives_no_backup_and_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    migrate_up(&path, None).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8_192].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let out = tempfile::tempdir().unwrap();
    let refused = offline::backup(&path, None, &to(out.path().join("b.db"))).unwrap_err();
    assert!(matches!(refused, BackupError::Damaged { .. }), "{refused}");
    assert!(names(out.path()).is_empty());
}

#[test]
fn an_older_backup_is_restored_and_brought_up_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let old = dir.path().join("old.db");
    migrate_up(&old, Some(3)).unwrap();
    let path = dir.path().join("a.db");
    let restored = offline::restore(&path, dir.path(), &old).unwrap();
    assert_eq!((restored.schema_version, restored.kept), (3, None));
    assert_eq!(migrate_up(&path, None).unwrap().from, 3);
}

#[test]
fn a_full_disk_is_told_apart() {
    let fault = StoreError::StorageFull {
        operation: "copy",
        message: "full".into(),
    };
    let told = BackupError::fault(Path::new("b.db"), &Fault::Store(fault));
    assert!(matches!(told, BackupError::NoRoom { .. }), "{told}");
}
