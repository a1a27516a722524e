//! Probes: what is asked of a life from outside, and what its answers add up to.
//!
//! ```text
//! starts ─▶ startup ──passes──▶ liveness and readiness side by side
//!              └─fails─▶ the start has failed
//! liveness fails ─▶ restart          readiness fails ─▶ no work till it passes again
//! ```
//!
//! Rely on: one bad answer among good ones changes nothing, and one good answer among bad ones
//! neither: a probe changes its mind after its threshold of equal answers in a row, both ways.
//! A remote service is never restarted: what would restart another makes it unreachable.
//!
//! Not here: who asks (`actors::probes`), and when (`actors::supervisor`).

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::liveness::Signs;

/// What a probe is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeKind {
    /// Whether a life has come up; holds the others back until then.
    Startup,
    /// Whether it still lives; if not, it is restarted.
    Liveness,
    /// Whether it can take work; if not, it gets none.
    Readiness,
}

impl ProbeKind {
    /// Each kind.
    pub const ALL: [Self; 3] = [Self::Startup, Self::Liveness, Self::Readiness];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
        }
    }
}

impl fmt::Display for ProbeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a life is asked. `{index}` in a text stands for the replica's number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeHow {
    /// A ping by its own protocol.
    Protocol,
    /// GET of this URL: a status from 200 to 399 passes.
    Http(String),
    /// GET of this URL: whatever answers below 500 passes, since a service without such a route
    /// says 404 and lives.
    Answers(String),
    /// Opening this `HOST:PORT`.
    Tcp(String),
    /// Running this program: exit code 0 passes.
    Exec(Vec<String>),
}

impl ProbeHow {
    /// The word of its setting.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Http(_) | Self::Answers(_) => "http",
            Self::Tcp(_) => "tcp",
            Self::Exec(_) => "exec",
        }
    }

    /// The same for one replica.
    #[must_use]
    pub fn for_replica(&self, index: u32) -> Self {
        let fill = |text: &String| for_replica(text, index);
        match self {
            Self::Protocol => Self::Protocol,
            Self::Http(url) => Self::Http(fill(url)),
            Self::Answers(url) => Self::Answers(fill(url)),
            Self::Tcp(place) => Self::Tcp(fill(place)),
            Self::Exec(command) => Self::Exec(command.iter().map(fill).collect()),
        }
    }
}

/// A text with the replica's number in place of `{index}`.
#[must_use]
pub fn for_replica(text: &str, index: u32) -> String {
    text.replace("{index}", &index.to_string())
}

/// One probe of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSpec {
    /// How it asks.
    pub how: ProbeHow,
    /// From one question to the next.
    pub period: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Bad answers in a row that count.
    pub failure_threshold: u32,
    /// Good answers in a row that count.
    pub success_threshold: u32,
}

/// The probes of an agent beside the ping of its protocol, which
/// [`AgentSpec::liveness`](super::agent::AgentSpec) sets up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Probes {
    /// Held before the others.
    pub startup: Option<ProbeSpec>,
    /// Ends the life.
    pub liveness: Option<ProbeSpec>,
    /// Keeps work away.
    pub readiness: Option<ProbeSpec>,
    /// What fails is elsewhere: nothing is restarted, it is unreachable until it answers again.
    pub remote: bool,
}

impl Probes {
    /// The probe of a kind.
    #[must_use]
    pub const fn get(&self, kind: ProbeKind) -> Option<&ProbeSpec> {
        match kind {
            ProbeKind::Startup => self.startup.as_ref(),
            ProbeKind::Liveness => self.liveness.as_ref(),
            ProbeKind::Readiness => self.readiness.as_ref(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        ProbeKind::ALL
            .into_iter()
            .all(|kind| self.get(kind).is_none())
    }
}

/// Whether a missing answer says nothing: an agent that declared a busy zone may be silent in it,
/// and one that holds a task may be too busy to answer a ping.
#[must_use]
pub fn is_excused(kind: ProbeKind, how: &ProbeHow, signs: Signs) -> bool {
    let busy = signs.busy_for.is_some_and(|left| !left.is_zero());
    match (kind, how) {
        (_, ProbeHow::Protocol) => busy || signs.open_tasks > 0,
        (ProbeKind::Liveness, _) => busy,
        _ => false,
    }
}

/// What one probe of one life has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    passes: Option<bool>,
    last: Option<bool>,
    in_a_row: u32,
}

impl Standing {
    /// Whether it passes; `None` before either threshold was ever reached.
    #[must_use]
    pub const fn passes(&self) -> Option<bool> {
        self.passes
    }

    /// The last answer, and how many like it came in a row.
    #[must_use]
    pub const fn last(&self) -> Option<(bool, u32)> {
        match self.last {
            Some(last) => Some((last, self.in_a_row)),
            None => None,
        }
    }

    /// Takes an answer; what the probe says from now on, if that is new.
    pub fn record(&mut self, passed: bool, spec: &ProbeSpec) -> Option<bool> {
        let same = self.last == Some(passed);
        self.in_a_row = if same {
            self.in_a_row.saturating_add(1)
        } else {
            1
        };
        self.last = Some(passed);
        let threshold = if passed {
            spec.success_threshold
        } else {
            spec.failure_threshold
        };
        let turns = self.in_a_row >= threshold.max(1) && self.passes != Some(passed);
        turns.then(|| {
            self.passes = Some(passed);
            passed
        })
    }
}

/// What follows from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The life has come up: the other probes begin.
    Started,
    /// It has not come up in time.
    StartFailed,
    /// It no longer lives.
    Dead,
    /// It can take work.
    Ready,
    /// It has come up, and can take work at once.
    StartedReady,
    /// It cannot take work.
    Unready,
}

/// What all probes of one life have come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProbeBook {
    startup: Standing,
    liveness: Standing,
    readiness: Standing,
    /// A remote service that did not come up in time is looked for by the other probes.
    gate_given_up: bool,
}

impl ProbeBook {
    /// What one of them has come to.
    #[must_use]
    pub const fn standing(&self, kind: ProbeKind) -> Standing {
        match kind {
            ProbeKind::Startup => self.startup,
            ProbeKind::Liveness => self.liveness,
            ProbeKind::Readiness => self.readiness,
        }
    }

    /// Whether the startup probe has passed, or there is none.
    #[must_use]
    pub fn has_started(&self, probes: &Probes) -> bool {
        probes.startup.is_none() || self.startup.passes == Some(true) || self.gate_given_up
    }

    /// Whether a probe is to be asked now.
    #[must_use]
    pub fn may_ask(&self, kind: ProbeKind, probes: &Probes) -> bool {
        let started = self.has_started(probes);
        probes.get(kind).is_some() && (kind == ProbeKind::Startup) != started
    }

    /// Whether the life can take work.
    #[must_use]
    pub fn takes_work(&self, probes: &Probes) -> bool {
        self.has_started(probes)
            && (probes.readiness.is_none() || self.readiness.passes == Some(true))
            && !(probes.remote && self.liveness.passes == Some(false))
    }

    /// Whether a probe says that something is wrong, and not only that nothing is known yet.
    #[must_use]
    pub fn fails(&self) -> bool {
        let at_the_gate = self.startup.passes == Some(false) && !self.gate_given_up;
        let behind = [self.liveness, self.readiness];
        at_the_gate || behind.iter().any(|one| one.passes == Some(false))
    }

    /// Takes an answer.
    pub fn record(&mut self, kind: ProbeKind, passed: bool, probes: &Probes) -> Option<Turn> {
        let spec = probes.get(kind)?;
        if !self.may_ask(kind, probes) {
            return None;
        }
        let worked = self.takes_work(probes);
        let standing = match kind {
            ProbeKind::Startup => &mut self.startup,
            ProbeKind::Liveness => &mut self.liveness,
            ProbeKind::Readiness => &mut self.readiness,
        };
        let turned = standing.record(passed, spec)?;
        match (kind, turned) {
            (ProbeKind::Startup, true) if self.takes_work(probes) => Some(Turn::StartedReady),
            (ProbeKind::Startup, true) => Some(Turn::Started),
            (ProbeKind::Startup, false) if probes.remote => {
                if probes.liveness.is_some() {
                    self.gate_given_up = true;
                    self.liveness.passes = Some(false);
                }
                Some(Turn::Unready)
            }
            (ProbeKind::Startup, false) => Some(Turn::StartFailed),
            (ProbeKind::Liveness, false) if !probes.remote => Some(Turn::Dead),
            (_, false) => Some(Turn::Unready),
            (_, true) => (!worked && self.takes_work(probes)).then_some(Turn::Ready),
        }
    }
}

#[cfg(test)]
mod tests;
