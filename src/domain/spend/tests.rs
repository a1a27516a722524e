//! Windows, figures, and what an account allows whatever happens to it.

mod laws;

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::domain::ids::{LeaseId, TaskId};
use crate::domain::timestamp::Timestamp;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const fn lease(n: u8) -> LeaseId {
    LeaseId::from_bytes([n; 16])
}

fn task(n: u8) -> TaskId {
    TaskId::from_bytes([n; 16])
}

fn spec() -> SpendSpec {
    a_thousand(Per::Day)
}

/// A thousand micro-dollars a window, of which a task holds a hundred.
pub(crate) fn a_thousand(per: Per) -> SpendSpec {
    SpendSpec {
        ceiling: Ceiling {
            micros: Some(1_000),
            tokens: None,
        },
        per,
        task_ceiling: Ceiling::default(),
        reserve: Amount {
            micros: 100,
            tokens: 0,
        },
        warn_at: 0.8,
        on_exhausted: OnSpent::Hold,
    }
}

fn now() -> Timestamp {
    at("2026-11-28T04:21:14Z")
}

fn account(spec: SpendSpec) -> Account {
    let window = Window::at(spec.per, now());
    let mut account = Account::new(spec, window);
    account.enter(window, Stored::default());
    account
}

const fn cost(micros: u64) -> Usage {
    Usage {
        cost_micros: Some(micros),
        input_tokens: None,
        output_tokens: None,
    }
}

/// An agent that has spent so much of a thousand micro-dollars a day.
pub(crate) fn spent(micros: u64) -> SpendView {
    let mut account = account(spec());
    account.report(None, cost(micros));
    account.view()
}

/// An account that has handed a task over.
fn with_task(spec: SpendSpec) -> Account {
    let mut account = account(spec);
    account.open(lease(1), task(1), Amount::default());
    account.delivered(lease(1), true);
    account
}

#[test]
fn a_window_is_one_of_the_calendar_in_utc() {
    for (per, now, start, end) in [
        (
            Per::Hour,
            "2026-11-28T04:59:59.999Z",
            "2026-11-28T04:00:00Z",
            "2026-11-28T05:00:00Z",
        ),
        (
            Per::Day,
            "2026-11-28T00:00:00Z",
            "2026-11-28T00:00:00Z",
            "2026-11-29T00:00:00Z",
        ),
        (
            Per::Day,
            "2026-11-28T01:00:00+02:00",
            "2026-11-27T00:00:00Z",
            "2026-11-28T00:00:00Z",
        ),
        (
            Per::Month,
            "2028-02-29T23:00:00Z",
            "2028-02-01T00:00:00Z",
            "2028-03-01T00:00:00Z",
        ),
        (
            Per::Month,
            "2026-12-31T23:59:59Z",
            "2026-12-01T00:00:00Z",
            "2027-01-01T00:00:00Z",
        ),
    ] {
        let window = Window::at(per, at(now));
        assert_eq!((window.start, window.end), (at(start), at(end)), "{now}");
    }
}

#[test]
fn a_clock_that_was_set_back_meets_the_window_it_left() {
    let (day, before) = (Window::at(Per::Day, now()), at("2026-11-27T23:59:59Z"));
    assert_eq!(Window::at(Per::Day, day.end).start, day.end);
    assert_eq!(Window::at(Per::Day, before).end, day.start);
}

#[test]
fn money_is_whole_micro_dollars_and_a_fraction_of_one_counts_as_one() {
    for (dollars, whole) in [
        (0.0, Some(0)),
        (0.05, Some(50_000)),
        (0.1 + 0.2, Some(300_000)),
        (1.25, Some(1_250_000)),
        (0.000_000_15, Some(1)),
        (-0.01, None),
        (f64::NAN, None),
        (f64::INFINITY, None),
    ] {
        assert_eq!(micros(dollars), whole, "{dollars}");
    }
    for (whole, words) in [
        (0, "$0.00"),
        (5_000_000, "$5.00"),
        (1_250_000, "$1.25"),
        (1, "$0.000001"),
    ] {
        assert_eq!(usd(whole), words);
    }
}

#[test]
fn what_is_no_figure_counts_for_nothing() {
    let check = |said| serde_json::from_value::<UsageSaid>(said).unwrap().checked();
    let good = json!({"cost_usd": 0.25, "input_tokens": 7, "model": "m", "provider": "p"});
    let usage = check(good).unwrap();
    assert_eq!(
        (usage.cost_micros, usage.amount().tokens),
        (Some(250_000), 7)
    );
    assert_eq!(usage.output_tokens, None);
    for bad in [
        json!({}),
        json!({"model": "m"}),
        json!({"cost_usd": -1}),
        json!({"cost_usd": "1"}),
        json!({"cost_usd": 1e300}),
        json!({"input_tokens": -1}),
        json!({"input_tokens": 1.5}),
        json!({"output_tokens": 2_000_000_000_000_u64}),
        json!({"output_tokens": 1, "cost_usd": []}),
    ] {
        assert!(check(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn nothing_is_handed_over_before_what_is_stored_is_known() {
    let window = Window::at(Per::Day, now());
    let mut account = Account::new(spec(), window);
    assert_eq!((account.room(), account.is_held()), (0, true));
    account.report(None, cost(30));
    let sum = |cost_micros| Sum {
        cost_micros,
        ..Sum::default()
    };
    let stored = Stored {
        own: sum(850),
        inside: sum(100),
        before: None,
    };
    account.enter(window, stored);
    assert_eq!(account.used().micros, 980, "what came early counts too");
    assert_eq!(
        account.own().cost_micros,
        880,
        "what is inside is not its own"
    );
    assert_eq!(account.standing(), Standing::Exhausted);
}

type Act = fn(&mut Account);

const SAYS_SOME: Act = |it| it.report(Some(lease(1)), cost(40));
const SAYS_MORE: Act = |it| it.report(Some(lease(1)), cost(150));
const SAYS_ZERO: Act = |it| it.report(Some(lease(1)), Usage::NOTHING);
const SPEAKS_OF_ANOTHER: Act = |it| it.report(Some(lease(2)), cost(40));
const SPEAKS_OF_NONE: Act = |it| it.report(None, cost(900));
const COMES_BACK_UNREAD: Act = |it| it.delivered(lease(1), false);
const ANSWERS: Act = |it| it.answered(lease(1));
const ENDS: Act = |it| {
    it.close(lease(1));
};

/// What a task does, of which a hundred is reserved; what is then used and held, and how many more
/// fit below a thousand.
const LIVES: &[(&[Act], u64, u64, u32)] = &[
    (&[], 0, 100, 9),
    (&[SAYS_SOME], 40, 60, 9),
    (&[SAYS_MORE], 150, 0, 8),
    (&[ANSWERS, ENDS], 100, 0, 9),
    (&[SAYS_SOME, ANSWERS, ENDS], 40, 0, 9),
    (&[SAYS_ZERO, ANSWERS, ENDS], 0, 0, 10),
    (&[SAYS_SOME, ENDS], 100, 0, 9),
    (&[ENDS], 100, 0, 9),
    (&[COMES_BACK_UNREAD, ENDS], 0, 0, 10),
    (&[SPEAKS_OF_ANOTHER], 40, 100, 8),
    (&[SPEAKS_OF_NONE], 900, 100, 0),
];

#[test]
fn an_open_task_holds_its_reservation_until_it_has_said_more_and_what_it_never_said_counts() {
    for (number, (acts, used, held, room)) in LIVES.iter().enumerate() {
        let mut account = with_task(spec());
        acts.iter().for_each(|act| act(&mut account));
        let stands = (
            account.used().micros,
            account.reserved().micros,
            account.room(),
        );
        assert_eq!(stands, (*used, *held, *room), "life {number}");
    }
}

#[test]
fn without_a_reservation_tasks_are_handed_over_until_the_ceiling_is_reached() {
    let mut account = account(SpendSpec {
        reserve: Amount::default(),
        ..spec()
    });
    account.report(None, cost(999));
    assert_eq!(
        (account.room(), account.standing()),
        (u32::MAX, Standing::Warned)
    );
    account.report(None, cost(1));
    assert_eq!(
        (account.room(), account.standing()),
        (0, Standing::Exhausted)
    );
}

#[test]
fn the_scarcer_of_money_and_tokens_decides() {
    let mut account = account(SpendSpec {
        ceiling: Ceiling {
            micros: Some(1_000),
            tokens: Some(50),
        },
        reserve: Amount {
            micros: 100,
            tokens: 20,
        },
        ..spec()
    });
    assert_eq!(account.room(), 2);
    let tokens = Usage {
        output_tokens: Some(40),
        ..Usage::default()
    };
    account.report(None, tokens);
    assert_eq!(
        (account.room(), account.standing()),
        (0, Standing::Exhausted)
    );
    assert!((account.ratio() - 0.8).abs() < 1e-9);
}

#[test]
fn another_window_begins_with_nothing_used_and_open_tasks_hold_on() {
    let mut account = with_task(spec());
    account.report(None, cost(950));
    assert!(account.is_held());
    let next = Window::at(Per::Day, account.window().end);
    account.enter(next, Stored::default());
    assert_eq!((account.used().micros, account.reserved().micros), (0, 100));
    assert_eq!((account.room(), account.standing()), (9, Standing::Open));
    assert_eq!(account.take_news()[0].window, next.start);
}

#[test]
fn another_ceiling_counts_at_once_and_another_length_is_to_be_read_first() {
    let mut account = with_task(spec());
    account.report(None, cost(950));
    let mut raised = spec();
    raised.ceiling.micros = Some(5_000);
    account.redeclare(raised.clone());
    assert_eq!((account.used().micros, account.room()), (950, 39));
    raised.per = Per::Hour;
    account.redeclare(raised);
    assert_eq!(account.room(), 0);
}

#[test]
fn a_task_over_its_own_ceiling_is_to_stop_whatever_earlier_executions_spent_included() {
    let mut account = account(SpendSpec {
        task_ceiling: Ceiling {
            micros: Some(200),
            tokens: None,
        },
        ..spec()
    });
    let before = |micros| Amount { micros, tokens: 0 };
    for (n, spent_before, says) in [(1, 0, 200), (2, 0, 201), (3, 150, 60), (4, 0, 500)] {
        account.open(lease(n), task(n), before(spent_before));
        account.delivered(lease(n), true);
        account.report(Some(lease(n)), cost(says));
    }
    account.answered(lease(4));
    let stopped: BTreeMap<_, _> = account.to_stop().into_iter().collect();
    assert_eq!(
        stopped.keys().copied().collect::<Vec<_>>(),
        [lease(2), lease(3)]
    );
    assert!(
        stopped[&lease(3)].contains("$0.00021 of $0.0002"),
        "{stopped:?}"
    );
}

#[test]
fn running_tasks_are_to_stop_only_when_the_settings_say_so_and_the_ceiling_is_reached() {
    for (on_exhausted, spent, stopped) in [
        (OnSpent::Hold, 1_000, 0),
        (OnSpent::Cancel, 999, 0),
        (OnSpent::Cancel, 1_000, 1),
    ] {
        let mut account = with_task(SpendSpec {
            on_exhausted,
            ..spec()
        });
        account.report(None, cost(spent));
        assert_eq!(account.to_stop().len(), stopped, "{on_exhausted:?} {spent}");
    }
}

#[test]
fn a_view_says_in_words_why_nothing_comes_and_what_to_do() {
    let mut account = account(spec());
    assert_eq!(account.view().why_held(), None);
    account.report(None, cost(950));
    let view = account.view();
    let why = view.why_held().unwrap();
    assert_eq!(
        why,
        "held: spend of the day is exhausted ($0.00095 of $0.001), renews at 2026-11-29T00:00:00.000Z"
    );
    assert!(
        view.way_out("writer")
            .contains("agents.writer.spend.cost_usd")
    );
}
