//! Orders from outside: drain, stop, kill, probe.

use std::time::Duration;

use super::subject::{Do, Fault, LONG, Show, Watched, paused};
use crate::actors::life::Evidence;
use crate::actors::runner::AskError;
use crate::domain::exit::ExitReason;

#[test]
fn stop_overtakes_what_is_queued_and_is_a_wanted_end() {
    paused(async {
        let subject = Watched::start(Fault::None, 0);
        subject.address.ask(Show, LONG).await.unwrap();
        for number in 0..8 {
            subject.address.tell(Do::Note(number)).unwrap();
        }
        subject.control.stop();
        assert_eq!(subject.only_exit().await, ExitReason::Shutdown);
        assert_eq!(subject.address.depth(), 8);
    });
}

#[test]
fn stop_and_kill_reach_a_life_that_waits_for_ever() {
    for kill in [false, true] {
        paused(async move {
            let (_open, gate) = tokio::sync::oneshot::channel();
            let subject = Watched::start(Fault::None, 0);
            subject.address.ask(Do::WaitFor(gate), LONG).await.unwrap();
            if kill {
                subject.control.kill()
            } else {
                subject.control.stop()
            }
            let wanted = if kill {
                ExitReason::Killed
            } else {
                ExitReason::Shutdown
            };
            assert_eq!(subject.only_exit().await, wanted);
        });
    }
}

#[test]
fn drain_lets_the_queue_run_dry_and_is_a_wanted_end() {
    paused(async {
        let subject = Watched::start(Fault::None, 0);
        subject.address.ask(Show, LONG).await.unwrap();
        let asking = subject.address.ask(Show, LONG);
        subject.address.tell(Do::Note(1)).unwrap();
        subject.control.drain(LONG);
        assert_eq!(asking.await, Ok((1, vec![1])));
        assert_eq!(subject.only_exit().await, ExitReason::Shutdown);
    });
}

#[test]
fn a_probe_overtakes_messages_and_fails_when_the_actor_takes_nothing() {
    paused(async {
        let subject = Watched::start(Fault::None, 0);
        assert_eq!(subject.control.probe().await, Ok(Evidence::default()));
        let (_open, gate) = tokio::sync::oneshot::channel();
        subject.address.ask(Do::WaitFor(gate), LONG).await.unwrap();
        let unanswered = tokio::time::timeout(LONG, subject.control.probe()).await;
        assert!(unanswered.is_err());
    });
}

#[test]
fn a_revoked_grant_lets_no_life_follow_in_any_order_of_events() {
    paused(async {
        let subject = Watched::start(Fault::None, u32::MAX);
        subject.address.tell(Do::Panic).unwrap();
        subject.grant.revoke();
        subject.control.stop();
        let asked = subject.address.ask(Show, Duration::from_secs(1)).await;
        assert_eq!(asked, Err(AskError::Timeout));
        assert_eq!(subject.exits(1).await.len(), 1);
    });
}
