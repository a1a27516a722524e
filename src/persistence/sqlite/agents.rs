//! Agents on SQLite: what is kept of them over restarts of the daemon.

use rusqlite::Row;

use super::{Count, Json, SqlResult, Sqlite, WriteTx, all};
use crate::domain::name::Name;
use crate::domain::record::{AgentRecord, Overrides};
use crate::persistence::{Result, StoreError};

const COLUMNS: &str = "name, kind, desired, replicas, stopped_replicas, config_hash, generation,
    restarts_total, created_at, updated_at, overridden_at, paused_until";

fn record(row: &Row<'_>) -> rusqlite::Result<AgentRecord> {
    let (Count(generation), Count(restarts_total)) = (row.get(6)?, row.get(7)?);
    let Json(stopped_replicas) = row.get(4)?;
    Ok(AgentRecord {
        name: row.get(0)?,
        kind: row.get(1)?,
        overrides: Overrides {
            desired: row.get(2)?,
            replicas: row.get(3)?,
            stopped_replicas,
            set_at: row.get(10)?,
            paused_until: row.get(11)?,
        },
        config_hash: row.get(5)?,
        generation,
        restarts_total,
        created_at: row.get(8)?,
        updated_at: row.get(9)?,
    })
}

/// A changed hash drops the number of replicas that an operator set: the file has spoken later. What
/// he stopped or paused stays: nothing in a file says otherwise.
pub(crate) async fn register_agent(db: &Sqlite, agent: AgentRecord) -> Result<AgentRecord> {
    db.write("register agent", move |tx| register(tx, &agent))
        .await
}

fn register(tx: &mut WriteTx<'_>, agent: &AgentRecord) -> SqlResult<AgentRecord> {
    let sql = format!(
        "INSERT INTO agents (name, kind, desired, replicas, stopped_replicas, config_hash,
             generation, restarts_total, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)
         ON CONFLICT (name) DO UPDATE SET
             kind = excluded.kind,
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
        agent.overrides.desired,
        agent.overrides.replicas,
        Json(&agent.overrides.stopped_replicas),
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

/// Replaces what an operator set.
pub(crate) async fn set_overrides(db: &Sqlite, agent: &Name, overrides: Overrides) -> Result<()> {
    let agent = agent.clone();
    db.write("set overrides", move |tx| {
        let set = "UPDATE agents SET desired = ?2, replicas = ?3, stopped_replicas = ?4,
            overridden_at = ?5, updated_at = ?6, paused_until = ?7 WHERE name = ?1";
        let params = (
            &agent,
            overrides.desired,
            overrides.replicas,
            Json(&overrides.stopped_replicas),
            overrides.set_at,
            tx.now(),
            overrides.paused_until,
        );
        known(&agent, tx.execute(set, params)?)
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

/// Lowers a mark that is still the one that was set.
pub(crate) async fn give_back_generations(
    db: &Sqlite,
    agent: &Name,
    reserved: u64,
    used: u64,
) -> Result<()> {
    let agent = agent.clone();
    db.write("give back generations", move |tx| {
        let lower = "UPDATE agents SET generation = ?3, updated_at = ?4
            WHERE name = ?1 AND generation = ?2 AND ?3 < ?2";
        tx.execute(lower, (&agent, Count(reserved), Count(used), tx.now()))?;
        Ok(())
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
