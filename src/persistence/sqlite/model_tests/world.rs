//! Database and model side by side: each thing is done to both, and what the store answers must be
//! what the model expects.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::clockwork::Clockwork;
use super::model::{Known, Model, Number};
use super::post::Post;
use super::{Op, Submission};
use crate::domain::ids::TaskId;
use crate::domain::name::Name;
use crate::domain::queue::{Limits, QueueSpec, Unique};
use crate::domain::task::{IdempotencyKey, NewTask, Target, TaskState};
use crate::domain::transition::{Command, WaitsFor, rank};
use crate::persistence::StoreError;
use crate::persistence::sqlite::tasks::harness::{Db, task_for};
use crate::persistence::sqlite::{prune, tasks};

const HOUR: Duration = Duration::from_secs(60 * 60);

pub(super) struct World {
    pub(super) db: Db,
    pub(super) model: Model,
    pub(super) clockwork: Clockwork,
    pub(super) post: Post,
}

fn seconds(count: impl Into<u64>) -> Duration {
    Duration::from_secs(count.into())
}

pub(super) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

const QUEUES: [&str; 2] = ["default", "bulk"];

fn target(to: usize) -> Target {
    match to {
        0 => Target::Agent(name("echo")),
        1 => Target::Agent(name("sum")),
        2 => Target::Role(name("worker")),
        3 => Target::Role(name("echo")),
        4 => Target::Queue(name("default")),
        _ => Target::Queue(name("bulk")),
    }
}

impl World {
    pub(super) fn new(limits: [(Limits, Limits); 2]) -> Self {
        let db = Db::new();
        let specs: BTreeMap<String, QueueSpec> = QUEUES
            .into_iter()
            .zip(limits)
            .map(|(queue, (limits, per_key))| {
                let spec = QueueSpec {
                    limits,
                    per_key,
                    ..QueueSpec::plain(name(queue))
                };
                (queue.to_owned(), spec)
            })
            .collect();
        db.rules.set(specs.values());
        let model = Model {
            now: db.now,
            tasks: Vec::new(),
            numbers: BTreeMap::new(),
            leases: Vec::new(),
            flows: Vec::new(),
            specs,
            pauses: BTreeMap::new(),
            starts: Vec::new(),
            idempotency: BTreeMap::new(),
        };
        let mut world = Self {
            db,
            model,
            clockwork: Clockwork::new(),
            post: Post::default(),
        };
        world.fire();
        world
    }

    pub(super) fn apply(&mut self, op: &Op) {
        match *op {
            Op::Submit(ref what) => self.submit(what),
            Op::Claim { free } => self.claim(free),
            Op::Settle { pick, late, how } => self.settle(pick, late, how),
            Op::Progress {
                pick,
                late,
                percent,
            } => self.progress(pick, late, percent),
            Op::Cancel { pick } => self.cancel(pick),
            Op::Retry { pick } => self.retry(pick),
            Op::Purge { pick } => self.purge(pick),
            Op::Wait { seconds } => self.wait(seconds),
            Op::Pause { bulk, seconds } => self.pause(bulk, seconds),
            Op::Resume { bulk } => self.resume(bulk),
            Op::Run { template } => self.run(template),
            Op::Signal {
                pick,
                which,
                payload,
            } => self.signal(pick, which, payload),
            Op::ExpireWaits => self.expire_waits(),
            Op::CancelFlow { pick } => self.cancel_flow(pick),
            Op::RetryFlow { pick } => self.retry_flow(pick),
            Op::Fire => self.fire(),
            Op::PauseSchedule { which, seconds } => self.pause_schedule(which, true, seconds),
            Op::ResumeSchedule { which } => self.pause_schedule(which, false, None),
            Op::Posted(ref what) => self.posted(what),
            Op::Prune => self.prune(),
            Op::DaemonDies => self.daemon_dies(),
        }
    }

    fn submit(&mut self, what: &Submission) {
        let task = self.new_task(what);
        let place = if what.to.is_multiple_of(2) { 0 } else { 2 };
        let offer = Self::offers([1, 0, 1]).swap_remove(place);
        let offered = Some(&offer).filter(|_| what.offered);
        let done = self.db.try_submit(&task, offered);
        let seen = what.idempotency.and_then(|(key, _)| self.seen(key));
        if seen.is_some_and(|(digest, _)| what.idempotency.is_some_and(|(_, it)| it != digest)) {
            assert!(
                matches!(done, Err(StoreError::IdempotencyMismatch(_))),
                "{done:?}"
            );
            return;
        }
        let done = done.unwrap();
        // Of what was purged nothing is known any more.
        let seen = seen.filter(|(_, first)| !self.model.tasks[*first].gone);
        let seen = seen.map(|(_, first)| first);
        let twin = what
            .unique
            .and_then(|(_, period)| self.twin(&task, period))
            .filter(|_| seen.is_none());
        assert_eq!(done.existing, seen.or(twin).is_some());
        assert_eq!(done.unique_conflict, twin.is_some());
        if let Some(first) = seen.or(twin) {
            assert_eq!(done.claimed, None);
            assert_eq!(Some(done.task.id), self.model.tasks[first].id);
            if twin.is_some() {
                self.remember(what, first);
            }
            return;
        }
        let number = self.add(&task);
        self.remember(what, number);
        let known = &self.model.tasks[number];
        let at_once = task.run_at.is_none()
            && !self.model.governed(known.queue())
            && offered.is_some_and(|offer| Self::fits(known, offer));
        assert_eq!(done.claimed.is_some(), at_once, "{what:?}");
        if let Some(claimed) = done.claimed {
            self.claimed(&claimed);
        }
    }

    fn new_task(&self, what: &Submission) -> NewTask {
        let now = self.model.now;
        NewTask {
            payload: json!({"n": self.model.tasks.len()}),
            priority: what.priority,
            max_attempts: what.attempts,
            run_at: what.delay.map(|delay| now.after(seconds(delay))),
            waiting_timeout: what.waiting.map(seconds),
            total_timeout: what.total.map(seconds),
            concurrency_key: what.key.map(|key| format!("key-{key}")),
            unique: what.unique.map(|(key, period)| Unique {
                key: format!("unique-{key}"),
                period: period.map(seconds),
                states: Unique::STATES.to_vec(),
            }),
            idempotency: what.idempotency.map(|(key, digest)| IdempotencyKey {
                key: key.to_string(),
                digest: [digest; 32],
            }),
            ..task_for(target(what.to))
        }
    }

    fn add(&mut self, task: &NewTask) -> Number {
        let now = self.model.now;
        let waits_for = if task.run_at.is_some() {
            WaitsFor::RunAt
        } else {
            WaitsFor::Slot
        };
        let run_at = task.run_at.unwrap_or(now);
        let known = Known::new(task.target.clone(), task.max_attempts, waits_for, now);
        self.model.add(Known {
            id: Some(task.id),
            priority: task.priority,
            rank: rank(run_at, task.priority),
            run_at,
            payload: Some(task.payload.clone()),
            key: task.concurrency_key.clone(),
            unique: task.unique.as_ref().map(|it| it.key.clone()),
            waiting: task.waiting_timeout,
            total: task.total_timeout,
            ..known
        })
    }

    /// The digest and the task of a key that was used within a day.
    fn seen(&self, key: u8) -> Option<(u8, Number)> {
        let oldest = self.model.now.before(HOUR * 24);
        let seen = self.model.idempotency.get(&key).copied();
        let young = seen.filter(|(.., at)| *at > oldest);
        young.map(|(digest, first, _)| (digest, first))
    }

    fn remember(&mut self, what: &Submission, number: Number) {
        if let Some((key, digest)) = what.idempotency {
            let now = self.model.now;
            self.model.idempotency.insert(key, (digest, number, now));
        }
    }

    fn twin(&self, task: &NewTask, period: Option<u8>) -> Option<Number> {
        let key = task.unique.as_ref().map(|it| it.key.as_str());
        let young = |it: &Known| {
            period.is_none_or(|span| it.created_at > self.model.now.before(seconds(span)))
        };
        let counts = |it: &Known| Unique::STATES.contains(&it.state());
        let all = self
            .model
            .all(|it| it.unique.as_deref() == key && young(it) && counts(it));
        all.last().copied()
    }

    fn cancel(&mut self, pick: usize) {
        let Some(number) = self.model.nth(pick) else {
            return;
        };
        let id = self.model.tasks[number].id.unwrap();
        let lease = self.model.tasks[number].lease();
        let done = self.db.cancel(id);
        let legal = self.model.step_on(number, Command::Cancel, None);
        assert_eq!(done.is_ok(), legal, "{done:?}");
        if let (Ok(done), Some(lease)) = (done, lease) {
            assert_eq!(done.running, [(id, lease)], "its agent is told");
        }
        self.bind_flows();
    }

    fn retry(&mut self, pick: usize) {
        let Some(number) = self.model.nth(pick) else {
            return;
        };
        let task = &self.model.tasks[number];
        let (id, of_flow, ended) = (task.id.unwrap(), task.of.is_some(), task.state().is_final());
        let done = self.db.retry(id);
        if ended && of_flow {
            assert!(matches!(done, Err(StoreError::Conflict(_))), "{done:?}");
            return;
        }
        let now = ended.then_some(self.model.now);
        assert_eq!(done.is_ok(), self.model.step(number, Command::Retry, now));
    }

    fn purge(&mut self, pick: usize) {
        let Some(number) = self.model.nth(pick) else {
            return;
        };
        let task = &mut self.model.tasks[number];
        let id = task.id.unwrap();
        let done = self.db.purge(id);
        let may = task.state() == TaskState::Dead && task.of.is_none();
        assert_eq!(done.is_ok(), may, "{done:?}");
        task.gone = may;
    }

    fn wait(&mut self, span: u32) {
        self.db.now = self.db.now.after(seconds(span));
        self.model.now = self.db.now;
        let running = |it: &Known| it.lease().is_some();
        let held: Vec<_> = self.model.all(running);
        let done = self.db.due();
        self.model.fall_due();
        self.bind_flows();
        let ended = held
            .into_iter()
            .filter(|number| !running(&self.model.tasks[*number]));
        let mut stop: Vec<TaskId> = ended.map(|it| self.model.tasks[it].id.unwrap()).collect();
        let mut told: Vec<TaskId> = done.stop.iter().map(|(id, _)| *id).collect();
        stop.sort();
        told.sort();
        assert_eq!(told, stop, "agents are told of what timed out");
        let next = self.model.next_due().map(|at| at.since(self.model.now));
        assert_eq!(done.next, next);
    }

    fn pause(&mut self, bulk: bool, span: Option<u8>) {
        let queue = QUEUES[usize::from(bulk)];
        let until = span.map(|span| self.model.now.after(seconds(span)));
        self.db.pause(&name(queue), until);
        self.model.pauses.insert(queue.to_owned(), until);
    }

    fn resume(&mut self, bulk: bool) {
        let queue = QUEUES[usize::from(bulk)];
        self.db.resume(&name(queue));
        self.model.pauses.remove(queue);
    }

    fn prune(&mut self) {
        self.db.write(prune::prune_in).unwrap();
        self.model.prune();
        self.post.prune(self.model.now);
    }

    fn daemon_dies(&mut self) {
        self.db.begin_session();
        let session = self.db.session;
        self.db.write(|tx| tasks::rescue(tx, session)).unwrap();
        for number in self.model.all(|it| it.lease().is_some()) {
            assert!(self.model.step_on(number, Command::Interrupt, None));
        }
        self.bind_flows();
    }
}
