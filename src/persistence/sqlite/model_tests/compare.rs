//! Whether database and model hold the same.

use std::collections::BTreeMap;

use super::Op;
use super::model::{Known, Number};
use super::world::World;
use crate::domain::task::TaskState;
use crate::domain::timestamp::Timestamp;
use crate::persistence::sqlite::tasks::census;

impl World {
    /// The cheap half, after each step: how many tasks stand where.
    pub(super) fn agrees_roughly(&self, op: &Op) {
        let sql = "SELECT state, count(*) FROM tasks GROUP BY state";
        let mut statement = self.db.conn.prepare_cached(sql).unwrap();
        let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        let found: BTreeMap<TaskState, u32> = found.unwrap().map(Result::unwrap).collect();
        let mut wanted: BTreeMap<TaskState, u32> = BTreeMap::new();
        for (_, it) in self.model.present() {
            *wanted.entry(it.state()).or_default() += 1;
        }
        assert_eq!(found, wanted, "after {op:?}");
    }

    /// All of it.
    pub(super) fn agrees(&self) {
        for (number, it) in self.model.present() {
            self.task_agrees(number, it);
        }
        self.nothing_is_left_of_what_is_gone();
        for flow in self.model.flows.iter().filter(|it| !it.gone) {
            let workflow = self.db.workflow(flow.id);
            assert_eq!(workflow.state, flow.state, "{flow:#?}");
            assert_eq!(workflow.finished_at, flow.finished_at);
        }
        self.messages_agree();
        self.journal_agrees();
        self.queues_agree();
    }

    /// What is counted by indexes is what stands there.
    fn queues_agree(&self) {
        let sql = "SELECT queue, state, count(*), min(created_at) FROM tasks GROUP BY queue, state";
        let mut statement = self.db.conn.prepare_cached(sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        let (mut all, mut oldest) = (BTreeMap::new(), BTreeMap::new());
        while let Some(row) = rows.next().unwrap() {
            let (queue, state): (String, String) = (row.get(0).unwrap(), row.get(1).unwrap());
            if state == "queued" {
                oldest.insert(queue.clone(), row.get::<_, Timestamp>(3).unwrap());
            }
            let count = row.get::<_, i64>(2).unwrap().unsigned_abs();
            all.insert((queue, state), count);
        }
        let counted = census::now(&self.db.conn);
        let each = counted.iter().flat_map(|it| {
            let queue = it.queue.to_string();
            it.tasks
                .iter()
                .map(move |(state, count)| ((queue.clone(), state.clone()), *count))
        });
        assert_eq!(each.collect::<BTreeMap<_, _>>(), all);
        let told = counted
            .iter()
            .filter_map(|it| Some((it.queue.to_string(), it.oldest_queued_at?)));
        assert_eq!(told.collect::<BTreeMap<_, _>>(), oldest);
    }

    fn task_agrees(&self, number: Number, it: &Known) {
        let task = self.db.task(it.id.unwrap());
        let standing = it.standing;
        let counters = (task.attempt, task.crash_attempts, task.interruptions);
        let wanted = (
            standing.attempt,
            standing.crash_attempts,
            standing.interruptions,
        );
        assert_eq!(task.state, it.state(), "task {number}");
        assert_eq!(counters, wanted, "task {number}");
        assert_eq!(task.max_attempts, standing.max_attempts);
        assert_eq!(
            task.reason.as_deref(),
            standing.cause.map(|cause| cause.as_str()),
            "task {number}"
        );
        assert_eq!(task.lease.as_ref().map(|lease| lease.id), it.lease());
        assert_eq!(task.finished_at, it.finished_at, "task {number} {it:?}");
        assert_eq!(task.created_at, it.created_at);
        assert_eq!(task.run_at, it.run_at, "task {number}");
        assert_eq!(task.expires_at, it.expires_at, "task {number}");
        assert_eq!(task.result, it.result, "task {number}");
        assert_eq!(task.concurrency_key, it.key);
        assert_eq!(task.progress.and_then(|it| it.percent), it.percent);
        if let Some(payload) = &it.payload {
            assert_eq!(task.payload, *payload, "task {number}");
        }
        let attempts = self.db.attempts(task.id);
        assert_eq!(attempts.len(), it.executions.len(), "one row an execution");
        for (place, (row, execution)) in attempts.iter().zip(&it.executions).enumerate() {
            assert_eq!(row.attempt as usize, place + 1);
            assert_eq!(row.lease_id, execution.lease);
            assert_eq!(row.outcome, execution.outcome.unwrap_or("running"));
            let late = row.stale_result.as_ref().map(|it| it.outcome.as_str());
            assert_eq!(late, execution.late);
        }
    }

    fn nothing_is_left_of_what_is_gone(&self) {
        let count = |sql| {
            let rows: u32 = self.db.conn.query_row(sql, [], |row| row.get(0)).unwrap();
            rows as usize
        };
        let executions = self.model.present().map(|(_, it)| it.executions.len());
        assert_eq!(
            count("SELECT count(*) FROM task_attempts"),
            executions.sum::<usize>()
        );
        let flows = self.model.flows.iter().filter(|it| !it.gone).count();
        assert_eq!(count("SELECT count(*) FROM workflows"), flows);
        let orphans = "SELECT count(*) FROM workflow_waits WHERE task_key NOT IN \
                       (SELECT key FROM tasks)";
        assert_eq!(count(orphans), 0);
    }

    /// Every execution began once in the journal, and nothing succeeded twice.
    fn journal_agrees(&self) {
        let mut told: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for event in &self.db.events {
            *told.entry((&event.subject, &event.kind)).or_default() += 1;
        }
        for (_, it) in self.model.present() {
            let id = it.id.unwrap().to_string();
            let count = |kind| told.get(&(id.as_str(), kind)).copied().unwrap_or(0);
            assert_eq!(count("task.created"), 1);
            assert_eq!(count("task.started"), it.executions.len());
            assert_eq!(
                count("task.succeeded"),
                usize::from(it.state() == TaskState::Succeeded)
            );
            let late = it.executions.iter().filter(|it| it.late.is_some()).count();
            assert_eq!(count("task.stale_result"), late);
        }
    }
}
