//! What is known of an agent when somebody asks why: the evidence behind the answer.

use std::time::Duration;

use serde::Serialize;

use crate::domain::agent::{AgentKind, AgentState, DependsOn, Desired, Verdict};
use crate::domain::crash::Seen;
use crate::domain::name::Name;
use crate::domain::record::Overrides;
use crate::domain::spend::SpendView;
use crate::domain::timestamp::Timestamp;

/// How an agent stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// Its name.
    pub name: Name,
    /// Where its code runs.
    pub kind: AgentKind,
    /// The queue it takes tasks from beside its own.
    pub queue: Name,
    /// What was asked for.
    pub desired: Desired,
    /// What is: of several replicas, the one worst off.
    pub state: AgentState,
    /// Replicas asked for.
    pub replicas_desired: u32,
    /// Replicas that can take work.
    pub replicas_ready: u32,
    /// What an operator set, and when.
    pub overrides: Overrides,
    /// `permanent`, `transient` or `temporary`.
    pub restart_type: &'static str,
    /// How long a life may take to be ready.
    pub start_timeout_ms: u64,
    /// Each replica.
    pub replicas: Vec<ReplicaStanding>,
    /// What it depends on and is not there.
    pub waits_for: Vec<WaitsFor>,
    /// Its group.
    pub group: Option<GroupStanding>,
    /// What its deaths add up to.
    pub budget: BudgetUse,
    /// Whether the daemon is on its way out.
    pub shutting_down: bool,
}

/// One replica.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplicaStanding {
    /// Which, from 0.
    pub index: u32,
    /// Where it stands.
    pub state: AgentState,
    /// What the evidence says it does.
    pub verdict: Verdict,
    /// Which life.
    pub generation: u64,
    /// Its process, if it has one.
    pub pid: Option<u32>,
    /// How long its life has lasted.
    pub uptime_ms: u64,
    /// What keeps it down.
    pub held: Held,
    /// Why it gave up.
    pub why: Option<&'static str>,
    /// When its next life begins, if it waits for that.
    pub next_at: Option<Timestamp>,
    /// How its last life ended.
    pub last_end: Option<LastEnd>,
    /// The probe that keeps work from it.
    pub probe: Option<FailingProbe>,
    /// Until when its service asked to be left alone (`Retry-After`).
    pub rests_until: Option<Timestamp>,
    /// Pings in a row that stayed unanswered.
    pub missed_probes: u32,
    /// So many count as dead; 0: none ever do.
    pub failure_threshold: u32,
    /// What its life showed last.
    pub evidence: Option<ShownEvidence>,
}

/// What keeps a replica down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// Nothing.
    No,
    /// An operator stopped it.
    Operator,
    /// It has ended as its restart type allows.
    Done,
    /// It gave up for good.
    Failed,
    /// Its group restarts.
    Group,
}

/// How a life ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastEnd {
    /// `exit_code`, `panic`, `start_failed`, …
    pub kind: &'static str,
    /// For people.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// A probe that does not pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailingProbe {
    /// `startup`, `liveness` or `readiness`.
    pub probe: String,
    /// `protocol`, `http`, `tcp` or `exec`.
    pub by: &'static str,
    /// Failures in a row; 0 when the last answer passed.
    pub in_a_row: u32,
    /// So many failures in a row make it fail.
    pub failure_threshold: u32,
    /// Passes in a row.
    pub passed: u32,
    /// So many passes in a row bring work back.
    pub success_threshold: u32,
    /// When it is asked next.
    pub next_at: Option<Timestamp>,
    /// What the last answer was.
    pub message: Option<String>,
}

/// What a life showed last, and how long ago that was.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ShownEvidence {
    /// How old all of this is; the spans below count up to now.
    pub age_ms: u64,
    /// Tasks it holds.
    pub open_tasks: u64,
    /// Since it last made progress on any of them.
    pub since_progress_ms: Option<u64>,
    /// Since it last said or showed anything.
    pub since_sign_ms: Option<u64>,
    /// Since its processes were last seen at work.
    pub since_activity_ms: Option<u64>,
    /// What is left of its busy zone.
    pub busy_for_ms: Option<u64>,
    /// Processor time of its processes, seconds.
    pub cpu_seconds: Option<f64>,
    /// Bytes that its processes have read and written.
    pub io_bytes: Option<u64>,
    /// Resident memory of its processes, bytes.
    pub memory_bytes: Option<u64>,
    /// The most of it, bytes.
    pub peak_memory_bytes: Option<u64>,
}

/// Something that an agent depends on and that is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitsFor {
    /// The other agent.
    pub agent: Name,
    /// What it is to have reached.
    pub wanted: DependsOn,
    /// Where it stands.
    pub state: AgentState,
}

/// The group of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupStanding {
    /// Its name.
    pub name: Name,
    /// `one_for_one`, `one_for_all` or `rest_for_one`.
    pub strategy: String,
    /// What follows too many deaths.
    pub on_exhausted: String,
    /// Whether it is being restarted together, or rests together.
    pub restarts: bool,
    /// With whom, while it is.
    pub together: Option<Together>,
    /// Which of them, or of all under its outermost group, died last, if any did.
    pub died: Option<Died>,
}

/// A group that is being restarted, or rests, as one: an agent's own, or one above that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Together {
    /// Its name.
    pub group: Name,
    /// Its strategy.
    pub strategy: String,
}

/// A death among those that restart together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Died {
    /// The agent.
    pub agent: Name,
    /// Of what.
    pub message: String,
}

/// What deaths add up to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct BudgetUse {
    /// Whose it is: `echo#0`, or a group's name with a leading `@`.
    pub owner: String,
    /// Deaths inside the window.
    pub deaths: u32,
    /// So many are allowed; `None`: without limit.
    pub max: Option<u32>,
    /// The window.
    pub within_ms: u64,
    /// The same death over and over: signature and times.
    pub slow_loop: Option<(String, u32)>,
    /// Quarantines in a row.
    pub quarantines: u32,
    /// Whether the present life is a trial out of quarantine.
    pub on_trial: bool,
}

/// The work of an agent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkStanding {
    /// The queue it takes tasks from beside its own.
    pub queue: String,
    /// Whether that is paused.
    pub paused: Option<Paused>,
    /// How many of that queue's tasks run and may, if that is limited.
    pub limit: Option<(u64, u64)>,
    /// Tasks that wait for it.
    pub depth: u64,
    /// Tasks it holds.
    pub running: u64,
    /// Tasks it can hold at once.
    pub capacity: u64,
    /// What it has spent and may; `None` without ceilings.
    pub spend: Option<SpendView>,
}

/// A queue that hands nothing out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Paused {
    /// Since when.
    pub at: Timestamp,
    /// It goes on by itself then.
    pub until: Option<Timestamp>,
    /// Why, if anybody said.
    pub reason: Option<String>,
}

/// The fault of the last crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultSeen {
    /// The crash.
    pub id: String,
    /// How it ended.
    pub message: String,
    /// What deaths of this fault share.
    pub signature: Option<String>,
    /// How often.
    pub count: u64,
    /// The first one.
    pub since: Timestamp,
    /// The last one.
    pub at: Timestamp,
    /// Whether the settings were others at the crash before.
    pub config_changed: bool,
}

impl FaultSeen {
    /// The fault of a crash that was seen so often.
    #[must_use]
    pub fn of(crash: &crate::domain::crash::Crash) -> Self {
        let Seen { count, since, .. } = crash.seen;
        Self {
            id: crash.id.to_string(),
            message: crash.message.clone(),
            signature: crash.signature.clone(),
            count,
            since,
            at: crash.at,
            config_changed: crash.config_changed,
        }
    }

    pub(super) fn times(&self) -> String {
        format!("the same ×{} since {}", self.count, self.since)
    }

    pub(super) fn in_words(&self) -> String {
        if self.count > 1 {
            format!("{}, {}", self.message, self.times())
        } else {
            self.message.clone()
        }
    }
}

impl ReplicaStanding {
    /// The agent's name, with its number where there are several.
    pub(super) fn of(&self, standing: &Standing) -> String {
        if standing.replicas.len() > 1 {
            format!("{}#{}", standing.name, self.index)
        } else {
            standing.name.to_string()
        }
    }

    /// Whether it has missed as many pings as count as dead.
    pub(super) const fn is_silent(&self) -> bool {
        self.failure_threshold > 0 && self.missed_probes >= self.failure_threshold
    }
}

impl FailingProbe {
    pub(super) fn in_words(&self) -> String {
        let said = self.message.as_deref().unwrap_or("no answer yet");
        let Self {
            probe,
            by,
            in_a_row,
            failure_threshold,
            passed,
            success_threshold,
            ..
        } = self;
        if self.passed > 0 {
            return format!(
                "its {probe} probe by {by} passes again, {passed} of {success_threshold} times in a row"
            );
        }
        format!(
            "its {probe} probe by {by} failed {in_a_row} times in a row ({failure_threshold} make it \
             fail), last with: {said}"
        )
    }

    /// What brings work back, and when that is looked at.
    pub(super) fn way_back(&self) -> String {
        let next = self
            .next_at
            .map_or_else(String::new, |at| format!("; it is asked next at {at}"));
        format!(
            "{} passes in a row bring work back{next}",
            self.success_threshold
        )
    }
}

impl BudgetUse {
    pub(super) fn in_words(&self) -> String {
        let within = Duration::from_millis(self.within_ms);
        let window = match self.max {
            Some(max) => format!(
                "{} deaths within {within:?}, {max} are allowed",
                self.deaths
            ),
            None => "any number of deaths is allowed".to_owned(),
        };
        match &self.slow_loop {
            Some((signature, times)) if *times > 1 => {
                format!("{window}; {signature} ×{times} in a row")
            }
            _ => window,
        }
    }
}
