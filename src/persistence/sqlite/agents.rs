//! Agents on SQLite: what is kept of them over restarts of the daemon.

use rusqlite::Row;

use super::{Count, SqlResult, Sqlite, WriteTx, all};
use crate::domain::agent::Desired;
use crate::domain::name::Name;
use crate::domain::record::AgentRecord;
use crate::persistence::{Result, StoreError};

const COLUMNS: &str = "name, kind, desired, replicas, config_hash, generation, restarts_total,
    created_at, updated_at";

fn record(row: &Row<'_>) -> rusqlite::Result<AgentRecord> {
    let (Count(generation), Count(restarts_total)) = (row.get(5)?, row.get(6)?);
    Ok(AgentRecord {
        name: row.get(0)?,
        kind: row.get(1)?,
        desired: row.get(2)?,
        replicas: row.get(3)?,
        config_hash: row.get(4)?,
        generation,
        restarts_total,
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
    })
}

/// A changed hash drops what the operator set: the file has spoken later.
pub(crate) async fn register_agent(db: &Sqlite, agent: AgentRecord) -> Result<AgentRecord> {
    db.write("register agent", move |tx| register(tx, &agent))
        .await
}

fn register(tx: &mut WriteTx<'_>, agent: &AgentRecord) -> SqlResult<AgentRecord> {
    let sql = format!(
        "INSERT INTO agents (name, kind, desired, replicas, config_hash, generation,
             restarts_total, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)
         ON CONFLICT (name) DO UPDATE SET
             kind = excluded.kind,
             desired = iif(config_hash = excluded.config_hash, desired, NULL),
             replicas = iif(config_hash = excluded.config_hash, replicas, NULL),
             config_hash = excluded.config_hash,
             generation = max(generation, excluded.generation),
             restarts_total = max(restarts_total, excluded.restarts_total),
             updated_at = excluded.updated_at
         RETURNING {COLUMNS}"
    );
    let params = (
        &agent.name,
        &agent.kind,
        agent.desired,
        agent.replicas,
        &agent.config_hash,
        Count(agent.generation),
        Count(agent.restarts_total),
        tx.now(),
    );
    let stored = tx.first(&sql, params, record)?;
    stored.ok_or_else(|| rusqlite::Error::QueryReturnedNoRows.into())
}

pub(crate) async fn agents(db: &Sqlite) -> Result<Vec<AgentRecord>> {
    db.read("list agents", |conn| {
        all(
            conn,
            &format!("SELECT {COLUMNS} FROM agents ORDER BY name"),
            [],
            record,
        )
    })
    .await
}

pub(crate) async fn set_desired(db: &Sqlite, agent: &Name, desired: Option<Desired>) -> Result<()> {
    let agent = agent.clone();
    db.write("set desired state", move |tx| {
        let set = "UPDATE agents SET desired = ?2, updated_at = ?3 WHERE name = ?1";
        known(&agent, tx.execute(set, (&agent, desired, tx.now()))?)
    })
    .await
}

pub(crate) async fn set_replicas(db: &Sqlite, agent: &Name, replicas: Option<u32>) -> Result<()> {
    let agent = agent.clone();
    db.write("set replicas", move |tx| {
        let set = "UPDATE agents SET replicas = ?2, updated_at = ?3 WHERE name = ?1";
        known(&agent, tx.execute(set, (&agent, replicas, tx.now()))?)
    })
    .await
}

/// Neither figure ever falls: a late write changes nothing.
pub(crate) async fn save_generation(
    db: &Sqlite,
    agent: &Name,
    generation: u64,
    restarts_total: u64,
) -> Result<()> {
    let agent = agent.clone();
    db.write("save generation", move |tx| {
        let save = "UPDATE agents SET generation = max(generation, ?2),
            restarts_total = max(restarts_total, ?3), updated_at = ?4 WHERE name = ?1";
        let params = (&agent, Count(generation), Count(restarts_total), tx.now());
        known(&agent, tx.execute(save, params)?)
    })
    .await
}

fn known(agent: &Name, rows: usize) -> SqlResult<()> {
    if rows == 1 {
        return Ok(());
    }
    Err(StoreError::NotFound {
        what: "agent",
        name: agent.to_string(),
    }
    .into())
}
