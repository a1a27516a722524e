//! Claims about budgets: how many deaths are too many, and what follows each.

use proptest::prelude::*;

use super::*;
use crate::domain::restart::RestartType;

const SECOND: Duration = Duration::from_secs(1);

struct Setting {
    rule: RestartRule,
    policy: RestartPolicy,
    group: GroupSpec,
}

fn setting() -> Setting {
    Setting {
        rule: RestartRule {
            kind: RestartType::Permanent,
            fatal_exit_codes: vec![78],
        },
        policy: RestartPolicy {
            full_jitter: false,
            ..RestartPolicy::default()
        },
        group: GroupSpec::alone("echo".parse().unwrap()),
    }
}

impl Setting {
    fn rules(&self) -> Rules<'_> {
        Rules {
            rule: &self.rule,
            policy: &self.policy,
            group: &self.group,
        }
    }
}

fn crash(code: i32) -> ExitReason {
    ExitReason::ExitCode { code }
}

fn death(reason: &ExitReason, now: Duration) -> Death<'_> {
    Death {
        reason,
        uptime: Duration::ZERO,
        now,
        chance: 1.0,
    }
}

#[test]
fn five_deaths_in_the_window_are_restarted_ever_later_and_the_sixth_gives_up() {
    let (setting, mut ledger) = (setting(), Ledger::default());
    let sequels = (0..6).map(|nth| ledger.judge(&death(&crash(1), SECOND * nth), &setting.rules()));
    let wanted = [0, 1, 2, 4, 8].map(|after| Sequel::Again {
        after: SECOND * after,
    });
    let sequels: Vec<_> = sequels.collect();
    assert_eq!(sequels[..5], wanted);
    assert_eq!(sequels[5], Sequel::GivesUp(GiveUp::Intensity));
}

#[test]
fn the_same_death_ten_times_gives_up_however_slowly() {
    let (setting, mut ledger) = (setting(), Ledger::default());
    for nth in 0..9 {
        let sequel = ledger.judge(&death(&crash(1), SECOND * 200 * nth), &setting.rules());
        assert!(matches!(sequel, Sequel::Again { .. }), "{nth}: {sequel:?}");
    }
    let tenth = ledger.judge(&death(&crash(1), SECOND * 1_800), &setting.rules());
    assert_eq!(tenth, Sequel::GivesUp(GiveUp::SlowLoop));
}

#[test]
fn a_slow_loop_is_broken_by_another_fault_a_long_gap_or_a_stable_life() {
    let breakers: [(ExitReason, u32, Duration); 3] = [
        (crash(2), 200, Duration::ZERO),
        (crash(1), 301, Duration::ZERO),
        (crash(1), 200, SECOND * 60),
    ];
    for (reason, gap, uptime) in breakers {
        let (setting, mut ledger) = (setting(), Ledger::default());
        let mut now = Duration::ZERO;
        for nth in 0..20 {
            let breaks = nth == 8;
            now += SECOND * if breaks { gap } else { 200 };
            let plain = crash(1);
            let mut end = death(if breaks { &reason } else { &plain }, now);
            if breaks {
                end.uptime = uptime;
            }
            let sequel = ledger.judge(&end, &setting.rules());
            if nth < 16 {
                assert!(matches!(sequel, Sequel::Again { .. }), "{reason} {nth}");
            }
        }
    }
}

#[test]
fn a_neighbours_fault_counts_against_nobody() {
    let (setting, mut ledger) = (setting(), Ledger::default());
    for _ in 0..100 {
        let sequel = ledger.judge(&death(&ExitReason::ArbiterGone, SECOND), &setting.rules());
        assert_eq!(
            sequel,
            Sequel::Again {
                after: Duration::ZERO
            }
        );
    }
    assert_eq!(ledger, Ledger::default());
}

#[test]
fn a_death_on_trial_gives_up_at_once_and_a_stable_trial_ends_it() {
    let (setting, mut ledger) = (setting(), Ledger::default());
    assert_eq!(ledger.quarantine(&setting.group), SECOND * 300);
    ledger.begin_trial();
    let again = ledger.judge(&death(&crash(1), SECOND), &setting.rules());
    assert_eq!(again, Sequel::GivesUp(GiveUp::Trial));
    assert_eq!(ledger.quarantine(&setting.group), SECOND * 600);
    ledger.begin_trial();
    let fault = crash(1);
    let mut late = death(&fault, SECOND * 100);
    late.uptime = setting.policy.stable_after;
    assert!(matches!(
        ledger.judge(&late, &setting.rules()),
        Sequel::Again { .. }
    ));
    assert_eq!(ledger.quarantines, 0);
}

#[test]
fn leave_to_restart_in_place_is_one_while_stable_and_none_while_backing_off() {
    let (mut setting, mut ledger) = (setting(), Ledger::default());
    assert_eq!(ledger.leave(SECOND, &setting.rules()), 1);
    ledger.judge(&death(&crash(1), SECOND), &setting.rules());
    assert_eq!(ledger.leave(SECOND, &setting.rules()), 0);
    setting.group.intensity = Intensity::Unlimited;
    setting.policy.min_backoff = Duration::ZERO;
    assert_eq!(ledger.leave(SECOND, &setting.rules()), u32::MAX);
    setting.group.intensity = Intensity::Limited {
        max: 0,
        within: SECOND,
    };
    assert_eq!(Ledger::default().leave(SECOND, &setting.rules()), 0);
}

#[test]
fn on_trial_no_life_follows_in_place_and_a_backoff_is_never_skipped_for_want_of_a_limit() {
    let mut setting = setting();
    // As a daemon that was down for long finds it: no death lies inside the window.
    let trial = Ledger {
        on_trial: true,
        ..Ledger::default()
    };
    assert_eq!(trial.leave(SECOND, &setting.rules()), 0);
    setting.group.intensity = Intensity::Unlimited;
    assert_eq!(Ledger::default().leave(SECOND, &setting.rules()), 1);
}

proptest! {
    #[test]
    fn crashing_slower_than_the_budget_never_exhausts_it(
        max in 1_u32..8,
        jitters in prop::collection::vec(0_u32..1_000, 1..200),
    ) {
        let within = SECOND * 60;
        let intensity = Intensity::Limited { max, within };
        let mut window = DeathWindow::default();
        let mut now = Duration::ZERO;
        for jitter in jitters {
            now += within / max + Duration::from_millis(u64::from(jitter));
            prop_assert!(!window.record(now, intensity));
        }
    }

    #[test]
    fn the_window_gives_up_exactly_when_more_than_max_deaths_lie_inside(
        max in 0_u32..6,
        gaps in prop::collection::vec(0_u64..30, 1..60),
    ) {
        let within = SECOND * 60;
        let intensity = Intensity::Limited { max, within };
        let (mut window, mut all, mut now) = (DeathWindow::default(), Vec::new(), 0);
        for gap in gaps {
            now += gap;
            all.push(now);
            let inside = all.iter().filter(|death| now - **death < 60).count();
            prop_assert_eq!(window.record(Duration::from_secs(now), intensity), inside > max as usize);
            prop_assert!(window.deaths().count() <= max as usize);
        }
    }

    #[test]
    fn what_is_never_restarted_is_never_judged_to_live_again(
        code in 0_i32..100,
        uptime in 0_u64..100,
    ) {
        let mut setting = setting();
        setting.rule.kind = RestartType::Temporary;
        let reason = crash(code);
        let mut end = death(&reason, SECOND);
        end.uptime = Duration::from_secs(uptime);
        let sequel = Ledger::default().judge(&end, &setting.rules());
        prop_assert_eq!(sequel, if code == 78 { Sequel::Fatal } else { Sequel::Over });
    }
}
