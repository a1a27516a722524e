//! Numbers of lives over lives of the daemon.

use futures_util::FutureExt as _;

use super::{eventually, live_in, live_with};
use crate::actors::supervisor::SupervisorHandle;
use crate::app::boot::House;
use crate::app::stop;
use crate::domain::agent::AgentTarget;

async fn next_life(agents: &SupervisorHandle, after: u64) -> u64 {
    eventually("a life", || {
        let agents = agents.clone();
        async move {
            let echo = agents.agent(&"echo".parse().unwrap()).await.unwrap();
            let ready = echo.replicas.ready == 1 && echo.generation > after;
            ready.then_some(echo.generation)
        }
        .boxed()
    })
    .await
}

/// Some lives in a row; gives the number of the last.
async fn some_lives(house: &House) -> u64 {
    let mut last = next_life(&house.agents, 0).await;
    for _ in 0..3 {
        let echo: AgentTarget = "echo".parse().unwrap();
        house.agents.restart(echo).await.unwrap();
        last = next_life(&house.agents, last).await;
    }
    last
}

#[test]
fn a_daemon_that_ends_as_told_skips_no_number() {
    let data = tempfile::tempdir().unwrap();
    let last = live_in(data.path(), async |house| {
        let last = some_lives(&house).await;
        stop::close(house).await;
        last
    });
    assert_eq!(last, 4);
    let record = live_in_store(data.path());
    assert_eq!(record, last);
}

#[test]
fn no_number_is_used_twice_though_the_database_was_away_for_more_lives_than_are_reserved() {
    let data = tempfile::tempdir().unwrap();
    let database = data.path().join("agent-system.db");
    let away = data.path().join("away");
    let dies_often = r#"
        group = "wild"
        restart = { min_backoff = "1ms", max_backoff = "1ms" }
        [groups.wild]
        intensity = "unlimited"
        loop = { deaths = 100_000, max_gap = "1s" }
    "#;
    let last = live_with(data.path(), dies_often, async |house| {
        let mut last = some_lives(&house).await;
        std::fs::rename(&database, &away).unwrap();
        for _ in 0..300 {
            assert!(house.agents.explode_child("echo").await);
            last = next_life(&house.agents, last).await;
        }
        // Dropped: it ends as if it were killed.
        last
    });
    std::fs::rename(&away, &database).unwrap();
    live_in(data.path(), async |house| {
        assert!(next_life(&house.agents, 0).await > last);
        stop::close(house).await;
    });
}

/// What the store holds of the agent's numbers.
fn live_in_store(data: &std::path::Path) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let options = crate::persistence::SqliteOptions::new(data.join("agent-system.db"));
        let store = crate::persistence::Store::open(options).await.unwrap();
        let agents = store.agents().await.unwrap();
        store.close().await.unwrap();
        agents[0].generation
    })
}
