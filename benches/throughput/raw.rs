//! The least that a task costs on SQLite: one thread, one connection, the same schema and settings,
//! no queue, no agents, no callers. A task is inserted as running with its execution and two
//! events in one transaction, and settled with one event in another.

use std::path::Path;
use std::time::Instant;

use agent_system::clock;
use rusqlite::{Connection, params};

use super::common;

/// Tasks in one transaction: what a hundred callers that wait for their results come to.
const BATCH: u64 = 50;
/// A sealed result or payload.
const SEALED: &[u8] = b"\0{\"at_us\":1234567,\"commits\":12345}";

/// The raw loop's database.
pub(crate) struct Raw {
    conn: Connection,
}

impl Raw {
    pub(crate) fn open(path: &Path) -> Self {
        Self {
            conn: common::open(path),
        }
    }

    /// Runs so many tasks; gives tasks a second.
    pub(crate) fn run(&self, tasks: u64) -> f64 {
        let began = Instant::now();
        for _ in 0..tasks.div_ceil(BATCH) {
            self.batch();
        }
        tasks as f64 / began.elapsed().as_secs_f64()
    }

    fn batch(&self) {
        let mut begun = common::transaction(&self.conn, BATCH, |_| self.begin()).into_iter();
        common::transaction(&self.conn, BATCH, |_| {
            let (key, subject) = begun.next().expect("as many as were begun");
            self.settle(key, &subject);
        });
    }

    fn begin(&self) -> (i64, String) {
        let (id, lease, session) = (clock::new_id(), clock::new_id(), [7_u8; 16]);
        let (now, subject) = (clock::now().as_micros(), hex(&id));
        let conn = &self.conn;
        conn.prepare_cached(
            "INSERT INTO tasks (id, name, agent, queue, state, priority, rank, payload, attempt, \
             max_attempts, session_id, lease_id, instance, timeout_ms, run_at, created_at, started_at) \
             VALUES (?1, 'noop', 'noop', 'default', 'running', 5, ?2, ?3, 1, 3, ?4, ?5, 'noop#0', \
             900000, ?2, ?2, ?2)",
        )
        .and_then(|mut insert| insert.execute(params![id, now, SEALED, session, lease]))
        .expect("a task");
        let key = conn.last_insert_rowid();
        conn.prepare_cached(
            "INSERT INTO task_attempts (task_key, attempt, lease_id, session_id, instance, outcome, \
             started_at) VALUES (?1, 1, ?2, ?3, 'noop#0', 'running', ?4)",
        )
        .and_then(|mut insert| insert.execute(params![key, lease, session, now]))
        .expect("an execution");
        self.event("task.created", &subject, now);
        self.event("task.started", &subject, now);
        (key, subject)
    }

    fn settle(&self, key: i64, subject: &str) {
        let (now, conn) = (clock::now().as_micros(), &self.conn);
        conn.prepare_cached(
            "UPDATE tasks SET state = 'succeeded', result = ?2, finished_at = ?3, session_id = NULL, \
             lease_id = NULL, instance = NULL WHERE key = ?1",
        )
        .and_then(|mut update| update.execute(params![key, SEALED, now]))
        .expect("a settled task");
        conn.prepare_cached(
            "UPDATE task_attempts SET outcome = 'succeeded', finished_at = ?2 \
             WHERE task_key = ?1 AND attempt = 1",
        )
        .and_then(|mut update| update.execute(params![key, now]))
        .expect("a settled execution");
        self.event("task.succeeded", subject, now);
    }

    fn event(&self, kind: &str, subject: &str, now: i64) {
        let data = "{\"agent\":\"noop\",\"attempt\":1,\"name\":\"noop\",\"queue\":\"default\",\
                    \"state\":\"succeeded\"}";
        self.conn
            .prepare_cached(
                "INSERT INTO events (id, type, subject, at, data) VALUES (?1, ?2, ?3, ?4, ?5)",
            )
            .and_then(|mut insert| {
                insert.execute(params![clock::new_id(), kind, subject, now, data])
            })
            .expect("an event");
    }
}

fn hex(id: &[u8; 16]) -> String {
    id.iter()
        .fold("tsk_".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}
