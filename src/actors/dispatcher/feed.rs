//! What every commit tells the dispatcher: whom to wake.
//!
//! The store calls [`CommitFeed::committed`] after each commit, on its writer's thread; nothing
//! here blocks. Callers that wait for a task or workflow are woken directly, the dispatcher gets
//! one message however many tasks were queued.

mod tally;

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{oneshot, watch};

use self::tally::Tally;
use super::actor::Dispatcher;
use super::claims::{LookForDue, Wake};
use super::flows::LookAtWaits;
use super::schedules::LookAtSchedules;
use crate::actors::runner::Address;
use crate::domain::event::Event;
use crate::domain::ids::TaskId;
use crate::domain::task::{Target, TaskState};
use crate::domain::timestamp::Timestamp;

/// From commits to those who wait for them. One a store; made before it.
#[derive(Debug, Default)]
pub struct CommitFeed {
    waiting: Mutex<HashMap<String, watch::Sender<()>>>,
    promises: Mutex<HashMap<TaskId, Promised>>,
    dispatcher: OnceLock<Address<Dispatcher>>,
    news: Mutex<HashSet<Target>>,
    due: AtomicBool,
    waits: AtomicBool,
    /// Firings wait for the end of something.
    firings_wait: AtomicBool,
}

impl CommitFeed {
    /// Takes what a commit wrote into the journal. Never blocks.
    pub fn committed(&self, events: &[Event]) {
        let mut tally = Tally::default();
        for (place, event) in events.iter().enumerate() {
            tally.add(event);
            match event.kind.as_str() {
                "task.queued" | "task.interrupted" => self.queued(event),
                "task.created" => match event.task.as_ref().map(|task| task.state) {
                    Some(TaskState::Queued) if is_started_by(event, events.get(place + 1)) => {}
                    Some(TaskState::Queued) => self.queued(event),
                    Some(TaskState::Scheduled) => self.look_for_due(),
                    _ => {}
                },
                "task.retrying" => self.look_for_due(),
                "task.waiting" => self.look_at_waits(),
                "task.succeeded" | "task.failed" | "task.timed_out" | "task.dead"
                | "task.cancelled" | "workflow.completed" | "workflow.failed"
                | "workflow.cancelled" => {
                    self.keep_promise(event);
                    self.ended(&event.subject);
                }
                _ => {}
            }
        }
        tally.record();
    }

    /// A task waits for somebody.
    fn queued(&self, event: &Event) {
        let Some(task) = &event.task else {
            return;
        };
        if task.times_out {
            self.look_for_due();
        }
        self.wake(task.target.clone());
    }

    pub(super) fn connect(&self, dispatcher: Address<Dispatcher>) {
        // A feed belongs to one dispatcher; a second one is not heard.
        drop(self.dispatcher.set(dispatcher));
    }

    /// Waits for the end of a task or workflow.
    pub(super) fn end_of(&self, subject: &str) -> Waiting<'_> {
        let mut waiting = self.waiting.lock();
        let sender = waiting
            .entry(subject.to_owned())
            .or_insert_with(|| watch::channel(()).0);
        Waiting {
            feed: self,
            subject: subject.to_owned(),
            ended: Some(sender.subscribe()),
        }
    }

    /// Waits for the result of a task that is about to be handed in.
    pub(super) fn promise(&self, task: TaskId) -> Promise<'_> {
        let (answer, kept) = oneshot::channel();
        let promised = Promised {
            answer,
            brought: None,
        };
        self.promises.lock().insert(task, promised);
        Promise {
            feed: self,
            task,
            kept,
        }
    }

    /// An agent gave this back under the lease of this attempt. It is told to who waits for it if,
    /// and when, the commit says that this attempt succeeded; the first word counts, as it does in
    /// the database.
    pub(super) fn bring(&self, task: TaskId, attempt: u32, result: &Value) {
        let mut promises = self.promises.lock();
        if promises.is_empty() {
            return;
        }
        if let Some(promised) = promises.get_mut(&task) {
            let brought = promised.brought.take();
            promised.brought = brought.or_else(|| Some((attempt, result.clone())));
        }
    }

    fn keep_promise(&self, event: &Event) {
        let Some(task) = &event.task else {
            return;
        };
        let promised = self.promises.lock().remove(&task.id);
        let Some(Promised { answer, brought }) = promised else {
            return;
        };
        // Dropped, it sends who waits to the database.
        if let Some((attempt, result)) = brought
            && event.kind == "task.succeeded"
            && task.attempt == attempt
        {
            let at = event.at;
            drop(answer.send(Kept {
                at,
                attempt,
                result,
            }));
        }
    }

    /// Who got tasks queued since the last call.
    pub(super) fn take_news(&self) -> HashSet<Target> {
        std::mem::take(&mut self.news.lock())
    }

    #[cfg(test)]
    pub(super) fn has_news(&self) -> bool {
        !self.news.lock().is_empty()
    }

    /// The dispatcher has heard that something may be due.
    pub(super) fn heard_due(&self) {
        self.due.store(false, Ordering::Release);
    }

    fn wake(&self, target: Target) {
        // Without a dispatcher nothing is kept: it looks for itself when it begins, and what were
        // kept here would pass for news that it has been told of already.
        let Some(dispatcher) = self.dispatcher.get() else {
            return;
        };
        let first = {
            let mut news = self.news.lock();
            let first = news.is_empty();
            news.insert(target);
            first
        };
        if first && dispatcher.report(Wake).is_err() {
            self.news.lock().clear();
        }
    }

    fn look_for_due(&self) {
        if let Some(dispatcher) = self.dispatcher.get()
            && !self.due.swap(true, Ordering::AcqRel)
            && dispatcher.report(LookForDue).is_err()
        {
            self.heard_due();
        }
    }

    /// The dispatcher wants to hear when something ends: firings wait for that.
    pub(super) fn firings_wait(&self) {
        self.firings_wait.store(true, Ordering::Release);
    }

    /// The dispatcher has heard that somebody waits.
    pub(super) fn heard_waits(&self) {
        self.waits.store(false, Ordering::Release);
    }

    fn look_at_waits(&self) {
        if let Some(dispatcher) = self.dispatcher.get()
            && !self.waits.swap(true, Ordering::AcqRel)
            && dispatcher.report(LookAtWaits).is_err()
        {
            self.heard_waits();
        }
    }

    fn ended(&self, subject: &str) {
        if self.firings_wait.swap(false, Ordering::AcqRel)
            && let Some(dispatcher) = self.dispatcher.get()
            && dispatcher.report(LookAtSchedules).is_err()
        {
            self.firings_wait.store(true, Ordering::Release);
        }
        let mut waiting = self.waiting.lock();
        if !waiting.is_empty() {
            // Dropping the sender wakes everyone who waits.
            waiting.remove(subject);
        }
    }
}

/// Whether a task was handed out by the commit that made it: nobody need look for it.
fn is_started_by(created: &Event, next: Option<&Event>) -> bool {
    next.is_some_and(|next| next.kind == "task.started" && next.subject == created.subject)
}

/// Someone who waits; forgotten when dropped.
pub(super) struct Waiting<'f> {
    feed: &'f CommitFeed,
    subject: String,
    ended: Option<watch::Receiver<()>>,
}

impl Waiting<'_> {
    /// Returns when it has ended.
    pub(super) async fn ended(&mut self) {
        if let Some(ended) = &mut self.ended {
            // An error means that the sender is gone: it has ended.
            while ended.changed().await.is_ok() {}
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        drop(self.ended.take());
        let mut waiting = self.feed.waiting.lock();
        if waiting
            .get(&self.subject)
            .is_some_and(|sender| sender.receiver_count() == 0)
        {
            waiting.remove(&self.subject);
        }
    }
}

/// A result that somebody waits for.
#[derive(Debug)]
struct Promised {
    answer: oneshot::Sender<Kept>,
    brought: Option<(u32, Value)>,
}

/// A result whose commit has ended.
#[derive(Debug)]
pub(super) struct Kept {
    /// When it was settled.
    pub(super) at: Timestamp,
    /// Which execution gave it.
    pub(super) attempt: u32,
    pub(super) result: Value,
}

/// Someone who waits for a result; forgotten when dropped.
pub(super) struct Promise<'f> {
    feed: &'f CommitFeed,
    task: TaskId,
    kept: oneshot::Receiver<Kept>,
}

impl Promise<'_> {
    /// The result, or nothing if only the database knows how it ended.
    pub(super) async fn kept(&mut self) -> Option<Kept> {
        (&mut self.kept).await.ok()
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        self.feed.promises.lock().remove(&self.task);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::event::{EventData, TaskFact};
    use crate::domain::ids::EventId;
    use crate::domain::timestamp::Timestamp;

    const TASK: TaskId = TaskId::from_bytes([7; 16]);

    fn event(kind: &str, state: TaskState, attempt: u32) -> Event {
        Event {
            seq: 1,
            id: EventId::from_bytes([1; 16]),
            kind: kind.into(),
            subject: TASK.to_string(),
            at: Timestamp::default(),
            data: EventData::default(),
            task: Some(TaskFact {
                id: TASK,
                target: Target::Role("word-count".parse().unwrap()),
                state,
                attempt,
                waited: None,
                took: None,
                times_out: false,
            }),
        }
    }

    #[test]
    fn what_was_committed_before_the_dispatcher_stood_does_not_pass_for_told() {
        let feed = CommitFeed::default();
        feed.committed(&[event("task.interrupted", TaskState::Queued, 1)]);
        assert!(feed.take_news().is_empty());
    }

    #[test]
    fn a_task_that_its_own_commit_hands_out_is_news_for_nobody() {
        let created = event("task.created", TaskState::Queued, 0);
        let started = event("task.started", TaskState::Running, 1);
        assert!(is_started_by(&created, Some(&started)));
        let another = Event {
            subject: "tsk_2".to_owned(),
            ..started
        };
        assert!(!is_started_by(&created, Some(&another)));
        assert!(!is_started_by(&created, None));
    }

    #[tokio::test]
    async fn a_promise_is_kept_only_by_the_result_of_the_attempt_that_was_committed() {
        let feed = CommitFeed::default();
        for (kind, attempt, kept) in [
            ("task.succeeded", 1, true),
            ("task.succeeded", 2, false),
            ("task.failed", 1, false),
        ] {
            let mut promise = feed.promise(TASK);
            feed.bring(TASK, 1, &json!("done"));
            feed.bring(TASK, 1, &json!("said twice"));
            feed.committed(&[event(kind, TaskState::Succeeded, attempt)]);
            let result = promise.kept().await.map(|kept| kept.result);
            assert_eq!(result, kept.then(|| json!("done")), "{kind} {attempt}");
        }
    }
}
