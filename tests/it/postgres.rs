//! The scripts of both databases make the same tables, columns and indexes, at each version, up and
//! down: seen on a PostgreSQL server of the test's own.
//!
//! `scripts/test` sees to it that there is one. Where the suite is run by hand without PostgreSQL the
//! test says so and checks nothing, unless `AGENT_SYSTEM_TEST_POSTGRES=required`.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use agent_system::persistence::{migrate, offline};
use rusqlite::Connection;

use crate::daemon::{eventually, signal};

/// `nobody`: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65_534;

/// A private server that listens on a socket in its own directory and nowhere else.
struct Server {
    programs: PathBuf,
    folder: tempfile::TempDir,
    child: Child,
}

/// Where the server's programs are.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian = std::fs::read_dir("/usr/lib/postgresql").ok();
    let debian = debian.into_iter().flatten().flatten();
    std::env::split_paths(&path)
        .chain(debian.map(|version| version.path().join("bin")))
        .find(|folder| {
            ["initdb", "postgres", "psql"]
                .iter()
                .all(|it| folder.join(it).exists())
        })
}

impl Server {
    fn start(programs: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            chown(folder.path(), Some(NOBODY), None).unwrap();
        }
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
        let command = |program: &str| {
            let mut command = Command::new(programs.join(program));
            command.env("LC_ALL", "C").current_dir(folder.path());
            if is_root {
                command.uid(NOBODY).gid(NOBODY);
            }
            command
        };
        let data = folder.path().join("data");
        let made = command("initdb")
            .args([
                "--auth=trust",
                "--username=test",
                "--no-sync",
                "--no-instructions",
            ])
            .arg("--pgdata")
            .arg(&data)
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = command("postgres")
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path())
            .args(["-h", "", "-F"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self {
            programs,
            folder,
            child,
        };
        eventually("the server answers", || server.run("SELECT 1").ok());
        server
    }

    /// Runs statements as one transaction; gives the rows, one a line.
    fn run(&self, sql: &str) -> Result<Vec<String>, String> {
        let ran = Command::new(self.programs.join("psql"))
            .arg("-h")
            .arg(self.folder.path())
            .args(["-U", "test", "-d", "postgres", "-X", "-A", "-t", "-q", "-1"])
            .args(["-v", "ON_ERROR_STOP=1", "-c", sql])
            .output()
            .unwrap();
        if !ran.status.success() {
            return Err(String::from_utf8_lossy(&ran.stderr).into_owned());
        }
        let text = String::from_utf8_lossy(&ran.stdout);
        Ok(text
            .lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect())
    }

    fn script(&self, direction: &str, name: &str) {
        let path = migrations().join("postgres").join(direction).join(name);
        let sql = std::fs::read_to_string(&path).unwrap();
        let ran = self.run(&sql);
        assert!(ran.is_ok(), "{}: {ran:?}", path.display());
    }

    /// `table.column`, and `table: index`, of all that was made.
    fn shape(&self) -> BTreeSet<String> {
        let columns = "SELECT table_name || '.' || column_name FROM information_schema.columns
            WHERE table_schema = 'public'";
        let indexes = "SELECT tablename || ': ' || indexname FROM pg_indexes
            WHERE schemaname = 'public' AND indexname !~ '_(pkey|key)$'";
        [columns, indexes]
            .iter()
            .flat_map(|sql| self.run(sql).unwrap())
            .collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        signal(self.child.id(), "QUIT");
        drop(self.child.wait());
    }
}

fn migrations() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations")
}

/// The scripts' names in their order.
fn names() -> Vec<String> {
    let files = std::fs::read_dir(migrations().join("postgres/up")).unwrap();
    let mut names: Vec<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_by_key(|name| name[1..].split('_').next().unwrap().parse::<u32>().unwrap());
    names
}

/// What [`Server::shape`] gives, of an SQLite database.
fn sqlite_shape(path: &Path) -> BTreeSet<String> {
    let conn = Connection::open(path).unwrap();
    let shape = "SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c
            WHERE m.type = 'table' AND m.name NOT LIKE '%schema_history'
        UNION SELECT tbl_name || ': ' || name FROM sqlite_master
            WHERE type = 'index' AND name NOT LIKE 'sqlite_%'";
    let mut rows = conn.prepare(shape).unwrap();
    let rows = rows.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn postgres_goes_up_and_down_through_every_version_with_the_tables_that_sqlite_has() {
    let Some(programs) = programs() else {
        let required = std::env::var("AGENT_SYSTEM_TEST_POSTGRES").is_ok_and(|it| it == "required");
        assert!(
            !required,
            "there is no PostgreSQL; scripts/test installs it"
        );
        eprintln!("NOT CHECKED: there is no PostgreSQL here; scripts/test installs it");
        return;
    };
    let server = Server::start(programs);
    let folder = tempfile::tempdir().unwrap();
    let sqlite = folder.path().join("test.db");
    let names: Vec<(u32, String)> = (1..).zip(names()).collect();
    assert_eq!(names.len(), migrate::latest() as usize);
    for (version, name) in &names {
        server.script("up", name);
        offline::migrate_up(&sqlite, Some(*version)).unwrap();
        assert_eq!(server.shape(), sqlite_shape(&sqlite), "up to {version}");
    }
    server.run(WAITING).unwrap();
    for (version, name) in names.iter().rev() {
        server.script("down", name);
        offline::migrate_down(&sqlite, version - 1).unwrap();
        assert_eq!(
            server.shape(),
            sqlite_shape(&sqlite),
            "down to {}",
            version - 1
        );
        if name.ends_with("signals.sql") {
            let cancelled = "SELECT state || ' ' || reason FROM tasks
                UNION ALL SELECT state FROM workflows WHERE get_byte(error, 0) = 0";
            assert_eq!(
                server.run(cancelled).unwrap(),
                ["cancelled schema_down", "cancelled"]
            );
        }
    }
    assert_eq!(server.shape(), BTreeSet::new());
}

/// A workflow that waits for a signal.
const WAITING: &str = "
    INSERT INTO workflows (id, name, state, definition, definition_hash, input, steps_left, created_at)
        VALUES (gen_random_uuid(), 'w', 'running', '\\x007b7d', 'h', '\\x007b7d', 1, now());
    INSERT INTO tasks (id, workflow_key, name, step, queue, state, priority, rank, payload,
            max_attempts, timeout_ms, run_at, created_at)
        SELECT gen_random_uuid(), key, 'ask', 'ask', 'q', 'waiting', 5, 6, '\\x0031', 3, 9, now(), now()
        FROM workflows;";
