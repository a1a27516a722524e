//! Claims about rules: what falls due when, around the changes of the clocks too.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn spec(rule: Rule, catch_up: CatchUp) -> ScheduleSpec {
    ScheduleSpec {
        name: "s".parse().unwrap(),
        rule,
        shown: String::new(),
        overlap: Overlap::Skip,
        catch_up,
        catch_up_max: 3,
        jitter: Duration::ZERO,
        work: ScheduledWork::Task {
            target: Target::Agent("echo".parse().unwrap()),
            payload: json!({}),
        },
    }
}

#[test]
fn a_pattern_falls_due_when_it_says() {
    for (text, zone, after, due) in [
        (
            "0 3 * * *",
            "UTC",
            "2026-11-23T04:00:00Z",
            "2026-11-24T03:00:00.000Z",
        ),
        (
            "*/15 * * * *",
            "UTC",
            "2026-11-23T04:15:00Z",
            "2026-11-23T04:30:00.000Z",
        ),
        (
            "*/10 * * * * *",
            "UTC",
            "2026-11-23T04:15:05.5Z",
            "2026-11-23T04:15:10.000Z",
        ),
        (
            "0 9 * * MON-FRI",
            "Europe/Berlin",
            "2026-11-20T09:00:00Z",
            "2026-11-23T08:00:00.000Z",
        ),
        (
            "0 0 29 2 *",
            "UTC",
            "2026-01-01T00:00:00Z",
            "2028-02-29T00:00:00.000Z",
        ),
        (
            "@hourly",
            "Asia/Kolkata",
            "2026-11-23T04:00:00Z",
            "2026-11-23T04:30:00.000Z",
        ),
    ] {
        let rule = Rule::cron(text, zone).unwrap();
        assert_eq!(
            rule.next_after(at(after)).unwrap().to_string(),
            due,
            "{text} {zone}"
        );
    }
}

#[test]
fn a_time_that_does_not_exist_falls_due_right_after_the_gap() {
    // Berlin, 2026-03-29: 02:00 becomes 03:00.
    let rule = Rule::cron("30 2 * * *", "Europe/Berlin").unwrap();
    let due = rule.next_after(at("2026-03-28T12:00:00Z")).unwrap();
    assert_eq!(due.to_string(), "2026-03-29T01:00:00.000Z");
    let next = rule.next_after(due).unwrap();
    assert_eq!(next.to_string(), "2026-03-30T00:30:00.000Z");
}

#[test]
fn a_time_that_comes_twice_falls_due_once_the_first_time() {
    // Berlin, 2026-10-25: 03:00 becomes 02:00.
    let rule = Rule::cron("30 2 * * *", "Europe/Berlin").unwrap();
    let due = rule.next_after(at("2026-10-24T12:00:00Z")).unwrap();
    assert_eq!(due.to_string(), "2026-10-25T00:30:00.000Z");
    assert_eq!(
        rule.next_after(due).unwrap().to_string(),
        "2026-10-26T01:30:00.000Z"
    );
}

#[test]
fn what_runs_all_day_follows_the_clock_through_both_changes() {
    let rule = Rule::cron("*/30 * * * *", "Europe/Berlin").unwrap();
    for day in ["2026-03-28T23:00:00Z", "2026-10-24T23:00:00Z"] {
        let begin = at(day);
        let due = rule.between(begin, begin.after(Duration::from_secs(5 * 3600)), 100);
        assert_eq!(due.len(), 10, "{due:?}");
    }
}

#[test]
fn what_is_no_rule_is_refused_with_the_way_out() {
    for (text, zone, wanted) in [
        ("every day", "UTC", "is no cron pattern"),
        ("0 25 * * *", "UTC", "is no cron pattern"),
        ("0 0 30 2 *", "UTC", "it never falls due"),
        (
            "0 3 * * *",
            "Europe/Berln",
            "there is no time zone 'Europe/Berln'; did you mean 'Europe/Berlin'?",
        ),
    ] {
        let refused = Rule::cron(text, zone).unwrap_err().to_string();
        assert!(refused.contains(wanted), "{refused}");
    }
}

#[test]
fn missed_firings_are_made_up_for_as_the_policy_says() {
    let hour = Duration::from_secs(3600);
    let (since, now) = (at("2026-11-23T00:30:00Z"), at("2026-11-23T05:20:00Z"));
    let hours = |hours: &[u32]| -> Vec<Timestamp> {
        hours
            .iter()
            .map(|hour| at(&format!("2026-11-23T{hour:02}:00:00Z")))
            .collect()
    };
    for (catch_up, fire, left_out) in [
        (CatchUp::None, hours(&[]), hours(&[5])),
        (CatchUp::Last, hours(&[5]), hours(&[4])),
        (CatchUp::All, hours(&[3, 4, 5]), hours(&[2])),
    ] {
        let plan = spec(Rule::Every(hour), catch_up).plan(since, now);
        assert_eq!(
            (plan.fire, plan.left_out),
            (fire, left_out.first().copied()),
            "{catch_up:?}"
        );
    }
    let on_time = at("2026-11-23T05:00:03Z");
    for (catch_up, fire) in [(CatchUp::None, hours(&[5])), (CatchUp::Last, hours(&[5]))] {
        assert_eq!(
            spec(Rule::Every(hour), catch_up).plan(since, on_time).fire,
            fire,
            "{catch_up:?}"
        );
    }
}

#[test]
fn as_many_are_made_up_for_as_may_however_many_are_on_time_beside_them() {
    let mut every_second = spec(Rule::Every(Duration::from_secs(1)), CatchUp::All);
    every_second.catch_up_max = 10;
    let (since, now) = (at("2026-11-23T05:00:00Z"), at("2026-11-23T05:01:00Z"));
    let plan = every_second.plan(since, now);
    // From 05:00:50 on they are on time.
    assert_eq!(plan.fire.first(), Some(&at("2026-11-23T05:00:40Z")));
    assert_eq!((plan.fire.len(), plan.fire.last()), (21, Some(&now)));
    assert_eq!(plan.left_out, Some(at("2026-11-23T05:00:39Z")));
}

#[test]
fn clocks_that_change_by_half_an_hour_by_two_or_at_midnight_follow_the_same_rules() {
    // A time that does not exist falls due right after the gap, one that comes twice the first time.
    for (text, zone, after, due) in [
        // 02:00 becomes 02:30, and half a year later 01:30.
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T12:00:00Z",
            "2026-10-03T15:30:00.000Z",
        ),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T12:00:00Z",
            "2026-04-04T14:45:00.000Z",
        ),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T14:45:00Z",
            "2026-04-05T15:15:00.000Z",
        ),
        // 01:00 becomes 03:00, and half a year later 03:00 becomes 01:00.
        (
            "30 1 * * *",
            "Antarctica/Troll",
            "2026-03-28T12:00:00Z",
            "2026-03-29T01:00:00.000Z",
        ),
        (
            "30 2 * * *",
            "Antarctica/Troll",
            "2026-10-24T12:00:00Z",
            "2026-10-25T00:30:00.000Z",
        ),
        (
            "30 2 * * *",
            "Antarctica/Troll",
            "2026-10-25T00:30:00Z",
            "2026-10-26T02:30:00.000Z",
        ),
        // There is no midnight: 00:00 becomes 01:00.
        (
            "0 0 * * *",
            "America/Santiago",
            "2026-09-05T12:00:00Z",
            "2026-09-06T04:00:00.000Z",
        ),
    ] {
        let rule = Rule::cron(text, zone).unwrap();
        assert_eq!(
            rule.next_after(at(after)).unwrap().to_string(),
            due,
            "{text} {zone} {after}"
        );
    }
}

#[test]
fn a_day_of_the_month_and_a_day_of_the_week_are_either_of_them() {
    // Friday the 13th of November, the 20th and 27th, December's Fridays, and Sunday the 13th.
    let rule = Rule::cron("0 0 13 * FRI", "UTC").unwrap();
    let days: Vec<String> = rule
        .between(at("2026-11-12T00:00:00Z"), at("2026-12-14T00:00:00Z"), 100)
        .iter()
        .map(|at| at.to_string()[5..10].to_owned())
        .collect();
    assert_eq!(days, ["11-13", "11-20", "11-27", "12-04", "12-11", "12-13"]);
}

#[test]
fn a_delay_is_the_same_each_time_and_holds_every_firing_back() {
    let mut late = spec(Rule::Every(Duration::from_secs(3600)), CatchUp::Last);
    late.jitter = Duration::from_secs(60);
    let (delay, due) = (late.delay(), at("2026-11-23T05:00:00Z"));
    assert!(delay < late.jitter && !delay.is_zero());
    let before = at("2026-11-23T04:30:00Z");
    assert_eq!(late.fires_after(before), Some(due.after(delay)));
    assert!(late.plan(before, due).fire.is_empty());
    assert_eq!(late.plan(before, due.after(delay)).fire, [due]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn backwards_finds_what_forwards_finds(
        pick in 0..6_usize, zone in 0..4_usize, begin in 1_700_000_000_i64..1_900_000_000, hours in 1..200_i64,
    ) {
        let pattern = ["*/7 * * * *", "30 2 * * *", "0 */3 * * *", "15 1,2,3 * * *", "0 0 1 * *", "5 4 * * SUN"][pick];
        let zone = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"][zone];
        let rule = Rule::cron(pattern, zone).unwrap();
        let since = Timestamp::from_micros(begin * 1_000_000);
        let until = Timestamp::from_micros((begin + hours * 3600) * 1_000_000);
        let (mut forwards, mut from) = (Vec::new(), since);
        while let Some(next) = rule.next_after(from).filter(|next| *next <= until) {
            prop_assert!(next > from);
            forwards.push(next);
            from = next;
        }
        prop_assert_eq!(rule.between(since, until, usize::MAX), forwards, "{} {}", pattern, zone);
    }

    #[test]
    fn in_utc_a_pattern_is_what_a_walk_over_the_minutes_finds(begin in 28_000_000_i64..32_000_000, minute in 0..60_i64, hour in 0..24_i64) {
        let rule = Rule::cron(&format!("{minute} {hour} * * *"), "UTC").unwrap();
        let walked = (begin + 1..).find(|at| at % 60 == minute && at / 60 % 24 == hour).unwrap();
        let found = rule.next_after(Timestamp::from_micros(begin * 60_000_000)).unwrap();
        prop_assert_eq!(found.as_micros(), walked * 60_000_000);
    }
}
