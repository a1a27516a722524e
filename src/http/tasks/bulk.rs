//! Commands to every task that a filter names, and to dead letters: counted first if asked, a page
//! at a time, each task by itself, for as long as one request may take.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::filter::{Filter, only_in, states_for};
use crate::domain::ids::TaskId;
use crate::domain::query::{PageRequest, TaskFilter};
use crate::domain::task::{Task, TaskState};
use crate::http::call::Call;
use crate::http::handles::Handles;
use crate::http::problem::Problem;
use crate::http::reply;
use crate::http::router::Outcome;

/// One request works this long at most; what is left is told.
const WITHIN: Duration = Duration::from_secs(20);
/// Tasks of a page.
const PAGE: u32 = 500;
/// Tasks moved at once; their writes share commits.
const AT_ONCE: usize = 32;

/// What is done to each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    /// End it.
    Cancel,
    /// Queue it again.
    Retry,
}

/// `POST /api/v1/tasks:bulk`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bulk {
    action: Action,
    filter: Filter,
    #[serde(default)]
    dry_run: bool,
    reason: Option<String>,
}

/// `POST /api/v1/dead-letters:retry|:purge`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfDead {
    #[serde(default)]
    filter: Filter,
    #[serde(default)]
    dry_run: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Counts {
    dry_run: bool,
    /// Tasks that the filter names and the action fits.
    matched: u64,
    /// Tasks it was done to.
    done: u64,
    /// Tasks that refused it: they belong to a workflow, or moved meanwhile.
    skipped: u64,
    /// Whether all were looked at; if not, ask again.
    complete: bool,
}

/// `POST /api/v1/tasks:bulk`
pub(in crate::http) async fn bulk(mut call: Call) -> Outcome {
    let wanted: Bulk = call.json().await?;
    if wanted.filter.is_empty() {
        let detail = "must hold a condition; nothing is done to every task at once";
        return Err(Problem::validation(format!("filter: {detail}")).at("#/filter", detail));
    }
    let reason = super::Cancel {
        reason: wanted.reason,
    }
    .reason()?;
    let filter = states_for(wanted.filter.into(), wanted.action);
    let act = Act::Move(wanted.action, reason);
    reply::json(&work(&call.handles, filter, &act, wanted.dry_run).await?)
}

/// `GET /api/v1/dead-letters`
pub(in crate::http) async fn dead(call: Call) -> Outcome {
    const KNOWN: &[&str] = &["agent", "role", "queue", "name", "label", "limit", "cursor"];
    let query = &call.query;
    query.only(KNOWN)?;
    let filter = TaskFilter {
        states: vec![TaskState::Dead],
        agent: query.parsed("agent")?,
        role: query.parsed("role")?,
        queue: query.parsed("queue")?,
        workflow: None,
        name: query.get("name").map(str::to_owned),
        labels: query
            .all("label")
            .map(super::label)
            .collect::<Result<_, _>>()?,
    };
    let page = call.handles.records.tasks(filter, query.page()?).await?;
    reply::page(&call.path, query, &page)
}

/// `POST /api/v1/dead-letters:retry`
pub(in crate::http) async fn retry_dead(call: Call) -> Outcome {
    of_dead(call, Act::Move(Action::Retry, String::new())).await
}

/// `POST /api/v1/dead-letters:purge`
pub(in crate::http) async fn purge_dead(call: Call) -> Outcome {
    of_dead(call, Act::Purge).await
}

async fn of_dead(mut call: Call, act: Act) -> Outcome {
    let wanted: OfDead = call.json_or_default().await?;
    let filter = only_in(wanted.filter.into(), |state| *state == TaskState::Dead);
    reply::json(&work(&call.handles, filter, &act, wanted.dry_run).await?)
}

/// What is done to each task.
enum Act {
    Move(Action, String),
    Purge,
}

impl Act {
    async fn to(&self, handles: &Handles, id: TaskId) -> Result<(), Problem> {
        match self {
            Self::Move(Action::Cancel, reason) => {
                handles.work.cancel_task(id, reason.clone()).await.map(drop)
            }
            Self::Move(Action::Retry, _) => handles.work.retry_task(id).await.map(drop),
            Self::Purge => Ok(handles.records.purge_task(id).await?),
        }
    }

    /// Tasks of workflows are run again, and removed, with their workflow.
    fn fits(&self, task: &Task) -> bool {
        matches!(self, Self::Move(Action::Cancel, _)) || task.workflow_id.is_none()
    }
}

/// `filter` names its states: of those asked for, the ones that the action fits.
async fn work(
    handles: &Handles,
    filter: TaskFilter,
    act: &Act,
    dry_run: bool,
) -> Result<Counts, Problem> {
    let begun = Instant::now();
    // To the store, no state is any state; here it is none.
    let nothing_fits = filter.states.is_empty();
    let mut counts = Counts {
        dry_run,
        matched: 0,
        done: 0,
        skipped: 0,
        complete: nothing_fits,
    };
    if nothing_fits {
        return Ok(counts);
    }
    let mut cursor = None;
    while begun.elapsed() < WITHIN {
        let request = PageRequest {
            limit: PAGE,
            cursor: cursor.take(),
        };
        let page = handles.records.tasks(filter.clone(), request).await?;
        let fitting: Vec<_> = page.items.iter().filter(|task| act.fits(task)).collect();
        counts.matched += fitting.len() as u64;
        if !dry_run {
            let ids: Vec<TaskId> = fitting.into_iter().map(|task| task.id).collect();
            for some in ids.chunks(AT_ONCE) {
                let mut ends = Vec::with_capacity(some.len());
                for id in some {
                    ends.push(act.to(handles, *id).boxed());
                }
                for end in join_all(ends).await {
                    match end {
                        Ok(()) => counts.done += 1,
                        // What is not there any more, or moved meanwhile, is no fault.
                        Err(problem) if problem.status().is_client_error() => counts.skipped += 1,
                        Err(problem) => return Err(problem),
                    }
                }
            }
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            counts.complete = true;
            break;
        }
    }
    Ok(counts)
}
