//! The deaths that count against a replica or a group, and what follows the next one.

use std::collections::VecDeque;
use std::time::Duration;

use super::{GroupSpec, Intensity, RestartPolicy, RestartRule};
use crate::domain::backoff;
use crate::domain::exit::ExitReason;

/// Deaths inside a sliding window. Bounded by the intensity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeathWindow(VecDeque<Duration>);

impl DeathWindow {
    /// Deaths at these spans, oldest first.
    #[must_use]
    pub fn of(deaths: impl IntoIterator<Item = Duration>) -> Self {
        Self(deaths.into_iter().collect())
    }

    /// Counts a death; true if there are now more than allowed.
    pub fn record(&mut self, now: Duration, intensity: Intensity) -> bool {
        let Intensity::Limited { max, .. } = intensity else {
            return false;
        };
        self.0.push_back(now);
        self.forget_old(now, intensity);
        let exceeded = self.0.len() > max as usize;
        if exceeded {
            self.0.pop_front();
        }
        exceeded
    }

    /// Deaths inside the window that ends now.
    #[must_use]
    pub fn count(&self, now: Duration, intensity: Intensity) -> u32 {
        let inside = self
            .0
            .iter()
            .filter(|death| is_inside(**death, now, intensity));
        u32::try_from(inside.count()).unwrap_or(u32::MAX)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The deaths, oldest first.
    pub fn deaths(&self) -> impl Iterator<Item = Duration> + '_ {
        self.0.iter().copied()
    }

    fn forget_old(&mut self, now: Duration, intensity: Intensity) {
        while self
            .0
            .front()
            .is_some_and(|death| !is_inside(*death, now, intensity))
        {
            self.0.pop_front();
        }
    }
}

/// Whether a death still counts; one exactly as old as the window does not.
fn is_inside(death: Duration, now: Duration, intensity: Intensity) -> bool {
    match intensity {
        Intensity::Limited { within, .. } => now.saturating_sub(death) < within,
        Intensity::Unlimited => false,
    }
}

/// Deaths of one fault, each soon after the last: a loop too slow for the window.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GapChain {
    signature: Option<Box<str>>,
    last: Duration,
    deaths: u32,
}

impl GapChain {
    /// So many deaths of one fault, the last one at this span.
    #[must_use]
    pub fn of(signature: &str, deaths: u32, last: Duration) -> Self {
        Self {
            signature: Some(signature.into()),
            last,
            deaths,
        }
    }

    /// What its deaths share, how many there are, and when the last one was; `None` if there is none.
    #[must_use]
    pub fn parts(&self) -> Option<(&str, u32, Duration)> {
        let signature = self.signature.as_deref()?;
        Some((signature, self.deaths, self.last))
    }

    /// Counts a death; true if the chain is now as long as a slow loop.
    pub fn record(&mut self, death: &Death<'_>, stable: bool, group: &GroupSpec) -> bool {
        let Some(signature) = death.reason.signature() else {
            return false;
        };
        let same = self.signature.as_deref() == Some(signature.as_str());
        let soon = death.now.saturating_sub(self.last) <= group.loop_max_gap;
        self.deaths = if same && soon && !stable {
            self.deaths + 1
        } else {
            1
        };
        self.signature = Some(signature.into());
        self.last = death.now;
        self.deaths >= group.loop_deaths
    }
}

/// The end of a life, as the ledger sees it.
#[derive(Debug, Clone, Copy)]
pub struct Death<'a> {
    /// Why.
    pub reason: &'a ExitReason,
    /// How long the life was ready; zero if it never was.
    pub uptime: Duration,
    /// When.
    pub now: Duration,
    /// Drawn evenly from 0 to 1.
    pub chance: f64,
}

/// The rules that a death is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// Which ends are followed by a new life.
    pub rule: &'a RestartRule,
    /// When.
    pub policy: &'a RestartPolicy,
    /// How many are too many.
    pub group: &'a GroupSpec,
}

/// Why a replica or group is not restarted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GiveUp {
    /// More deaths inside the window than its intensity allows.
    Intensity,
    /// The same death over and over, too slow for the window.
    SlowLoop,
    /// It died on its trial out of quarantine.
    Trial,
    /// Its handlers block threads and never give them back.
    Threads,
}

impl GiveUp {
    /// For people.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intensity => "more deaths than its intensity allows",
            Self::SlowLoop => "the same death over and over",
            Self::Trial => "it died on its trial out of quarantine",
            Self::Threads => "its handlers hold as many threads as they may",
        }
    }
}

/// What follows a death.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequel {
    /// No new life, and that is right: it ended as its restart type allows.
    Over,
    /// No new life: the end says that trying again is of no use.
    Fatal,
    /// A new life, after a delay.
    Again {
        /// The delay; zero for the first restart in a row.
        after: Duration,
    },
    /// No new life: too many deaths.
    GivesUp(GiveUp),
}

/// What is remembered of a replica's, or a group's, deaths.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Deaths inside the window.
    pub window: DeathWindow,
    /// Deaths of one fault in a row.
    pub chain: GapChain,
    /// Restarts since the last stable life.
    pub in_a_row: u32,
    /// Whether the present life is a trial out of quarantine.
    pub on_trial: bool,
    /// Quarantines since the last stable life.
    pub quarantines: u32,
    /// When the last death was that counts.
    pub last: Option<Duration>,
}

impl Ledger {
    /// What follows this death. Counts it.
    pub fn judge(&mut self, death: &Death<'_>, rules: &Rules<'_>) -> Sequel {
        if rules.rule.is_fatal(death.reason) {
            return Sequel::Fatal;
        }
        if !rules.rule.restarts_after(death.reason) {
            return Sequel::Over;
        }
        if *death.reason == ExitReason::ArbiterGone {
            // A neighbour's fault: it counts against nobody and waits for nothing.
            return Sequel::Again {
                after: Duration::ZERO,
            };
        }
        // Of a group, the one that died may be older than another's death.
        let firm = death.uptime.min(self.calm_for(death.now));
        let stable = firm >= rules.policy.stable_after;
        if stable {
            self.stood_firm();
        }
        self.last = Some(death.now);
        let exceeded = self.window.record(death.now, rules.group.intensity);
        let limited = rules.group.intensity != Intensity::Unlimited;
        let looped = self.chain.record(death, stable, rules.group) && limited;
        match (self.on_trial, exceeded, looped) {
            (true, ..) => Sequel::GivesUp(GiveUp::Trial),
            (_, true, _) => Sequel::GivesUp(GiveUp::Intensity),
            (_, _, true) => Sequel::GivesUp(GiveUp::SlowLoop),
            _ => self.again(death, rules.policy),
        }
    }

    fn again(&mut self, death: &Death<'_>, policy: &RestartPolicy) -> Sequel {
        let after = backoff::delay(policy, self.in_a_row, death.chance);
        self.in_a_row = self.in_a_row.saturating_add(1);
        Sequel::Again { after }
    }

    /// A life has been ready for as long as a stable one, and nobody has died meanwhile. Whether
    /// that forgives anything.
    pub fn stood_firm(&mut self) -> bool {
        let forgives = self.in_a_row > 0 || self.on_trial || self.quarantines > 0;
        self.in_a_row = 0;
        self.on_trial = false;
        self.quarantines = 0;
        forgives
    }

    /// How long nobody has died.
    #[must_use]
    pub fn calm_for(&self, now: Duration) -> Duration {
        self.last
            .map_or(Duration::MAX, |last| now.saturating_sub(last))
    }

    /// It goes into quarantine: how long it rests.
    pub fn quarantine(&mut self, group: &GroupSpec) -> Duration {
        let rest = group.rest(self.quarantines);
        self.quarantines = self.quarantines.saturating_add(1);
        rest
    }

    /// It comes out of quarantine for a trial.
    pub fn begin_trial(&mut self) {
        self.window.clear();
        self.chain = GapChain::default();
        self.on_trial = true;
    }

    /// It is started before its rest is over, by somebody who forgives nothing: its next death is
    /// one more quarantine.
    pub fn put_on_trial(&mut self) {
        self.on_trial = true;
    }

    /// Restarts in place that may happen before anybody is asked again.
    #[must_use]
    pub fn leave(&self, now: Duration, rules: &Rules<'_>) -> u32 {
        let intensity = rules.group.intensity;
        match intensity {
            Intensity::Unlimited if rules.policy.min_backoff.is_zero() => u32::MAX,
            _ if self.in_a_row > 0 || self.on_trial => 0,
            Intensity::Unlimited => 1,
            Intensity::Limited { max, .. } => u32::from(self.window.count(now, intensity) < max),
        }
    }
}

#[cfg(test)]
mod rules;
#[cfg(test)]
mod tests;
