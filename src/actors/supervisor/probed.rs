//! What the probes of one life have come to, and how others see it.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::actors::life::Ready;
use crate::actors::runner::scope::text_of;
use crate::domain::liveness::Signs;
use crate::domain::probe::{ProbeBook, ProbeKind, Probes};
use crate::domain::timestamp::Timestamp;

/// What the probes of one life have come to.
#[derive(Debug, Default)]
pub(super) struct Probed {
    pub(super) book: ProbeBook,
    /// What the life said when it came up, until its startup probe passes.
    pub(super) word: Option<Ready>,
    tracks: [Track; 3],
    /// A task could not reach the service: it is asked faster until it is clear how it stands.
    pub(super) in_doubt: bool,
    /// The service asked to be left alone until then.
    pub(super) rests_until: Option<Instant>,
}

/// One probe of one life.
#[derive(Debug, Default)]
pub(super) struct Track {
    /// When it is asked next; a timer set for another instant changes nothing.
    pub(super) next: Option<Instant>,
    pub(super) running: Option<Asking>,
    pub(super) last: Option<ProbeResult>,
}

/// A question on its way; dropped, it is given up.
#[derive(Debug)]
pub(super) struct Asking(JoinHandle<()>);

impl Asking {
    pub(super) const fn of(asking: JoinHandle<()>) -> Self {
        Self(asking)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a question comes to, if it is not to end in silence: nobody asks again before an answer is
/// there, so a panic is one.
pub(super) async fn answer_to<T>(
    question: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    let asked = AssertUnwindSafe(question).catch_unwind().await;
    asked.unwrap_or_else(|panic| {
        let why = text_of(&*panic).unwrap_or_default();
        tracing::error!(why, "who asked a life panicked; that counts as no answer");
        Err(format!("the probe itself broke: {why}"))
    })
}

/// The last answer to a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProbeResult {
    /// Whether it passed.
    pub passed: bool,
    /// Why not.
    pub message: Option<String>,
    /// When it was asked.
    pub at: Timestamp,
    /// How long it took.
    pub took_ms: u64,
}

/// One probe of a replica, as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProbeStatus {
    /// What it is for.
    pub probe: ProbeKind,
    /// `protocol`, `http`, `tcp` or `exec`.
    pub by: &'static str,
    /// What it says; `None` before it has said anything.
    pub passes: Option<bool>,
    /// Equal answers in a row, up to now.
    pub in_a_row: u32,
    /// The last answer.
    pub last: Option<ProbeResult>,
}

impl Probed {
    pub(super) fn track(&mut self, kind: ProbeKind) -> &mut Track {
        &mut self.tracks[kind as usize]
    }

    /// When a probe is asked next, if that is known.
    pub(super) fn next_of(&self, kind: ProbeKind) -> Option<Instant> {
        self.tracks[kind as usize].next
    }

    /// Whether the last answer was a good one.
    pub(super) fn answers_again(&self) -> bool {
        let last = self.book.standing(ProbeKind::Liveness).last();
        last.is_some_and(|(passed, _)| passed)
    }

    /// What the probes say, for others to see.
    pub(super) fn status(&self, probes: &Probes) -> Vec<ProbeStatus> {
        let known = ProbeKind::ALL.into_iter().zip(&self.tracks);
        known
            .filter_map(|(kind, track)| {
                let standing = self.book.standing(kind);
                Some(ProbeStatus {
                    probe: kind,
                    by: probes.get(kind)?.how.as_str(),
                    passes: standing.passes(),
                    in_a_row: standing.last().map_or(0, |(_, run)| run),
                    last: track.last.clone(),
                })
            })
            .collect()
    }
}

impl super::replica::Running {
    /// What it last showed.
    pub(super) fn signs(&self) -> Signs {
        self.evidence
            .as_deref()
            .map_or_else(Signs::default, |shown| shown.signs())
    }
}
