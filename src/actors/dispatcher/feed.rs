//! What every commit tells the dispatcher: whom to wake.
//!
//! The store calls [`CommitFeed::committed`] after each commit, on its writer's thread; nothing
//! here blocks. Callers that wait for a task or workflow are woken directly, the dispatcher gets
//! one message however many tasks were queued.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{oneshot, watch};

use super::actor::Dispatcher;
use super::claims::{LookForDue, Wake};
use super::flows::LookAtWaits;
use super::schedules::LookAtSchedules;
use crate::actors::runner::Address;
use crate::domain::event::Event;
use crate::domain::ids::TaskId;
use crate::domain::task::Target;
use crate::domain::timestamp::Timestamp;
use crate::telemetry::metrics::record;

/// From commits to those who wait for them. One a store; made before it.
#[derive(Debug, Default)]
pub struct CommitFeed {
    waiting: Mutex<HashMap<String, watch::Sender<()>>>,
    promises: Mutex<HashMap<String, Promised>>,
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
        for event in events {
            count(event);
            match event.kind.as_str() {
                "task.queued" | "task.interrupted" => {
                    if event.data["times_out"] == true {
                        self.look_for_due();
                    }
                    self.wake(event);
                }
                "task.created" if event.data["state"] == "queued" => {
                    if event.data["times_out"] == true {
                        self.look_for_due();
                    }
                    self.wake(event);
                }
                "task.created" if event.data["state"] == "scheduled" => self.look_for_due(),
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
    pub(super) fn promise(&self, subject: &str) -> Promise<'_> {
        let (answer, kept) = oneshot::channel();
        let promised = Promised {
            answer,
            brought: None,
        };
        self.promises.lock().insert(subject.to_owned(), promised);
        Promise {
            feed: self,
            subject: subject.to_owned(),
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
        if let Some(promised) = promises.get_mut(&task.to_string()) {
            let brought = promised.brought.take();
            promised.brought = brought.or_else(|| Some((attempt, result.clone())));
        }
    }

    fn keep_promise(&self, event: &Event) {
        let promised = self.promises.lock().remove(&event.subject);
        let Some(Promised { answer, brought }) = promised else {
            return;
        };
        // Dropped, it sends who waits to the database.
        if let Some((attempt, result)) = brought
            && event.kind == "task.succeeded"
            && event.data["attempt"] == attempt
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

    /// The dispatcher has heard that something may be due.
    pub(super) fn heard_due(&self) {
        self.due.store(false, Ordering::Release);
    }

    fn wake(&self, event: &Event) {
        let Some(target) = target_of(event) else {
            return;
        };
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
        // Dropping the sender wakes everyone who waits.
        self.waiting.lock().remove(subject);
    }
}

/// Who a task is for, as its events say.
fn target_of(event: &Event) -> Option<Target> {
    let word = |key: &str| event.data[key].as_str();
    if let Some(agent) = word("agent") {
        return agent.parse().ok().map(Target::Agent);
    }
    if let Some(role) = word("role") {
        return role.parse().ok().map(Target::Role);
    }
    word("queue")?.parse().ok().map(Target::Queue)
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
    subject: String,
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
        self.feed.promises.lock().remove(&self.subject);
    }
}

/// Counts what happened to tasks.
fn count(event: &Event) {
    let Some(word) = event.kind.strip_prefix("task.") else {
        return;
    };
    let queue = event.data["queue"].as_str().unwrap_or_default();
    let span = |key: &str| event.data[key].as_u64().map(Duration::from_millis);
    match word {
        "created" => record::task_submitted(queue),
        "started" => record::task_started(queue, span("waited_ms").unwrap_or_default()),
        _ => {}
    }
    if let Some(took) = span("took_ms") {
        record::task_executed(queue, took);
    }
    match word {
        "succeeded" => record::task_finished(queue, "succeeded"),
        "failed" => record::task_finished(queue, "failed"),
        "timed_out" => record::task_finished(queue, "timed_out"),
        "dead" => record::task_finished(queue, "dead"),
        "cancelled" => record::task_finished(queue, "cancelled"),
        "interrupted" => record::tasks_rescued("interrupted", 1),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::ids::EventId;
    use crate::domain::timestamp::Timestamp;

    #[test]
    fn what_was_committed_before_the_dispatcher_stood_does_not_pass_for_told() {
        let feed = CommitFeed::default();
        feed.committed(&[Event {
            seq: 1,
            id: EventId::from_bytes([1; 16]),
            kind: "task.interrupted".into(),
            subject: "tsk_1".into(),
            at: Timestamp::default(),
            data: json!({"role": "word-count"}),
        }]);
        assert!(feed.take_news().is_empty());
    }

    #[tokio::test]
    async fn a_promise_is_kept_only_by_the_result_of_the_attempt_that_was_committed() {
        let feed = CommitFeed::default();
        let id = TaskId::from_bytes([7; 16]);
        for (kind, attempt, kept) in [
            ("task.succeeded", 1, true),
            ("task.succeeded", 2, false),
            ("task.failed", 1, false),
        ] {
            let mut promise = feed.promise(&id.to_string());
            feed.bring(id, 1, &json!("done"));
            feed.bring(id, 1, &json!("said twice"));
            feed.committed(&[Event {
                seq: 1,
                id: EventId::from_bytes([1; 16]),
                kind: kind.into(),
                subject: id.to_string(),
                at: Timestamp::default(),
                data: json!({"attempt": attempt, "queue": "default"}),
            }]);
            let result = promise.kept().await.map(|kept| kept.result);
            assert_eq!(result, kept.then(|| json!("done")), "{kind} {attempt}");
        }
    }
}
