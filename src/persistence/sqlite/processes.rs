//! Processes that were spawned, so that the daemon's next life can end what was left behind.

use rusqlite::Row;

use super::{Count, Sqlite, all};
use crate::domain::agent::InstanceId;
use crate::domain::record::SpawnedProcess;
use crate::persistence::Result;

pub(crate) async fn process_spawned(db: &Sqlite, process: SpawnedProcess) -> Result<()> {
    db.write("record process", move |tx| {
        tx.execute(
            "INSERT OR REPLACE INTO spawned_processes
                 (agent, replica, generation, pid, start_ticks, boot_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            (
                &process.agent,
                process.index,
                Count(process.generation),
                process.pid,
                Count(process.start_ticks),
                &process.boot_id,
            ),
        )?;
        Ok(())
    })
    .await
}

pub(crate) async fn process_ended(
    db: &Sqlite,
    instance: &InstanceId,
    generation: u64,
) -> Result<()> {
    let instance = instance.clone();
    db.write("forget process", move |tx| {
        tx.execute(
            "DELETE FROM spawned_processes WHERE agent = ?1 AND replica = ?2 AND generation = ?3",
            (&instance.agent, instance.index, Count(generation)),
        )?;
        Ok(())
    })
    .await
}

pub(crate) async fn spawned_processes(db: &Sqlite) -> Result<Vec<SpawnedProcess>> {
    let list = "SELECT agent, replica, generation, pid, start_ticks, boot_id
        FROM spawned_processes ORDER BY agent, replica, generation";
    db.read("list processes", move |conn| all(conn, list, [], process))
        .await
}

fn process(row: &Row<'_>) -> rusqlite::Result<SpawnedProcess> {
    let (Count(generation), Count(start_ticks)) = (row.get(2)?, row.get(4)?);
    Ok(SpawnedProcess {
        agent: row.get(0)?,
        index: row.get(1)?,
        generation,
        pid: row.get(3)?,
        start_ticks,
        boot_id: row.get(5)?,
    })
}
