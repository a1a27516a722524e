//! What the monitor remembers from round to round, and what a new result changes. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::checks::Judged;
use crate::domain::event::NewEvent;
use crate::domain::health::agent::{AgentHealthInput, AgentTrend};
use crate::domain::health::flap::{FlapEdge, FlapWindow};
use crate::domain::health::{
    AGENT_CHECK_PREFIX, HealthCheck, HealthReport, HealthStatus, ROUND_RECORD,
};
use crate::domain::name::Name;
use crate::domain::record::HealthRecord;
use crate::domain::recovery::{RecoveryActionSpec, action_for};
use crate::domain::timestamp::Timestamp;

/// Whether results come from a round or from somebody who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// All checks, on the timer: counts for flapping and trends.
    Round,
    /// Some checks, on demand: read and compared, never counted.
    Asked,
}

/// A check that has another level than before.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Change {
    pub(super) from: Option<HealthStatus>,
    pub(super) check: HealthCheck,
}

/// What new results did.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Folded {
    pub(super) report: HealthReport,
    pub(super) changes: Vec<Change>,
    pub(super) flaps: Vec<(String, FlapEdge, f64)>,
    /// What is to be kept: each change, and one compact row a round.
    pub(super) records: Vec<HealthRecord>,
    /// Critical checks that no recovery action answers.
    pub(super) unhandled: usize,
}

/// The last results, flap windows and trends.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    checks: BTreeMap<String, HealthCheck>,
    flaps: BTreeMap<String, FlapWindow>,
    trends: BTreeMap<Name, Trend>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Trend {
    /// Errors when the last round ended.
    base: u64,
    /// Errors between the last two rounds.
    between: u64,
    deaf_rounds: u32,
}

impl Rounds {
    /// Goes on from the report of an earlier life of the monitor, so that `since` is kept.
    pub(super) fn resume(report: Option<&HealthReport>) -> Self {
        let checks = report.into_iter().flat_map(|report| report.checks.clone());
        Self {
            checks: checks.map(|check| (check.name.clone(), check)).collect(),
            ..Self::default()
        }
    }

    /// Names of the agents' checks known so far.
    pub(super) fn agent_checks(&self) -> Vec<String> {
        let agents = self.checks.keys();
        agents
            .filter(|name| name.starts_with(AGENT_CHECK_PREFIX))
            .cloned()
            .collect()
    }

    /// Whether no round has seen a check as badly off as this.
    pub(super) fn is_early(&self, check: &str, level: HealthStatus) -> bool {
        let Some(before) = self.checks.get(check) else {
            return false;
        };
        let (was, is) = (before.status.severity(), level.severity());
        is > was || (is == was && before.is_early())
    }

    /// Counts a round's figures for the trends. Agents that are gone are forgotten.
    pub(super) fn count(&mut self, inputs: &[AgentHealthInput]) {
        let before = std::mem::take(&mut self.trends);
        self.trends = inputs
            .iter()
            .map(|input| {
                let old = before.get(&input.name).copied();
                // The errors there were before the first round are nobody's trend.
                let base = old.map_or(input.errors_total, |old| old.base);
                let deaf = old.map_or(0, |old| old.deaf_rounds).saturating_add(1);
                let trend = Trend {
                    base: input.errors_total,
                    between: grown(input.errors_total, base),
                    deaf_rounds: if input.starves_its_queue() { deaf } else { 0 },
                };
                (input.name.clone(), trend)
            })
            .collect();
    }

    /// What the rounds before say about an agent.
    pub(super) fn trend(&self, input: &AgentHealthInput) -> AgentTrend {
        let trend = self.trends.get(&input.name).copied().unwrap_or(Trend {
            base: input.errors_total,
            ..Trend::default()
        });
        AgentTrend {
            recent_errors: trend.between.max(grown(input.errors_total, trend.base)),
            deaf_rounds: trend.deaf_rounds,
        }
    }

    /// Takes in new results. A round replaces all, so that checks that are gone go.
    pub(super) fn fold(
        &mut self,
        results: Vec<Judged>,
        occasion: Occasion,
        at: Timestamp,
        actions: &[RecoveryActionSpec],
    ) -> Folded {
        let mut changes = Vec::new();
        let mut flaps = Vec::new();
        let mut now = BTreeMap::new();
        for judged in results {
            let before = self.checks.get(&judged.name);
            let from = before.map(|check| check.status);
            let since = before
                .filter(|b| b.status == judged.status)
                .map(|b| b.since);
            if occasion == Occasion::Round {
                let window = self.flaps.entry(judged.name.clone()).or_default();
                if let Some(edge) = window.push(judged.status) {
                    flaps.push((judged.name.clone(), edge, window.score()));
                }
            }
            let flapping = self
                .flaps
                .get(&judged.name)
                .is_some_and(FlapWindow::flapping);
            let check = finish(judged, since.unwrap_or(at), flapping, actions);
            if from != Some(check.status) {
                changes.push(Change {
                    from,
                    check: check.clone(),
                });
            }
            now.insert(check.name.clone(), check);
        }
        match occasion {
            Occasion::Round => {
                self.flaps.retain(|name, _| now.contains_key(name));
                self.checks = now;
            }
            Occasion::Asked => self.checks.extend(now),
        }
        let report = HealthReport::of(self.checks.values().cloned().collect(), at);
        let mut records: Vec<_> = changes.iter().map(|c| record(&c.check, at)).collect();
        if occasion == Occasion::Round {
            records.push(round_record(&report));
        }
        Folded {
            unhandled: unhandled(&report),
            report,
            changes,
            flaps,
            records,
        }
    }
}

/// What a critical check shows that no recovery action answers.
const NO_ACTION: &str = "none";

/// How much a counter has grown; one that fell began anew.
const fn grown(now: u64, before: u64) -> u64 {
    if now < before { now } else { now - before }
}

/// Critical checks that nobody answers, as the report shows them.
fn unhandled(report: &HealthReport) -> usize {
    let critical = |check: &&HealthCheck| check.status == HealthStatus::Critical;
    let unanswered = |check: &&HealthCheck| check.details["recovery_action"] == NO_ACTION;
    let critical = report.checks.iter().filter(critical);
    critical.filter(unanswered).count()
}

/// The check as it is shown; one that is critical names its recovery action, or `none`: where there is
/// none, or none would help.
fn finish(
    judged: Judged,
    since: Timestamp,
    flapping: bool,
    actions: &[RecoveryActionSpec],
) -> HealthCheck {
    let mut details = judged.details;
    if flapping {
        details["flapping"] = Value::Bool(true);
    }
    if judged.status == HealthStatus::Critical {
        let hopeless = details.get("hopeless").is_some_and(|why| !why.is_null());
        let action = action_for(actions, &judged.name).filter(|_| !hopeless);
        details["recovery_action"] = json!(action.map_or(NO_ACTION, |action| action.name.as_str()));
    }
    HealthCheck {
        name: judged.name,
        component: judged.component.to_owned(),
        status: judged.status,
        message: judged.message,
        value: judged.value,
        threshold: judged.threshold,
        since,
        duration_ms: whole_ms(judged.took),
        details,
    }
}

fn record(check: &HealthCheck, at: Timestamp) -> HealthRecord {
    HealthRecord {
        check: check.name.clone(),
        component: check.component.clone(),
        status: check.status,
        message: check.message.clone(),
        value: check.value,
        threshold: check.threshold,
        at,
        duration_ms: check.duration_ms,
        details: check.details.clone(),
    }
}

/// One row that says how all checks stood: `{"database": "healthy", …}`.
fn round_record(report: &HealthReport) -> HealthRecord {
    let count = |status| report.checks.iter().filter(|c| c.status == status).count();
    let message = HealthStatus::ALL
        .into_iter()
        .filter(|status| count(*status) > 0)
        .map(|status| format!("{} {}", count(status), status.as_str()))
        .collect::<Vec<_>>()
        .join(", ");
    let levels = report
        .checks
        .iter()
        .map(|c| (c.name.clone(), json!(c.status)));
    HealthRecord {
        check: ROUND_RECORD.to_owned(),
        component: ROUND_RECORD.to_owned(),
        status: report.status,
        message,
        value: None,
        threshold: None,
        at: report.checked_at,
        duration_ms: report
            .checks
            .iter()
            .map(|c| c.duration_ms)
            .max()
            .unwrap_or(0),
        details: Value::Object(levels.collect()),
    }
}

impl Change {
    /// As a fact; a check that begins healthy is none.
    pub(super) fn event(&self, at: Timestamp) -> Option<NewEvent> {
        if self.from.is_none() && self.check.status == HealthStatus::Healthy {
            return None;
        }
        Some(NewEvent {
            kind: "health.changed",
            subject: self.check.name.clone(),
            at,
            data: json!({
                "from": self.from,
                "to": self.check.status,
                "message": self.check.message,
                "value": self.check.value,
                "threshold": self.check.threshold,
            }),
        })
    }
}

/// A flap's edge as a fact.
pub(super) fn flap_event(name: &str, edge: FlapEdge, score: f64, at: Timestamp) -> NewEvent {
    NewEvent {
        kind: "health.flapping",
        subject: name.to_owned(),
        at,
        data: json!({ "flapping": edge == FlapEdge::Started, "score": score }),
    }
}

fn whole_ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
