//! Flapping: a check that changes its level again and again (Nagios' rule).
//!
//! The last twenty levels count; a change weighs more the younger it is. Above the upper limit a
//! check flaps, below the lower it has settled; between the two it stays what it is. Alerts go out
//! on these edges only.

use std::collections::VecDeque;

use super::HealthStatus;

/// Levels that are remembered.
pub const FLAP_WINDOW: usize = 20;
/// Weighted share of changes from which a check flaps.
pub const FLAP_STARTS: f64 = 0.30;
/// Weighted share of changes below which it has settled.
pub const FLAP_ENDS: f64 = 0.15;
/// What the oldest change weighs; the youngest weighs as much above one as this is below.
const OLDEST_WEIGHT: f64 = 0.8;

/// What the newest level changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlapEdge {
    /// The check flaps from now on.
    Started,
    /// It has settled.
    Ended,
}

/// The last levels of one check.
#[derive(Debug, Clone, Default)]
pub struct FlapWindow {
    levels: VecDeque<HealthStatus>,
    flapping: bool,
}

impl FlapWindow {
    /// Adds the level of a round.
    pub fn push(&mut self, level: HealthStatus) -> Option<FlapEdge> {
        if self.levels.len() == FLAP_WINDOW {
            self.levels.pop_front();
        }
        self.levels.push_back(level);
        let score = self.score();
        if !self.flapping && score >= FLAP_STARTS {
            self.flapping = true;
            Some(FlapEdge::Started)
        } else if self.flapping && score < FLAP_ENDS {
            self.flapping = false;
            Some(FlapEdge::Ended)
        } else {
            None
        }
    }

    /// Whether the check flaps.
    #[must_use]
    pub const fn flapping(&self) -> bool {
        self.flapping
    }

    /// Weighted share of changes among the remembered levels, 0 to 1. What is not yet known counts
    /// as no change.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "at most twenty")]
    pub fn score(&self) -> f64 {
        let possible = FLAP_WINDOW - 1;
        let step = 2.0 * (1.0 - OLDEST_WEIGHT) / (possible - 1) as f64;
        let pairs = self.levels.iter().zip(self.levels.iter().skip(1));
        let unknown = FLAP_WINDOW - self.levels.len();
        let changes: f64 = pairs
            .enumerate()
            .filter(|(_, (before, after))| before != after)
            .map(|(index, _)| OLDEST_WEIGHT + (index + unknown) as f64 * step)
            .sum();
        changes / possible as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use HealthStatus::{Critical, Healthy};
    use proptest::prelude::*;

    #[test]
    fn a_check_that_changes_every_round_flaps_once_and_settles_once() {
        let mut window = FlapWindow::default();
        let mut edges = Vec::new();
        for round in 0..20 {
            edges.extend(window.push(if round % 2 == 0 { Healthy } else { Critical }));
        }
        assert_eq!(edges, [FlapEdge::Started]);
        for _ in 0..20 {
            edges.extend(window.push(Healthy));
        }
        assert_eq!(edges, [FlapEdge::Started, FlapEdge::Ended]);
    }

    #[test]
    fn a_single_outage_and_return_is_no_flapping() {
        let mut window = FlapWindow::default();
        for level in [Healthy, Healthy, Critical, Critical, Healthy, Healthy] {
            assert_eq!(window.push(level), None);
        }
        assert!(!window.flapping());
    }

    proptest! {
        #[test]
        fn the_score_stays_between_none_and_all(levels in prop::collection::vec(0_usize..4, 0..60)) {
            let mut window = FlapWindow::default();
            for level in levels {
                window.push(HealthStatus::ALL[level]);
                prop_assert!((0.0..=1.0 + 1e-9).contains(&window.score()));
            }
        }
    }
}
