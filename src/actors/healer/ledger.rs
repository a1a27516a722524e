//! Writes runs down: as rows, events, metrics, log lines, and as each action's last run.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use super::LastRuns;
use crate::actors::health::seams::{FactSink, HealthStore};
use crate::clock;
use crate::domain::event::NewEvent;
use crate::domain::ids::RecoveryRunId;
use crate::domain::record::RecoveryRun;
use crate::domain::recovery::RecoveryActionSpec;
use crate::telemetry::metrics::record;

pub(super) const RUNNING: &str = "running";
pub(super) const SUCCEEDED: &str = "succeeded";
pub(super) const FAILED: &str = "failed";
pub(super) const SUPPRESSED: &str = "suppressed";
pub(super) const OBSERVED: &str = "observed";

/// How long a row may take.
const KEEP_TIMEOUT: Duration = Duration::from_secs(3);

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Ledger {
    store: Arc<dyn HealthStore>,
    facts: FactSink,
    last: LastRuns,
}

impl Ledger {
    pub(super) fn new(store: Arc<dyn HealthStore>, facts: FactSink, last: LastRuns) -> Self {
        Self { store, facts, last }
    }

    /// Keeps a record. What the database does not take is said and let go.
    pub(super) async fn keep(&self, run: RecoveryRun) {
        let failed = match timeout(KEEP_TIMEOUT, self.store.log_recovery_run(run)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        tracing::warn!(error = %failed, "a recovery run is not kept");
    }

    /// A try begins.
    pub(super) fn open(
        &self,
        action: &RecoveryActionSpec,
        cause: &str,
        attempt: u32,
    ) -> RecoveryRun {
        let run = RecoveryRun {
            attempt,
            ..new(action, cause, RUNNING, action.step.as_str().to_owned())
        };
        tracing::info!(action = %run.action, cause = %run.cause, attempt, "recovery started");
        self.tell("recovery.started", &run, false);
        run
    }

    /// A try ended; `more` if another follows.
    pub(super) fn end(
        &self,
        run: RecoveryRun,
        outcome: &'static str,
        message: String,
        more: bool,
    ) -> RecoveryRun {
        let run = RecoveryRun {
            outcome: outcome.to_owned(),
            message,
            finished_at: Some(clock::now()),
            ..run
        };
        let (action, cause, attempt) = (&run.action, &run.cause, run.attempt);
        if outcome == SUCCEEDED {
            tracing::info!(%action, %cause, attempt, "recovery succeeded: {}", run.message);
            self.tell("recovery.succeeded", &run, more);
        } else {
            tracing::warn!(%action, %cause, attempt, more, "recovery failed: {}", run.message);
            self.tell("recovery.failed", &run, more);
        }
        if !more {
            record::recovery_run(&run.action, outcome);
        }
        run
    }

    /// An action was called for and not run.
    pub(super) fn skipped(
        &self,
        action: &RecoveryActionSpec,
        cause: &str,
        outcome: &'static str,
        message: String,
    ) -> RecoveryRun {
        let mut run = new(action, cause, outcome, message);
        run.finished_at = Some(run.started_at);
        tracing::warn!(action = %run.action, %cause, "recovery {outcome}: {}", run.message);
        record::recovery_run(&run.action, outcome);
        self.tell("recovery.suppressed", &run, false);
        run
    }

    /// Takes in a record of an earlier life as an action's last run.
    pub(super) fn note(&self, run: &RecoveryRun) {
        self.last.lock().insert(run.action.clone(), run.clone());
    }

    fn tell(&self, kind: &'static str, run: &RecoveryRun, more: bool) {
        self.note(run);
        (self.facts)(NewEvent {
            kind,
            subject: run.action.clone(),
            at: run.finished_at.unwrap_or(run.started_at),
            data: json!({
                "run": run.id,
                "cause": run.cause,
                "attempt": run.attempt,
                "outcome": run.outcome,
                "message": run.message,
                "retries": more,
            }),
        });
    }
}

fn new(
    action: &RecoveryActionSpec,
    cause: &str,
    outcome: &'static str,
    message: String,
) -> RecoveryRun {
    RecoveryRun {
        id: RecoveryRunId::from_bytes(clock::new_id()),
        action: action.name.clone(),
        cause: cause.to_owned(),
        outcome: outcome.to_owned(),
        message,
        attempt: 1,
        started_at: clock::now(),
        finished_at: None,
    }
}

/// A run that ended with the life of the daemon or healer that carried it out.
pub(super) fn cut_off(run: RecoveryRun) -> RecoveryRun {
    RecoveryRun {
        outcome: FAILED.to_owned(),
        message: format!("{}: cut off by the end of the daemon", run.message),
        finished_at: Some(clock::now()),
        ..run
    }
}
