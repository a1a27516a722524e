//! Queues: what limits the work that waits in them, pauses, and uniqueness of submissions.
//!
//! A limit holds for the whole queue, or for each key of it (`concurrency_key` of a task): tasks
//! of one customer, one site, one account. Not here: counting (the store counts what it holds).

use std::time::Duration;

use super::name::Name;
use super::task::TaskState;
use super::timestamp::Timestamp;

/// Tasks that wait for one agent, role or queue at most, unless configured otherwise.
pub const DEFAULT_CAPACITY: u64 = 10_000;

/// How many tasks may start in any window of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Starts in any window.
    pub max: u32,
    /// The window.
    pub period: Duration,
}

/// What limits the tasks of a queue, or those with one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Tasks that run at once at most.
    pub concurrency: Option<u32>,
    /// How many may start how often.
    pub rate: Option<RateLimit>,
}

impl Limits {
    /// Whether they limit anything.
    #[must_use]
    pub const fn any(&self) -> bool {
        self.concurrency.is_some() || self.rate.is_some()
    }
}

/// A queue as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSpec {
    /// Its name.
    pub name: Name,
    /// Tasks that wait in it at most.
    pub capacity: u64,
    /// Of all its tasks together.
    pub limits: Limits,
    /// Of the tasks that share a key.
    pub per_key: Limits,
}

impl QueueSpec {
    /// A queue without limits.
    #[must_use]
    pub const fn plain(name: Name) -> Self {
        let none = Limits {
            concurrency: None,
            rate: None,
        };
        Self {
            name,
            capacity: DEFAULT_CAPACITY,
            limits: none,
            per_key: none,
        }
    }

    /// Whether anything but its capacity is limited.
    #[must_use]
    pub const fn is_limited(&self) -> bool {
        self.limits.any() || self.per_key.any()
    }
}

/// A queue that hands nothing out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePause {
    /// The queue.
    pub queue: Name,
    /// Since when.
    pub paused_at: Timestamp,
    /// It goes on by itself then.
    pub until: Option<Timestamp>,
    /// Why, if anybody said.
    pub reason: Option<String>,
}

/// A submission that is answered with an earlier task, if there is one with the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unique {
    /// The key; one for all queues.
    pub key: String,
    /// How old the earlier task may be; without it, as old as is still stored.
    pub period: Option<Duration>,
    /// The states in which an earlier task counts.
    pub states: Vec<TaskState>,
}

impl Unique {
    /// States in which an earlier task counts unless said otherwise: all but those that a new
    /// attempt might mend.
    pub const STATES: [TaskState; 7] = [
        TaskState::Blocked,
        TaskState::Scheduled,
        TaskState::Queued,
        TaskState::Running,
        TaskState::Waiting,
        TaskState::Retrying,
        TaskState::Succeeded,
    ];
}
