//! Creation: the workflow, its steps, its dependencies and its first tasks in one transaction.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::advance::Advance;
use super::open::insert_blocked;
use super::step::{Run, Step};
use crate::domain::event::NewEvent;
use crate::domain::workflow::{NewWorkflow, Workflow, WorkflowState};
use crate::persistence::codec::seal;
use crate::persistence::sqlite::tasks::{remember, seen_before};
use crate::persistence::sqlite::{Json, Sealed, SqlResult, WriteTx};

/// Stores a checked workflow; says whether its idempotency key had been seen.
pub(in crate::persistence::sqlite) fn create(
    tx: &mut WriteTx<'_>,
    new: &NewWorkflow,
) -> SqlResult<(Workflow, bool)> {
    if let Some(first) = seen_before(tx, "workflow", new.idempotency.as_ref())? {
        let id = crate::domain::ids::WorkflowId::from_bytes(first);
        return Ok((super::read(tx.conn(), id)?, true));
    }
    let run = insert(tx, new)?;
    let steps = insert_steps(tx, new, &run)?;
    remember(tx, "workflow", new.idempotency.as_ref(), new.id.as_bytes())?;
    let at = tx.now();
    let data = json!({"name": new.definition.name, "tasks": steps.len()});
    let kind = "workflow.created";
    tx.event(NewEvent {
        kind,
        subject: new.id.to_string(),
        at,
        data,
    })?;
    let mut advance = Advance::of(run);
    for step in steps.into_iter().filter(|step| step.undoes.is_none()) {
        match step.waiting_on {
            0 => advance.open(step.definition.name),
            _ => insert_blocked(tx, &run, &step.definition)?,
        }
    }
    advance.run(tx)?;
    Ok((super::read(tx.conn(), new.id)?, false))
}

fn insert(tx: &WriteTx<'_>, new: &NewWorkflow) -> SqlResult<Run> {
    let definition = &new.definition;
    let forward = definition.tasks.len() - definition.undone().len();
    let steps_left = i64::try_from(forward).unwrap_or(i64::MAX);
    let key = tx.insert(
        "INSERT INTO workflows (id, name, description, state, definition, definition_hash, input, \
         labels, created_at, steps_left, traceparent) \
         VALUES (?1, ?2, ?3, 'pending', ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        rusqlite::params![
            new.id,
            definition.name,
            definition.description,
            Sealed(definition),
            hash(new)?,
            Sealed(Value::Object(definition.input.clone())),
            Json(&new.labels),
            tx.now(),
            steps_left,
            new.traceparent,
        ],
    )?;
    Ok(Run {
        key,
        id: new.id,
        state: WorkflowState::Pending,
        steps_left,
        traceparent: new.traceparent,
    })
}

/// SHA-256 of the definition without this run's input.
fn hash(new: &NewWorkflow) -> SqlResult<String> {
    let mut definition = new.definition.clone();
    definition.input.clear();
    let digest = Sha256::digest(seal(&definition)?);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn insert_steps(tx: &WriteTx<'_>, new: &NewWorkflow, run: &Run) -> SqlResult<Vec<Step>> {
    let undone = new.definition.undone();
    let mut steps = Vec::with_capacity(new.definition.tasks.len());
    for (position, definition) in new.definition.tasks.iter().enumerate() {
        let undoes = undone.get(definition.name.as_str()).copied();
        // What undoes waits for nobody: its turn comes when the workflow is undone.
        let upstream = match undoes {
            Some(_) => Vec::new(),
            None => definition.upstream(),
        };
        let waiting_on = i64::try_from(upstream.len()).unwrap_or(i64::MAX);
        tx.execute(
            "INSERT INTO workflow_steps \
             (workflow_key, name, position, definition, state, waiting_on, undoes) \
             VALUES (?1, ?2, ?3, ?4, 'waiting', ?5, ?6)",
            (
                run.key,
                &definition.name,
                i64::try_from(position).unwrap_or(i64::MAX),
                Sealed(definition),
                waiting_on,
                undoes,
            ),
        )?;
        for depends_on in &upstream {
            tx.execute(
                "INSERT INTO task_dependencies (workflow_key, step, depends_on) VALUES (?1, ?2, ?3)",
                (run.key, &definition.name, depends_on),
            )?;
        }
        steps.push(Step {
            definition: definition.clone(),
            undoes: undoes.map(str::to_owned),
            state: "waiting".to_owned(),
            waiting_on,
            items_left: 0,
            items_failed: 0,
        });
    }
    Ok(steps)
}
