//! Reading workflows: one, pages, definition, counts.

use std::collections::BTreeMap;

use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, Row, params_from_iter};

use crate::domain::ids::WorkflowId;
use crate::domain::query::{Page, PageRequest, WorkflowFilter};
use crate::domain::task::TaskState;
use crate::domain::workflow::{Workflow, WorkflowDefinition, WorkflowState};
use crate::persistence::StoreError;
use crate::persistence::sqlite::tasks::{cursor_key, page_limit};
use crate::persistence::sqlite::{Fault, Json, Sealed, SqlResult, all, first};

const SELECT: &str = "SELECT key, id, name, description, state, input, output, error, \
    definition_hash, labels, created_at, started_at, finished_at, \
    traceparent FROM workflows WHERE 1";

/// One workflow.
pub(super) fn workflow(conn: &Connection, id: WorkflowId) -> SqlResult<Workflow> {
    let sql = [SELECT, " AND id = ?1"].concat();
    let (key, workflow) = first(conn, &sql, [id], read)?.ok_or_else(|| not_found(id))?;
    with_counts(conn, key, workflow)
}

fn not_found(id: WorkflowId) -> Fault {
    Fault::Store(StoreError::NotFound {
        what: "workflow",
        name: id.to_string(),
    })
}

fn read(row: &Row<'_>) -> rusqlite::Result<(i64, Workflow)> {
    let Sealed(input) = row.get(5)?;
    let Json(labels) = row.get(9)?;
    let workflow = Workflow {
        id: row.get(1)?,
        name: row.get(2)?,
        description: row.get(3)?,
        state: row.get(4)?,
        input,
        output: row
            .get::<_, Option<Sealed<_>>>(6)?
            .map(|Sealed(output)| output),
        error: row
            .get::<_, Option<Sealed<_>>>(7)?
            .map(|Sealed(error)| error),
        definition_hash: row.get(8)?,
        labels,
        created_at: row.get(10)?,
        started_at: row.get(11)?,
        finished_at: row.get(12)?,
        traceparent: row.get(13)?,
        tasks: BTreeMap::new(),
        waits: Vec::new(),
    };
    Ok((row.get(0)?, workflow))
}

fn with_counts(conn: &Connection, key: i64, mut workflow: Workflow) -> SqlResult<Workflow> {
    let counts: Vec<(TaskState, i64)> = all(
        conn,
        "SELECT state, count(*) FROM tasks WHERE workflow_key = ?1 GROUP BY state",
        [key],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    workflow.tasks = counts
        .into_iter()
        .map(|(state, count)| (state.as_str().to_owned(), count.unsigned_abs()))
        .collect();
    workflow.waits = super::wait::open_of(conn, key)?;
    Ok(workflow)
}

/// A page of workflows, newest first.
pub(super) fn workflows(
    conn: &Connection,
    filter: &WorkflowFilter,
    page: &PageRequest,
) -> SqlResult<Page<Workflow>> {
    let (mut sql, mut params) = (SELECT.to_owned(), Vec::<SqlValue>::new());
    if let Some(key) = cursor_key(page)? {
        params.push(key.into());
        sql.push_str(&format!(" AND key < ?{}", params.len()));
    }
    if let Some(name) = &filter.name {
        params.push(name.clone().into());
        sql.push_str(&format!(" AND name = ?{}", params.len()));
    }
    if !filter.states.is_empty() {
        let words: Vec<_> = filter
            .states
            .iter()
            .map(|state| format!("'{}'", state.as_str()))
            .collect();
        sql.push_str(&format!(" AND state IN ({})", words.join(", ")));
    }
    let limit = page_limit(page);
    sql.push_str(&format!(" ORDER BY key DESC LIMIT {}", limit + 1));
    let mut found = all(conn, &sql, params_from_iter(params), read)?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next_cursor = found
        .last()
        .filter(|_| has_more)
        .map(|(key, _)| format!("{key:x}"));
    let items = found
        .into_iter()
        .map(|(key, workflow)| with_counts(conn, key, workflow))
        .collect::<SqlResult<_>>()?;
    Ok(Page {
        items,
        next_cursor,
        has_more,
    })
}

/// The definition that a workflow runs.
pub(super) fn definition(conn: &Connection, id: WorkflowId) -> SqlResult<WorkflowDefinition> {
    let sql = "SELECT definition FROM workflows WHERE id = ?1";
    first(conn, sql, [id], |row| {
        row.get(0).map(|Sealed(definition)| definition)
    })?
    .ok_or_else(|| not_found(id))
}

/// How many workflows stand in which state.
pub(super) fn counts(conn: &Connection) -> SqlResult<Vec<(WorkflowState, u64)>> {
    let mut counts = Vec::new();
    // Each by an index that holds nothing but what is counted.
    for sql in [
        "SELECT state, count(*) FROM workflows WHERE finished_at IS NULL GROUP BY state",
        "SELECT state, count(*) FROM workflows WHERE finished_at IS NOT NULL GROUP BY state",
    ] {
        let count =
            |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()));
        counts.extend(all(conn, sql, [], count)?);
    }
    Ok(counts)
}
