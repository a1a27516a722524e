//! The mailbox: bounded, exactly counted, kept over restarts in place.

use std::time::Duration;

use super::subject::{Do, Fault, LONG, Show, Subject, Watched, life, paused};
use crate::actors::life::{ChildFactory, Start};
use crate::actors::pool::Place;
use crate::actors::runner::{Address, AskError, Grant, TURN, TellError};
use crate::domain::restart::{RestartRule, RestartType};

/// A subject that takes nothing until the gate opens.
async fn gated(restarts: u32) -> (Watched, tokio::sync::oneshot::Sender<()>) {
    let (open, gate) = tokio::sync::oneshot::channel();
    let subject = Watched::start(Fault::None, restarts);
    subject.address.ask(Do::WaitFor(gate), LONG).await.unwrap();
    (subject, open)
}

#[test]
fn the_bound_holds_over_clones_and_the_depth_is_exact() {
    paused(async {
        let (subject, _gate) = gated(0).await;
        for number in 0..8 {
            assert_eq!(subject.address.depth(), number as usize);
            subject.address.clone().tell(Do::Note(number)).unwrap();
        }
        assert_eq!(
            subject.address.clone().tell(Do::Note(8)),
            Err(TellError::Full)
        );
        assert_eq!(subject.address.ask(Show, LONG).await, Err(AskError::Full));
        assert_eq!(subject.address.report(Do::Note(8)), Ok(()));
        assert_eq!(subject.address.depth(), 9);
    });
}

#[test]
fn a_restart_in_place_keeps_the_queue_and_starts_with_fresh_state() {
    paused(async {
        let (subject, gate) = gated(2).await;
        let address = &subject.address;
        address.tell(Do::Note(1)).unwrap();
        address.tell(Do::Panic).unwrap();
        address.tell(Do::Note(2)).unwrap();
        address.tell(Do::Note(3)).unwrap();
        gate.send(()).unwrap();
        assert_eq!(address.ask(Show, LONG).await, Ok((2, vec![2, 3])));
        assert_eq!(subject.exits(1).await.len(), 1);
        assert_eq!((subject.readies(), subject.grant.generation()), (2, 2));
    });
}

#[test]
fn what_the_earlier_life_left_pending_does_not_leak_into_the_next() {
    paused(async {
        let subject = Watched::start(Fault::None, 2);
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        subject.address.tell(Do::PanicLater(begun)).unwrap();
        subject
            .address
            .tell(Do::NoteInThisLife(Duration::from_secs(2)))
            .unwrap();
        has_begun.await.unwrap();
        subject.address.tell(Do::Panic).unwrap();
        subject.exits(1).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(subject.address.ask(Show, LONG).await, Ok((2, vec![])));
    });
}

#[test]
fn a_message_past_its_deadline_or_without_its_caller_is_skipped() {
    paused(async {
        let (subject, gate) = gated(0).await;
        let address = &subject.address;
        address
            .tell_within(Do::Note(1), Duration::from_millis(5))
            .unwrap();
        address.tell_within(Do::Note(2), LONG).unwrap();
        let short = address.ask(Do::Note(3), Duration::from_millis(5)).await;
        assert_eq!(short, Err(AskError::Timeout));
        drop(tokio::time::timeout(Duration::from_millis(5), address.ask(Do::Note(4), LONG)).await);
        gate.send(()).unwrap();
        assert_eq!(address.ask(Show, LONG).await, Ok((1, vec![2])));
    });
}

#[test]
fn a_question_fails_at_its_own_deadline_whatever_was_asked_before() {
    paused(async {
        let subject = Watched::start(Fault::None, 0);
        let address = &subject.address;
        address.ask(Show, LONG).await.unwrap();
        address.ask(Show, LONG * 20).await.unwrap();
        let (_open, gate) = tokio::sync::oneshot::channel();
        address.ask(Do::WaitFor(gate), LONG).await.unwrap();
        for deadline in [LONG / 5, LONG * 3, LONG, Duration::ZERO, LONG * 30] {
            let begun = tokio::time::Instant::now();
            assert_eq!(address.ask(Show, deadline).await, Err(AskError::Timeout));
            let late = begun.elapsed() - deadline;
            assert!(late < Duration::from_millis(2), "{deadline:?} {late:?}");
        }
    });
}

/// Asks somebody who never answers; how long after the deadline that failed.
async fn late(address: Address<Subject>, deadline: Duration) -> Duration {
    let begun = tokio::time::Instant::now();
    let asked = tokio::time::timeout(LONG * 100, address.ask(Show, deadline)).await;
    assert_eq!(asked, Ok(Err(AskError::Timeout)));
    begun.elapsed() - deadline
}

#[test]
fn what_an_answered_question_leaves_to_the_next_rings_for_that_one_in_whatever_task() {
    paused(async {
        let answering = Watched::start(Fault::None, 0);
        let (hung, _gate) = gated(0).await;
        for deadline in [LONG / 5, LONG * 3, LONG, LONG / 2] {
            answering.address.ask(Show, LONG).await.unwrap();
            let here = late(hung.address.clone(), deadline).await;
            answering.address.ask(Show, LONG * 3).await.unwrap();
            let there = tokio::task::spawn_local(late(hung.address.clone(), deadline));
            let there = there.await.unwrap();
            assert!(here.max(there) < Duration::from_millis(2), "{deadline:?}");
        }
    });
}

#[test]
fn a_question_of_a_task_whose_budget_is_spent_still_fails_at_its_deadline() {
    paused(async {
        let (hung, _gate) = gated(0).await;
        let asking = tokio::task::spawn_local(async move {
            while tokio::task::coop::has_budget_remaining() {
                tokio::task::coop::consume_budget().await;
            }
            hung.address.ask(Show, LONG).await
        });
        let asked = tokio::time::timeout(LONG * 2, asking).await;
        assert_eq!(asked.expect("an end").unwrap(), Err(AskError::Timeout));
    });
}

#[test]
fn a_question_that_follows_an_answered_one_is_not_taken_for_begun() {
    paused(async {
        let answering = Watched::start(Fault::None, 0);
        answering.address.ask(Show, LONG).await.unwrap();
        let (gone, gate) = gated(0).await;
        let asking = gone.address.ask(Show, LONG);
        let closing = async {
            gone.control.kill();
            gone.exits(1).await;
            gone.child.close(&life(gone.sink(), 1).instance);
        };
        assert_eq!(tokio::join!(asking, closing).0, Err(AskError::Closed));
        drop(gate);
    });
}

#[test]
fn without_leave_the_queue_waits_for_the_next_runner_or_is_told_that_none_comes() {
    paused(async {
        let subject = Watched::start(Fault::None, 0);
        subject.address.tell(Do::Panic).unwrap();
        subject.exits(1).await;
        subject.address.tell(Do::Note(1)).unwrap();
        start_again(&subject, 2, true);
        assert_eq!(subject.address.ask(Show, LONG).await, Ok((2, vec![1])));

        subject.address.tell(Do::Panic).unwrap();
        subject.exits(2).await;
        subject.address.tell(Do::Note(1)).unwrap();
        start_again(&subject, 3, false);
        assert_eq!(subject.address.ask(Show, LONG).await, Ok((3, vec![])));

        subject.address.tell(Do::Panic).unwrap();
        subject.exits(3).await;
        let asking = subject.address.ask(Show, LONG);
        let closing = async { subject.child.close(&life(subject.sink(), 3).instance) };
        assert_eq!(tokio::join!(asking, closing).0, Err(AskError::Closed));
        assert_eq!(subject.address.tell(Do::Note(1)), Err(TellError::Closed));
    });
}

fn start_again(subject: &Watched, generation: u64, keep_mail: bool) {
    let rule = RestartRule {
        kind: RestartType::Permanent,
        fatal_exit_codes: Vec::new(),
    };
    subject.child.start(Start {
        life: life(subject.sink(), generation),
        grant: Grant::new(std::sync::Arc::new(rule), generation, 0),
        place: Place::Here,
        keep_mail,
    });
}

#[test]
fn a_flood_leaves_their_turn_to_others_on_the_thread() {
    paused(async {
        let subject = Watched::start(Fault::None, 0);
        let (address, running) = (subject.address.clone(), std::rc::Rc::new(()));
        let alive = std::rc::Rc::downgrade(&running);
        tokio::task::spawn_local(async move {
            while alive.upgrade().is_some() {
                while address.tell(Do::Note(1)).is_ok() {}
                tokio::task::yield_now().await;
            }
        });
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        drop(running);
        assert!(subject.address.ask(Show, LONG).await.is_ok());
    });
}

#[test]
fn a_turn_ends_by_time_too_so_that_slow_messages_let_others_in() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let (subject, gate) = gated(0).await;
        for _ in 0..8 {
            subject.address.tell(Do::Spin(TURN)).unwrap();
        }
        gate.send(()).unwrap();
        // The clock is first read before the second message of a turn, so two at most go by in one;
        // the runtime gives each of us two turns in a row.
        let address = subject.address.clone();
        let neighbour = tokio::task::spawn_local(async move {
            let mut last = address.depth();
            while last > 0 {
                tokio::task::yield_now().await;
                let left = address.depth();
                assert!(last - left <= 4, "{last} {left}");
                last = left;
            }
        });
        neighbour.await.unwrap();
    });
}
