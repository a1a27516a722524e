//! Pages of tasks, the newest first.
//!
//! A list is walked back from its cursor, a stride of keys at a time. A page ends when it is full, and also when
//! the walk has lasted for long enough: so what is looked for may be rare, and a request still reads for a moment
//! only. Whoever wants more goes on from its cursor. What runs and what belongs to one workflow is found by an
//! index, whole.

use std::time::{Duration, Instant};

use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, params_from_iter};

use super::list::{COLUMNS, JOINS, read};
use crate::domain::query::{MAX_PAGE_LIMIT, Page, PageRequest, TaskFilter};
use crate::domain::task::{Task, TaskState};
use crate::persistence::StoreError;
use crate::persistence::sqlite::{Fault, SqlResult, all, first};

/// So many keys are looked at before the time is.
const STRIDE: i64 = 5_000;
/// A walk takes its last stride when it has lasted for so long.
const WALK: Duration = Duration::from_millis(20);

/// A page of tasks, newest first.
pub(super) fn tasks(
    conn: &Connection,
    filter: &TaskFilter,
    page: &PageRequest,
) -> SqlResult<Page<Task>> {
    within(conn, filter, page, WALK)
}

/// A page that is looked for as long as this.
pub(super) fn within(
    conn: &Connection,
    filter: &TaskFilter,
    page: &PageRequest,
    span: Duration,
) -> SqlResult<Page<Task>> {
    let (way, limit, begun) = (Way::of(filter), page_limit(page), Instant::now());
    let (sql, mut params) = way.query(filter);
    let mut found: Vec<(i64, Task)> = Vec::new();
    let mut below = newest(conn, cursor_key(page)?)?;
    while let Some(key) = below {
        let from = match way {
            Way::Walk | Way::Dead => key.saturating_sub(STRIDE),
            Way::Running | Way::Workflow => i64::MIN,
        };
        let wanted = i64::try_from(limit + 1 - found.len()).unwrap_or(i64::MAX);
        params.splice(..3, [key.into(), from.into(), wanted.into()]);
        found.extend(all(conn, &sql, params_from_iter(&params), read)?);
        if found.len() > limit {
            found.truncate(limit);
            below = found.last().map(|(key, _)| *key);
            break;
        }
        below = newest(conn, Some(from))?;
        if begun.elapsed() >= span {
            break;
        }
    }
    Ok(Page {
        items: found.into_iter().map(|(_, task)| task).collect(),
        next_cursor: below.map(|key| format!("{key:x}")),
        has_more: below.is_some(),
    })
}

/// Behind the newest key below this one.
fn newest(conn: &Connection, below: Option<i64>) -> SqlResult<Option<i64>> {
    let newest = "SELECT max(key) + 1 FROM tasks WHERE key < ?1";
    let found = first(conn, newest, [below.unwrap_or(i64::MAX)], |row| row.get(0))?;
    Ok(found.flatten())
}

/// How many items a page holds.
pub(in crate::persistence::sqlite) fn page_limit(page: &PageRequest) -> usize {
    usize::try_from(page.limit.clamp(1, MAX_PAGE_LIMIT)).unwrap_or(1)
}

/// The key that a cursor stands for.
pub(in crate::persistence::sqlite) fn cursor_key(page: &PageRequest) -> SqlResult<Option<i64>> {
    let Some(cursor) = &page.cursor else {
        return Ok(None);
    };
    let key = i64::from_str_radix(cursor, 16).ok().filter(|key| *key > 0);
    key.map(Some).ok_or_else(|| {
        let shown: String = cursor.chars().take(80).collect();
        Fault::Store(StoreError::Cursor(shown))
    })
}

/// How the rows of a page are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Back through the table.
    Walk,
    /// By an index of those that are dead,
    Dead,
    /// of those that run,
    Running,
    /// or of a workflow's.
    Workflow,
}

impl Way {
    fn of(filter: &TaskFilter) -> Self {
        match filter.states[..] {
            _ if filter.workflow.is_some() => Self::Workflow,
            [TaskState::Dead] => Self::Dead,
            [TaskState::Running] => Self::Running,
            _ => Self::Walk,
        }
    }

    /// Up to `?3` rows below the key `?1`, from the key `?2` on; the first three parameters are to be filled in.
    fn query(self, filter: &TaskFilter) -> (String, Vec<SqlValue>) {
        let by = match self {
            Self::Walk => "NOT INDEXED ",
            Self::Running => "INDEXED BY tasks_running ",
            Self::Dead | Self::Workflow => "",
        };
        let mut sql = [COLUMNS, by, JOINS, "WHERE t.key < ?1 AND t.key >= ?2"].concat();
        let mut params = vec![SqlValue::Null; 3];
        let mut clause = |text: &str, value: SqlValue| {
            params.push(value);
            sql.push_str(&text.replace('?', &format!("?{}", params.len())));
        };
        for (column, name) in [
            ("agent", &filter.agent),
            ("role", &filter.role),
            ("queue", &filter.queue),
        ] {
            if let Some(name) = name {
                clause(&format!(" AND t.{column} = ?"), name.to_string().into());
            }
        }
        if let Some(workflow) = filter.workflow {
            clause(" AND w.id = ?", workflow.as_bytes().to_vec().into());
        }
        if let Some(name) = &filter.name {
            clause(" AND t.name = ?", name.clone().into());
        }
        for (key, value) in &filter.labels {
            clause(
                " AND EXISTS (SELECT 1 FROM json_each(t.labels) WHERE key = ?",
                key.clone().into(),
            );
            clause(" AND value = ?)", value.clone().into());
        }
        // One state as an equation: so its partial index is seen.
        if let [state] = filter.states[..] {
            sql.push_str(&format!(" AND t.state = '{}'", state.as_str()));
        } else if !filter.states.is_empty() {
            let words: Vec<_> = filter
                .states
                .iter()
                .map(|state| format!("'{}'", state.as_str()))
                .collect();
            sql.push_str(&format!(" AND t.state IN ({})", words.join(", ")));
        }
        sql.push_str(" ORDER BY t.key DESC LIMIT ?3");
        (sql, params)
    }
}

/// How SQLite would find a page.
#[cfg(test)]
pub(super) fn plan_of(conn: &Connection, filter: &TaskFilter) -> String {
    let (sql, params) = Way::of(filter).query(filter);
    let sql = format!("EXPLAIN QUERY PLAN {sql}");
    let steps: Vec<String> = all(conn, &sql, params_from_iter(params), |row| row.get(3)).unwrap();
    steps.join("; ")
}
