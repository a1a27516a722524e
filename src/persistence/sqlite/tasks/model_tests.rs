//! The store against a simple model of it: random sequences of operations must agree in every
//! task's state, counters and lease, and in who is claimed next.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::harness::{Db, for_agent, slots};
use super::*;
use crate::domain::task::{Outcome, TaskError};
use crate::domain::timestamp::Timestamp;
use crate::domain::transition::{Command, Standing, WaitsFor, rank, transition};

#[derive(Debug, Clone)]
enum Op {
    Submit {
        priority: u8,
        delay: Option<u8>,
        offered: bool,
    },
    Claim {
        free: u32,
    },
    /// `pick` chooses among all leases ever given, so that many are late.
    Settle {
        pick: usize,
        how: u8,
    },
    Cancel {
        pick: usize,
    },
    Retry {
        pick: usize,
    },
    Wait {
        seconds: u8,
    },
    DaemonDies,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1..=9u8, proptest::option::of(1..5u8), any::<bool>())
            .prop_map(|(priority, delay, offered)| Op::Submit { priority, delay, offered }),
        4 => (0..4u32).prop_map(|free| Op::Claim { free }),
        6 => (any::<usize>(), 0..8u8).prop_map(|(pick, how)| Op::Settle { pick, how }),
        1 => any::<usize>().prop_map(|pick| Op::Cancel { pick }),
        1 => any::<usize>().prop_map(|pick| Op::Retry { pick }),
        2 => (0..4u8).prop_map(|seconds| Op::Wait { seconds }),
        1 => Just(Op::DaemonDies),
    ]
}

/// What the model knows of a task.
#[derive(Debug, Clone)]
struct Known {
    standing: Standing,
    priority: u8,
    rank: i64,
    run_at: Timestamp,
    lease: Option<LeaseId>,
}

struct World {
    db: Db,
    tasks: BTreeMap<TaskId, Known>,
    leases: Vec<(TaskId, LeaseId)>,
}

impl World {
    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Submit {
                priority,
                delay,
                offered,
            } => self.submit(priority, delay, offered),
            Op::Claim { free } => self.claim(free),
            Op::Settle { pick, how } => self.settle(pick, how),
            Op::Cancel { pick } => self.by_hand(pick, Command::Cancel),
            Op::Retry { pick } => self.by_hand(pick, Command::Retry),
            Op::Wait { seconds } => self.wait(seconds),
            Op::DaemonDies => self.daemon_dies(),
        }
    }

    fn submit(&mut self, priority: u8, delay: Option<u8>, offered: bool) {
        let mut task = NewTask {
            priority,
            max_attempts: 2,
            ..for_agent("echo")
        };
        task.run_at = delay.map(|delay| self.db.now.after(Duration::from_secs(delay.into())));
        let run_at = task.run_at.unwrap_or(self.db.now);
        let waits_for = if delay.is_some() {
            WaitsFor::RunAt
        } else {
            WaitsFor::Slot
        };
        let done = match offered {
            true => self.db.offer(&task, &slots("echo", 0, 1)),
            false => self.db.submit(&task),
        };
        let rank = rank(run_at, priority);
        // A retry by hand does not wait for the instant first asked for.
        let standing = Standing {
            waits_for: WaitsFor::Slot,
            ..Standing::accepted(2, waits_for)
        };
        self.tasks.insert(
            task.id,
            Known {
                standing,
                priority,
                rank,
                run_at,
                lease: None,
            },
        );
        assert_eq!(done.claimed.is_some(), offered && delay.is_none());
        if let Some(claimed) = done.claimed {
            self.claimed(claimed.id, claimed.lease_id);
        }
    }

    fn claimed(&mut self, id: TaskId, lease: LeaseId) {
        self.step(id, Command::Claim);
        self.tasks.get_mut(&id).unwrap().lease = Some(lease);
        self.leases.push((id, lease));
    }

    /// Moves the model; says whether the command was legal.
    fn step(&mut self, id: TaskId, command: Command) -> bool {
        let known = self.tasks.get_mut(&id).unwrap();
        let Ok(next) = transition(known.standing, command) else {
            return false;
        };
        known.standing = next;
        if next.state != TaskState::Running {
            known.lease = None;
        }
        true
    }

    fn claim(&mut self, free: u32) {
        let mut queued: Vec<_> = self
            .tasks
            .iter()
            .filter(|(_, it)| it.standing.state == TaskState::Queued)
            .collect();
        // Ids made later sort later, as keys do.
        queued.sort_by_key(|(id, it)| (it.rank, **id));
        let wanted: Vec<_> = queued
            .into_iter()
            .map(|(id, _)| *id)
            .take(free as usize)
            .collect();
        let got = self.db.claim(&[slots("echo", 0, free)]);
        assert_eq!(got.iter().map(|task| task.id).collect::<Vec<_>>(), wanted);
        for task in got {
            self.claimed(task.id, task.lease_id);
        }
    }

    fn settle(&mut self, pick: usize, how: u8) {
        if self.leases.is_empty() {
            return;
        }
        let (id, lease) = self.leases[pick % self.leases.len()];
        let error = |retryable| TaskError {
            code: "e".into(),
            message: "m".into(),
            retryable,
        };
        let reason = "r".to_owned();
        let (outcome, command) = match how {
            0 | 1 => (Outcome::Succeeded(json!(how)), Command::Succeed),
            2 => (Outcome::Failed(error(true)), Command::FailRetryable),
            3 => (Outcome::Failed(error(false)), Command::FailFinal),
            4 => (Outcome::TimedOut, Command::AttemptTimeout),
            5 => (Outcome::Interrupted { reason }, Command::Interrupt),
            6 => (
                Outcome::AgentDied {
                    alone: true,
                    reason,
                },
                Command::AgentDied { alone: true },
            ),
            _ => (
                Outcome::AgentDied {
                    alone: false,
                    reason,
                },
                Command::AgentDied { alone: false },
            ),
        };
        let before = self.db.task(id);
        let holds = self.tasks[&id].lease == Some(lease);
        let settled = self.db.settle(id, lease, outcome);
        if holds {
            assert!(self.step(id, command) && !settled.stale);
            let run_at = self.db.now.after(Duration::from_secs(1));
            let known = self.tasks.get_mut(&id).unwrap();
            if known.standing.state == TaskState::Retrying {
                known.run_at = run_at;
            }
        } else {
            assert_eq!(self.db.task(id), before, "a late result changes nothing");
        }
    }

    fn by_hand(&mut self, pick: usize, command: Command) {
        let Some(id) = self
            .tasks
            .keys()
            .nth(pick % self.tasks.len().max(1))
            .copied()
        else {
            return;
        };
        let before = self.tasks[&id].standing;
        let legal = self.step(id, command);
        let done = match command {
            Command::Cancel => self.db.write(|tx| control::cancel(tx, id, "no")).map(drop),
            _ => self.db.write(|tx| control::retry(tx, id)).map(drop),
        };
        assert_eq!(done.is_ok(), legal, "{command:?} in {before:?}: {done:?}");
        let now = self.db.now;
        let known = self.tasks.get_mut(&id).unwrap();
        if command == Command::Retry && before != known.standing {
            known.run_at = now;
            known.rank = rank(now, known.priority);
        }
    }

    fn wait(&mut self, seconds: u8) {
        self.db.wait(Duration::from_secs(seconds.into()));
        let due: Vec<_> = self
            .tasks
            .iter()
            .filter(|(_, it)| it.run_at <= self.db.now)
            .filter(|(_, it)| {
                matches!(
                    it.standing.state,
                    TaskState::Scheduled | TaskState::Retrying
                )
            })
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.step(id, Command::Due);
            let known = self.tasks.get_mut(&id).unwrap();
            known.rank = rank(known.run_at, known.priority);
        }
    }

    fn daemon_dies(&mut self) {
        self.db.begin_session();
        let session = self.db.session;
        self.db.write(|tx| rescue(tx, session)).unwrap();
        let running: Vec<_> = self
            .tasks
            .iter()
            .filter(|(_, it)| it.lease.is_some())
            .map(|(id, _)| *id)
            .collect();
        for id in running {
            self.step(id, Command::Interrupt);
        }
    }

    fn agrees(&self) {
        for (id, known) in &self.tasks {
            let task = self.db.task(*id);
            let it = known.standing;
            assert_eq!(
                (
                    task.state,
                    task.attempt,
                    task.crash_attempts,
                    task.interruptions,
                    task.max_attempts
                ),
                (
                    it.state,
                    it.attempt,
                    it.crash_attempts,
                    it.interruptions,
                    it.max_attempts
                )
            );
            assert_eq!(task.reason.as_deref(), it.cause.map(|cause| cause.as_str()));
            assert_eq!(task.lease.map(|lease| lease.id), known.lease);
            assert_eq!(task.finished_at.is_some(), it.state.is_final());
            assert_eq!(task.result.is_some(), it.state == TaskState::Succeeded);
            let attempts = list::attempts(&self.db.conn, *id).unwrap();
            assert_eq!(attempts.len(), it.attempt as usize, "one row an execution");
            let open = attempts
                .iter()
                .filter(|row| row.outcome == "running")
                .count();
            assert_eq!(
                open,
                usize::from(known.lease.is_some()),
                "one open execution at most"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn the_store_agrees_with_the_model(ops in proptest::collection::vec(op(), 1..60)) {
        let mut world = World { db: Db::new(), tasks: BTreeMap::new(), leases: Vec::new() };
        for op in &ops {
            world.apply(op);
        }
        world.agrees();
    }
}
