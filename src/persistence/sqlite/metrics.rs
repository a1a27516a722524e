//! History of figures on SQLite: of agents and of the host. As sampled for a day, then the mean of
//! each minute.

use rusqlite::Row;

use super::{Count, Sqlite, all};
use crate::domain::name::Name;
use crate::domain::query::MAX_PAGE_LIMIT;
use crate::domain::record::{AgentMetrics, SystemMetrics};
use crate::persistence::Result;

pub(crate) async fn update_agent_metrics(db: &Sqlite, metrics: Vec<AgentMetrics>) -> Result<()> {
    if metrics.is_empty() {
        return Ok(());
    }
    db.write("log agent metrics", move |tx| {
        let mut insert = tx.prepare(
            "INSERT OR REPLACE INTO agent_metrics (agent, resolution_s, at, cpu_seconds,
                 memory_bytes, queue_depth, running, errors_total, restarts_total)
             VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        for sample in &metrics {
            insert.execute((
                &sample.agent,
                sample.at,
                sample.cpu_seconds,
                Count(sample.memory_bytes),
                Count(sample.queue_depth),
                Count(sample.running),
                Count(sample.errors_total),
                Count(sample.restarts_total),
            ))?;
        }
        Ok(())
    })
    .await
}

/// The newest first.
pub(crate) async fn agent_metrics(
    db: &Sqlite,
    agent: &Name,
    limit: u32,
) -> Result<Vec<AgentMetrics>> {
    let agent = agent.clone();
    let list = "SELECT agent, at, cpu_seconds, memory_bytes, queue_depth, running, errors_total,
            restarts_total
        FROM agent_metrics WHERE agent = ?1 AND resolution_s = 0 ORDER BY at DESC LIMIT ?2";
    db.read("list agent metrics", move |conn| {
        all(conn, list, (agent, limit.min(MAX_PAGE_LIMIT)), agent_sample)
    })
    .await
}

fn agent_sample(row: &Row<'_>) -> rusqlite::Result<AgentMetrics> {
    let (Count(memory_bytes), Count(queue_depth)) = (row.get(3)?, row.get(4)?);
    let (Count(running), Count(errors_total)) = (row.get(5)?, row.get(6)?);
    let Count(restarts_total) = row.get(7)?;
    Ok(AgentMetrics {
        agent: row.get(0)?,
        at: row.get(1)?,
        cpu_seconds: row.get(2)?,
        memory_bytes,
        queue_depth,
        running,
        errors_total,
        restarts_total,
    })
}

pub(crate) async fn log_system_metrics(db: &Sqlite, metrics: SystemMetrics) -> Result<()> {
    db.write("log system metrics", move |tx| {
        tx.execute(
            "INSERT OR REPLACE INTO system_metrics (resolution_s, at, cpu_ratio, memory_used_bytes,
                 memory_limit_bytes, disk_used_ratio, process_memory_bytes)
             VALUES (0, ?1, ?2, ?3, ?4, ?5, ?6)",
            (
                metrics.at,
                metrics.cpu_ratio,
                Count(metrics.memory_used_bytes),
                Count(metrics.memory_limit_bytes),
                metrics.disk_used_ratio,
                Count(metrics.process_memory_bytes),
            ),
        )?;
        Ok(())
    })
    .await
}

/// The newest first.
pub(crate) async fn system_metrics(db: &Sqlite, limit: u32) -> Result<Vec<SystemMetrics>> {
    let list = "SELECT at, cpu_ratio, memory_used_bytes, memory_limit_bytes, disk_used_ratio,
            process_memory_bytes
        FROM system_metrics WHERE resolution_s = 0 ORDER BY at DESC LIMIT ?1";
    db.read("list system metrics", move |conn| {
        all(conn, list, [limit.min(MAX_PAGE_LIMIT)], system_sample)
    })
    .await
}

fn system_sample(row: &Row<'_>) -> rusqlite::Result<SystemMetrics> {
    let (Count(memory_used_bytes), Count(memory_limit_bytes)) = (row.get(2)?, row.get(3)?);
    let Count(process_memory_bytes) = row.get(5)?;
    Ok(SystemMetrics {
        at: row.get(0)?,
        cpu_ratio: row.get(1)?,
        memory_used_bytes,
        memory_limit_bytes,
        disk_used_ratio: row.get(4)?,
        process_memory_bytes,
    })
}
