//! What a commit did to tasks, counted once a commit and not once an event: a look into the metrics
//! costs as much as the event itself.

use std::collections::BTreeMap;

use crate::domain::event::Event;
use crate::telemetry::metrics::record::{self, QueueTally};

/// What a commit did to the tasks of each queue.
#[derive(Debug, Default)]
pub(super) struct Tally<'e> {
    queues: BTreeMap<&'e str, QueueTally>,
    interrupted: u64,
}

impl<'e> Tally<'e> {
    pub(super) fn add(&mut self, event: &'e Event) {
        let Some(task) = &event.task else {
            return;
        };
        let queue = self.queues.entry(task.target.queue()).or_default();
        match event.kind.strip_prefix("task.").unwrap_or_default() {
            "created" => queue.submitted += 1,
            "started" => queue.waited.extend(task.waited),
            "succeeded" => queue.finished("succeeded"),
            "failed" => queue.finished("failed"),
            "timed_out" => queue.finished("timed_out"),
            "dead" => queue.finished("dead"),
            "cancelled" => queue.finished("cancelled"),
            "interrupted" => self.interrupted += 1,
            _ => {}
        }
        queue.took.extend(task.took);
    }

    /// Hands it to the metrics.
    pub(super) fn record(self) {
        for (queue, tally) in &self.queues {
            record::tasks_of_commit(queue, tally);
        }
        if self.interrupted > 0 {
            record::tasks_rescued("interrupted", self.interrupted);
        }
    }
}
