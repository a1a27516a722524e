//! From figures to levels: thresholds, sustained samples, the worst of several.

use super::HealthStatus;

/// Samples of a host figure that must all be past a limit before it counts, unless set otherwise.
pub const SUSTAINED_SAMPLES: usize = 3;

/// Two limits for a figure, most often a share between 0 and 1. A figure *past* a limit has its level; one that equals
/// it has not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// Past this: warning.
    pub warning: f64,
    /// Past this: critical.
    pub critical: f64,
}

impl Threshold {
    /// Warning past 90 %, critical past 95 %.
    pub const DEFAULT: Self = Self {
        warning: 0.90,
        critical: 0.95,
    };

    /// The level of a figure. What is no number cannot be told.
    #[must_use]
    pub fn level(self, figure: f64) -> HealthStatus {
        if figure.is_nan() {
            HealthStatus::Unknown
        } else if figure > self.critical {
            HealthStatus::Critical
        } else if figure > self.warning {
            HealthStatus::Warning
        } else {
            HealthStatus::Healthy
        }
    }

    /// The limit to show beside a figure of this level: the one it passed, or the next one.
    #[must_use]
    pub const fn shown_for(self, status: HealthStatus) -> f64 {
        match status {
            HealthStatus::Critical => self.critical,
            _ => self.warning,
        }
    }
}

impl Default for Threshold {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// The figure that a series of samples, oldest first, is judged by: the smallest of the `last`
/// ones. It is past a limit exactly if all of them are, so a single peak never alarms.
/// With fewer samples, right after the start, it is the smallest of those, which tells nothing yet of
/// what passes in a moment; with none there is none.
#[must_use]
pub fn sustained(samples: impl DoubleEndedIterator<Item = f64>, last: usize) -> Option<f64> {
    samples.rev().take(last.max(1)).reduce(f64::min)
}

/// The worst of several levels; unknown if there is none.
#[must_use]
pub fn worst_of(levels: impl IntoIterator<Item = HealthStatus>) -> HealthStatus {
    levels
        .into_iter()
        .max_by_key(|level| level.severity())
        .unwrap_or(HealthStatus::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn past_ninety_percent_warns_past_ninety_five_is_critical_and_equal_is_neither() {
        let table = [
            (0.0, HealthStatus::Healthy),
            (0.90, HealthStatus::Healthy),
            (0.901, HealthStatus::Warning),
            (0.95, HealthStatus::Warning),
            (0.951, HealthStatus::Critical),
            (1.0, HealthStatus::Critical),
            (f64::NAN, HealthStatus::Unknown),
        ];
        for (figure, level) in table {
            assert_eq!(Threshold::DEFAULT.level(figure), level, "{figure}");
        }
    }

    #[test]
    fn one_low_sample_among_the_last_three_calms() {
        let level = |s: &[f64]| {
            sustained(s.iter().copied(), SUSTAINED_SAMPLES)
                .map(|figure| Threshold::DEFAULT.level(figure))
        };
        assert_eq!(level(&[]), None);
        assert_eq!(level(&[0.99]), Some(HealthStatus::Critical), "at the start");
        assert_eq!(level(&[0.1, 0.99, 0.99]), Some(HealthStatus::Healthy));
        assert_eq!(
            level(&[0.1, 0.99, 0.99, 0.99]),
            Some(HealthStatus::Critical)
        );
        assert_eq!(level(&[0.99, 0.92, 0.99]), Some(HealthStatus::Warning));
    }

    proptest! {
        #[test]
        fn a_series_has_a_level_exactly_if_its_last_three_samples_all_have_it(
            samples in prop::collection::vec(0.0_f64..1.0, 3..20)
        ) {
            let judged = Threshold::DEFAULT.level(sustained(samples.iter().copied(), 3).unwrap_or(f64::NAN));
            let calmest = samples[samples.len() - 3..]
                .iter()
                .map(|s| Threshold::DEFAULT.level(*s))
                .min_by_key(|level| level.severity());
            prop_assert_eq!(Some(judged), calmest);
        }

        #[test]
        fn a_higher_figure_never_has_a_milder_level(a in 0.0_f64..2.0, b in 0.0_f64..2.0) {
            let (low, high) = if a < b { (a, b) } else { (b, a) };
            let severity = |figure| Threshold::DEFAULT.level(figure).severity();
            prop_assert!(severity(low) <= severity(high));
        }
    }
}
