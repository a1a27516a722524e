//! Agents are killed while they work: whose fault is whose, and that nothing is done twice.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use super::{cycles, rest, seed, verdict};
use crate::daemon::{Daemon, binary};

/// A task, as its rows tell.
#[derive(Debug)]
struct Row {
    state: String,
    reason: Option<String>,
    attempt: u32,
    /// Deaths that were charged to it, and those that were not.
    alone: u32,
    among: u32,
    outcomes: Vec<String>,
}

fn rows(database: &Connection) -> Vec<Row> {
    let sql = "SELECT state, reason, attempt, crash_attempts, interruptions, \
               (SELECT group_concat(outcome) FROM task_attempts WHERE task_key = key) FROM tasks";
    let mut statement = database.prepare(sql).unwrap();
    let read = |row: &rusqlite::Row<'_>| {
        let outcomes: String = row.get(5)?;
        Ok(Row {
            state: row.get(0)?,
            reason: row.get(1)?,
            attempt: row.get(2)?,
            alone: row.get(3)?,
            among: row.get(4)?,
            outcomes: outcomes.split(',').map(str::to_owned).collect(),
        })
    };
    let rows = statement.query_map([], read).unwrap();
    rows.map(Result::unwrap).collect()
}

impl Row {
    fn count(&self, outcome: &str) -> u32 {
        let count = self.outcomes.iter().filter(|it| *it == outcome).count();
        u32::try_from(count).unwrap()
    }

    /// Each death is charged once; says how many there were.
    fn is_just(&self) -> u32 {
        // What was handed to one that had just died is an interruption as well.
        let died = self.count("crashed");
        let cut = died + self.count("interrupted");
        assert_eq!(self.outcomes.len(), self.attempt as usize, "{self:?}");
        assert_eq!(cut, self.alone + self.among, "{self:?}");
        if self.state == "dead" {
            let why = (self.alone, self.reason.as_deref());
            assert_eq!(why, (3, Some("poison")), "{self:?}");
        } else {
            assert_eq!(self.state, "succeeded", "{self:?}");
            assert_eq!(
                (self.count("succeeded"), self.attempt),
                (1, 1 + cut),
                "{self:?}"
            );
        }
        // Who was among several runs alone the next time, so its next deaths are its own.
        assert!(died <= self.alone + 1, "{self:?}");
        cut
    }
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
    let mut handed_in = 0;
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
    let rows = rows(&database);
    assert_eq!(rows.len(), handed_in);
    let deaths: u32 = rows.iter().map(Row::is_just).sum();
    println!("{cycles} kills of agents: {handed_in} tasks ended once, {deaths} executions cut");
}
