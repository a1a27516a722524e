//! One replica: where it stands, its present life, and what its deaths add up to.

use std::sync::Arc;

use tokio::time::Instant;

use super::probed::Probed;
use crate::actors::life::{Evidence, LifeControl, Ready, TailOf};
use crate::actors::pool::Place;
use crate::actors::runner::Grant;
use crate::domain::agent::{AgentState, Verdict};
use crate::domain::exit::ExitReason;
use crate::domain::liveness::MissedSigns;
use crate::domain::restart::{GiveUp, Ledger};
use crate::domain::timestamp::Timestamp;

/// Why a replica that is wanted is not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nothing holds it.
    None,
    /// An operator stopped this replica.
    Operator,
    /// It has ended as its restart type allows; `true` if with success.
    Done(bool),
    /// It gave up for good.
    Failed,
    /// Its group is being restarted.
    Group,
}

/// What follows the end of a life that was told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Whatever is wanted by then.
    AsWanted,
    /// It gave up in place: what that means for it or its group.
    GivesUp(GiveUp),
    /// Its group goes on with its restart.
    Rejoin,
}

/// How far the end of a life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Draining,
    Stopping,
    Killing,
}

/// A life that was told to end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    pub(super) stage: Stage,
    pub(super) then: Then,
}

/// What a life showed, and when.
#[derive(Debug)]
pub(super) struct Shown {
    evidence: Evidence,
    pub(super) at: Instant,
}

impl Shown {
    pub(super) fn now(evidence: Evidence) -> Box<Self> {
        let at = Instant::now();
        Box::new(Self { evidence, at })
    }
}

impl std::ops::Deref for Shown {
    type Target = Evidence;

    fn deref(&self) -> &Evidence {
        &self.evidence
    }
}

/// A runner and the life it runs now.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) control: Arc<dyn LifeControl>,
    pub(super) grant: Grant,
    pub(super) place: Place,
    pub(super) begun: Instant,
    pub(super) begun_at: Timestamp,
    pub(super) ready: Option<(Instant, Ready)>,
    pub(super) ending: Option<Ending>,
    /// It was started with settings that hold no more: its turn to end comes.
    pub(super) outdated: bool,
    /// By when the present step of its end should be over.
    pub(super) deadline: Option<Instant>,
    /// When it is asked for a sign.
    pub(super) sign_at: Option<Instant>,
    /// Why the supervisor ends this life by force; its end is then reported with this reason.
    pub(super) cause: Option<Box<ExitReason>>,
    pub(super) pid: Option<u32>,
    pub(super) evidence: Option<Box<Shown>>,
    pub(super) verdict: Verdict,
    pub(super) missed: MissedSigns,
    /// How long its last answer to a probe took.
    pub(super) response: Option<std::time::Duration>,
    pub(super) errors: u64,
    /// What its probes have come to, if it has any and has said that it runs.
    pub(super) probed: Option<Box<Probed>>,
}

impl Running {
    pub(super) fn new(control: Arc<dyn LifeControl>, grant: Grant, place: Place) -> Self {
        Self {
            control,
            grant,
            place,
            begun: Instant::now(),
            begun_at: crate::clock::now(),
            ready: None,
            ending: None,
            outdated: false,
            deadline: None,
            sign_at: None,
            cause: None,
            pid: None,
            evidence: None,
            verdict: Verdict::Idle,
            missed: MissedSigns::default(),
            response: None,
            errors: 0,
            probed: None,
        }
    }

    /// Tasks that it held when it last showed a sign.
    pub(super) fn has_open_task(&self) -> bool {
        let shown = self.evidence.as_deref();
        shown.is_some_and(|evidence| !evidence.open_tasks.is_empty())
    }
}

/// How the last life ended.
#[derive(Debug, Clone)]
pub(super) struct LastEnd {
    pub(super) reason: ExitReason,
    pub(super) at: Timestamp,
}

/// One replica.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) state: AgentState,
    pub(super) hold: Hold,
    pub(super) generation: u64,
    pub(super) restarts: u64,
    pub(super) life: Option<Box<Running>>,
    pub(super) ledger: Ledger,
    /// When its backoff or quarantine is over.
    pub(super) due: Option<Instant>,
    /// Whether what waits in its mailbox stays for its next runner.
    pub(super) keep_mail: bool,
    pub(super) last: Option<Box<LastEnd>>,
    /// Where the log of its present life, or of the last one, can be read.
    pub(super) tail: Option<TailOf>,
    /// Arbiters that its handlers blocked and that may still hold their threads.
    pub(super) blocked: Vec<u64>,
    /// Why it gave up last.
    pub(super) why: Option<&'static str>,
    /// Whether its next life is a restart.
    pub(super) follows_crash: bool,
    /// Whether a timer for its start is set.
    pub(super) start_watched: bool,
    /// Whether a timer for its stable run is set.
    pub(super) stable_watched: bool,
    /// Whether a timer for a sign of its life is set.
    pub(super) sign_watched: bool,
    /// The timer for the end of its life that counts.
    pub(super) deadline_watched: Option<Instant>,
}

impl Replica {
    pub(super) fn new(generation: u64) -> Self {
        Self {
            state: AgentState::Pending,
            hold: Hold::None,
            generation,
            restarts: 0,
            life: None,
            ledger: Ledger::default(),
            due: None,
            keep_mail: true,
            last: None,
            tail: None,
            blocked: Vec::new(),
            why: None,
            follows_crash: false,
            start_watched: false,
            stable_watched: false,
            sign_watched: false,
            deadline_watched: None,
        }
    }

    /// Whether its life, if any, is in this generation.
    pub(super) fn is_in(&self, generation: u64) -> bool {
        self.life.is_some() && self.generation == generation
    }

    /// Whether its life has come up and is not told to end.
    pub(super) fn is_up(&self) -> bool {
        let life = self.life.as_deref();
        life.is_some_and(|life| life.ready.is_some() && life.ending.is_none())
    }

    /// Whether its life is told to end.
    pub(super) fn is_ending(&self) -> bool {
        self.life.as_ref().is_some_and(|life| life.ending.is_some())
    }

    /// Since when its life has been ready, if it is.
    pub(super) fn ready_since(&self) -> Option<Instant> {
        let ready = self.life.as_ref()?.ready.as_ref()?;
        self.is_ready().then_some(ready.0)
    }

    /// Whether it has given up, for now or for good.
    pub(super) fn has_given_up(&self) -> bool {
        matches!(self.state, AgentState::Quarantined | AgentState::Failed)
    }

    /// Forgets what went wrong: an operator takes over.
    pub(super) fn pardon(&mut self) {
        self.ledger = Ledger::default();
        self.follows_crash = false;
        self.due = None;
        if self.hold != Hold::Group {
            self.hold = Hold::None;
        }
        if self.life.is_none() {
            self.state = AgentState::Pending;
        }
    }
}
