//! The healer as an actor: sees every report, asks the guard, starts runs, remembers.

use std::collections::BTreeSet;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout};

use super::ledger::{Ledger, OBSERVED, RUNNING, SUPPRESSED, cut_off};
use super::run::{Begun, carry_out};
use super::{HealerDeps, LastRuns, Rules};
use crate::actors::life::Hosted;
use crate::actors::runner::AgentContext;
use crate::domain::health::{HealthCheck, HealthReport, HealthStatus};
use crate::domain::query::{MAX_PAGE_LIMIT, PageRequest};
use crate::domain::record::RecoveryRun;
use crate::domain::recovery::guard::{Decision, Guard, HOUR, Suppression};
use crate::domain::recovery::{RecoveryActionSpec, RecoveryMode, action_for};
use crate::domain::timestamp::Timestamp;
use crate::telemetry::metrics::record;

/// What a run's cause is when nobody's check called.
pub(super) const OPERATOR: &str = "operator";
/// How long the history may take to load.
const LOAD_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs an action now. Answers `None` if it runs for that check already.
#[derive(Debug, Message)]
#[rtype(result = "Option<Begun>")]
pub(super) struct RunAction {
    pub(super) action: RecoveryActionSpec,
    pub(super) check: String,
}

/// An action at work on a check.
type Pair = (String, String);

/// The actor.
pub(super) struct Healer {
    deps: HealerDeps,
    rules: Rules,
    ledger: Ledger,
    guard: Guard,
    /// Instants of this life: the wall clock's at its start, moved on by a clock that never jumps.
    wall_at_start: Timestamp,
    started: Instant,
    under_way: BTreeSet<Pair>,
    /// Suppressions that were told and still hold.
    told: BTreeSet<Pair>,
}

impl Healer {
    pub(super) fn new(deps: HealerDeps, rules: Rules, last: LastRuns) -> Self {
        Self {
            guard: Guard::new(&rules.now()),
            rules,
            ledger: Ledger::new(deps.store.clone(), deps.facts.clone(), last),
            wall_at_start: crate::clock::now(),
            started: Instant::now(),
            under_way: BTreeSet::new(),
            told: BTreeSet::new(),
            deps,
        }
    }

    fn steady_now(&self) -> Timestamp {
        self.wall_at_start.after(self.started.elapsed())
    }

    /// Loads the runs that still count, and closes those that a crash cut off.
    fn load(&self, ctx: &mut AgentContext<Self>) {
        let page = PageRequest {
            limit: MAX_PAGE_LIMIT,
            cursor: None,
        };
        let history = timeout(LOAD_TIMEOUT, self.deps.store.recovery_runs(page));
        ctx.wait(history.into_actor(self).map(|history, act, ctx| {
            match history {
                Ok(Ok(page)) => act.remember(page.items, ctx),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "earlier recovery runs cannot be read; budgets begin anew");
                }
                Err(_) => tracing::warn!("earlier recovery runs do not come; budgets begin anew"),
            }
            act.watch(act.deps.health.subscribe(), true, ctx);
        }));
    }

    /// `runs` come newest first.
    fn remember(&mut self, runs: Vec<RecoveryRun>, ctx: &mut AgentContext<Self>) {
        let now = self.wall_at_start;
        for run in runs.into_iter().rev() {
            if counts(&run) && now.since(run.started_at) < HOUR {
                let mode = match run.outcome.as_str() {
                    OBSERVED => RecoveryMode::Observe,
                    _ => RecoveryMode::Enforce,
                };
                let at = run.started_at.min(now);
                self.guard.remember(&run.action, &run.cause, at, mode);
            }
            if run.outcome == RUNNING {
                let run = cut_off(run);
                self.ledger.note(&run);
                self.keep(run, ctx);
            } else {
                self.ledger.note(&run);
            }
        }
    }

    fn keep(&self, run: RecoveryRun, ctx: &mut AgentContext<Self>) {
        let ledger = self.ledger.clone();
        ctx.spawn(async move { ledger.keep(run).await }.into_actor(self));
    }

    /// Waits for the next report, again and again; the one that is there already comes at once.
    fn watch(
        &self,
        mut reports: watch::Receiver<Option<std::sync::Arc<HealthReport>>>,
        at_once: bool,
        ctx: &mut AgentContext<Self>,
    ) {
        let next = async move {
            // The sender is kept by the handle that we hold, so this never fails.
            if !at_once || reports.borrow().is_none() {
                reports.changed().await.ok();
            }
            let report = reports.borrow_and_update().clone();
            (report, reports)
        };
        ctx.spawn(next.into_actor(self).map(|(report, reports), act, ctx| {
            if let Some(report) = report {
                act.see(&report, ctx);
            }
            act.watch(reports, false, ctx);
        }));
    }

    fn see(&mut self, report: &HealthReport, ctx: &mut AgentContext<Self>) {
        let critical = |check: &&HealthCheck| check.status == HealthStatus::Critical;
        let names: BTreeSet<&str> = report
            .checks
            .iter()
            .filter(critical)
            .map(|c| c.name.as_str())
            .collect();
        self.told
            .retain(|(_, check)| names.contains(check.as_str()));
        let spec = self.rules.now();
        self.guard.follow(&spec);
        // What was seen between rounds is shown, and acted on when it lasts till the round.
        let lasting = |check: &&HealthCheck| critical(check) && !check.is_early();
        for check in report.checks.iter().filter(lasting) {
            if let Some(action) = action_for(&spec.actions, &check.name) {
                self.answer(action, check, ctx);
            }
        }
    }

    fn answer(
        &mut self,
        action: &RecoveryActionSpec,
        check: &HealthCheck,
        ctx: &mut AgentContext<Self>,
    ) {
        let pair = (action.name.clone(), check.name.clone());
        if self.under_way.contains(&pair) {
            return;
        }
        let now = self.steady_now();
        let decision = match check.details.get("hopeless").and_then(|why| why.as_str()) {
            Some(why) => Decision::Suppress(Suppression::Hopeless {
                why: why.to_owned(),
            }),
            None => self.guard.decide(action, &check.name, now),
        };
        match decision {
            Decision::Run => {
                self.guard.count(action, &check.name, now);
                self.told.remove(&pair);
                self.begin(action.clone(), check.name.clone(), &check.name, None, ctx);
            }
            Decision::Observe => {
                self.guard.count(action, &check.name, now);
                let would = format!("would run {}", action.step.as_str());
                let run = self.ledger.skipped(action, &check.name, OBSERVED, would);
                self.keep(run, ctx);
            }
            Decision::Suppress(why) => {
                if self.told.insert(pair) {
                    let why = why.to_string();
                    let run = self.ledger.skipped(action, &check.name, SUPPRESSED, why);
                    self.keep(run, ctx);
                }
            }
        }
    }

    /// Starts a run; `first` is told how its first try ended.
    fn begin(
        &mut self,
        action: RecoveryActionSpec,
        check: String,
        cause: &str,
        first: Option<oneshot::Sender<RecoveryRun>>,
        ctx: &mut AgentContext<Self>,
    ) -> RecoveryRun {
        let pair = (action.name.clone(), check.clone());
        self.under_way.insert(pair.clone());
        let opened = self.ledger.open(&action, cause, 1);
        let running = carry_out(
            self.deps.clone(),
            self.ledger.clone(),
            action,
            check,
            opened.clone(),
            first,
        );
        ctx.spawn(running.into_actor(self).map(move |(), act, _| {
            act.under_way.remove(&pair);
        }));
        opened
    }
}

/// Whether an earlier record counts against budgets: the first try of a run that a check called
/// for, carried out or observed.
fn counts(run: &RecoveryRun) -> bool {
    run.attempt == 1 && run.cause != OPERATOR && run.outcome != SUPPRESSED
}

impl Actor for Healer {
    type Context = AgentContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        for action in &self.rules.now().actions {
            record::recovery_action(&action.name);
        }
        self.load(ctx);
    }
}

impl Hosted for Healer {
    const MAILBOX: usize = 64;
}

impl Handler<RunAction> for Healer {
    type Result = MessageResult<RunAction>;

    fn handle(
        &mut self,
        RunAction { action, check }: RunAction,
        ctx: &mut Self::Context,
    ) -> Self::Result {
        if self
            .under_way
            .contains(&(action.name.clone(), check.clone()))
        {
            return MessageResult(None);
        }
        tracing::info!(action = %action.name, %check, "recovery asked for by an operator");
        let (first, first_try) = oneshot::channel();
        let run = self.begin(action, check, OPERATOR, Some(first), ctx);
        MessageResult(Some(Begun { run, first_try }))
    }
}
