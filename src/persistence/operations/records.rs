//! Operations of the store on what is kept for people to read: messages, health, metrics, recovery, journal.

use super::{Result, Store};
use crate::domain::event::{Event, NewEvent};
use crate::domain::ids::MessageId;
use crate::domain::name::Name;
use crate::domain::query::{EventFilter, Page, PageRequest};
use crate::domain::record::{AgentMetrics, HealthRecord, Message, RecoveryRun, SystemMetrics};

#[allow(
    missing_docs,
    unused_variables,
    clippy::todo,
    reason = "signatures agreed first"
)]
impl Store {
    pub async fn log_message(&self, message: Message) -> Result<()> {
        todo!()
    }
    pub async fn message_delivered(&self, id: MessageId) -> Result<()> {
        todo!()
    }
    pub async fn messages(&self, to: Option<Name>, page: PageRequest) -> Result<Page<Message>> {
        todo!()
    }
    pub async fn log_health_check(&self, records: Vec<HealthRecord>) -> Result<()> {
        todo!()
    }
    pub async fn health_history(
        &self,
        check: &str,
        page: PageRequest,
    ) -> Result<Page<HealthRecord>> {
        todo!()
    }
    pub async fn update_agent_metrics(&self, metrics: Vec<AgentMetrics>) -> Result<()> {
        todo!()
    }
    pub async fn agent_metrics(&self, agent: &Name, limit: u32) -> Result<Vec<AgentMetrics>> {
        todo!()
    }
    pub async fn log_system_metrics(&self, metrics: SystemMetrics) -> Result<()> {
        todo!()
    }
    pub async fn system_metrics(&self, limit: u32) -> Result<Vec<SystemMetrics>> {
        todo!()
    }
    /// Inserts or replaces, by id.
    pub async fn log_recovery_run(&self, run: RecoveryRun) -> Result<()> {
        todo!()
    }
    pub async fn recovery_runs(
        &self,
        action: Option<String>,
        page: PageRequest,
    ) -> Result<Page<RecoveryRun>> {
        todo!()
    }
    pub async fn append_events(&self, events: Vec<NewEvent>) -> Result<()> {
        todo!()
    }
    pub async fn events(&self, filter: EventFilter, limit: u32) -> Result<Vec<Event>> {
        todo!()
    }
}
