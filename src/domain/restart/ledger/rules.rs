//! Claims about budgets for every history: window, slow loops, backoff.

use proptest::prelude::*;

use super::*;
use crate::domain::restart::{DEFAULT_INTENSITY, RestartType};

const SECOND: Duration = Duration::from_secs(1);

/// One end in a history: of which fault, how long after the last one, after how long a life.
type Step = (u8, u64, u64);

fn history() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((0_u8..4, 0_u64..400, 0_u64..90), 1..80)
}

fn reason(fault: u8) -> ExitReason {
    match fault {
        // From outside: it says nothing of the agent.
        0 => ExitReason::Signal {
            signal: 9,
            oom: false,
        },
        fault => ExitReason::ExitCode {
            code: i32::from(fault),
        },
    }
}

fn group() -> GroupSpec {
    GroupSpec::alone("echo".parse().unwrap())
}

fn policy(full_jitter: bool) -> RestartPolicy {
    RestartPolicy {
        full_jitter,
        ..RestartPolicy::default()
    }
}

fn permanent() -> RestartRule {
    RestartRule {
        kind: RestartType::Permanent,
        fatal_exit_codes: Vec::new(),
    }
}

/// So many deaths of the last fault in a row, each soon after the last, no life stable in between.
fn chain_length(history: &[(u8, Duration, bool)], max_gap: Duration) -> u32 {
    let known: Vec<_> = history.iter().filter(|(fault, ..)| *fault != 0).collect();
    let mut length = 1;
    for pair in known.windows(2).rev() {
        let [(before, then, _), (fault, now, stable)] = pair else {
            unreachable!("windows of two");
        };
        if before != fault || *now - *then > max_gap || *stable {
            break;
        }
        length += 1;
    }
    length
}

proptest! {
    #[test]
    fn a_slow_loop_is_a_chain_of_one_fault_without_a_long_gap_or_a_stable_life(steps in history()) {
        let (group, mut chain) = (group(), GapChain::default());
        let (mut now, mut all) = (SECOND * 1_000, Vec::new());
        for (fault, gap, uptime) in steps {
            now += SECOND * u32::try_from(gap).unwrap();
            let stable = uptime >= 60;
            all.push((fault, now, stable));
            let reason = reason(fault);
            let death = Death { reason: &reason, uptime: Duration::ZERO, now, chance: 1.0 };
            let looped = chain.record(&death, stable, &group);
            let length = chain_length(&all, group.loop_max_gap);
            prop_assert_eq!(looped, fault != 0 && length >= group.loop_deaths);
        }
    }

    #[test]
    fn no_history_is_restarted_more_often_than_its_window_allows(steps in history()) {
        let (rule, policy, group) = (permanent(), policy(true), group());
        let rules = Rules { rule: &rule, policy: &policy, group: &group };
        let (mut ledger, mut now) = (Ledger::default(), SECOND * 1_000);
        let mut again: Vec<Duration> = Vec::new();
        for (fault, gap, uptime) in steps {
            now += SECOND * u32::try_from(gap % 20).unwrap();
            let (reason, uptime) = (reason(fault), Duration::from_secs(uptime));
            let death = Death { reason: &reason, uptime, now, chance: 0.5 };
            if let Sequel::Again { .. } = ledger.judge(&death, &rules) {
                again.push(now);
                let inside = again.iter().filter(|at| now - **at < SECOND * 60).count();
                prop_assert!(inside <= 5, "{inside} restarts within a minute");
            } else {
                ledger.begin_trial();
                again.clear();
                ledger.on_trial = false;
            }
            prop_assert!(ledger.window.count(now, DEFAULT_INTENSITY) <= 5);
        }
    }

    #[test]
    fn the_first_restart_after_a_stable_life_is_immediate_and_the_next_ones_grow_to_the_cap(
        deaths in 1_u32..40,
        chance in 0.0..=1.0,
    ) {
        let (rule, mut group) = (permanent(), group());
        group.intensity = Intensity::Unlimited;
        for jitter in [false, true] {
            let policy = policy(jitter);
            let rules = Rules { rule: &rule, policy: &policy, group: &group };
            let (mut ledger, mut now, mut last) = (Ledger::default(), SECOND, Duration::ZERO);
            let reason = reason(1);
            for nth in 0..deaths {
                now += SECOND;
                let death = Death { reason: &reason, uptime: Duration::ZERO, now, chance };
                let Sequel::Again { after } = ledger.judge(&death, &rules) else {
                    return Err(TestCaseError::fail("without a limit nothing gives up"));
                };
                prop_assert_eq!(nth == 0, after.is_zero() && nth == 0);
                prop_assert!(after >= last, "{after:?} after {last:?}");
                prop_assert!(after <= policy.max_backoff);
                last = after;
            }
            now += policy.stable_after;
            let uptime = policy.stable_after;
            let death = Death { reason: &reason, uptime, now, chance };
            prop_assert_eq!(ledger.judge(&death, &rules), Sequel::Again { after: Duration::ZERO });
        }
    }

    #[test]
    fn an_elder_life_is_stable_only_if_nobody_died_meanwhile(calm in 0_u64..120, uptime in 0_u64..500) {
        let (rule, policy, group) = (permanent(), policy(false), group());
        let rules = Rules { rule: &rule, policy: &policy, group: &group };
        let (mut ledger, reason) = (Ledger::default(), reason(1));
        let first = Death { reason: &reason, uptime: Duration::ZERO, now: SECOND * 1_000, chance: 1.0 };
        ledger.judge(&first, &rules);
        let second = Death {
            uptime: Duration::from_secs(uptime),
            now: first.now + Duration::from_secs(calm),
            ..first
        };
        let after = if calm >= 60 && uptime >= 60 { Duration::ZERO } else { SECOND };
        prop_assert_eq!(ledger.judge(&second, &rules), Sequel::Again { after });
    }
}
