//! Crashes and restart budgets on SQLite.

use rusqlite::Row;

use super::{Count, Json, Sealed, Sqlite, all};
use crate::domain::name::Name;
use crate::domain::query::MAX_PAGE_LIMIT;
use crate::domain::record::{Crash, RestartBudget, SlowLoop};
use crate::domain::timestamp::Timestamp;
use crate::persistence::Result;

/// Crashes kept of one agent.
pub(crate) const KEPT_PER_AGENT: u32 = 50;

pub(crate) async fn log_crash(db: &Sqlite, crash: Crash) -> Result<()> {
    db.write("log crash", move |tx| {
        tx.execute(
            "INSERT INTO crashes (id, agent, replica, generation, reason, signature, at, uptime_ms,
                 tasks, log)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            (
                crash.id,
                &crash.agent,
                crash.index,
                Count(crash.generation),
                Json(&crash.reason),
                &crash.signature,
                crash.at,
                Count(crash.uptime_ms),
                Json(&crash.tasks),
                Sealed(&crash.log),
            ),
        )?;
        tx.execute(
            "DELETE FROM crashes WHERE key IN
                 (SELECT key FROM crashes WHERE agent = ?1 ORDER BY at DESC LIMIT -1 OFFSET ?2)",
            (&crash.agent, KEPT_PER_AGENT),
        )?;
        Ok(())
    })
    .await
}

/// The newest first.
pub(crate) async fn crashes(db: &Sqlite, agent: &Name, limit: u32) -> Result<Vec<Crash>> {
    let agent = agent.clone();
    let list = "SELECT id, agent, replica, generation, reason, signature, at, uptime_ms, tasks, log
        FROM crashes WHERE agent = ?1 ORDER BY at DESC LIMIT ?2";
    db.read("list crashes", move |conn| {
        all(conn, list, (&agent, limit.min(MAX_PAGE_LIMIT)), crash)
    })
    .await
}

fn crash(row: &Row<'_>) -> rusqlite::Result<Crash> {
    let (Count(generation), Count(uptime_ms)) = (row.get(3)?, row.get(7)?);
    let (Json(reason), Json(tasks), Sealed(log)) = (row.get(4)?, row.get(8)?, row.get(9)?);
    Ok(Crash {
        id: row.get(0)?,
        agent: row.get(1)?,
        index: row.get(2)?,
        generation,
        reason,
        signature: row.get(5)?,
        at: row.get(6)?,
        uptime_ms,
        tasks,
        log,
    })
}

pub(crate) async fn save_restart_budget(db: &Sqlite, budget: RestartBudget) -> Result<()> {
    db.write("save restart budget", move |tx| {
        let deaths: Vec<i64> = budget.deaths.iter().map(|at| at.as_micros()).collect();
        tx.execute(
            "INSERT OR REPLACE INTO restart_budgets
                 (owner, deaths, quarantined_until, quarantines, on_trial, slow_loop, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                &budget.owner,
                Json(deaths),
                budget.quarantined_until,
                budget.quarantines,
                budget.on_trial,
                budget.slow_loop.as_ref().map(Json),
                budget.updated_at,
            ),
        )?;
        Ok(())
    })
    .await
}

pub(crate) async fn restart_budgets(db: &Sqlite) -> Result<Vec<RestartBudget>> {
    let list = "SELECT owner, deaths, quarantined_until, quarantines, on_trial, slow_loop,
            updated_at
        FROM restart_budgets ORDER BY owner";
    db.read("list restart budgets", move |conn| {
        all(conn, list, [], budget)
    })
    .await
}

fn budget(row: &Row<'_>) -> rusqlite::Result<RestartBudget> {
    let Json::<Vec<i64>>(deaths) = row.get(1)?;
    Ok(RestartBudget {
        owner: row.get(0)?,
        deaths: deaths.into_iter().map(Timestamp::from_micros).collect(),
        quarantined_until: row.get(2)?,
        quarantines: row.get(3)?,
        on_trial: row.get(4)?,
        slow_loop: row
            .get::<_, Option<Json<SlowLoop>>>(5)?
            .map(|Json(kept)| kept),
        updated_at: row.get(6)?,
    })
}
