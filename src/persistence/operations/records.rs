//! Operations of the store on what is kept for people to read: messages, health, metrics, recovery,
//! journal.
//!
//! Each forwards to the backend; what it does stands there.

use super::sqlite::{events, health, messages, metrics, recovery};
use super::{Result, Store};
use crate::domain::event::{Event, NewEvent};
use crate::domain::ids::MessageId;
use crate::domain::message::{Message, MessageFilter, MessageState, NewMessage};
use crate::domain::name::Name;
use crate::domain::query::{EventFilter, Page, PageRequest};
use crate::domain::record::{AgentMetrics, HealthRecord, RecoveryRun, SystemMetrics};

impl Store {
    /// Keeps a message as it is, whoever it is for.
    pub async fn log_message(&self, message: Message) -> Result<()> {
        messages::log_message(self.sqlite(), message).await
    }

    /// Stores a message that waits for its recipient; `true` if its idempotency key had been seen:
    /// this is the first one then.
    ///
    /// # Errors
    /// [`StoreError::Full`](crate::persistence::StoreError::Full) if as many wait for the recipient as may.
    pub async fn send_message(&self, message: NewMessage) -> Result<(Message, bool)> {
        messages::send_message(self.sqlite(), message).await
    }

    /// What waits for a recipient: of each sender the oldest, the oldest first.
    pub async fn next_messages(&self, to: Name) -> Result<Vec<Message>> {
        messages::next_messages(self.sqlite(), to).await
    }

    /// Marks a message as delivered now; the first time counts.
    pub async fn message_delivered(&self, id: MessageId) -> Result<()> {
        messages::message_delivered(self.sqlite(), id).await
    }

    /// Counts that a life died while it held a message; the last death that is allowed gives the
    /// message up. Says where it stands then.
    pub async fn message_killed(&self, id: MessageId, reason: String) -> Result<MessageState> {
        messages::message_killed(self.sqlite(), id, reason).await
    }

    /// Messages, newest first.
    pub async fn messages(
        &self,
        filter: MessageFilter,
        page: PageRequest,
    ) -> Result<Page<Message>> {
        messages::messages(self.sqlite(), filter, page).await
    }

    /// Keeps the results of one round: a row for each check whose level changed, and one compact
    /// row for the round.
    pub async fn log_health_check(&self, records: Vec<HealthRecord>) -> Result<()> {
        health::log_health_check(self.sqlite(), records).await
    }

    /// The changes of a check's level, newest first.
    pub async fn health_history(
        &self,
        check: &str,
        page: PageRequest,
    ) -> Result<Page<HealthRecord>> {
        health::health_history(self.sqlite(), check, page).await
    }

    /// Keeps figures of agents, as sampled.
    pub async fn update_agent_metrics(&self, metrics: Vec<AgentMetrics>) -> Result<()> {
        metrics::update_agent_metrics(self.sqlite(), metrics).await
    }

    /// An agent's figures as sampled in the last day, newest first.
    pub async fn agent_metrics(&self, agent: &Name, limit: u32) -> Result<Vec<AgentMetrics>> {
        metrics::agent_metrics(self.sqlite(), agent, limit).await
    }

    /// Keeps figures of the host, as sampled.
    pub async fn log_system_metrics(&self, metrics: SystemMetrics) -> Result<()> {
        metrics::log_system_metrics(self.sqlite(), metrics).await
    }

    /// The host's figures as sampled in the last day, newest first.
    pub async fn system_metrics(&self, limit: u32) -> Result<Vec<SystemMetrics>> {
        metrics::system_metrics(self.sqlite(), limit).await
    }

    /// Inserts or replaces, by id.
    pub async fn log_recovery_run(&self, run: RecoveryRun) -> Result<()> {
        recovery::log_recovery_run(self.sqlite(), run).await
    }

    /// Runs of one recovery action or all, newest first.
    pub async fn recovery_runs(
        &self,
        action: Option<String>,
        page: PageRequest,
    ) -> Result<Page<RecoveryRun>> {
        recovery::recovery_runs(self.sqlite(), action, page).await
    }

    /// Puts facts into the journal in one commit; they are published after it.
    pub async fn append_events(&self, events: Vec<NewEvent>) -> Result<()> {
        events::append_events(self.sqlite(), events).await
    }

    /// Journal entries, oldest first.
    pub async fn events(&self, filter: EventFilter, limit: u32) -> Result<Vec<Event>> {
        events::events(self.sqlite(), filter, limit).await
    }
}
