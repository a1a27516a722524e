//! The healer: answers critical checks with recovery actions, within their budgets.
//!
//! ```text
//! every report ─▶ healer ─guard─▶ run ─▶ RecoveryEffects (supervisor, persistence)
//!                           │       ├─ verify: run the check again
//!                           │       └─ retry with backoff and jitter
//!                           └─ suppressed, observed
//! each try, suppression and observation ─▶ RecoveryRun row, recovery.* event, metric
//! ```
//!
//! Rely on: a check that stays critical is answered again as soon as its budget allows, and what
//! is suppressed is told once, not every round; budgets outlive the daemon; a run that a crash cut
//! off is closed as failed.
//!
//! Not here: what is critical (see `health`), and restarts by policy (see `supervisor`).

mod actor;
mod ledger;
mod run;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use serde::Serialize;

use crate::actors::health::HealthHandle;
use crate::actors::health::seams::{FactSink, HealthStore};
use crate::actors::life::ChildFactory;
use crate::actors::runner::{Address, AskError, HostedChild};
use crate::domain::name::{Name, nearest};
use crate::domain::record::RecoveryRun;
use crate::domain::recovery::{RecoveryActionSpec, RecoveryMode, RecoverySpec};
use actor::{Healer, RunAction};

/// The longest that one effect may take.
pub const EFFECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long somebody who asked for a run waits for its first try; then the run is still `running`.
pub const RUN_WAIT: Duration = Duration::from_secs(20);
/// How long the healer may take to take an order.
const ASK_DEADLINE: Duration = Duration::from_secs(2);

/// Why an effect failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EffectFailed(pub String);

/// What an effect says: what it did, for people, or why not.
pub type EffectResult = BoxFuture<'static, Result<String, EffectFailed>>;

/// What recovery actions can do. Each is idempotent and has a deadline of its own.
pub trait RecoveryEffects: Send + Sync + Debug {
    /// Ends what is stuck of an agent and starts what rests, with no death forgotten.
    fn restart_agent(&self, agent: &Name) -> EffectResult;
    /// Opens the database anew.
    fn reconnect_database(&self) -> EffectResult;
    /// Hands out nothing more of a queue until an operator resumes it; `why` is kept with the pause.
    fn pause_queue(&self, queue: &Name, why: String) -> EffectResult;
}

/// What the healer is given.
#[derive(Clone)]
pub struct HealerDeps {
    /// Actions and limits at first.
    pub spec: Arc<RecoverySpec>,
    /// The reports, and checks run again.
    pub health: HealthHandle,
    /// What can be done.
    pub effects: Arc<dyn RecoveryEffects>,
    /// Where runs are kept.
    pub store: Arc<dyn HealthStore>,
    /// The journal.
    pub facts: FactSink,
}

impl Debug for HealerDeps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealerDeps")
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}

/// An action as people and scripts see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ActionView {
    /// Its name.
    pub name: String,
    /// The check that calls for it.
    pub when: String,
    /// What it does.
    #[serde(rename = "do")]
    pub step: &'static str,
    /// From one run to the next for the same check.
    pub cooldown_ms: u64,
    /// Runs an hour for the same check.
    pub max_per_hour: u32,
    /// Tries of one run.
    pub attempts: u32,
    /// Whether it acts.
    pub mode: RecoveryMode,
    /// Its last run, suppression or observation.
    pub last_run: Option<RecoveryRun>,
}

/// Why an action was not run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HealerError {
    /// There is no such action.
    #[error("recovery action '{name}' does not exist{}", hint(nearest.as_deref()))]
    NotFound {
        /// What was asked for.
        name: String,
        /// The nearest one there is.
        nearest: Option<String>,
    },
    /// It answers several checks, and none was named.
    #[error("recovery action '{action}' answers '{when}': say for which check, such as agent.echo")]
    NeedsCheck {
        /// The action.
        action: String,
        /// What it answers.
        when: String,
    },
    /// It does not answer the check that was named.
    #[error("recovery action '{action}' answers '{when}', not '{check}'")]
    WrongCheck {
        /// The action.
        action: String,
        /// What it answers.
        when: String,
        /// The check.
        check: String,
    },
    /// There is no such check.
    #[error("check '{name}' does not exist{}", hint(nearest.as_deref()))]
    NoCheck {
        /// What was asked for.
        name: String,
        /// The nearest one that the action answers.
        nearest: Option<String>,
    },
    /// It is at work on the same check.
    #[error("recovery action '{action}' already runs for '{check}'")]
    UnderWay {
        /// The action.
        action: String,
        /// The check.
        check: String,
    },
    /// The healer does not answer.
    #[error("the healer: {0}")]
    Silent(#[from] AskError),
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean '{name}'?"))
}

/// The last run of each action; outlives the lives of the healer.
type LastRuns = Arc<Mutex<BTreeMap<String, RecoveryRun>>>;

/// Actions and limits as they hold now; outlive the lives of the healer.
#[derive(Debug, Clone)]
struct Rules(Arc<RwLock<Arc<RecoverySpec>>>);

impl Rules {
    fn of(spec: Arc<RecoverySpec>) -> Self {
        Self(Arc::new(RwLock::new(spec)))
    }

    fn now(&self) -> Arc<RecoverySpec> {
        self.0.read().clone()
    }
}

/// The way to the healer. Cheap to clone; good over its restarts.
#[derive(Debug, Clone)]
pub struct HealerHandle {
    rules: Rules,
    health: HealthHandle,
    last: LastRuns,
    address: Address<Healer>,
}

impl HealerHandle {
    /// The healer as a child for the tree, and the way to it.
    #[must_use]
    pub fn child(deps: HealerDeps) -> (Arc<dyn ChildFactory>, Self) {
        let last = LastRuns::default();
        let (rules, health) = (Rules::of(deps.spec.clone()), deps.health.clone());
        let lives = (rules.clone(), last.clone());
        let child = HostedChild::new(move |_| {
            let (rules, last) = lives.clone();
            Healer::new(deps.clone(), rules, last)
        });
        let address = child.address(0);
        let handle = Self {
            rules,
            health,
            last,
            address,
        };
        (child, handle)
    }

    /// Other actions and limits from now on. Runs that are under way go on, and runs so far count.
    pub fn set_spec(&self, spec: Arc<RecoverySpec>) {
        *self.rules.0.write() = spec;
    }

    /// All actions, in the order in which they answer. Never waits.
    #[must_use]
    pub fn actions(&self) -> Vec<ActionView> {
        let last = self.last.lock();
        let view = |action: &RecoveryActionSpec| ActionView {
            name: action.name.clone(),
            when: action.when.clone(),
            step: action.step.as_str(),
            cooldown_ms: u64::try_from(action.cooldown.as_millis()).unwrap_or(u64::MAX),
            max_per_hour: action.max_per_hour,
            attempts: action.attempts,
            mode: action.mode,
            last_run: last.get(&action.name).cloned(),
        };
        self.rules.now().actions.iter().map(view).collect()
    }

    /// Runs an action now, whatever its budget and mode, for the check named or its own; answers
    /// with its first try, which is still `running` if it takes longer than [`RUN_WAIT`].
    ///
    /// # Errors
    /// [`HealerError`] if there is nothing to run.
    pub async fn run(&self, action: &str, check: Option<&str>) -> Result<RecoveryRun, HealerError> {
        let spec = self.known(action)?;
        let check = self.checked(&spec, check)?;
        let order = RunAction {
            action: spec.clone(),
            check: check.to_owned(),
        };
        let begun = self.address.ask(order, ASK_DEADLINE).await?;
        let begun = begun.ok_or_else(|| HealerError::UnderWay {
            action: spec.name.clone(),
            check: check.to_owned(),
        })?;
        match tokio::time::timeout(RUN_WAIT, begun.first_try).await {
            Ok(Ok(run)) => Ok(run),
            _ => Ok(begun.run),
        }
    }

    /// The check to run an action for: the one named, if it is one that the action answers, or
    /// the action's own.
    fn checked<'a>(
        &self,
        spec: &'a RecoveryActionSpec,
        named: Option<&'a str>,
    ) -> Result<&'a str, HealerError> {
        let (action, when) = (spec.name.clone(), spec.when.clone());
        let Some(check) = named else {
            let own = spec.own_check();
            return own.ok_or(HealerError::NeedsCheck { action, when });
        };
        let short = || check.chars().take(80).collect::<String>();
        if !spec.answers(check) {
            let check = short();
            return Err(HealerError::WrongCheck {
                action,
                when,
                check,
            });
        }
        // Before the first round nobody knows which checks there are.
        let Some(report) = self.health.report() else {
            return Ok(check);
        };
        if report.check(check).is_some() {
            return Ok(check);
        }
        let there = report.checks.iter().map(|check| check.name.as_str());
        Err(HealerError::NoCheck {
            name: short(),
            nearest: nearest(check, there.filter(|name| spec.answers(name))).map(str::to_owned),
        })
    }

    fn known(&self, name: &str) -> Result<RecoveryActionSpec, HealerError> {
        let actions = &self.rules.now().actions;
        let found = actions.iter().find(|action| action.name == name);
        found.cloned().ok_or_else(|| HealerError::NotFound {
            name: name.chars().take(80).collect(),
            nearest: nearest(name, actions.iter().map(|a| a.name.as_str())).map(str::to_owned),
        })
    }
}
