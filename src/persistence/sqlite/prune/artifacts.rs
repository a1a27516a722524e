//! What retention of artifacts asks the database; the files are not here.

use crate::domain::ids::{TaskId, WorkflowId};
use crate::domain::timestamp::Timestamp;
use crate::persistence::Result;
use crate::persistence::sqlite::{SqlResult, Sqlite, all, first};

/// Of these owners of artifacts, those whose row is gone. What is neither workflow nor task is left.
pub(crate) async fn gone_owners(db: &Sqlite, owners: Vec<String>) -> Result<Vec<String>> {
    db.read("look for owners", move |conn| {
        let there = |owner: &String| -> SqlResult<bool> {
            let found = match (owner.parse::<WorkflowId>(), owner.parse::<TaskId>()) {
                (Ok(id), _) => first(conn, "SELECT 1 FROM workflows WHERE id = ?1", [id], |_| {
                    Ok(())
                })?,
                (_, Ok(id)) => first(conn, "SELECT 1 FROM tasks WHERE id = ?1", [id], |_| Ok(()))?,
                _ => Some(()),
            };
            Ok(found.is_some())
        };
        let mut gone = Vec::new();
        for owner in owners {
            if !there(&owner)? {
                gone.push(owner);
            }
        }
        Ok(gone)
    })
    .await
}

/// Work that is looked through for uploads, at most.
const MOST_WORK: usize = 100_000;

/// When everything was accepted that may run (again), in order.
pub(crate) async fn work_with_uploads(db: &Sqlite) -> Result<Option<Vec<Timestamp>>> {
    let sql = format!(
        "SELECT created_at FROM workflows WHERE state <> 'completed' UNION ALL
         SELECT created_at FROM tasks WHERE state <> 'succeeded' AND workflow_key IS NULL
         LIMIT {}",
        MOST_WORK + 1
    );
    let mut work = db
        .read("look for work", move |conn| {
            all(conn, &sql, [], |row| row.get(0))
        })
        .await?;
    work.sort_unstable();
    Ok((work.len() <= MOST_WORK).then_some(work))
}
