//! Operations of the store on lives: sessions, agents, their processes, crashes and budgets.
//!
//! Each forwards to the backend; what it does stands there.

use std::time::Duration;

use super::sqlite::{agents, crashes, processes, sessions};
use super::{Result, SessionStart, Store};
use crate::domain::agent::InstanceId;
use crate::domain::crash::{Crash, LastDeath};
use crate::domain::ids::{CrashId, SessionId};
use crate::domain::name::Name;
use crate::domain::query::{Page, PageRequest};
use crate::domain::record::{
    AgentRecord, Overrides, RestartBudget, SettingsInForce, SpawnedProcess,
};

impl Store {
    /// Begins a daemon's life. On SQLite it ends every earlier session and rescues what it held,
    /// at once.
    pub async fn begin_session(
        &self,
        node: &str,
        pid: u32,
        lease: Duration,
    ) -> Result<SessionStart> {
        sessions::begin_session(self.sqlite(), node, pid, lease).await
    }

    /// Puts the end of a session's leases off.
    pub async fn renew_session(&self, session: SessionId, lease: Duration) -> Result<()> {
        sessions::renew_session(self.sqlite(), session, lease).await
    }

    /// Ends a session in good order; ending it twice is the same as once.
    pub async fn end_session(&self, session: SessionId) -> Result<()> {
        sessions::end_session(self.sqlite(), session).await
    }

    /// Takes back what lost sessions and expired leases hold; runs at start and every 10 s.
    pub async fn rescue(&self, session: SessionId) -> Result<u64> {
        sessions::rescue(self.sqlite(), session).await
    }

    /// Inserts, or updates kind and hash; the number of replicas that an operator set is dropped when
    /// it has changed in the file. Gives back the record as stored.
    pub async fn register_agent(&self, agent: AgentRecord) -> Result<AgentRecord> {
        agents::register_agent(self.sqlite(), agent).await
    }

    /// Every agent that was ever registered, by name.
    pub async fn agents(&self) -> Result<Vec<AgentRecord>> {
        agents::agents(self.sqlite()).await
    }

    /// Keeps what an operator set, in place of what he set before.
    pub async fn set_overrides(&self, agent: &Name, overrides: Overrides) -> Result<()> {
        agents::set_overrides(self.sqlite(), agent, overrides).await
    }

    /// Keeps the highest generation and the restarts so far; neither ever falls.
    pub async fn save_generation(
        &self,
        agent: &Name,
        generation: u64,
        restarts_total: u64,
    ) -> Result<()> {
        agents::save_generation(self.sqlite(), agent, generation, restarts_total).await
    }

    /// Numbers of lives that were reserved up to `reserved` and are not used beyond `used` are free
    /// again. Changes nothing if another mark is stored.
    ///
    /// # Errors
    /// [`StoreError`](crate::persistence::StoreError) if the store does not do it.
    pub async fn give_back_generations(
        &self,
        agent: &Name,
        reserved: u64,
        used: u64,
    ) -> Result<()> {
        agents::give_back_generations(self.sqlite(), agent, reserved, used).await
    }

    /// Keeps a process that was spawned.
    pub async fn process_spawned(&self, process: SpawnedProcess) -> Result<()> {
        processes::process_spawned(self.sqlite(), process).await
    }

    /// Forgets a process that has ended; nothing if it is not known.
    pub async fn process_ended(&self, instance: &InstanceId, generation: u64) -> Result<()> {
        processes::process_ended(self.sqlite(), instance, generation).await
    }

    /// Processes that were spawned and not seen to end.
    pub async fn spawned_processes(&self) -> Result<Vec<SpawnedProcess>> {
        processes::spawned_processes(self.sqlite()).await
    }

    /// Keeps the black box of an abnormal end; the 50 newest of each agent stay.
    pub async fn log_crash(&self, crash: Crash) -> Result<()> {
        crashes::log_crash(self.sqlite(), crash).await
    }

    /// An agent's crashes, newest first.
    pub async fn crashes(&self, agent: &Name, page: PageRequest) -> Result<Page<Crash>> {
        crashes::crashes(self.sqlite(), agent, page).await
    }

    /// One crash of an agent.
    pub async fn crash(&self, agent: &Name, id: CrashId) -> Result<Crash> {
        crashes::crash_of(self.sqlite(), agent, id).await
    }

    /// How each replica of every agent last ended abnormally, as far as that is still remembered.
    pub async fn last_deaths(&self) -> Result<Vec<LastDeath>> {
        crashes::last_deaths(self.sqlite()).await
    }

    /// Notes the digest of the settings that a registered agent has from now on, and says since when
    /// it has had them.
    pub async fn settings_in_force(&self, agent: &Name, hash: String) -> Result<SettingsInForce> {
        crashes::settings_in_force(self.sqlite(), agent, hash).await
    }

    /// Inserts or replaces, by owner.
    pub async fn save_restart_budget(&self, budget: RestartBudget) -> Result<()> {
        crashes::save_restart_budget(self.sqlite(), budget).await
    }

    /// Every restart budget, by owner.
    pub async fn restart_budgets(&self) -> Result<Vec<RestartBudget>> {
        crashes::restart_budgets(self.sqlite()).await
    }
}
