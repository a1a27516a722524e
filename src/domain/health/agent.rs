//! What the evidence says about an agent's health.
//!
//! Idle is healthy. What the operator stopped or paused is healthy. An agent is critical only when
//! none of its replicas can work, or when it is deaf, floods with errors or its queue is full;
//! while some replicas can work, a broken one is a warning.

mod spend;

use std::time::Duration;

use serde::Serialize;

use super::HealthStatus;
use super::judge::Threshold;
use crate::domain::agent::{AgentKind, AgentState, Desired, Verdict};
use crate::domain::name::Name;
use crate::domain::spend::SpendView;

/// Restarts inside the intensity's window from which a delayed restart counts as a loop.
pub const LOOP_RESTARTS: u32 = 3;
/// Rounds in a row in which a ready agent held nothing while tasks waited for it: worth a look.
pub const DEAF_WARNING_ROUNDS: u32 = 3;
/// Rounds in a row after which it counts as deaf: alive, but not working.
pub const DEAF_CRITICAL_ROUNDS: u32 = 10;

/// What is known of one replica.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstanceHealth {
    /// Which replica.
    pub index: u32,
    /// Where its life stands.
    pub state: AgentState,
    /// What the evidence says it does.
    pub verdict: Verdict,
    /// Its process, if it has one.
    pub pid: Option<u32>,
    /// How long its life has lasted.
    #[serde(rename = "uptime_ms", serialize_with = "optional_ms")]
    pub uptime: Option<Duration>,
    /// How long its last answered probe took.
    #[serde(rename = "response_ms", serialize_with = "optional_ms")]
    pub response: Option<Duration>,
    /// Probes in a row that were not answered.
    pub missed_probes: u32,
    /// Missed probes that count as dead.
    pub failure_threshold: u32,
    /// Why its probes keep work from it, if they do.
    pub unreachable: Option<String>,
    /// Restarts inside the window of its intensity.
    pub restarts_in_window: u32,
    /// Why its life before this one ended.
    pub last_reason: Option<String>,
    /// Whether that end was a normal one.
    pub ended_normally: bool,
}

/// What is known of one agent; monotonic spans of this life of the daemon only.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentHealthInput {
    /// Its name.
    pub name: Name,
    /// Where its code runs.
    pub kind: AgentKind,
    /// What the operator asked for.
    pub desired: Desired,
    /// Whether the daemon is not ready without it.
    pub critical: bool,
    /// Its replicas.
    pub instances: Vec<InstanceHealth>,
    /// Tasks waiting for it.
    pub queue_depth: u64,
    /// The most tasks that may wait.
    pub queue_capacity: u64,
    /// Whether what waits is held back by a pause or a limit: it has been asked for.
    pub held_back: bool,
    /// What it has spent and may, if it has ceilings.
    pub spend: Option<SpendView>,
    /// Tasks it holds.
    pub running: u64,
    /// Errors since the daemon's start.
    pub errors_total: u64,
    /// Restarts since the daemon's start.
    pub restarts_total: u64,
    /// Processor time of its process trees, seconds; nothing for actors, and until it was measured.
    pub cpu_seconds: Option<f64>,
    /// Resident memory of its process trees, bytes; nothing for actors, and until it was measured.
    pub memory_bytes: Option<u64>,
}

impl AgentHealthInput {
    /// Replicas that can work.
    #[must_use]
    pub fn ready(&self) -> usize {
        self.instances.iter().filter(|i| i.can_work()).count()
    }

    /// Whether a replica has given up, or is cut off from what it works through.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.desired != Desired::Stopped && self.instances.iter().any(|i| is_down(i.state))
    }

    /// Whether tasks wait while it holds none and nothing keeps it from taking them.
    #[must_use]
    pub fn starves_its_queue(&self) -> bool {
        self.queue_depth > 0
            && self.running == 0
            && !self.held_back
            && self.desired == Desired::Running
            && self.ready() > 0
    }
}

/// The best level that an agent can be shown with, whatever its last check said: `worst` is the state
/// of the replica worst off, `ready` how many can work.
#[must_use]
pub const fn best_level(desired: Desired, worst: AgentState, ready: u32) -> HealthStatus {
    match (desired, worst) {
        (Desired::Stopped, _) => HealthStatus::Healthy,
        (_, state) if is_down(state) && ready == 0 => HealthStatus::Critical,
        (_, state) if is_down(state) => HealthStatus::Warning,
        (_, AgentState::Backoff) => HealthStatus::Warning,
        _ => HealthStatus::Healthy,
    }
}

const fn is_down(state: AgentState) -> bool {
    matches!(
        state,
        AgentState::Quarantined | AgentState::Failed | AgentState::Unreachable
    )
}

/// Limits that every agent is judged by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AgentLimits {
    /// Share of its queue's capacity in use.
    pub queue: Threshold,
    /// Errors between two rounds.
    pub errors: Threshold,
}

impl AgentLimits {
    /// What holds unless set otherwise.
    pub const DEFAULT: Self = Self {
        queue: Threshold::DEFAULT,
        errors: Threshold {
            warning: 10.0,
            critical: 100.0,
        },
    };
}

/// What the rounds before say about an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AgentTrend {
    /// Errors between the last two rounds, or since the last one if these are more.
    pub recent_errors: u64,
    /// Rounds in a row, this one included, in which [`AgentHealthInput::starves_its_queue`] held.
    pub deaf_rounds: u32,
}

/// The judgement of one agent.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentJudgement {
    /// The level.
    pub status: HealthStatus,
    /// Why, in one line.
    pub message: String,
    /// Why nothing that a recovery action does would help, if so.
    pub hopeless: Option<&'static str>,
    /// The figure it was judged by, if one decided.
    pub value: Option<f64>,
    /// The limit it was judged against.
    pub threshold: Option<f64>,
}

impl InstanceHealth {
    /// Ready, and it answers.
    #[must_use]
    pub fn can_work(&self) -> bool {
        self.level() != HealthStatus::Critical
            && matches!(self.state, AgentState::Ready | AgentState::Paused)
    }

    const fn silent(&self) -> bool {
        self.failure_threshold > 0 && self.missed_probes >= self.failure_threshold
    }

    /// The level of this replica alone.
    #[must_use]
    pub fn level(&self) -> HealthStatus {
        match self.state {
            AgentState::Ready | AgentState::Paused
                if self.silent() || self.verdict == Verdict::Dead =>
            {
                HealthStatus::Critical
            }
            AgentState::Ready if self.verdict == Verdict::Stalled => HealthStatus::Warning,
            AgentState::Ready | AgentState::Paused => HealthStatus::Healthy,
            AgentState::Pending
            | AgentState::Starting
            | AgentState::Draining
            | AgentState::Stopping => {
                if self.restarts_in_window == 0 {
                    HealthStatus::Healthy
                } else {
                    HealthStatus::Warning
                }
            }
            AgentState::Stopped if self.ended_normally => HealthStatus::Healthy,
            AgentState::Stopped => HealthStatus::Warning,
            AgentState::Backoff if self.restarts_in_window < LOOP_RESTARTS => HealthStatus::Warning,
            AgentState::Backoff
            | AgentState::Quarantined
            | AgentState::Failed
            | AgentState::Unreachable => HealthStatus::Critical,
        }
    }

    fn says(&self) -> String {
        let what = match self.state {
            AgentState::Ready | AgentState::Paused if self.silent() => {
                format!("has not answered {} probes in a row", self.missed_probes)
            }
            AgentState::Ready if self.verdict == Verdict::Stalled => {
                "holds a task and shows no progress".to_owned()
            }
            AgentState::Ready if self.verdict == Verdict::Dead => "has no life".to_owned(),
            AgentState::Unreachable => match &self.unreachable {
                Some(why) => return format!("#{} is unreachable: {why}", self.index),
                None => "is unreachable".to_owned(),
            },
            AgentState::Stopped if self.ended_normally => "has ended normally".to_owned(),
            state if self.restarts_in_window > 0 => format!(
                "is {}, {} restarts inside its window",
                state.as_str(),
                self.restarts_in_window
            ),
            state => format!("is {}", state.as_str()),
        };
        match &self.last_reason {
            Some(reason) if self.level() != HealthStatus::Healthy => {
                format!("#{} {what}: {reason}", self.index)
            }
            _ => format!("#{} {what}", self.index),
        }
    }
}

/// Judges an agent by its evidence.
#[must_use]
pub fn judge_agent(
    input: &AgentHealthInput,
    trend: AgentTrend,
    limits: AgentLimits,
) -> AgentJudgement {
    if input.desired == Desired::Stopped {
        return AgentJudgement::healthy("stopped by the operator".to_owned());
    }
    let doubts = [
        judge_hearing(trend),
        judge_errors(trend, limits.errors),
        judge_queue(input, limits.queue),
        spend::judge(input),
    ];
    doubts
        .into_iter()
        .flatten()
        .fold(judge_lives(input), AgentJudgement::worse)
}

impl AgentJudgement {
    const fn healthy(message: String) -> Self {
        Self::of(HealthStatus::Healthy, message)
    }

    const fn of(status: HealthStatus, message: String) -> Self {
        Self {
            status,
            message,
            hopeless: None,
            value: None,
            threshold: None,
        }
    }

    fn by(figure: f64, limits: Threshold, message: impl FnOnce() -> String) -> Option<Self> {
        let status = limits.level(figure);
        (status != HealthStatus::Healthy).then(|| Self {
            value: Some(figure),
            threshold: Some(limits.shown_for(status)),
            ..Self::of(status, message())
        })
    }

    /// The worse of two; the first of equals.
    fn worse(self, other: Self) -> Self {
        if other.status.severity() > self.status.severity() {
            other
        } else {
            self
        }
    }
}

fn judge_lives(input: &AgentHealthInput) -> AgentJudgement {
    let worst = input
        .instances
        .iter()
        .max_by_key(|instance| instance.level().severity());
    let Some(worst) = worst else {
        return AgentJudgement::healthy("scaled to no replica".to_owned());
    };
    let ready = input.ready();
    let status = match worst.level() {
        HealthStatus::Critical if ready > 0 => HealthStatus::Warning,
        level => level,
    };
    if status == HealthStatus::Healthy {
        return AgentJudgement::healthy(all_well(input, ready));
    }
    let all = |state| input.instances.iter().all(|i| i.state == state);
    AgentJudgement {
        hopeless: if all(AgentState::Failed) {
            Some("failed for good; it needs an operator")
        } else if all(AgentState::Unreachable) {
            Some("a restart here would not make its probes pass")
        } else {
            None
        },
        ..AgentJudgement::of(status, worst.says())
    }
}

fn all_well(input: &AgentHealthInput, ready: usize) -> String {
    if input.desired == Desired::Paused {
        return "paused by the operator".to_owned();
    }
    let doing = if input.running == 0 {
        "idle"
    } else {
        "working"
    };
    match (ready, input.instances.as_slice()) {
        (0, [first, ..]) => first.says(),
        (ready, all) if ready == all.len() => format!("{ready} ready, {doing}"),
        (ready, all) => format!("{ready} of {} ready, {doing}", all.len()),
    }
}

fn judge_hearing(trend: AgentTrend) -> Option<AgentJudgement> {
    let status = match trend.deaf_rounds {
        0..DEAF_WARNING_ROUNDS => return None,
        DEAF_WARNING_ROUNDS..DEAF_CRITICAL_ROUNDS => HealthStatus::Warning,
        _ => HealthStatus::Critical,
    };
    Some(AgentJudgement::of(
        status,
        format!(
            "ready, but has taken none of the tasks waiting for it in {} rounds",
            trend.deaf_rounds
        ),
    ))
}

#[expect(clippy::cast_precision_loss, reason = "a count for a limit")]
fn judge_errors(trend: AgentTrend, limits: Threshold) -> Option<AgentJudgement> {
    AgentJudgement::by(trend.recent_errors as f64, limits, || {
        format!("{} errors between two rounds", trend.recent_errors)
    })
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn judge_queue(input: &AgentHealthInput, limits: Threshold) -> Option<AgentJudgement> {
    let (depth, capacity) = (input.queue_depth, input.queue_capacity);
    if capacity == 0 {
        return None;
    }
    let judged = AgentJudgement::by(depth as f64 / capacity as f64, limits, || {
        format!("{depth} of at most {capacity} tasks wait")
    })?;
    Some(AgentJudgement {
        hopeless: Some("a restart would not shorten the queue"),
        ..judged
    })
}

#[expect(clippy::ref_option, reason = "the shape that serde asks for")]
fn optional_ms<S: serde::Serializer>(span: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
    span.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
        .serialize(to)
}

#[cfg(test)]
mod tests;
