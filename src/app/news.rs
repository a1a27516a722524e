//! What the supervisor says of agents: to the journal, and a word to health when one has settled.
//!
//! The word does not wait for a commit, so health looks again also while the database is away.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::actors::journal::JournalHandle;
use crate::actors::supervisor::Facts;
use crate::domain::event::NewEvent;

/// Facts after which an agent stands otherwise than when it was checked.
const SETTLED: [&str; 8] = [
    "agent.ready",
    "agent.stopped",
    "agent.paused",
    "agent.resumed",
    "agent.scaled",
    "agent.quarantined",
    "agent.failed",
    "agent.unreachable",
];

/// Who hears the supervisor's facts.
#[derive(Debug)]
pub(super) struct News {
    pub(super) journal: JournalHandle,
    pub(super) settled: Arc<Notify>,
}

impl Facts for News {
    fn record(&self, event: NewEvent) {
        if SETTLED.contains(&event.kind) {
            self.settled.notify_one();
        }
        self.journal.record(event);
    }
}
