//! Wherever a life goes wrong, it alone ends, and one notice says why.

use super::subject::{Atomically, Beside, Do, Fault, LONG, Show, Watched, Within, paused};
use crate::actors::pool::Place;
use crate::actors::runner::AskError;
use crate::domain::exit::ExitReason;

/// Text and file of a panic.
fn panicked(reason: &ExitReason) -> (&str, &str) {
    match reason {
        ExitReason::Panic { message, place } => {
            (message, place.split(':').next().unwrap_or_default())
        }
        other => panic!("not a panic: {other:?}"),
    }
}

const HERE: &str = "src/actors/runner/tests/subject.rs";

#[test]
fn a_panic_in_a_hook_timer_stream_or_own_future_is_one_notice_with_text_and_place() {
    let places = [
        (Fault::Started, "in started"),
        (Fault::Timer, "in timer"),
        (Fault::Interval, "in interval"),
        (Fault::Stream, "in stream"),
        (Fault::Notify, "in handler"),
        (Fault::Spawned, "in spawned"),
    ];
    for (fault, text) in places {
        paused(async move {
            let subject = Watched::start(fault, 0);
            assert_eq!(
                panicked(&subject.only_exit().await),
                (text, HERE),
                "{fault:?}"
            );
        });
    }
}

#[test]
fn a_panic_while_a_life_ends_never_aborts_the_process() {
    for (fault, text) in [
        (Fault::Stopping, "in stopping"),
        (Fault::Stopped, "in stopped"),
    ] {
        paused(async move {
            let subject = Watched::start(fault, 0);
            subject.address.tell(Do::Stop).unwrap();
            assert_eq!(panicked(&subject.only_exit().await), (text, HERE));
        });
        paused(async move {
            let subject = Watched::start(fault, 0);
            subject.address.tell(Do::Panic).unwrap();
            assert_eq!(panicked(&subject.only_exit().await).0, "in handler");
        });
    }
}

#[test]
fn a_panic_in_the_actors_own_drop_is_contained() {
    paused(async {
        let subject = Watched::start(Fault::Drop, 0);
        subject.address.tell(Do::Stop).unwrap();
        assert_eq!(subject.only_exit().await, ExitReason::Normal);
    });
}

#[test]
fn a_factory_that_panics_or_refuses_is_a_failed_start() {
    for (fault, text) in [
        (Fault::Factory, "in factory"),
        (Fault::FactoryRefuses, "no database"),
    ] {
        paused(async move {
            let subject = Watched::start(fault, 0);
            let reason = subject.only_exit().await;
            assert!(
                matches!(reason, ExitReason::StartFailed { message } if message.contains(text))
            );
            assert_eq!(subject.readies(), 0);
        });
    }
}

#[test]
fn the_caller_of_the_message_that_killed_a_life_is_told_so() {
    paused(async {
        let subject = Watched::start(Fault::None, 0);
        assert_eq!(
            subject.address.ask(Do::Panic, LONG).await,
            Err(AskError::Died)
        );
        assert_eq!(panicked(&subject.only_exit().await), ("in handler", HERE));
    });
    paused(async {
        let subject = Watched::start(Fault::None, 0);
        let answer = subject.address.ask(Within(false), LONG).await;
        assert_eq!(answer, Err(AskError::Died));
        assert_eq!(
            panicked(&subject.only_exit().await).0,
            "in a future of the actor"
        );
    });
    paused(async {
        let subject = Watched::start(Fault::None, 0);
        assert_eq!(
            subject.address.ask(Atomically, LONG).await,
            Err(AskError::Died)
        );
        assert_eq!(
            panicked(&subject.only_exit().await).0,
            "in an atomic response"
        );
    });
}

#[test]
fn a_panic_in_a_linked_future_ends_its_life() {
    paused(async {
        let subject = Watched::start(Fault::None, 0);
        assert_eq!(
            subject.address.ask(Beside::Panic, LONG).await,
            Err(AskError::Died)
        );
        assert_eq!(
            panicked(&subject.only_exit().await),
            ("in a linked future", HERE)
        );
    });
}

#[test]
fn the_end_of_a_life_drops_what_is_linked_to_it_and_tells_the_caller() {
    for kill in [true, false] {
        paused(async move {
            let subject = Watched::start(Fault::None, 0);
            let (held, dropped) = tokio::sync::oneshot::channel();
            let address = subject.address.clone();
            let asking =
                tokio::task::spawn_local(
                    async move { address.ask(Beside::Hang(held), LONG).await },
                );
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            if kill {
                subject.control.kill()
            } else {
                subject.control.stop()
            }
            assert_eq!(asking.await.unwrap(), Err(AskError::Died));
            assert!(dropped.await.is_err());
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
fn a_panic_with_a_strange_payload_is_a_panic_like_others() {
    for message in [Do::PanicWith(42), Do::PanicWithEvil] {
        paused(async move {
            let subject = Watched::start(Fault::None, 0);
            subject.address.tell(message).unwrap();
            let reason = subject.only_exit().await;
            assert_eq!(panicked(&reason), ("a panic without a text", HERE));
        });
    }
}

#[test]
fn ends_without_a_panic_say_what_they_are() {
    let error = ExitReason::Error {
        message: "database gone".to_owned(),
    };
    let ends = [
        (Do::Stop, ExitReason::Normal),
        (Do::Terminate, ExitReason::Normal),
        (Do::ExitWith(error.clone()), error),
    ];
    for (message, reason) in ends {
        paused(async move {
            let subject = Watched::start(Fault::None, 0);
            subject.address.tell(message).unwrap();
            assert_eq!(subject.only_exit().await, reason);
        });
    }
}

#[test]
fn a_lost_arbiter_is_reported_by_the_life_that_was_on_it() {
    actix::System::new().block_on(async {
        let pool = crate::actors::pool::Pool::start(1);
        let place = pool.pick();
        let subject = Watched::start_on(place.clone(), Fault::None, 5);
        assert_eq!(subject.address.ask(Show, LONG).await.unwrap().0, 1);
        pool.stop();
        assert_eq!(subject.only_exit().await, ExitReason::ArbiterGone);
        let late = Watched::start_on(place, Fault::None, 5);
        assert_eq!(late.only_exit().await, ExitReason::ArbiterGone);
        assert!(matches!(pool.pick(), Place::On(_)));
    });
}

#[test]
fn thousands_of_random_deaths_make_exactly_one_notice_a_life() {
    use rand::{Rng, SeedableRng};
    let mut chance = rand::rngs::StdRng::seed_from_u64(7);
    paused(async move {
        for _ in 0..2_000 {
            let fault = [
                Fault::None,
                Fault::Started,
                Fault::Timer,
                Fault::Stopping,
                Fault::Stopped,
                Fault::Drop,
                Fault::Factory,
            ][chance.random_range(0..7)];
            let restarts = chance.random_range(0..4);
            let subject = Watched::start(fault, restarts);
            for _ in 0..=restarts {
                let message = match chance.random_range(0..4) {
                    0 => Do::Panic,
                    1 => Do::Stop,
                    2 => Do::Terminate,
                    _ => Do::ExitWith(ExitReason::Killed),
                };
                subject.address.tell(message).ok();
            }
            let exits = subject.exits(restarts as usize + 1).await;
            let generations: Vec<u64> = exits.iter().map(|(generation, _)| *generation).collect();
            assert_eq!(
                generations,
                (1..=u64::from(restarts) + 1).collect::<Vec<_>>()
            );
        }
    });
}

#[test]
fn a_life_that_is_lost_with_its_thread_takes_no_restart_and_says_whether_it_was_killed() {
    for killed in [false, true] {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let thread = tokio::task::LocalSet::new();
        let watched = thread.block_on(&runtime, async {
            let watched = Watched::start(Fault::None, 5);
            watched.address.ask(Show, LONG).await.unwrap();
            if killed {
                watched.control.kill();
            }
            watched
        });
        drop(thread);
        let exits = runtime.block_on(watched.exits(1));
        let reason = match killed {
            true => ExitReason::Killed,
            false => ExitReason::ArbiterGone,
        };
        assert_eq!(exits, [(1, reason)]);
        assert_eq!(watched.grant.generation(), 1, "no life follows");
    }
}

#[test]
fn a_life_that_has_ended_for_good_is_asked_for_a_sign_in_vain_and_says_so_at_once() {
    paused(async {
        let watched = Watched::start(Fault::None, 0);
        watched.address.tell(Do::Stop).unwrap();
        watched.exits(1).await;
        let asked = tokio::time::timeout(LONG, watched.control.probe()).await;
        assert!(asked.expect("at once").is_err());
    });
}
