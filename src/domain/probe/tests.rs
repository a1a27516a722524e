//! Thresholds both ways, the gate of the startup probe, and what no order of answers can do.

use proptest::prelude::*;

use super::*;

fn spec(failures: u32, successes: u32) -> ProbeSpec {
    ProbeSpec {
        how: ProbeHow::Tcp("localhost:1".to_owned()),
        period: Duration::from_secs(10),
        timeout: Duration::from_secs(3),
        failure_threshold: failures,
        success_threshold: successes,
    }
}

fn answers(text: &str) -> impl Iterator<Item = bool> + '_ {
    text.chars().map(|answer| answer == '+')
}

#[test]
fn a_probe_turns_after_its_threshold_of_equal_answers_in_a_row_both_ways() {
    // Answers, thresholds of failures and successes, and what the probe says after each.
    let table = [
        ("+", 3, 1, "+"),
        ("++", 3, 2, ".+"),
        ("+-++", 3, 2, "...+"),
        ("++--+---", 3, 2, ".++++++-"),
        ("---+-+-++", 3, 2, "..------+"),
        ("-", 1, 1, "-"),
        ("-+-+", 1, 1, "-+-+"),
        ("+-", 0, 0, "+-"),
    ];
    for (said, failures, successes, wanted) in table {
        let spec = spec(failures, successes);
        let mut standing = Standing::default();
        let shown: String = answers(said)
            .map(|answer| {
                standing.record(answer, &spec);
                match standing.passes() {
                    None => '.',
                    Some(true) => '+',
                    Some(false) => '-',
                }
            })
            .collect();
        assert_eq!(shown, wanted, "{said} at {failures}/{successes}");
    }
}

fn all_three(remote: bool) -> Probes {
    Probes {
        startup: Some(spec(3, 1)),
        liveness: Some(spec(3, 2)),
        readiness: Some(spec(2, 2)),
        remote,
    }
}

#[test]
fn startup_holds_the_others_back_until_it_passes() {
    use ProbeKind::{Liveness, Readiness, Startup};
    let probes = all_three(false);
    let mut book = ProbeBook::default();
    for kind in [Liveness, Readiness] {
        assert!(!book.may_ask(kind, &probes));
        assert_eq!(book.record(kind, false, &probes), None);
    }
    assert_eq!(book.record(Startup, false, &probes), None);
    assert_eq!(book.record(Startup, true, &probes), Some(Turn::Started));
    assert!(!book.may_ask(Startup, &probes) && !book.takes_work(&probes));
    assert_eq!(book.record(Readiness, true, &probes), None);
    assert_eq!(book.record(Readiness, true, &probes), Some(Turn::Ready));
    assert!(book.takes_work(&probes));
}

#[test]
fn what_fails_means_a_failed_start_a_dead_life_or_no_work() {
    use ProbeKind::{Liveness, Readiness, Startup};
    let started = |remote: bool| {
        let (mut book, probes) = (ProbeBook::default(), all_three(remote));
        book.record(Startup, true, &probes);
        book.record(Readiness, true, &probes);
        book.record(Readiness, true, &probes);
        (book, probes)
    };
    for (remote, kind, turn) in [
        (false, Liveness, Turn::Dead),
        (false, Readiness, Turn::Unready),
        (true, Liveness, Turn::Unready),
        (true, Readiness, Turn::Unready),
    ] {
        let (mut book, probes) = started(remote);
        let turns: Vec<_> = answers("---")
            .filter_map(|answer| book.record(kind, answer, &probes))
            .collect();
        assert_eq!(turns, [turn], "{kind} remote {remote}");
        assert_eq!(book.takes_work(&probes), turn == Turn::Dead);
        assert!(book.fails());
    }
    for (remote, turn) in [(false, Turn::StartFailed), (true, Turn::Unready)] {
        let (mut book, probes) = (ProbeBook::default(), all_three(remote));
        let turns: Vec<_> = answers("---")
            .filter_map(|answer| book.record(Startup, answer, &probes))
            .collect();
        assert_eq!(turns, [turn]);
    }
}

#[test]
fn a_remote_service_that_was_away_at_the_start_is_ready_after_its_threshold_of_successes() {
    let probes = Probes {
        readiness: None,
        ..all_three(true)
    };
    let mut book = ProbeBook::default();
    for _ in 0..3 {
        book.record(ProbeKind::Startup, false, &probes);
    }
    assert!(book.fails() && !book.takes_work(&probes));
    assert_eq!(book.record(ProbeKind::Liveness, true, &probes), None);
    let turn = book.record(ProbeKind::Liveness, true, &probes);
    assert_eq!(turn, Some(Turn::Ready));
    assert!(!book.fails());
}

#[test]
fn a_missing_answer_is_excused_by_a_busy_zone_and_a_ping_by_an_open_task() {
    let tcp = ProbeHow::Tcp("x:1".to_owned());
    let idle = Signs::default();
    let busy = Signs {
        open_tasks: 1,
        busy_for: Some(Duration::from_secs(1)),
        ..idle
    };
    let working = Signs {
        open_tasks: 1,
        ..idle
    };
    let table = [
        (ProbeKind::Liveness, &tcp, idle, false),
        (ProbeKind::Liveness, &tcp, working, false),
        (ProbeKind::Liveness, &tcp, busy, true),
        (ProbeKind::Readiness, &tcp, busy, false),
        (ProbeKind::Readiness, &ProbeHow::Protocol, idle, false),
        (ProbeKind::Readiness, &ProbeHow::Protocol, working, true),
    ];
    for (kind, how, signs, excused) in table {
        assert_eq!(
            is_excused(kind, how, signs),
            excused,
            "{kind} {how:?} {signs:?}"
        );
    }
}

#[test]
fn a_probe_of_a_replica_knows_its_number() {
    let how = ProbeHow::Exec(vec!["check".into(), "900{index}".into()]);
    let third = ProbeHow::Exec(vec!["check".into(), "9002".into()]);
    assert_eq!(how.for_replica(2), third);
}

proptest! {
    #[test]
    fn fewer_answers_in_a_row_than_the_threshold_never_turn_a_probe(
        said in prop::collection::vec(any::<bool>(), 0..200),
        failures in 1_u32..6,
        successes in 1_u32..6,
    ) {
        let spec = spec(failures, successes);
        let mut standing = Standing::default();
        for (nth, answer) in said.iter().enumerate() {
            let turned = standing.record(*answer, &spec);
            let run = said[..=nth].iter().rev().take_while(|one| *one == answer).count();
            let threshold = if *answer { successes } else { failures };
            prop_assert_eq!(standing.last(), Some((*answer, u32::try_from(run).unwrap())));
            if turned.is_some() {
                prop_assert!(run >= threshold as usize);
                prop_assert_eq!(turned, Some(*answer));
            }
            if run >= threshold as usize {
                prop_assert_eq!(standing.passes(), Some(*answer));
            }
        }
    }

    #[test]
    fn no_order_of_answers_restarts_a_remote_service_or_lets_it_work_unstarted(
        said in prop::collection::vec((0_usize..3, any::<bool>()), 0..200),
    ) {
        let probes = all_three(true);
        let mut book = ProbeBook::default();
        for (kind, answer) in said {
            let before = book.takes_work(&probes);
            let turn = book.record(ProbeKind::ALL[kind], answer, &probes);
            prop_assert!(!matches!(turn, Some(Turn::Dead | Turn::StartFailed)));
            match (before, book.takes_work(&probes)) {
                (false, true) => prop_assert!(matches!(turn, Some(Turn::Ready | Turn::StartedReady))),
                (true, false) => prop_assert_eq!(turn, Some(Turn::Unready)),
                _ => {}
            }
            prop_assert!(!book.takes_work(&probes) || book.has_started(&probes));
        }
    }
}
