//! How long to wait before a restart: nothing the first time, then exponentially longer.
//!
//! Chance is an argument, so the same draw gives the same delay.

use std::time::Duration;

use super::restart::RestartPolicy;

/// The delay before the `nth` restart in a row, from 0: the first is immediate. `chance` is drawn
/// evenly from 0 to 1.
#[must_use]
pub fn delay(policy: &RestartPolicy, nth: u32, chance: f64) -> Duration {
    let Some(doublings) = nth.checked_sub(1) else {
        return Duration::ZERO;
    };
    let exponent = i32::try_from(doublings).unwrap_or(i32::MAX);
    let longest = policy.max_backoff.as_secs_f64();
    let full = policy.min_backoff.as_secs_f64() * policy.factor.max(1.0).powi(exponent);
    let capped = if full.is_finite() {
        full.min(longest)
    } else {
        longest
    };
    let share = if policy.full_jitter {
        chance.clamp(0.0, 1.0)
    } else {
        1.0
    };
    Duration::try_from_secs_f64(capped * share).unwrap_or(policy.max_backoff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn policy(full_jitter: bool) -> RestartPolicy {
        RestartPolicy {
            full_jitter,
            ..RestartPolicy::default()
        }
    }

    #[test]
    fn the_first_restart_is_immediate_and_the_next_ones_double_up_to_the_cap() {
        let seconds = (0..9).map(|nth| delay(&policy(false), nth, 0.3).as_secs());
        assert_eq!(seconds.collect::<Vec<_>>(), [0, 1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_factor_below_one_shortens_no_delay() {
        let policy = RestartPolicy {
            factor: 0.5,
            ..policy(false)
        };
        let seconds = (1..5).map(|nth| delay(&policy, nth, 1.0).as_secs());
        assert_eq!(seconds.collect::<Vec<_>>(), [1; 4]);
    }

    proptest! {
        #[test]
        fn a_jittered_delay_lies_between_nothing_and_the_full_delay(nth: u32, chance in 0.0..=1.0) {
            let drawn = delay(&policy(true), nth, chance);
            prop_assert!(drawn <= delay(&policy(false), nth, chance));
            prop_assert!(drawn <= policy(true).max_backoff);
        }
    }
}
