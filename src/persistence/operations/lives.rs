//! Operations of the store on lives: sessions, agents, their processes, crashes and budgets.

use std::time::Duration;

use super::{Result, SessionStart, Store};
use crate::domain::agent::{Desired, InstanceId};
use crate::domain::ids::SessionId;
use crate::domain::name::Name;
use crate::domain::record::{AgentRecord, Crash, RestartBudget, SpawnedProcess};

#[allow(
    missing_docs,
    unused_variables,
    clippy::todo,
    reason = "signatures agreed first"
)]
impl Store {
    pub async fn begin_session(
        &self,
        node: &str,
        pid: u32,
        lease: Duration,
    ) -> Result<SessionStart> {
        todo!()
    }
    pub async fn renew_session(&self, session: SessionId, lease: Duration) -> Result<()> {
        todo!()
    }
    pub async fn end_session(&self, session: SessionId) -> Result<()> {
        todo!()
    }
    /// Takes back what lost sessions and expired leases hold; runs at start and every 10 s.
    pub async fn rescue(&self, session: SessionId) -> Result<u64> {
        todo!()
    }
    /// Inserts, or updates kind and hash; an operator's overrides whose key changed in the file are dropped.
    pub async fn register_agent(&self, agent: AgentRecord) -> Result<AgentRecord> {
        todo!()
    }
    pub async fn agents(&self) -> Result<Vec<AgentRecord>> {
        todo!()
    }
    pub async fn set_desired(&self, agent: &Name, desired: Option<Desired>) -> Result<()> {
        todo!()
    }
    pub async fn set_replicas(&self, agent: &Name, replicas: Option<u32>) -> Result<()> {
        todo!()
    }
    /// Highest generation and restarts so far.
    pub async fn save_generation(
        &self,
        agent: &Name,
        generation: u64,
        restarts_total: u64,
    ) -> Result<()> {
        todo!()
    }
    pub async fn process_spawned(&self, process: SpawnedProcess) -> Result<()> {
        todo!()
    }
    pub async fn process_ended(&self, instance: &InstanceId, generation: u64) -> Result<()> {
        todo!()
    }
    pub async fn spawned_processes(&self) -> Result<Vec<SpawnedProcess>> {
        todo!()
    }
    pub async fn log_crash(&self, crash: Crash) -> Result<()> {
        todo!()
    }
    pub async fn crashes(&self, agent: &Name, limit: u32) -> Result<Vec<Crash>> {
        todo!()
    }
    pub async fn save_restart_budget(&self, budget: RestartBudget) -> Result<()> {
        todo!()
    }
    pub async fn restart_budgets(&self) -> Result<Vec<RestartBudget>> {
        todo!()
    }
}
