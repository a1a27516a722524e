//! One run of an action: tries, each verified, each written down.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::ledger::{FAILED, Ledger, SUCCEEDED};
use super::{EFFECT_TIMEOUT, EffectResult, HealerDeps, RecoveryEffects};
use crate::actors::health::HealthHandle;
use crate::domain::health::{HealthCheck, HealthStatus};
use crate::domain::name::Name;
use crate::domain::record::RecoveryRun;
use crate::domain::recovery::{RecoveryActionSpec, RecoveryStep, RecoveryVerify, agent_of};

/// From one look at a check to the next while a run is verified.
const VERIFY_PERIOD: Duration = Duration::from_secs(1);
/// Healthy looks in a row that count as well again.
const VERIFY_SUCCESSES: u32 = 2;

/// A run that was started on request.
#[derive(Debug)]
pub(super) struct Begun {
    /// Its first try as it began.
    pub(super) run: RecoveryRun,
    /// Its first try as it ended.
    pub(super) first_try: oneshot::Receiver<RecoveryRun>,
}

/// Tries until one try is verified or none is left. `opened` is the first try's record.
pub(super) async fn carry_out(
    deps: HealerDeps,
    ledger: Ledger,
    action: RecoveryActionSpec,
    check: String,
    opened: RecoveryRun,
    mut first: Option<oneshot::Sender<RecoveryRun>>,
) {
    let cause = opened.cause.clone();
    let mut run = opened;
    loop {
        // Kept beside the effect: a database that is down must not delay its own cure.
        let trying = attempt(&deps, &action, &check);
        let ((), ended) = futures_util::future::join(ledger.keep(run.clone()), trying).await;
        let more = ended.is_err() && run.attempt < action.attempts;
        let tried = run.attempt;
        let ended = match ended {
            Ok(message) => ledger.end(run, SUCCEEDED, message, more),
            Err(message) => ledger.end(run, FAILED, message, more),
        };
        if let Some(first) = first.take() {
            // Who asked may have stopped waiting.
            first.send(ended.clone()).ok();
        }
        ledger.keep(ended).await;
        if !more {
            return;
        }
        sleep(action.backoff(tried + 1, rand::random())).await;
        run = ledger.open(&action, &cause, tried + 1);
    }
}

/// One try: the effect, then the check. Says what was done, or what went wrong.
async fn attempt(
    deps: &HealerDeps,
    action: &RecoveryActionSpec,
    check: &str,
) -> Result<String, String> {
    let effect = effect(deps.effects.as_ref(), &action.step, check)?;
    let done = match timeout(EFFECT_TIMEOUT, effect).await {
        Ok(done) => done.map_err(|error| error.to_string())?,
        Err(_) => return Err(format!("no answer within {} s", EFFECT_TIMEOUT.as_secs())),
    };
    match &action.verify {
        None => Ok(done),
        Some(verify) => verified(&deps.health, verify, check)
            .await
            .map(|seen| format!("{done}; {seen}"))
            .map_err(|seen| format!("{done}, but {seen}")),
    }
}

fn effect(
    effects: &dyn RecoveryEffects,
    step: &RecoveryStep,
    check: &str,
) -> Result<EffectResult, String> {
    match step {
        RecoveryStep::AgentRestart(target) => {
            let called = || agent_of(check).and_then(|name| name.parse::<Name>().ok());
            let agent = target.clone().or_else(called);
            let agent = agent.ok_or_else(|| format!("check '{check}' is about no agent"))?;
            Ok(effects.restart_agent(&agent))
        }
        RecoveryStep::DatabaseReconnect => Ok(effects.reconnect_database()),
        RecoveryStep::QueuePause(queue) => {
            Ok(effects.pause_queue(queue, format!("check '{check}' was critical")))
        }
        // The configuration refuses these; a program that embeds this crate may still ask.
        other => Err(format!("'{}' is not in this version", other.as_str())),
    }
}

/// Runs the check until it is well twice in a row. At the deadline a warning will do: what was
/// critical works again.
async fn verified(
    health: &HealthHandle,
    verify: &RecoveryVerify,
    called: &str,
) -> Result<String, String> {
    let check = verify.check.as_deref().unwrap_or(called);
    let deadline = Instant::now() + verify.within;
    let mut successes = 0;
    loop {
        let (seen, says) = look(health, check).await;
        successes = if seen == Seen::Well { successes + 1 } else { 0 };
        let late = Instant::now() + VERIFY_PERIOD > deadline;
        match seen {
            Seen::Well if successes >= VERIFY_SUCCESSES || late => return Ok(says),
            Seen::Better if late => return Ok(says),
            _ if late => return Err(says),
            _ => sleep(VERIFY_PERIOD).await,
        }
    }
}

/// What a look at a check says about a recovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Well,
    /// Works, but something is worth a look.
    Better,
    /// Bad, not known, or not yet there: an agent that starts has still to show that it can.
    NotYet,
}

async fn look(health: &HealthHandle, check: &str) -> (Seen, String) {
    let report = match health.run(Some(check)).await {
        Ok(report) => report,
        Err(error) => return (Seen::NotYet, error.to_string()),
    };
    let Some(found) = report.check(check) else {
        return (Seen::NotYet, format!("{check} is no longer checked"));
    };
    let seen = match found.status {
        _ if awaits_a_replica(found) => Seen::NotYet,
        HealthStatus::Healthy => Seen::Well,
        HealthStatus::Warning => Seen::Better,
        HealthStatus::Critical | HealthStatus::Unknown => Seen::NotYet,
    };
    let says = format!("{check} is {}: {}", found.status.as_str(), found.message);
    (seen, says)
}

/// Whether it is an agent's check, the agent is to run, and no replica of it can work.
fn awaits_a_replica(check: &HealthCheck) -> bool {
    let number = |key: &str| check.details.get(key).and_then(serde_json::Value::as_u64);
    let to_run = check
        .details
        .get("desired")
        .is_some_and(|desired| desired == "running");
    to_run && number("ready") == Some(0) && number("replicas") > Some(0)
}
