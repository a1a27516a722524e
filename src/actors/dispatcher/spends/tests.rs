//! What is written, read and told of accounts, without store or clock.

use super::*;
use crate::domain::ids::TaskId;
use crate::domain::spend::tests::a_thousand;
use crate::domain::spend::{Amount, Per, Sum, Usage};

const HOUR: std::time::Duration = std::time::Duration::from_secs(3_600);

fn now() -> Timestamp {
    "2026-11-28T04:21:14Z".parse().unwrap()
}

fn agent() -> Name {
    "echo".parse().unwrap()
}

fn declare(spends: &mut Spends, per: Per, at: Timestamp) {
    spends.declare([(&agent(), &a_thousand(per))].into_iter(), at);
}

fn stored(micros: u64) -> Stored {
    Stored {
        own: Sum {
            cost_micros: micros,
            ..Sum::default()
        },
        ..Stored::default()
    }
}

/// One account, with so much stored of its window.
fn opened(per: Per, micros: u64) -> Spends {
    let mut spends = Spends::default();
    declare(&mut spends, per, now());
    enter(&mut spends, micros, now());
    spends
}

/// Reads the window that is wanted; whether it was entered.
fn enter(spends: &mut Spends, micros: u64, at: Timestamp) -> bool {
    let reads = spends.take_reads(at);
    let [(agent, window)] = reads.as_slice() else {
        panic!("{reads:?}");
    };
    spends.read(agent, *window, Some(stored(micros)), at)
}

fn says(spends: &mut Spends, micros: u64) {
    spends.report(&AgentSpent {
        from: crate::domain::agent::InstanceId {
            agent: agent(),
            index: 0,
        },
        of: None,
        usage: Usage {
            cost_micros: Some(micros),
            ..Usage::default()
        },
        with_answer: false,
    });
}

/// Start of the window, sum and edges of each write.
fn told(writes: &[SpendWrite]) -> Vec<(String, u64, Vec<&'static str>)> {
    let told = writes.iter().map(|write| {
        let edges = write.events.iter().map(|event| event.kind).collect();
        let hour = write.window.to_string()[11..16].to_owned();
        (hour, write.sum.cost_micros, edges)
    });
    told.collect()
}

/// As [`told`], with one write that tells of no edge.
fn quiet(hour: &str, micros: u64) -> Vec<(String, u64, Vec<&'static str>)> {
    vec![(hour.to_owned(), micros, Vec::new())]
}

fn written(spends: &mut Spends, writes: Vec<SpendWrite>) {
    for write in writes {
        spends.written(write, false);
    }
}

#[test]
fn one_write_is_on_its_way_and_the_next_takes_all_that_came_meanwhile() {
    let mut spends = opened(Per::Day, 10);
    let first = spends.take_writes(now());
    assert_eq!(told(&first), quiet("00:00", 10));
    for _ in 0..50 {
        says(&mut spends, 1);
    }
    assert!(spends.take_writes(now()).is_empty(), "one is on its way");
    assert!(!spends.is_kept());
    written(&mut spends, first);
    let second = spends.take_writes(now());
    assert_eq!(told(&second), quiet("00:00", 60));
    written(&mut spends, second);
    assert!(spends.is_kept());
}

#[test]
fn what_the_database_did_not_take_rests_and_is_tried_again_together() {
    let mut spends = opened(Per::Day, 0);
    says(&mut spends, 900);
    let lost = spends.take_writes(now()).remove(0);
    assert!(spends.written(lost, true), "that is news");
    says(&mut spends, 50);
    assert!(spends.take_writes(now()).is_empty(), "it rests");
    spends.go_on();
    let again = spends.take_writes(now());
    let both = ["spend.warning", "spend.exhausted"];
    assert_eq!(told(&again), [("00:00".to_owned(), 950, both.to_vec())]);
    let lost = again.into_iter().next().unwrap();
    assert!(spends.written(lost.clone(), true));
    assert!(!spends.written(lost, true), "said once");
}

#[test]
fn a_window_that_ends_is_written_to_its_end_and_the_next_begins_with_what_is_stored_of_it() {
    let mut spends = opened(Per::Hour, 0);
    says(&mut spends, 950);
    assert_eq!(spends.room(&agent()), 0);
    let later = now().after(HOUR);
    assert!(enter(&mut spends, 20, later));
    assert_eq!(spends.room(&agent()), 9);
    let writes = spends.take_writes(later);
    assert_eq!(
        told(&writes),
        [
            ("04:00".to_owned(), 950, vec!["spend.exhausted"]),
            ("05:00".to_owned(), 20, vec!["spend.renewed"]),
        ]
    );
}

#[test]
fn a_write_that_is_on_its_way_when_a_window_ends_holds_nothing_up() {
    let mut spends = opened(Per::Hour, 0);
    let under_way = spends.take_writes(now());
    let later = now().after(HOUR);
    assert!(enter(&mut spends, 0, later));
    let next = spends.take_writes(later);
    assert_eq!(told(&next), quiet("05:00", 0));
    written(&mut spends, under_way);
    assert!(!spends.is_kept(), "the next one is on its way");
    written(&mut spends, next);
    says(&mut spends, 1);
    assert_eq!(told(&spends.take_writes(later)), quiet("05:00", 1));
}

#[test]
fn until_the_next_window_is_read_the_last_one_counts() {
    let mut spends = opened(Per::Hour, 0);
    let later = now().after(HOUR);
    let reads = spends.take_reads(later);
    assert_eq!(reads.len(), 1);
    assert!(spends.take_reads(later).is_empty(), "asked once");
    says(&mut spends, 950);
    assert_eq!(spends.room(&agent()), 0);
    let (agent, window) = reads[0].clone();
    assert!(
        !spends.read(&agent, window, None, later),
        "it could not be read"
    );
    assert_eq!(spends.take_reads(later).len(), 1, "and is asked again");
}

#[test]
fn a_window_that_is_read_twice_is_entered_once() {
    let mut spends = Spends::default();
    declare(&mut spends, Per::Day, now());
    let (agent, window) = spends.take_reads(now()).remove(0);
    spends.begin_anew();
    assert_eq!(spends.take_reads(now()).len(), 1);
    assert!(spends.read(&agent, window, Some(stored(10)), now()));
    says(&mut spends, 500);
    assert!(!spends.read(&agent, window, Some(stored(10)), now()));
    assert_eq!(told(&spends.take_writes(now())), quiet("00:00", 510));
}

#[test]
fn a_clock_that_is_set_back_finds_what_was_used_then() {
    let mut spends = opened(Per::Hour, 950);
    let later = now().after(HOUR);
    let kept = spends.take_writes(now());
    written(&mut spends, kept);
    assert!(enter(&mut spends, 0, later));
    assert_eq!(spends.room(&agent()), 10);
    assert!(enter(&mut spends, 950, now()));
    assert_eq!(spends.room(&agent()), 0);
}

#[test]
fn windows_of_another_length_are_read_anew_and_the_old_one_is_written() {
    let mut spends = opened(Per::Hour, 0);
    says(&mut spends, 70);
    declare(&mut spends, Per::Day, now());
    assert_eq!(spends.room(&agent()), 0, "nothing is known of the day");
    assert_eq!(told(&spends.take_writes(now())), quiet("04:00", 70));
    assert!(enter(&mut spends, 500, now()));
    assert_eq!(spends.room(&agent()), 5);
}

#[test]
fn an_agent_without_a_ceiling_any_more_leaves_what_it_had_spent() {
    let mut spends = opened(Per::Day, 0);
    says(&mut spends, 70);
    spends.declare(std::iter::empty(), now());
    assert_eq!(
        (spends.room(&agent()), spends.next_window()),
        (u32::MAX, None)
    );
    assert_eq!(told(&spends.take_writes(now())), quiet("00:00", 70));
}

#[test]
fn edges_passed_before_the_daemon_began_are_no_news_but_a_window_that_ended_meanwhile_is() {
    for (own, before, edges) in [
        (950, None, vec![]),
        (0, Some(950), vec!["spend.renewed"]),
        (0, Some(10), vec![]),
        (0, None, vec![]),
    ] {
        let mut spends = Spends::default();
        declare(&mut spends, Per::Day, now());
        let (agent, window) = spends.take_reads(now()).remove(0);
        let known = Stored {
            before: before.map(|micros| stored(micros).own),
            ..stored(own)
        };
        spends.read(&agent, window, Some(known), now());
        let writes = spends.take_writes(now());
        assert_eq!(told(&writes)[0].2, edges, "{own} {before:?}");
    }
}

#[test]
fn the_end_of_a_task_brings_what_it_said_and_all_that_was_not_yet_written() {
    let mut spends = opened(Per::Day, 0);
    let kept = spends.take_writes(now());
    written(&mut spends, kept);
    let lease = LeaseId::from_bytes([1; 16]);
    spends.offer(&agent(), 1);
    spends.open(&ClaimedTask {
        id: TaskId::from_bytes([1; 16]),
        workflow_id: None,
        name: String::new(),
        payload: serde_json::Value::Null,
        attempt: 1,
        lease_id: lease,
        timeout: HOUR,
        instance: crate::domain::agent::InstanceId {
            agent: agent(),
            index: 0,
        },
        alone: false,
        traceparent: None,
        spent: Amount::default(),
    });
    spends.withdraw(&agent(), 1);
    spends.delivered(lease, true);
    says(&mut spends, 30);
    let write = spends.close(lease, now()).unwrap();
    assert_eq!(
        (write.sum.cost_micros, write.sum.presumed.micros),
        (30, 100)
    );
    assert_eq!((write.sum.tasks, write.attempts.len()), (1, 1));
    assert!(spends.take_writes(now()).is_empty(), "nothing is left");
    assert_eq!(spends.close(lease, now()), None);
}
