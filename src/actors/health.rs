//! The health monitor: checks `system`, `database` and one `agent.NAME` each.
//!
//! ```text
//! timer, RunChecks ─▶ monitor ─report─▶ handle: /health, healer, readiness
//!                        ├─ health.changed, health.flapping ─▶ journal
//!                        └─ a row on change, one compact row a round ─▶ store
//! ```
//!
//! Rely on: the report that HTTP, CLI and records show is one object; reading it never waits for
//! anybody. A check that hangs is unknown and delays no other. The first round begins at the
//! start; host figures are sampled on their own timer, and asking for a check adds no sample.
//!
//! Not here: what is done about a critical check (see `healer`), and how agents are probed.

mod checks;
pub mod host;
mod look;
mod monitor;
mod rounds;
mod sampler;
pub mod seams;
mod window;

#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};

pub use monitor::METRICS_INTERVAL;
pub use sampler::MetricsSampler;

use crate::actors::life::ChildFactory;
use crate::actors::runner::{Address, AskError, HostedChild};
use crate::domain::health::{DATABASE_CHECK, HealthReport, HealthSettings, SYSTEM_CHECK};
use crate::domain::name::nearest;
use crate::domain::recovery::RecoveryActionSpec;
use host::{Host, HostProbe};
use look::Wanted;
use monitor::{HealthMonitor, RunChecks};
use seams::{AgentsView, FactSink, HealthStore};

/// What an answer may take beyond the checks themselves.
const ASK_SLACK: Duration = Duration::from_secs(1);

/// What the monitor is given.
#[derive(Clone)]
pub struct HealthDeps {
    /// How often, how long, which limits, at first.
    pub settings: HealthSettings,
    /// The recovery actions at first, so that a critical check names the one that answers it.
    pub actions: Arc<[RecoveryActionSpec]>,
    /// The database, and where results are kept.
    pub store: Arc<dyn HealthStore>,
    /// The agents.
    pub agents: Arc<dyn AgentsView>,
    /// The journal.
    pub facts: FactSink,
    /// Rung when an agent has settled: its check is run again soon.
    pub settled: Arc<Notify>,
    /// The host.
    pub probe: Arc<Mutex<dyn HostProbe>>,
}

impl HealthDeps {
    /// The probe of the machine this runs on, its disk being that of the data directory.
    #[must_use]
    pub fn host(data_dir: &Path) -> Arc<Mutex<dyn HostProbe>> {
        Arc::new(Mutex::new(Host::new(data_dir)))
    }
}

impl fmt::Debug for HealthDeps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthDeps")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// The last report, and what can change; outlives the lives of the monitor.
#[derive(Debug)]
struct Shared {
    report: watch::Sender<Option<Arc<HealthReport>>>,
    settings: watch::Sender<HealthSettings>,
    actions: RwLock<Arc<[RecoveryActionSpec]>>,
}

impl Shared {
    fn report(&self) -> Option<Arc<HealthReport>> {
        self.report.borrow().clone()
    }

    fn settings(&self) -> HealthSettings {
        *self.settings.borrow()
    }

    fn actions(&self) -> Arc<[RecoveryActionSpec]> {
        self.actions.read().clone()
    }

    fn publish(&self, report: HealthReport) -> Arc<HealthReport> {
        let report = Arc::new(report);
        self.report.send_replace(Some(report.clone()));
        report
    }
}

/// Why a check was not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HealthError {
    /// There is no such check.
    #[error("check '{name}' does not exist{}", hint(nearest.as_deref()))]
    NotFound {
        /// What was asked for.
        name: String,
        /// The nearest one there is.
        nearest: Option<String>,
    },
    /// The monitor does not answer.
    #[error("the health monitor: {0}")]
    Silent(#[from] AskError),
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean '{name}'?"))
}

/// The way to the monitor. Cheap to clone; good over its restarts.
#[derive(Debug, Clone)]
pub struct HealthHandle {
    shared: Arc<Shared>,
    address: Address<HealthMonitor>,
}

impl HealthHandle {
    /// The monitor as a child for the tree, and the way to it.
    #[must_use]
    pub fn child(deps: HealthDeps) -> (Arc<dyn ChildFactory>, Self) {
        let shared = Arc::new(Shared {
            report: watch::Sender::new(None),
            settings: watch::Sender::new(deps.settings),
            actions: RwLock::new(deps.actions.clone()),
        });
        let lives = shared.clone();
        let child = HostedChild::new(move |_| HealthMonitor::new(deps.clone(), lives.clone()));
        let handle = Self {
            shared,
            address: child.address(0),
        };
        (child, handle)
    }

    /// The recovery actions from now on; checks name them from their next look on.
    pub fn set_actions(&self, actions: Arc<[RecoveryActionSpec]>) {
        *self.shared.actions.write() = actions;
    }

    /// How often, how long, which limits from now on; what waits for its time goes by the new spans,
    /// and checks by the new limits from their next look on.
    pub fn set_settings(&self, settings: HealthSettings) {
        self.shared.settings.send_if_modified(|held| {
            let differs = *held != settings;
            *held = settings;
            differs
        });
    }

    /// The last report; `None` before the first round has ended. Never waits.
    #[must_use]
    pub fn report(&self) -> Option<Arc<HealthReport>> {
        self.shared.report()
    }

    /// Whether the first round has ended.
    #[must_use]
    pub fn startup_done(&self) -> bool {
        self.shared.report.borrow().is_some()
    }

    /// Every report from now on, the last one only if several came.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Option<Arc<HealthReport>>> {
        self.shared.report.subscribe()
    }

    /// Runs one check now, or all, and answers with the whole report.
    ///
    /// # Errors
    /// [`HealthError`] if there is no such check, or the monitor does not answer.
    pub async fn run(&self, check: Option<&str>) -> Result<Arc<HealthReport>, HealthError> {
        let wanted = match check {
            None => Wanted::All,
            Some(name) => Wanted::One(self.known(name)?),
        };
        let deadline = self.shared.settings().check_timeout + ASK_SLACK;
        Ok(self.address.ask(RunChecks { wanted }, deadline).await?)
    }

    fn known(&self, name: &str) -> Result<String, HealthError> {
        let report = self.report();
        let checks = report.iter().flat_map(|report| &report.checks);
        let mut names: Vec<&str> = checks.map(|check| check.name.as_str()).collect();
        names.extend([SYSTEM_CHECK, DATABASE_CHECK]);
        if names.contains(&name) {
            return Ok(name.to_owned());
        }
        Err(HealthError::NotFound {
            name: name.chars().take(80).collect(),
            nearest: nearest(name, names).map(str::to_owned),
        })
    }
}
