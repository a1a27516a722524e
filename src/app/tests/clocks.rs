//! The wall clock jumps, or the daemon was down for long: who lives is told by the monotonic clock.

use std::path::Path;

use serde_json::json;

use super::{LONG, live_in};
use crate::app::stop;
use crate::clock;
use crate::domain::event::Event;
use crate::domain::health::HealthStatus;
use crate::domain::ids::TaskId;
use crate::domain::query::EventFilter;
use crate::domain::task::{NewTask, Target, TaskState};

const HOUR_MICROS: i64 = 3_600_000_000;

/// Moves every instant in the database: to one that is so much earlier, the clock has jumped ahead,
/// or nobody was there for so long.
fn move_instants(database: &Path, micros: i64) -> usize {
    let conn = rusqlite::Connection::open(database).unwrap();
    let names = |sql: &str| -> Vec<String> {
        let mut found = conn.prepare(sql).unwrap();
        let rows = found.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let mut moved = 0;
    for table in names("SELECT name FROM sqlite_master WHERE type = 'table'") {
        for column in names(&format!("SELECT name FROM pragma_table_info('{table}')")) {
            // An instant is a number of microseconds since 1970.
            let is_instant = format!(
                "typeof({column}) = 'integer' AND {column} > {}",
                1_000_000_000_000_000_i64
            );
            let set =
                format!("UPDATE {table} SET {column} = {column} + {micros} WHERE {is_instant}");
            moved += conn.execute(&set, []).unwrap();
        }
    }
    moved
}

/// What went wrong with agents.
fn troubles() -> EventFilter {
    let kinds = [
        "crashed",
        "stalled",
        "backoff",
        "quarantined",
        "failed",
        "unreachable",
    ];
    EventFilter {
        kinds: kinds.iter().map(|kind| format!("agent.{kind}")).collect(),
        ..EventFilter::default()
    }
}

fn task(payload: serde_json::Value) -> NewTask {
    let id = TaskId::from_bytes(clock::new_id());
    let target = Target::Agent("echo".parse().unwrap());
    NewTask::plain(id, "echo".to_owned(), target, payload)
}

/// A daemon dies with a task in hand, and the next begins when the instants it finds have moved.
fn survives(micros: i64) {
    let data = tempfile::tempdir().unwrap();
    let held = live_in(data.path(), async |house| {
        let held = task(json!("held in the first attempt"));
        let id = held.id;
        house.dispatcher.submit(held).await.unwrap();
        let running = async {
            loop {
                let task = house.store.task(id).await.unwrap();
                if task.state == TaskState::Running {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LONG, running).await.unwrap();
        // A sudden death: nobody is told, nothing is given back.
        house.store.close().await.unwrap();
        let pools = house.pools;
        let stopped = tokio::task::spawn_blocking(move || pools.iter().for_each(|it| it.stop()));
        stopped.await.unwrap();
        id
    });
    let moved = move_instants(&data.path().join("agent-system.db"), micros);
    assert!(moved > 10, "{moved} instants");
    let troubles: Vec<Event> = live_in(data.path(), async |house| {
        // What was held runs again at once, and new work runs beside it.
        let done = house.dispatcher.run_task(task(json!(7)), LONG).await;
        assert_eq!(done.unwrap().task.result, Some(json!(7)));
        let ended = async {
            loop {
                let task = house.store.task(held).await.unwrap();
                if task.state.is_final() {
                    return task;
                }
                tokio::task::yield_now().await;
            }
        };
        let ended = tokio::time::timeout(LONG, ended).await.unwrap();
        assert_eq!(ended.state, TaskState::Succeeded, "{ended:?}");
        assert_eq!((ended.crash_attempts, ended.interruptions), (0, 1));
        let report = house.health.run(None).await.unwrap();
        let of_echo = report.check("agent.echo").unwrap();
        assert_eq!(of_echo.status, HealthStatus::Healthy, "{of_echo:?}");
        let echo = house.agents.agent(&"echo".parse().unwrap()).await.unwrap();
        assert_eq!(echo.restarts.total, 0);
        let store = house.store.clone();
        house.journal.flush(&store).await.unwrap();
        let found = store.events(troubles(), 100).await.unwrap();
        stop::close(house).await;
        found
    });
    assert_eq!(troubles, [], "{micros}");
}

#[test]
fn a_daemon_that_was_down_for_an_hour_holds_nobody_for_stalled_and_goes_on_with_what_it_held() {
    survives(-HOUR_MICROS);
}

#[test]
fn a_clock_that_was_set_back_an_hour_holds_nobody_for_stalled_and_nothing_waits_for_it() {
    survives(HOUR_MICROS);
}
