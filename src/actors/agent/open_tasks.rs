//! The tasks that one life holds, and the signs of life it shows: shared by all kinds of agents.
//!
//! Rely on: a task is settled at most once by its life; when the life is over, the cancel signal
//! of every task it held fires.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::actors::life::Evidence;
use crate::domain::crash::HeldTask;
use crate::domain::ids::{LeaseId, TaskId};
use crate::domain::trace::TraceParent;

/// The longest zone that `busy` opens.
pub(crate) const MAX_BUSY: Duration = Duration::from_secs(24 * 60 * 60);

/// What one life holds and when it last showed a sign.
#[derive(Debug)]
pub(crate) struct OpenTasks {
    state: Mutex<State>,
    emptied: Notify,
    polls: AtomicU64,
}

#[derive(Debug)]
struct State {
    open: HashMap<TaskId, Open>,
    over: bool,
    errors: u64,
    sign: Instant,
    progress: Instant,
    /// Polls up to the last look at its evidence, and when that first showed them.
    seen: (u64, Option<Instant>),
}

#[derive(Debug)]
struct Open {
    lease: LeaseId,
    attempt: u32,
    traceparent: Option<TraceParent>,
    delivered: bool,
    cancelled: watch::Sender<bool>,
    busy_until: Option<Instant>,
}

/// The life has ended: it takes no task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Over;

impl OpenTasks {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            state: Mutex::new(State {
                open: HashMap::new(),
                over: false,
                errors: 0,
                sign: now,
                progress: now,
                seen: (0, None),
            }),
            emptied: Notify::new(),
            polls: AtomicU64::new(0),
        }
    }

    /// Takes a task in; what comes back turns true when it is cancelled.
    pub(crate) fn open(
        &self,
        task: TaskId,
        lease: LeaseId,
        attempt: u32,
        traceparent: Option<TraceParent>,
    ) -> Result<watch::Receiver<bool>, Over> {
        let mut state = self.state.lock();
        if state.over {
            return Err(Over);
        }
        let (cancelled, signal) = watch::channel(false);
        state.progress = Instant::now();
        let open = Open {
            lease,
            attempt,
            traceparent,
            delivered: false,
            cancelled,
            busy_until: None,
        };
        state.open.insert(task, open);
        Ok(signal)
    }

    /// The task is in the agent's hands.
    pub(crate) fn delivered(&self, task: TaskId) {
        if let Some(open) = self.state.lock().open.get_mut(&task) {
            open.delivered = true;
        }
    }

    /// The agent is gone: nothing is taken in any more, and what never came into its hands is given
    /// back, since it cannot be what it died of.
    pub(crate) fn take_undelivered(&self) -> Vec<(TaskId, LeaseId)> {
        let mut state = self.state.lock();
        state.over = true;
        let undelivered = state.open.extract_if(|_, open| !open.delivered);
        undelivered.map(|(task, open)| (task, open.lease)).collect()
    }

    /// Whether any task is in the agent's hands.
    pub(crate) fn any_delivered(&self) -> bool {
        self.state.lock().open.values().any(|open| open.delivered)
    }

    /// Closes a task. `Some` if it was open under this lease: whether it had been cancelled.
    pub(crate) fn settle(&self, task: TaskId, lease: LeaseId) -> Option<bool> {
        let mut state = self.state.lock();
        state.note_progress();
        if state.open.get(&task)?.lease != lease {
            return None;
        }
        let open = state.open.remove(&task)?;
        if state.open.is_empty() {
            self.emptied.notify_waiters();
        }
        let cancelled = *open.cancelled.borrow();
        Some(cancelled)
    }

    /// Tells a task that it should end; whether it is open.
    pub(crate) fn cancel(&self, task: TaskId) -> bool {
        let state = self.state.lock();
        state.open.get(&task).is_some_and(|open| {
            open.cancelled.send_replace(true);
            true
        })
    }

    /// The lease of an open task.
    pub(crate) fn lease(&self, task: TaskId) -> Option<LeaseId> {
        self.state.lock().open.get(&task).map(|open| open.lease)
    }

    /// The trace of an open task: of the one that is named, or else of the only one.
    pub(crate) fn trace(&self, task: Option<TaskId>) -> Option<TraceParent> {
        let open = &self.state.lock().open;
        match task {
            Some(task) => open.get(&task)?.traceparent,
            None if open.len() == 1 => open.values().next()?.traceparent,
            None => None,
        }
    }

    /// A task goes on; its lease, if it is open.
    pub(crate) fn progress(&self, task: TaskId) -> Option<LeaseId> {
        let mut state = self.state.lock();
        state.note_progress();
        let open = state.open.get_mut(&task)?;
        open.busy_until = None;
        Some(open.lease)
    }

    /// A task will be silent for a while; the span it got, if it is open.
    pub(crate) fn busy(&self, task: TaskId, at_most: Duration) -> Option<Duration> {
        let at_most = at_most.min(MAX_BUSY);
        let mut state = self.state.lock();
        state.note_progress();
        let until = state.sign + at_most;
        state.open.get_mut(&task)?.busy_until = Some(until);
        Some(at_most)
    }

    /// Whether a task declared that it is silent now.
    pub(crate) fn is_busy(&self) -> bool {
        let (state, now) = (self.state.lock(), Instant::now());
        let mut until = state.open.values().filter_map(|open| open.busy_until);
        until.any(|until| until > now)
    }

    /// The agent showed that it lives.
    pub(crate) fn sign(&self) {
        self.state.lock().sign = Instant::now();
    }

    /// Time since the last sign.
    pub(crate) fn since_sign(&self) -> Duration {
        self.state.lock().sign.elapsed()
    }

    /// The code of a task has run: a mark so cheap that each poll of it can leave one.
    pub(crate) fn polled(&self) {
        self.polls.fetch_add(1, Ordering::Relaxed);
    }

    /// An error that did not end the life.
    pub(crate) fn error(&self) {
        self.state.lock().errors += 1;
    }

    /// Whether no task is open.
    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().open.is_empty()
    }

    /// Waits until no task is open.
    pub(crate) async fn until_empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            let mut emptied = std::pin::pin!(emptied);
            emptied.as_mut().enable();
            if self.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// The life has ended: nothing is taken in any more, and what is open is told.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.over = true;
        for open in std::mem::take(&mut state.open).into_values() {
            open.cancelled.send_replace(true);
        }
        self.emptied.notify_waiters();
    }

    /// What is open, and the last signs.
    pub(crate) fn evidence(&self) -> Evidence {
        let mut state = self.state.lock();
        let now = Instant::now();
        let polls = self.polls.load(Ordering::Relaxed);
        if polls != state.seen.0 {
            state.seen = (polls, Some(now));
        }
        let busy = || state.open.values().filter_map(|open| open.busy_until);
        Evidence {
            open_tasks: state.held(),
            since_progress: Some(now.saturating_duration_since(state.progress)),
            since_activity: state.seen.1.map(|at| now.saturating_duration_since(at)),
            since_sign: Some(now.saturating_duration_since(state.sign)),
            busy_over: busy().any(|until| until <= now),
            busy_for: busy()
                .map(|until| until.saturating_duration_since(now))
                .max()
                .filter(|left| !left.is_zero()),
            errors: state.errors,
            ..Evidence::default()
        }
    }
}

impl State {
    fn held(&self) -> Vec<HeldTask> {
        let open = self.open.iter();
        open.map(|(id, open)| HeldTask {
            id: *id,
            attempt: open.attempt,
        })
        .collect()
    }

    fn note_progress(&mut self) {
        self.sign = Instant::now();
        self.progress = self.sign;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TASK: TaskId = TaskId::from_bytes([1; 16]);
    const LEASE: LeaseId = LeaseId::from_bytes([2; 16]);
    const OTHER: LeaseId = LeaseId::from_bytes([3; 16]);

    #[tokio::test]
    async fn a_task_is_settled_once_and_only_under_its_lease() {
        let tasks = OpenTasks::new();
        tasks.open(TASK, LEASE, 1, None).unwrap();
        assert_eq!(tasks.settle(TASK, OTHER), None);
        assert_eq!(tasks.settle(TASK, LEASE), Some(false));
        assert_eq!(tasks.settle(TASK, LEASE), None);
        tasks.until_empty().await;
    }

    #[tokio::test]
    async fn the_end_of_the_life_cancels_what_is_open_and_closes_the_door() {
        let tasks = OpenTasks::new();
        let cancelled = tasks.open(TASK, LEASE, 1, None).unwrap();
        tasks.close();
        assert!(*cancelled.borrow());
        assert_eq!(tasks.open(TASK, LEASE, 1, None).err(), Some(Over));
        assert_eq!(tasks.settle(TASK, LEASE), None);
    }

    #[tokio::test]
    async fn what_never_came_into_the_agents_hands_is_given_back_at_its_end() {
        let tasks = OpenTasks::new();
        let other = TaskId::from_bytes([4; 16]);
        tasks.open(TASK, LEASE, 1, None).unwrap();
        tasks.open(other, OTHER, 2, None).unwrap();
        tasks.delivered(TASK);
        assert_eq!(tasks.take_undelivered(), [(other, OTHER)]);
        assert_eq!(tasks.evidence().open_tasks[0].id, TASK);
        assert_eq!(tasks.open(other, OTHER, 2, None).err(), Some(Over));
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_zone_ends_with_the_next_progress_or_when_it_is_over() {
        let tasks = OpenTasks::new();
        tasks.open(TASK, LEASE, 1, None).unwrap();
        tasks.busy(TASK, Duration::from_secs(10));
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(tasks.evidence().busy_for, Some(Duration::from_secs(6)));
        tasks.progress(TASK);
        assert_eq!(tasks.evidence().busy_for, None);
        tasks.busy(TASK, Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(2)).await;
        let evidence = tasks.evidence();
        assert_eq!((evidence.busy_for, evidence.busy_over), (None, true));
        assert_eq!(evidence.since_progress, Some(Duration::from_secs(2)));
    }
}
