//! Agents are killed while they work: whose fault is whose, and that nothing is done twice.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use super::{cycles, rest, seed, verdict};
use crate::daemon::{Daemon, binary};

/// One execution, as its row tells.
#[derive(Debug, Clone)]
struct Execution {
    task: i64,
    attempt: u32,
    outcome: String,
}

fn executions(database: &Connection) -> Vec<Execution> {
    let sql = "SELECT task_key, attempt, outcome FROM task_attempts ORDER BY task_key, attempt";
    let mut statement = database.prepare(sql).unwrap();
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Execution {
            task: row.get(0)?,
            attempt: row.get(1)?,
            outcome: row.get(2)?,
        })
    };
    let rows = statement.query_map([], read).unwrap();
    rows.map(Result::unwrap).collect()
}

fn pids(daemon: &Daemon, agent: &str) -> Vec<u32> {
    let (_, agent) = daemon.get(&format!("/api/v1/agents/{agent}"));
    let agent: Value = serde_json::from_str(&agent).unwrap();
    let instances = agent["instances"].as_array().unwrap();
    let pid = |it: &Value| u32::try_from(it["pid"].as_u64()?).ok();
    instances.iter().filter_map(pid).collect()
}

#[test]
fn a_storm_of_killed_agents_charges_deaths_to_whom_they_belong_and_finishes_each_task_once() {
    let (seed, cycles) = (seed(), cycles());
    let mut draw = StdRng::seed_from_u64(seed);
    let daemon = Daemon::configured(&format!(
        "[agents.flaky]\nkind = 'process'\ncommand = ['{}', 'sample-agent', 'flaky']\n\
         replicas = 2\nconcurrency = 3\ngroup = 'all'\n\
         restart = {{ min_backoff = '10ms', max_backoff = '20ms' }}\n\
         [groups.all]\nintensity = 'unlimited'\n",
        binary().display()
    ));
    let mut handed_in = 0_u64;
    let mut submit = |payload: Value| {
        handed_in += 1;
        let body = json!({"agent": "flaky", "payload": payload});
        let (status, answer) = daemon.post("/api/v1/tasks", &body.to_string());
        assert!(status == 201 || status == 202, "{status} {answer}");
    };
    submit(json!({"crash": true}));
    for _ in 0..cycles {
        for _ in 0..4 {
            submit(json!({"sleep_ms": draw.random_range(0..40)}));
        }
        rest(draw.random_range(Duration::ZERO..Duration::from_millis(120)));
        let standing = pids(&daemon, "flaky");
        if !standing.is_empty() {
            let unlucky = standing[draw.random_range(0..standing.len())];
            // It may have ended by itself meanwhile.
            drop(
                std::process::Command::new("kill")
                    .args(["-9", &unlucky.to_string()])
                    .status(),
            );
        }
    }
    verdict::everything_ends(&daemon);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = Connection::open_with_flags(daemon.database(), flags).unwrap();
    let all = executions(&database);
    let sql = "SELECT key, state, attempt, crash_attempts, interruptions, reason FROM tasks";
    let mut statement = database.prepare(sql).unwrap();
    let mut rows = statement.query([]).unwrap();
    let (mut tasks, mut deaths) = (0, 0);
    while let Some(row) = rows.next().unwrap() {
        let key: i64 = row.get(0).unwrap();
        let state: String = row.get(1).unwrap();
        let (attempt, alone, among): (u32, u32, u32) = (
            row.get(2).unwrap(),
            row.get(3).unwrap(),
            row.get(4).unwrap(),
        );
        let of: Vec<_> = all.iter().filter(|it| it.task == key).cloned().collect();
        // What was handed to one that had just died is an interruption as well.
        let cut = |it: &&Execution| matches!(it.outcome.as_str(), "crashed" | "interrupted");
        let crashed = of.iter().filter(cut).count();
        assert_eq!(of.len(), attempt as usize);
        assert_eq!(
            crashed,
            (alone + among) as usize,
            "each death is charged once: {of:?}"
        );
        if state == "dead" {
            assert_eq!(
                (alone, row.get::<_, String>(5).unwrap()),
                (3, "poison".into()),
                "{of:?}"
            );
        } else {
            assert_eq!(state, "succeeded", "{of:?}");
            assert_eq!(attempt, 1 + alone + among, "{of:?}");
        }
        // Who was among several runs alone the next time, so its next deaths are its own.
        let died = of.iter().filter(|it| it.outcome == "crashed").count();
        assert!(died <= alone as usize + 1, "{of:?}");
        (tasks, deaths) = (tasks + 1, deaths + crashed);
    }
    assert_eq!(tasks, handed_in);
    println!("{cycles} kills of agents: {tasks} tasks ended once, {deaths} executions died");
}
