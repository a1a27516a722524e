//! How values spread: counted in buckets of less than a hundredth of their value, so that a
//! percentile costs no list of all of them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Buckets of each doubling; values below twice as many are counted exactly.
const STEPS: u64 = 128;
/// Enough for every `u64`.
const BUCKETS: u64 = 58 * STEPS;

/// Counts of values, shared by all who measure.
#[derive(Debug)]
pub(super) struct Spread(Vec<AtomicU64>);

impl Default for Spread {
    fn default() -> Self {
        Self((0..BUCKETS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Spread {
    pub(super) fn add(&self, value: u64) {
        if let Some(bucket) = self.0.get(bucket_of(value)) {
            bucket.fetch_add(1, Relaxed);
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|bucket| bucket.load(Relaxed)).sum()
    }

    /// The value below which so many percent lie, to less than a hundredth.
    pub(super) fn at(&self, percent: u64) -> Option<u64> {
        let count = self.count();
        let place = (count * percent / 100).min(count.checked_sub(1)?);
        let mut seen = 0;
        let bucket = self.0.iter().position(|bucket| {
            seen += bucket.load(Relaxed);
            seen > place
        })?;
        Some(least_of(bucket as u64))
    }
}

/// How often a value is halved until it is below twice [`STEPS`] tells its row of buckets.
fn bucket_of(value: u64) -> usize {
    let halved = u64::from(value.max(1).ilog2()).saturating_sub(STEPS.ilog2().into());
    usize::try_from(halved * STEPS + (value >> halved)).unwrap_or(usize::MAX)
}

/// The least value of a bucket.
fn least_of(bucket: u64) -> u64 {
    let halved = (bucket / STEPS).saturating_sub(1);
    (bucket - halved * STEPS) << halved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_measured_to_less_than_a_hundredth() {
        let spread = Spread::default();
        assert_eq!(spread.at(50), None);
        spread.add(7);
        assert_eq!(spread.at(99), Some(7));
        let spread = Spread::default();
        (1..=100).for_each(|value| spread.add(value));
        assert_eq!((spread.at(50), spread.at(99)), (Some(51), Some(100)));
        for value in [
            127,
            128,
            129,
            1_000,
            30_000,
            12_345_678,
            u64::MAX / 3,
            u64::MAX,
        ] {
            let spread = Spread::default();
            spread.add(value);
            let told = spread.at(50).unwrap();
            assert!(
                told <= value && value - told <= value / 100,
                "{told} of {value}"
            );
        }
    }
}
