//! `/api/v1/workflows`: tasks that form a graph.
//!
//! A definition is checked whole before anything is stored: every fault is named with its task and
//! place, 422.

mod graph;

use serde::Deserialize;
use serde_json::Value;

use super::call::Call;
use super::problem::Problem;
use super::reply;
use super::router::Outcome;
use super::tasks::{Cancel, Nothing, idempotency};
use crate::actors::persistence::PersistenceHandle;
use crate::domain::ids::WorkflowId;
use crate::domain::query::{MAX_PAGE_LIMIT, PageRequest, TaskFilter, WorkflowFilter};
use crate::domain::task::Task;
use crate::domain::workflow::check::{DefinitionError, check};
use crate::domain::workflow::{NewWorkflow, WorkflowState};

/// `POST /api/v1/workflows`
pub(super) async fn run(mut call: Call) -> Outcome {
    call.query.only(&[])?;
    let value: Value = call.json().await?;
    let workflow = NewWorkflow {
        id: WorkflowId::from_bytes(crate::clock::new_id()),
        definition: check(&value).map_err(|faults| faulty(&faults))?,
        labels: std::collections::BTreeMap::new(),
        idempotency: idempotency(&call, &value)?,
        traceparent: call.traceparent(),
    };
    let (workflow, existing) = call.handles.work.run_workflow(workflow).await?;
    reply::accepted(
        &workflow,
        existing,
        &format!("/api/v1/workflows/{}", workflow.id),
    )
}

/// 422 with every fault at its place.
pub(super) fn faulty(faults: &[DefinitionError]) -> Problem {
    let detail = match faults {
        [one] => one.message.clone(),
        _ => format!("the definition has {} faults", faults.len()),
    };
    faults
        .iter()
        .fold(Problem::validation(detail), |problem, fault| {
            problem.at(format!("#{}", fault.pointer), &fault.message)
        })
}

/// `GET /api/v1/workflows`
pub(super) async fn list(call: Call) -> Outcome {
    let query = &call.query;
    query.only(&["state", "name", "limit", "cursor"])?;
    let filter = WorkflowFilter {
        states: states(query.all("state"))?,
        name: query.get("name").map(str::to_owned),
    };
    let page = call
        .handles
        .records
        .workflows(filter, query.page()?)
        .await?;
    reply::page(&call.path, query, &page)
}

fn states<'a>(words: impl Iterator<Item = &'a str>) -> Result<Vec<WorkflowState>, Problem> {
    words
        .map(|word| {
            WorkflowState::from_word(word).ok_or_else(|| {
                let known = WorkflowState::ALL.map(WorkflowState::as_str).join(", ");
                Problem::invalid_request(format!(
                    "query parameter 'state': '{word}' is none of {known}"
                ))
            })
        })
        .collect()
}

/// `GET /api/v1/workflows/{id}`
pub(super) async fn get(mut call: Call) -> Outcome {
    call.query.only(&["wait"])?;
    let id: WorkflowId = call.id("workflow")?;
    let handles = &call.handles;
    let workflow = match call.wait()? {
        None => handles.records.workflow(id).await?,
        Some(span) => {
            handles
                .unless_closing(handles.work.workflow_wait(id, span))
                .await?
        }
    };
    reply::json(&workflow)
}

/// `GET /api/v1/workflows/{id}/graph`
pub(super) async fn graph(mut call: Call) -> Outcome {
    call.query.only(&["format"])?;
    let dot = call.accepts("text/vnd.graphviz") || call.accepts("text/dot");
    let format = match call.query.get("format") {
        Some(known @ ("dot" | "json" | "text")) => known.to_owned(),
        None if dot => "dot".to_owned(),
        None => "json".to_owned(),
        Some(other) => {
            let detail = format!("query parameter 'format': '{other}' is none of json, dot, text");
            return Err(Problem::invalid_request(detail));
        }
    };
    let id: WorkflowId = call.id("workflow")?;
    let records = &call.handles.records;
    let workflow = records.workflow(id).await?;
    let definition = records.workflow_definition(id).await?;
    let graph = graph::Graph::of(&workflow, &definition, &tasks(records, id).await?);
    match format.as_str() {
        "dot" => Ok(reply::text("text/vnd.graphviz; charset=utf-8", graph.dot())),
        "text" => Ok(reply::text("text/plain; charset=utf-8", graph.text())),
        _ => reply::json(&graph),
    }
}

/// All tasks of a workflow.
async fn tasks(records: &PersistenceHandle, id: WorkflowId) -> Result<Vec<Task>, Problem> {
    let mut all = Vec::new();
    let mut page = PageRequest {
        limit: MAX_PAGE_LIMIT,
        cursor: None,
    };
    loop {
        let filter = TaskFilter {
            workflow: Some(id),
            ..TaskFilter::default()
        };
        let found = records.tasks(filter, page.clone()).await?;
        all.extend(found.items);
        match found.next_cursor.filter(|_| found.has_more) {
            None => return Ok(all),
            cursor => page.cursor = cursor,
        }
    }
}

/// `POST /api/v1/workflows/{id}:cancel`
pub(super) async fn cancel(mut call: Call) -> Outcome {
    let wanted: Cancel = call.json_or_default().await?;
    let id: WorkflowId = call.id("workflow")?;
    reply::json(
        &call
            .handles
            .work
            .cancel_workflow(id, wanted.reason()?)
            .await?,
    )
}

/// What is said to a workflow.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signal {
    name: String,
    #[serde(default)]
    payload: Value,
}

/// `POST /api/v1/workflows/{id}:signal`
pub(super) async fn signal(mut call: Call) -> Outcome {
    let Signal { name, payload } = call.json().await?;
    let id: WorkflowId = call.id("workflow")?;
    reply::json(&call.handles.work.signal_workflow(id, name, payload).await?)
}

/// `POST /api/v1/workflows/{id}:retry`
pub(super) async fn retry(mut call: Call) -> Outcome {
    let Nothing {} = call.json_or_default().await?;
    let id: WorkflowId = call.id("workflow")?;
    reply::json(&call.handles.work.retry_workflow(id).await?)
}
