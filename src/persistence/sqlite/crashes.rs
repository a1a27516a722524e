//! Crashes, how often each fault was seen, and restart budgets, on SQLite.

use rusqlite::{Row, params};

use super::{Count, Json, Sealed, SqlResult, Sqlite, WriteTx, all, first};
use crate::domain::crash::{Crash, Frame, LastDeath, Seen};
use crate::domain::exit::ExitReason;
use crate::domain::ids::CrashId;
use crate::domain::name::Name;
use crate::domain::query::{Page, PageRequest};
use crate::domain::record::{RestartBudget, SettingsInForce, SlowLoop};
use crate::domain::timestamp::Timestamp;
use crate::persistence::cursor::Bounds;
use crate::persistence::{Result, StoreError};

/// Crashes kept of one agent.
pub(crate) const KEPT_PER_AGENT: u32 = 50;
/// Signatures remembered of one agent.
pub(crate) const SIGNATURES_PER_AGENT: u32 = 100;

const COLUMNS: &str = "c.key, c.id, c.agent, c.replica, c.generation, c.reason, c.signature, c.at,
    c.uptime_ms, c.tasks, c.log, c.usage, c.frames, c.new_signature, c.config_hash, c.config_since,
    c.config_changed, s.count, s.first_at, s.last_at";
/// What ends are counted under: the signature, or else the kind of the end.
const FROM: &str = "FROM crashes c LEFT JOIN crash_signatures s ON s.agent = c.agent
    AND s.signature = ifnull(c.signature, c.reason ->> '$.kind')";

pub(crate) async fn log_crash(db: &Sqlite, crash: Crash) -> Result<()> {
    db.write("log crash", move |tx| {
        let new = count(tx, &crash)?;
        insert(tx, &crash, new)?;
        tx.execute(
            "DELETE FROM crashes WHERE key IN
                 (SELECT key FROM crashes WHERE agent = ?1 ORDER BY at DESC LIMIT -1 OFFSET ?2)",
            (&crash.agent, KEPT_PER_AGENT),
        )?;
        Ok(())
    })
    .await
}

/// Counts an end under its fault; whether that is new.
fn count(tx: &mut WriteTx<'_>, crash: &Crash) -> SqlResult<bool> {
    let group = match &crash.signature {
        Some(signature) => signature.clone(),
        // As the kind stands in the row's JSON.
        None => kind(crash),
    };
    let count: Option<i64> = tx.first(
        "INSERT INTO crash_signatures (agent, signature, count, first_at, last_at)
         VALUES (?1, ?2, 1, ?3, ?3)
         ON CONFLICT (agent, signature) DO UPDATE SET
             count = count + 1, last_at = max(last_at, excluded.last_at)
         RETURNING count",
        (&crash.agent, &group, crash.at),
        |row| row.get(0),
    )?;
    tx.execute(
        "DELETE FROM crash_signatures WHERE agent = ?1 AND signature IN
             (SELECT signature FROM crash_signatures WHERE agent = ?1
              ORDER BY last_at DESC LIMIT -1 OFFSET ?2)",
        (&crash.agent, SIGNATURES_PER_AGENT),
    )?;
    Ok(count == Some(1))
}

fn kind(crash: &Crash) -> String {
    let reason = serde_json::to_value(&crash.reason).unwrap_or_default();
    reason["kind"].as_str().unwrap_or_default().to_owned()
}

fn insert(tx: &mut WriteTx<'_>, crash: &Crash, new: bool) -> SqlResult<()> {
    tx.execute(
        "INSERT INTO crashes (id, agent, replica, generation, reason, signature, at, uptime_ms,
             tasks, log, usage, frames, new_signature, config_hash, config_since, config_changed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,
             ?14 <> ifnull((SELECT config_hash FROM crashes WHERE agent = ?2
                            ORDER BY key DESC LIMIT 1), ?14))",
        params![
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
            Json(&crash.usage),
            Sealed(&crash.frames),
            new,
            &crash.config_hash,
            crash.config_since,
        ],
    )?;
    Ok(())
}

/// The newest first.
pub(crate) async fn crashes(db: &Sqlite, agent: &Name, page: PageRequest) -> Result<Page<Crash>> {
    let agent = agent.clone();
    let bounds = Bounds::of(&page)?;
    let list = format!(
        "SELECT {COLUMNS} {FROM} WHERE c.agent = ?1 AND c.key < ?2 ORDER BY c.key DESC LIMIT ?3"
    );
    db.read("list crashes", move |conn| {
        let rows = all(conn, &list, (&agent, bounds.below, bounds.rows()), |row| {
            Ok((row.get(0)?, crash(row)?))
        })?;
        Ok(bounds.page(rows))
    })
    .await
}

/// One of them.
pub(crate) async fn crash_of(db: &Sqlite, agent: &Name, id: CrashId) -> Result<Crash> {
    let name = agent.clone();
    let one = format!("SELECT {COLUMNS} {FROM} WHERE c.agent = ?1 AND c.id = ?2");
    let found = db.read("get crash", move |conn| {
        first(conn, &one, (&name, id), crash)
    });
    found.await?.ok_or_else(|| StoreError::NotFound {
        what: "crash",
        name: id.to_string(),
    })
}

/// The last one of each replica that ever had one.
pub(crate) async fn last_deaths(db: &Sqlite) -> Result<Vec<LastDeath>> {
    // Of an aggregate that is a maximum, the other columns are those of its row.
    let last = "SELECT agent, replica, reason, at, max(key) FROM crashes GROUP BY agent, replica";
    db.read("list last deaths", move |conn| {
        all(conn, last, [], |row| {
            let Json(reason) = row.get(2)?;
            Ok(LastDeath {
                agent: row.get(0)?,
                index: row.get(1)?,
                reason,
                at: row.get(3)?,
            })
        })
    })
    .await
}

fn crash(row: &Row<'_>) -> rusqlite::Result<Crash> {
    let (Count(generation), Count(uptime_ms)) = (row.get(4)?, row.get(8)?);
    let (Json::<ExitReason>(reason), Json(tasks)) = (row.get(5)?, row.get(9)?);
    let (Sealed(log), Json(usage)) = (row.get(10)?, row.get(11)?);
    let at = row.get(7)?;
    let seen = Seen {
        count: row
            .get::<_, Option<Count>>(17)?
            .map_or(1, |Count(count)| count),
        since: row.get::<_, Option<_>>(18)?.unwrap_or(at),
        last_at: row.get::<_, Option<_>>(19)?.unwrap_or(at),
    };
    Ok(Crash {
        id: row.get(1)?,
        agent: row.get(2)?,
        index: row.get(3)?,
        generation,
        message: reason.to_string(),
        reason,
        signature: row.get(6)?,
        at,
        uptime_ms,
        tasks,
        log,
        usage,
        frames: row
            .get::<_, Option<Sealed<Vec<Frame>>>>(12)?
            .map_or_else(Vec::new, |Sealed(frames)| frames),
        new_signature: row.get(13)?,
        config_hash: row.get(14)?,
        config_since: row.get(15)?,
        config_changed: row.get(16)?,
        seen,
    })
}

/// The settings an agent has from now on; since when it has had them.
pub(crate) async fn settings_in_force(
    db: &Sqlite,
    agent: &Name,
    hash: String,
) -> Result<SettingsInForce> {
    let agent = agent.clone();
    db.write("note settings", move |tx| {
        let since: Option<Timestamp> = tx.first(
            "UPDATE agents SET
                 settings_since = iif(settings_hash IS ?2, settings_since, ?3), settings_hash = ?2
             WHERE name = ?1 RETURNING settings_since",
            (&agent, &hash, tx.now()),
            |row| row.get(0),
        )?;
        let since = since.unwrap_or(tx.now());
        let hash = hash.clone();
        Ok(SettingsInForce { hash, since })
    })
    .await
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
