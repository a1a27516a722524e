//! What one claim costs, by the number of finished tasks in the table.

use std::path::Path;
use std::time::{Duration, Instant};

use agent_system::clock;
use agent_system::domain::agent::InstanceId;
use agent_system::domain::ids::TaskId;
use agent_system::domain::query::SlotOffer;
use agent_system::domain::task::{NewTask, Target};
use agent_system::persistence::{SqliteOptions, Store, Synchronous};
use tokio::runtime::Runtime;

use super::common;

/// Claims of each measurement, one task each.
const CLAIMS: u64 = 2_000;
/// Finished tasks that stand in the table.
const FINISHED: [i64; 3] = [1_000, 100_000, 1_000_000];
/// A claim among the most may cost so many times one among the least.
const BAR: f64 = 1.5;

/// Prints the median of a claim for each number of finished tasks.
pub(crate) fn run(dir: &Path) -> bool {
    let spans = FINISHED.map(|finished| {
        let path = dir.join(format!("claims-{finished}.db"));
        fill(&path, finished);
        let span = median(&path);
        println!("a claim among {finished} finished tasks: p50 {span:?}");
        span
    });
    let ratio = spans[2].as_secs_f64() / spans[0].as_secs_f64();
    super::verdict(
        "claim among 10^6 finished to one among 10^3",
        ratio,
        BAR,
        ratio <= BAR,
    )
}

fn fill(path: &Path, finished: i64) {
    let conn = common::open(path);
    conn.execute_batch("PRAGMA synchronous = OFF; BEGIN")
        .expect("it begins");
    conn.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO tasks (id, name, agent, queue, state, priority, rank, payload, result, attempt,
             max_attempts, timeout_ms, run_at, created_at, started_at, finished_at)
         SELECT randomblob(16), 'done', 'worker', 'default', 'succeeded', 5, i, x'0031', x'0031', 1,
             3, 900000, ?2, ?2, ?2, ?2 FROM n",
        (finished, clock::now().as_micros()),
    )
    .expect("finished tasks");
    conn.execute_batch("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)")
        .expect("it commits");
}

fn median(path: &Path) -> Duration {
    let options = SqliteOptions {
        // What is measured is the claim, not the disk.
        synchronous: Synchronous::Normal,
        ..SqliteOptions::new(path)
    };
    Runtime::new().expect("a runtime").block_on(async {
        let store = Store::open(options).await.expect("it opens");
        let session = store
            .begin_session("bench", 1, Duration::from_secs(600))
            .await;
        let session = session.expect("a session").session.id;
        let worker: agent_system::domain::name::Name = "worker".parse().expect("a name");
        for _ in 0..CLAIMS {
            let id = TaskId::from_bytes(clock::new_id());
            let target = Target::Agent(worker.clone());
            let task = NewTask::plain(id, "t".into(), target, serde_json::Value::Null);
            store
                .create_task(session, task, None)
                .await
                .expect("a task");
        }
        let mut spans = Vec::new();
        for _ in 0..CLAIMS {
            let offer = SlotOffer {
                instance: InstanceId {
                    agent: worker.clone(),
                    index: 0,
                },
                role: None,
                queue: "default".parse().expect("a name"),
                free: 1,
                reserve: None,
            };
            let began = Instant::now();
            let claimed = store.claim(session, vec![offer]).await.expect("a claim");
            spans.push(began.elapsed());
            assert_eq!(claimed.tasks.len(), 1, "a task for each claim");
        }
        store.close().await.expect("it closes");
        spans.sort_unstable();
        spans[spans.len() / 2]
    })
}
