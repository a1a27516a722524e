//! The model: what the store should hold, as plain values.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::flows::Flow;
use crate::domain::ids::{LeaseId, TaskId};
use crate::domain::queue::{Limits, QueueSpec};
use crate::domain::task::{Target, TaskState};
use crate::domain::timestamp::Timestamp;
use crate::domain::transition::{Command, Standing, WaitsFor, rank, transition};

/// A task's place in the model, in the order of creation.
pub(super) type Number = usize;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// One execution of a task.
#[derive(Debug, Clone)]
pub(super) struct Execution {
    pub(super) lease: LeaseId,
    /// How it ended; none while it goes on.
    pub(super) outcome: Option<&'static str>,
    /// What came after its end.
    pub(super) late: Option<&'static str>,
}

/// What the model knows of a task.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// Not known before the database has made it.
    pub(super) id: Option<TaskId>,
    pub(super) standing: Standing,
    pub(super) target: Target,
    pub(super) priority: u8,
    pub(super) rank: i64,
    pub(super) run_at: Timestamp,
    pub(super) created_at: Timestamp,
    pub(super) finished_at: Option<Timestamp>,
    /// Absent: not looked at.
    pub(super) payload: Option<Value>,
    pub(super) result: Option<Value>,
    pub(super) key: Option<String>,
    pub(super) unique: Option<String>,
    pub(super) waiting: Option<Duration>,
    pub(super) total: Option<Duration>,
    pub(super) total_until: Option<Timestamp>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) percent: Option<f64>,
    /// Its workflow, step and item.
    pub(super) of: Option<(usize, usize, Option<usize>)>,
    pub(super) executions: Vec<Execution>,
    /// Pruned or purged.
    pub(super) gone: bool,
}

impl Known {
    pub(super) fn new(target: Target, attempts: u32, waits_for: WaitsFor, now: Timestamp) -> Self {
        Self {
            id: None,
            // A retry by hand waits for nothing that the submission waited for.
            standing: Standing {
                waits_for: WaitsFor::Slot,
                ..Standing::accepted(attempts, waits_for)
            },
            target,
            priority: 5,
            rank: rank(now, 5),
            run_at: now,
            created_at: now,
            finished_at: None,
            payload: None,
            result: None,
            key: None,
            unique: None,
            waiting: None,
            total: None,
            total_until: None,
            expires_at: None,
            percent: None,
            of: None,
            executions: Vec::new(),
            gone: false,
        }
    }

    pub(super) fn state(&self) -> TaskState {
        self.standing.state
    }

    /// The lease that holds now.
    pub(super) fn lease(&self) -> Option<LeaseId> {
        let last = self.executions.last()?;
        (last.outcome.is_none()).then_some(last.lease)
    }

    pub(super) fn queue(&self) -> &str {
        match &self.target {
            Target::Agent(_) | Target::Role(_) => "default",
            Target::Queue(queue) => queue.as_str(),
        }
    }

    fn arm(&mut self, ready_at: Timestamp, anew: bool) {
        if anew {
            self.total_until = self.total.map(|span| ready_at.after(span));
        }
        let waits = matches!(
            self.state(),
            TaskState::Scheduled | TaskState::Queued | TaskState::Retrying
        );
        let waiting = self.waiting.filter(|_| waits);
        let total = self.total_until.filter(|_| !self.state().is_final());
        self.expires_at = waiting
            .map(|span| ready_at.after(span))
            .into_iter()
            .chain(total)
            .min();
    }
}

/// Everything.
pub(super) struct Model {
    pub(super) now: Timestamp,
    pub(super) tasks: Vec<Known>,
    pub(super) numbers: BTreeMap<TaskId, Number>,
    pub(super) leases: Vec<(Number, LeaseId)>,
    pub(super) flows: Vec<Flow>,
    pub(super) specs: BTreeMap<String, QueueSpec>,
    pub(super) pauses: BTreeMap<String, Option<Timestamp>>,
    /// Starts: queue, key, when.
    pub(super) starts: Vec<(String, Option<String>, Timestamp)>,
    /// By key: digest, task, when.
    pub(super) idempotency: BTreeMap<u8, (u8, Number, Timestamp)>,
}

impl Model {
    pub(super) fn add(&mut self, task: Known) -> Number {
        let number = self.tasks.len();
        if let Some(id) = task.id {
            self.numbers.insert(id, number);
        }
        let mut task = task;
        task.arm(task.run_at, true);
        self.tasks.push(task);
        number
    }

    pub(super) fn bind(&mut self, number: Number, id: TaskId) {
        self.tasks[number].id = Some(id);
        self.numbers.insert(id, number);
    }

    /// What is there.
    pub(super) fn present(&self) -> impl Iterator<Item = (Number, &Known)> {
        self.tasks.iter().enumerate().filter(|(_, it)| !it.gone)
    }

    pub(super) fn nth(&self, pick: usize) -> Option<Number> {
        let present: Vec<_> = self.present().map(|(number, _)| number).collect();
        (!present.is_empty()).then(|| present[pick % present.len()])
    }

    /// Moves a task; false if that is not legal. `ready` is its new instant, if it has one.
    pub(super) fn step(
        &mut self,
        number: Number,
        command: Command,
        ready: Option<Timestamp>,
    ) -> bool {
        let now = self.now;
        let task = &mut self.tasks[number];
        let Ok(next) = transition(task.standing, command) else {
            return false;
        };
        if next == task.standing {
            return true;
        }
        let was_final = task.state().is_final();
        let was_running = task.state() == TaskState::Running;
        task.standing = Standing {
            waits_for: WaitsFor::Slot,
            ..next
        };
        if let Some(at) = ready {
            task.run_at = at;
            task.rank = rank(at, task.priority);
        }
        if was_running && next.state != TaskState::Running {
            let word = outcome_word(command);
            if let Some(last) = task.executions.last_mut() {
                last.outcome = Some(word);
            }
        }
        task.result = task
            .result
            .take()
            .filter(|_| next.state == TaskState::Succeeded);
        if !(was_final && next.state.is_final()) {
            task.finished_at = next.state.is_final().then_some(now);
        }
        if task.waiting.is_some() || task.total.is_some() {
            task.arm(ready.unwrap_or(now), was_final && !next.state.is_final());
        }
        true
    }

    /// The same, and on with its workflow if it has ended.
    pub(super) fn step_on(
        &mut self,
        number: Number,
        command: Command,
        ready: Option<Timestamp>,
    ) -> bool {
        let before = self.tasks[number].state();
        let legal = self.step(number, command, ready);
        let after = self.tasks[number].state();
        if legal && after.is_final() && !before.is_final() {
            self.task_ended(number);
        }
        legal
    }

    /// What is due is queued, what has waited or lived too long ends, pauses end.
    pub(super) fn fall_due(&mut self) {
        let now = self.now;
        let waiting = |it: &Known| matches!(it.state(), TaskState::Scheduled | TaskState::Retrying);
        for number in self.all(|it| waiting(it) && it.run_at <= now) {
            let run_at = self.tasks[number].run_at;
            self.step(number, Command::Due, Some(run_at));
        }
        for number in self.all(|it| it.expires_at.is_some_and(|at| at <= now)) {
            self.step_on(number, Command::TotalTimeout, None);
        }
        self.pauses
            .retain(|_, until| until.is_none_or(|at| at > now));
    }

    pub(super) fn all(&self, which: impl Fn(&Known) -> bool) -> Vec<Number> {
        let which = self.present().filter(|(_, it)| which(it));
        which.map(|(number, _)| number).collect()
    }

    /// When the next thing falls due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let waits = |it: &Known| matches!(it.state(), TaskState::Scheduled | TaskState::Retrying);
        let due = self
            .present()
            .filter(|(_, it)| waits(it))
            .map(|(_, it)| it.run_at);
        let ends = self.present().filter_map(|(_, it)| it.expires_at);
        let resumes = self.pauses.values().copied().flatten();
        due.chain(ends).chain(resumes).min()
    }

    pub(super) fn paused(&self, queue: &str) -> bool {
        let until = self.pauses.get(queue);
        until.is_some_and(|until| until.is_none_or(|at| at > self.now))
    }

    /// Whether a limit stands for a queue, whatever it is.
    pub(super) fn governed(&self, queue: &str) -> bool {
        self.paused(queue) || self.specs[queue].is_limited()
    }

    /// Whether its pause and its limits of running tasks let a task start.
    pub(super) fn has_place(&self, task: &Known) -> bool {
        let spec = &self.specs[task.queue()];
        let holds = |limits: Limits, key: Option<&str>| {
            let running = self.present().filter(|(_, it)| {
                it.state() == TaskState::Running
                    && it.queue() == task.queue()
                    && (key.is_none() || it.key.as_deref() == key)
            });
            limits
                .concurrency
                .is_none_or(|most| running.count() < most as usize)
        };
        let of_key = task.key.as_deref();
        !self.paused(task.queue())
            && holds(spec.limits, None)
            && (of_key.is_none() || holds(spec.per_key, of_key))
    }

    /// When the rates of its queue and key let a task start; none if now.
    pub(super) fn rated_until(&self, task: &Known) -> Option<Timestamp> {
        let spec = &self.specs[task.queue()];
        let opens = |limits: Limits, key: Option<&str>| {
            let rate = limits.rate?;
            let since = self.now.before(rate.period);
            let inside: Vec<_> = self
                .starts
                .iter()
                .filter(|(queue, of, at)| {
                    queue == task.queue() && (key.is_none() || of.as_deref() == key) && *at > since
                })
                .map(|(.., at)| *at)
                .collect();
            let full = inside.len() >= rate.max as usize;
            let oldest = inside.into_iter().min().filter(|_| full)?;
            Some(oldest.after(rate.period + Duration::from_micros(1)))
        };
        let of_key = task.key.as_deref();
        let key = of_key.and_then(|_| opens(spec.per_key, of_key));
        opens(spec.limits, None).into_iter().chain(key).max()
    }

    pub(super) fn may_start(&self, task: &Known) -> bool {
        self.has_place(task) && self.rated_until(task).is_none()
    }

    /// Removes what retention removes.
    pub(super) fn prune(&mut self) {
        let now = self.now;
        let old =
            |at: Option<Timestamp>, days: u32| at.is_some_and(|at| at < now.before(DAY * days));
        let mut flows = BTreeSet::new();
        for (number, flow) in self.flows.iter_mut().enumerate() {
            let days = if flow.completed() { 1 } else { 7 };
            if !flow.gone && old(flow.finished_at, days) {
                flow.gone = true;
                flows.insert(number);
            }
        }
        for task in self.tasks.iter_mut().filter(|it| !it.gone) {
            let days = match task.state() {
                TaskState::Succeeded => 1,
                TaskState::Dead => 30,
                _ => 7,
            };
            task.gone = match task.of {
                Some((flow, ..)) => flows.contains(&flow),
                None => old(task.finished_at, days),
            };
        }
    }
}

/// The word of an execution's end.
pub(super) const fn outcome_word(command: Command) -> &'static str {
    match command {
        Command::Succeed => "succeeded",
        Command::AttemptTimeout | Command::TotalTimeout => "timed_out",
        Command::Interrupt => "interrupted",
        Command::AgentDied { .. } => "crashed",
        Command::GiveUp => "cancelled",
        _ => "failed",
    }
}
