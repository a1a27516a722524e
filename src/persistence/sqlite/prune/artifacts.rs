//! What retention of artifacts asks the database; the files are not here.

use rusqlite::named_params;

use super::rules::{DEAD, DONE, ENDED};
use super::{DAY, before};
use crate::clock;
use crate::domain::ids::{TaskId, WorkflowId};
use crate::domain::timestamp::Timestamp;
use crate::persistence::Result;
use crate::persistence::sqlite::{SqlResult, Sqlite, all, first};

/// Which rows count as gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Those that are.
    Now,
    /// Those too that retention would remove now.
    AfterPruning,
}

/// Before when something must have ended to count as gone: well, otherwise, dead.
#[derive(Clone, Copy)]
struct Gone([Timestamp; 3]);

impl Gone {
    fn by(sight: Sight) -> Self {
        let now = clock::now();
        Self([DONE, ENDED, DEAD].map(|days| match sight {
            Sight::Now => Timestamp::from_micros(i64::MIN),
            Sight::AfterPruning => before(now, DAY * days),
        }))
    }
}

/// Whether the row of a workflow stays; the same words as the rules'.
macro_rules! workflow_stays {
    () => {
        "NOT coalesce(workflows.finished_at < iif(workflows.state = 'completed', :done, :ended), 0)"
    };
}

/// Whether the row of a task stays that belongs to no workflow.
macro_rules! lone_task_stays {
    () => {
        "NOT coalesce(tasks.finished_at < CASE tasks.state WHEN 'succeeded' THEN :done \
         WHEN 'dead' THEN :dead ELSE :ended END, 0)"
    };
}

/// Of these owners of artifacts, those whose row is gone. What is neither workflow nor task is left.
pub(crate) async fn gone_owners(
    db: &Sqlite,
    owners: Vec<String>,
    sight: Sight,
) -> Result<Vec<String>> {
    let Gone([done, ended, dead]) = Gone::by(sight);
    db.read("look for owners", move |conn| {
        let there = |owner: &String| -> SqlResult<bool> {
            let found = match (owner.parse::<WorkflowId>(), owner.parse::<TaskId>()) {
                (Ok(id), _) => first(
                    conn,
                    concat!(
                        "SELECT 1 FROM workflows WHERE id = :id AND ",
                        workflow_stays!()
                    ),
                    named_params! {":id": id, ":done": done, ":ended": ended},
                    |_| Ok(()),
                )?,
                (_, Ok(id)) => first(
                    conn,
                    concat!(
                        "SELECT 1 FROM tasks LEFT JOIN workflows ON workflows.key = workflow_key \
                         WHERE tasks.id = :id AND iif(workflow_key IS NULL, ",
                        lone_task_stays!(),
                        ", ",
                        workflow_stays!(),
                        ")"
                    ),
                    named_params! {":id": id, ":done": done, ":ended": ended, ":dead": dead},
                    |_| Ok(()),
                )?,
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
const MOST_WORK: u32 = 100_000;

/// When everything was accepted that may run (again), in order.
pub(crate) async fn work_with_uploads(db: &Sqlite, sight: Sight) -> Result<Option<Vec<Timestamp>>> {
    const WORK: &str = concat!(
        "SELECT created_at FROM workflows WHERE state <> 'completed' AND ",
        workflow_stays!(),
        " UNION ALL SELECT created_at FROM tasks \
         WHERE state <> 'succeeded' AND workflow_key IS NULL AND ",
        lone_task_stays!(),
        " LIMIT :limit"
    );
    let Gone([done, ended, dead]) = Gone::by(sight);
    let mut work: Vec<Timestamp> = db
        .read("look for work", move |conn| {
            let limit = MOST_WORK + 1;
            let asked = named_params! {
                ":done": done, ":ended": ended, ":dead": dead, ":limit": limit
            };
            all(conn, WORK, asked, |row| row.get(0))
        })
        .await?;
    work.sort_unstable();
    Ok((work.len() <= MOST_WORK as usize).then_some(work))
}
