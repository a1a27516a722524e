//! Other settings for a daemon that runs: read anew, compared, taken over.
//!
//! ```text
//! the files it was started with ─▶ read, checked whole ─▶ plan ─▶ agents registered ─▶ dispatcher
//!      ─▶ supervisor ─▶ schedules, health, healer, black boxes ─▶ `config.applied`
//! ```
//!
//! Rely on: one change at a time; with any problem, and until the supervisor has taken it, nothing
//! has changed; what only a start reads is told as pending and stays as it is, in what is shown too.
//!
//! Not here: what differs (`config`), and what that does to a life (`actors::supervisor`).

mod carry;
mod faces;

use std::sync::Arc;

use parking_lot::RwLock;
use serde_json::{Value, json};

pub(super) use faces::{Configured, hang_ups};

use super::records::Records;
use crate::actors::agent::AgentEnvironment;
use crate::actors::dispatcher::DispatcherHandle;
use crate::actors::healer::HealerHandle;
use crate::actors::health::HealthHandle;
use crate::actors::journal::JournalHandle;
use crate::actors::supervisor::{SupervisorError, SupervisorHandle};
use crate::clock;
use crate::config::{Config, LoadRequest};
use crate::domain::event::NewEvent;
use crate::domain::reload::{Change, ReloadPlan};
use crate::persistence::{Store, StoreError};

/// Why other settings were not taken over.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    /// What was read is refused: each problem with its dotted key.
    #[error("{}", refused(.0))]
    Invalid(Vec<(String, String)>),
    /// It is not what was planned.
    #[error(
        "the configuration has changed since it was planned: the plan is {planned}, what is read \
         now would be {now}; plan again"
    )]
    Stale { planned: String, now: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Supervisor(#[from] SupervisorError),
    #[error("the configuration could not be read: {0}")]
    Broken(String),
}

fn refused(problems: &[(String, String)]) -> String {
    let count = problems.len();
    let lines = problems
        .iter()
        .map(|(key, message)| format!("\n  {key}: {message}"));
    let s = if count == 1 { "" } else { "s" };
    format!(
        "configuration refused, {count} problem{s}:{}",
        lines.collect::<String>()
    )
}

/// Whom a change concerns.
pub(super) struct Rooms {
    pub(super) environment: AgentEnvironment,
    pub(super) store: Store,
    pub(super) journal: JournalHandle,
    pub(super) records: Arc<Records>,
    pub(super) agents: SupervisorHandle,
    pub(super) dispatcher: DispatcherHandle,
    pub(super) health: HealthHandle,
    pub(super) healer: HealerHandle,
}

/// What the daemon runs with.
struct Running {
    config: Config,
    shown: Arc<Value>,
}

/// Reads other settings and takes them over.
pub(super) struct Reloader {
    request: LoadRequest,
    rooms: Rooms,
    running: RwLock<Arc<Running>>,
    /// Held by whoever changes something.
    turn: tokio::sync::Mutex<()>,
}

impl Reloader {
    /// Of a daemon that was started with this.
    pub(super) fn new(request: LoadRequest, config: Config, rooms: Rooms) -> Arc<Self> {
        let request = LoadRequest {
            environment: Some(config.environment()),
            data_dir: Some(config.data_dir().to_owned()),
            ..request
        };
        Arc::new(Self {
            request,
            rooms,
            running: RwLock::new(Arc::new(Running::with(config))),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// What starts the processes.
    #[cfg(test)]
    pub(super) fn launcher(&self) -> crate::actors::agent::Launcher {
        self.rooms.environment.launcher.clone()
    }

    fn running(&self) -> Arc<Running> {
        self.running.read().clone()
    }

    /// What would change.
    pub(super) async fn plan(&self) -> Result<ReloadPlan, ReloadError> {
        let read = self.read().await?;
        Ok(self.running().config.plan(&read))
    }

    /// Takes over what is read now, if that is what was planned; `by` whom is kept.
    pub(super) async fn apply(
        &self,
        planned: Option<&str>,
        by: &'static str,
    ) -> Result<ReloadPlan, ReloadError> {
        let _turn = self.turn.lock().await;
        let (read, before) = (self.read().await?, self.running());
        let plan = before.config.plan(&read);
        if let Some(planned) = planned.filter(|planned| *planned != plan.plan) {
            let (planned, now) = (planned.to_owned(), plan.plan);
            return Err(ReloadError::Stale { planned, now });
        }
        if plan.changes {
            let next = read.taken_over_by(&before.config);
            carry::out(&self.rooms, &before.config, &next, &plan).await?;
            *self.running.write() = Arc::new(Running::with(next));
            self.tell(&plan, by);
        }
        told(&plan);
        Ok(plan)
    }

    /// All layers, read and checked anew.
    async fn read(&self) -> Result<Config, ReloadError> {
        let request = self.request.clone();
        let reading = tokio::task::spawn_blocking(move || Config::load(request));
        let read = reading
            .await
            .map_err(|error| ReloadError::Broken(error.to_string()))?;
        read.map_err(|invalid| {
            let problems = invalid.problems().iter();
            let problems = problems.map(|problem| (problem.key.clone(), problem.said()));
            ReloadError::Invalid(problems.collect())
        })
    }

    fn tell(&self, plan: &ReloadPlan, by: &'static str) {
        self.rooms.journal.record(NewEvent {
            kind: "config.applied",
            subject: "config".to_owned(),
            at: clock::now(),
            data: json!({"plan": plan.plan, "by": by, "counts": plan.counts}),
        });
    }
}

impl Running {
    fn with(config: Config) -> Self {
        let shown = Arc::new(config.shown().clone());
        Self { config, shown }
    }
}

/// Says in the log what was taken over, and what was not.
fn told(plan: &ReloadPlan) {
    if !plan.changes {
        tracing::info!("the configuration is as before");
    }
    for unit in &plan.units {
        // All keys of one that comes or goes are no news.
        let keys = unit.keys.iter().filter(|_| unit.change == Change::Changed);
        let keys: Vec<&str> = keys.map(|change| change.key.as_str()).collect();
        let (kind, change, does) = (unit.kind, unit.change, unit.does.as_str());
        tracing::info!(name = unit.name, ?kind, ?change, does, ?keys, "taken over");
    }
    for change in &plan.pending {
        let key = &change.key;
        tracing::warn!(key, "was changed, and waits for a restart of the daemon");
    }
    for warning in plan.warnings.iter().filter(|_| plan.changes) {
        tracing::warn!("{warning}");
    }
}
