//! Claims about migrations: up, down, and what is refused.

mod down;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;

use super::*;
use crate::domain::query::EventFilter;
use crate::persistence::lock::LockError;
use crate::persistence::offline::{history, migrate_down, migrate_up, migration_status, status};
use crate::persistence::{OpenError, SqliteOptions, Store};

const LATEST: u32 = crate::persistence::migrate::latest();

/// Rows of a table: column to value.
type Rows = Vec<BTreeMap<String, Value>>;

fn dump(path: &Path) -> BTreeMap<String, Rows> {
    let conn = Connection::open(path).unwrap();
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table'
        AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '%schema_history' ORDER BY name";
    let tables: Vec<String> = all(&conn, tables, [], |row| row.get(0)).unwrap();
    tables
        .into_iter()
        .map(|table| (table.clone(), rows(&conn, &table)))
        .collect()
}

fn rows(conn: &Connection, table: &str) -> Rows {
    let mut statement = conn.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let columns: Vec<String> = statement.column_names().map(ToOwned::to_owned).collect();
    let read = |row: &rusqlite::Row<'_>| {
        columns
            .iter()
            .enumerate()
            .map(|(n, column)| Ok((column.clone(), row.get(n)?)))
            .collect()
    };
    statement
        .query_map([], read)
        .unwrap()
        .collect::<rusqlite::Result<_>>()
        .unwrap()
}

/// One row in every table of the latest schema.
const SAMPLE: &str = include_str!("sample.sql");

fn filled(dir: &tempfile::TempDir) -> PathBuf {
    let path = dir.path().join("test.db");
    migrate_up(&path, None).unwrap();
    Connection::open(&path)
        .unwrap()
        .execute_batch(SAMPLE)
        .unwrap();
    path
}

/// What of `full` stands in the columns that `narrow` has.
fn projected(
    full: &BTreeMap<String, Rows>,
    narrow: &BTreeMap<String, Rows>,
) -> BTreeMap<String, Rows> {
    let cut = |(table, rows): (&String, &Rows)| {
        let columns: Vec<_> = narrow[table].iter().flat_map(|row| row.keys()).collect();
        let keep = |row: &BTreeMap<String, Value>| {
            row.clone()
                .into_iter()
                .filter(|(column, _)| columns.contains(&column))
                .collect()
        };
        (table.clone(), rows.iter().map(keep).collect())
    };
    full.iter()
        .filter(|(table, _)| narrow.contains_key(*table))
        .map(cut)
        .collect()
}

#[test]
fn down_to_the_first_version_and_up_again_keeps_what_each_version_can_hold() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(&dir);
    let before = dump(&path);
    assert!(before.len() >= 12, "{:?}", before.keys());
    assert!(
        before.values().all(|rows| rows.len() == 1),
        "every table has its row"
    );

    let down = migrate_down(&path, 1).unwrap();
    assert_eq!((down.from, down.to), (LATEST, 1));
    let first = dump(&path);
    assert_eq!(first, projected(&before, &first));
    assert!(!first["tasks"][0].contains_key("progress_percent"));

    let up = migrate_up(&path, None).unwrap();
    assert_eq!((up.from, up.to), (1, LATEST));
    let after = dump(&path);
    assert_eq!(projected(&after, &first), first);
    assert_eq!(after["recovery_runs"][0]["attempt"], Value::Integer(1));
    let directions: Vec<_> = history(&path)
        .unwrap()
        .into_iter()
        .map(|it| (it.version, it.direction))
        .collect();
    let ups = |from, to| (from..=to).map(|version| (version, "up".to_owned()));
    let downs = (2..=LATEST)
        .rev()
        .map(|version| (version, "down".to_owned()));
    assert!(
        directions
            .into_iter()
            .eq(ups(1, LATEST).chain(downs).chain(ups(2, LATEST)))
    );
}

#[test]
fn every_version_is_reached_from_zero_and_left_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test.db");
    for version in 1..=LATEST {
        assert_eq!(migrate_up(&path, Some(version)).unwrap().to, version);
    }
    for version in (0..LATEST).rev() {
        assert_eq!(migrate_down(&path, version).unwrap().to, version);
    }
    assert!(dump(&path).is_empty());
    let pending = migration_status(&path).unwrap();
    assert!(
        pending.iter().all(|line| line.state == "pending"),
        "{pending:?}"
    );
}

#[test]
fn two_backends_have_the_same_migrations_up_and_down_and_this_binary_knows_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut known: Vec<_> = SQLITE
        .iter()
        .map(|script| script.full_name() + ".sql")
        .collect();
    known.sort();
    for folder in ["sqlite/up", "sqlite/down", "postgres/up", "postgres/down"] {
        let files = std::fs::read_dir(root.join(folder)).unwrap();
        let mut names: Vec<_> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, known, "{folder}");
    }
}

fn meddle(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

fn refusal(path: &Path) -> MigrateError {
    match migrate_up(path, None).unwrap_err() {
        OpenError::Schema { error, .. } => error,
        other => panic!("{other}"),
    }
}

#[test]
fn a_changed_a_newer_and_a_skipped_migration_are_told_apart_with_their_way_out() {
    let cases = [
        (
            "UPDATE refinery_schema_history SET checksum = '1' WHERE version = 2",
            "changed",
        ),
        (
            "UPDATE refinery_schema_history SET checksum = 'no number' WHERE version = 2",
            "changed",
        ),
        (
            "UPDATE refinery_schema_history SET name = 'other' WHERE version = 1",
            "changed",
        ),
        (
            "DELETE FROM refinery_schema_history WHERE version = 2",
            "skipped",
        ),
        (
            "INSERT INTO refinery_schema_history VALUES (99, 'later', '', '1')",
            "newer",
        ),
    ];
    for (sql, state) in cases {
        let dir = tempfile::tempdir().unwrap();
        let path = filled(&dir);
        meddle(&path, sql);
        let told = match refusal(&path) {
            MigrateError::Changed { .. } => "changed",
            MigrateError::Skipped { .. } => "skipped",
            MigrateError::Newer {
                database: 99,
                binary: LATEST,
            } => "newer",
            other => panic!("{other}"),
        };
        assert_eq!(told, state, "{sql}");
        let shown = migration_status(&path).unwrap();
        assert!(shown.iter().any(|line| line.state == state), "{shown:?}");
    }
}

#[test]
fn a_migration_that_this_binary_lost_is_missing() {
    let script = |version, name| Script {
        version,
        name,
        up: "",
        down: "",
    };
    let row = |version: u32, name: &str| Applied {
        version,
        name: name.into(),
        checksum: String::new(),
    };
    let known = [script(1, "a"), script(3, "c")];
    let applied = [row(1, "a"), row(2, "b"), row(3, "c")];
    let verdict = verify(&applied, &known, |_| String::new());
    assert_eq!(
        verdict,
        Err(MigrateError::Missing {
            version: 2,
            name: "b".into()
        })
    );
    assert_eq!(verify(&applied[..1], &known, |_| String::new()), Ok(()));
}

#[test]
fn an_older_binary_goes_down_from_a_newer_schema_by_the_stored_script() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(&dir);
    meddle(
        &path,
        "CREATE TABLE later (x INTEGER);
         INSERT INTO refinery_schema_history VALUES (99, 'later', '2026-01-01T00:00:00Z', '7');
         INSERT INTO schema_history (version, name, direction, at, checksum, down_sql, program)
             VALUES (99, 'later', 'up', 1, '7', 'DROP TABLE later', '9.0.0');",
    );
    assert_eq!(migrate_down(&path, LATEST).unwrap().steps, ["V99__later"]);
    assert!(!dump(&path).contains_key("later"));
    assert_eq!(migrate_up(&path, None).unwrap().steps, [""; 0]);
}

#[test]
fn a_script_that_fails_leaves_the_version_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test.db");
    migrate_up(&path, Some(1)).unwrap();
    meddle(
        &path,
        "CREATE TABLE in_the_way (x); CREATE INDEX events_by_subject ON in_the_way (x);",
    );
    assert!(matches!(
        refusal(&path),
        MigrateError::Failed { version: 2, .. }
    ));
    assert_eq!(status(&path).unwrap().schema_version, 1);
    meddle(&path, "DROP TABLE in_the_way");
    assert_eq!(migrate_up(&path, None).unwrap().from, 1);
}

#[test]
fn a_wrong_direction_and_a_version_that_does_not_exist_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(&dir);
    for refused in [
        migrate_up(&path, Some(1)),
        migrate_up(&path, Some(77)),
        migrate_down(&path, 77),
    ] {
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("version"), "{refused}");
    }
}

#[test]
fn what_is_no_database_of_ours_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let garbage = dir.path().join("garbage.db");
    std::fs::write(
        &garbage,
        "certainly not a database, but long enough to be read as one",
    )
    .unwrap();
    assert!(matches!(
        migrate_up(&garbage, None),
        Err(OpenError::NotADatabase(_))
    ));
    assert!(matches!(status(&garbage), Err(OpenError::NotADatabase(_))));
    let foreign = dir.path().join("foreign.db");
    meddle(&foreign, "CREATE TABLE somebody_elses (x)");
    assert!(matches!(
        migrate_up(&foreign, None),
        Err(OpenError::Foreign(_))
    ));
    let missing = dir.path().join("missing.db");
    assert!(matches!(status(&missing), Err(OpenError::Missing(_))));
    assert!(matches!(
        migrate_down(&missing, 0),
        Err(OpenError::Missing(_))
    ));
    let directory = dir.path().join("directory.db");
    std::fs::create_dir(&directory).unwrap();
    assert!(matches!(
        migrate_up(&directory, None),
        Err(OpenError::NotWritable { .. })
    ));
}

#[tokio::test]
async fn while_a_store_is_open_its_file_can_be_looked_at_but_not_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = filled(&dir);
    let store = Store::open(SqliteOptions::new(&path)).await.unwrap();
    assert_eq!(status(&path).unwrap().rows["tasks"], 1);
    let refused = migrate_down(&path, 1).unwrap_err();
    let OpenError::Locked(LockError::LockedBy { pid, .. }) = refused else {
        panic!("{refused}")
    };
    assert_eq!(pid, Some(std::process::id()));
    store.close().await.unwrap();
    migrate_down(&path, 1).unwrap();
}

#[tokio::test]
async fn an_older_schema_goes_up_when_a_store_is_opened_and_the_journal_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("test.db");
    migrate_up(&path, Some(1)).unwrap();
    let store = Store::open(SqliteOptions::new(&path)).await.unwrap();
    let events = store.events(EventFilter::default(), 9).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].kind, "database.migrated");
    let data = events[0].data.value();
    assert_eq!(data, serde_json::json!({"from": 1, "to": LATEST}));
    assert_eq!(store.status().schema_version, LATEST);
}
