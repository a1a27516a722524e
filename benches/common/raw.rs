//! What the store is held against: `rusqlite` alone, on the store's schema with the store's
//! settings, one thread, no queue.

use std::path::Path;

use agent_system::persistence::{SqliteOptions, Store};
use rusqlite::Connection;
use tokio::runtime::Runtime;

/// Makes the schema at `path` and opens it with the writer's settings.
pub(crate) fn open(path: &Path) -> Connection {
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = Store::open(SqliteOptions::new(path))
            .await
            .expect("the schema is made");
        store.close().await.expect("the store closes");
    });
    let conn = Connection::open(path).expect("the file opens");
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
         PRAGMA cache_size = -2048; PRAGMA journal_size_limit = 16777216;
         PRAGMA wal_autocheckpoint = 4000;",
    )
    .expect("the pragmas hold");
    conn.set_prepared_statement_cache_capacity(64);
    conn
}

/// Does something so many times in one transaction, and gives what came of it.
pub(crate) fn transaction<T>(conn: &Connection, times: u64, once: impl FnMut(u64) -> T) -> Vec<T> {
    conn.execute_batch("BEGIN IMMEDIATE").expect("it begins");
    let done = (0..times).map(once).collect();
    conn.execute_batch("COMMIT").expect("it commits");
    done
}
