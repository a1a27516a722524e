//! Restarts, backoff, quarantine, and what is kept of them.

use super::script::{SECOND, Script, World, paused};
use crate::domain::agent::AgentState;
use crate::domain::exit::ExitReason;
use crate::domain::restart::{RestartType, Strategy};

#[test]
fn the_first_restart_is_immediate_and_the_next_ones_wait_ever_longer() {
    paused(async {
        let world = Script::default().agent("echo").begin().await;
        world.crash("echo").await;
        assert_eq!(world.state("echo").await, AgentState::Ready);
        for (delay, generation) in [(1, 3), (2, 4), (4, 5)] {
            world.crash("echo").await;
            assert_eq!(world.state("echo").await, AgentState::Backoff);
            world.pass(SECOND * delay - SECOND / 100).await;
            assert_eq!(world.state("echo").await, AgentState::Backoff);
            world.pass(SECOND / 50).await;
            let status = world.status("echo").await;
            assert_eq!(
                (status.state, status.generation),
                (AgentState::Ready, generation)
            );
        }
        assert_eq!(world.status("echo").await.restarts.total, 4);
    });
}

#[test]
fn the_first_restart_happens_in_place_and_later_ones_keep_the_mail() {
    paused(async {
        let world = Script::default().agent("echo").begin().await;
        world.crash("echo").await;
        world.crash("echo").await;
        world.pass(SECOND * 2).await;
        let wanted = [
            "start echo#0 1 keeps",
            "start echo#0 2 in place",
            "start echo#0 3 keeps",
        ];
        assert_eq!(world.log.take(&["start"]), wanted);
    });
}

#[test]
fn a_stable_run_starts_the_count_anew() {
    paused(async {
        let world = Script::default().agent("echo").begin().await;
        for _ in 0..20 {
            world.crash("echo").await;
            assert_eq!(world.state("echo").await, AgentState::Ready);
            world.pass(SECOND * 61).await;
        }
    });
}

async fn crash_until_given_up(world: &World) {
    for _ in 0..6 {
        world.crash("echo").await;
        world.pass(SECOND * 9).await;
        if world.state("echo").await == AgentState::Quarantined {
            return;
        }
    }
    panic!("never gave up");
}

#[test]
fn the_sixth_death_in_a_minute_is_a_quarantine_that_ends_in_a_trial() {
    paused(async {
        let world = Script::default().agent("echo").begin().await;
        crash_until_given_up(&world).await;
        let status = world.status("echo").await;
        assert_eq!(
            (status.restarts.total, status.restarts.breaker),
            (5, "open")
        );
        world.log.take(&[]);
        world.pass(SECOND * 300).await;
        assert_eq!(world.status("echo").await.restarts.breaker, "half_open");
        assert_eq!(
            world.log.take(&["start", "close"]),
            ["start echo#0 7 drops"]
        );
        world.crash("echo").await;
        assert_eq!(world.state("echo").await, AgentState::Quarantined);
        world.pass(SECOND * 590).await;
        assert_eq!(world.state("echo").await, AgentState::Quarantined);
        world.pass(SECOND * 20).await;
        assert_eq!(world.state("echo").await, AgentState::Ready);
        world.pass(SECOND * 61).await;
        assert_eq!(world.status("echo").await.restarts.breaker, "closed");
    });
}

#[test]
fn a_budget_survives_the_daemon() {
    paused(async {
        let world = Script::default().agent("echo").begin().await;
        for _ in 0..4 {
            world.crash("echo").await;
            world.pass(SECOND * 5).await;
        }
        let mut budget = world.shelf.budgets.lock()["echo#0"].clone();
        assert_eq!(budget.deaths.len(), 4);
        // Time was paused, the wall clock was not: the deaths are as old as the script says.
        let now = crate::clock::now();
        budget.deaths.iter_mut().for_each(|death| *death = now);
        let next = Script::default().agent("echo").budget(budget).begin().await;
        assert_eq!(next.status("echo").await.restarts.window, 4);
        next.crash("echo").await;
        assert_eq!(next.state("echo").await, AgentState::Backoff);
        next.pass(SECOND * 20).await;
        next.crash("echo").await;
        assert_eq!(next.state("echo").await, AgentState::Quarantined);
    });
}

#[test]
fn a_death_report_of_an_earlier_life_changes_nothing() {
    paused(async {
        let world = Script::default().agent("echo").begin().await;
        let actor = world.actor("echo");
        world.crash("echo").await;
        world.crash("echo").await;
        world.pass(SECOND * 2).await;
        for stale in [1, 2, 3, 99] {
            if stale != 3 {
                actor.report_again(stale);
            }
        }
        world.settled().await;
        let status = world.status("echo").await;
        assert_eq!((status.state, status.generation), (AgentState::Ready, 3));
        assert_eq!(world.shelf.crashes.lock().len(), 2);
    });
}

#[test]
fn the_restart_type_decides_over_ends_of_all_kinds() {
    use RestartType::{Permanent, Temporary, Transient};
    let crash = ExitReason::ExitCode { code: 1 };
    let table = [
        (Permanent, ExitReason::Normal, AgentState::Ready),
        (Permanent, crash.clone(), AgentState::Ready),
        (Transient, ExitReason::Normal, AgentState::Stopped),
        (Transient, crash.clone(), AgentState::Ready),
        (Temporary, ExitReason::Normal, AgentState::Stopped),
        (Temporary, crash, AgentState::Stopped),
    ];
    for (kind, reason, state) in table {
        paused(async move {
            let script = Script::default()
                .agent("echo")
                .with(|spec| spec.restart.kind = kind);
            let world = script.begin().await;
            world.actor("echo").end(reason.clone());
            world.settled().await;
            assert_eq!(world.state("echo").await, state, "{kind:?} {reason}");
        });
    }
}

#[test]
fn a_lost_critical_agent_ends_the_daemon_after_its_grace_unless_an_operator_stops_it() {
    for stopped in [false, true] {
        paused(async move {
            let script = Script::default()
                .agent("echo")
                .with(|spec| spec.critical = true);
            let world = script.begin().await;
            crash_until_given_up(&world).await;
            assert!(world.status("echo").await.is_missing());
            if stopped {
                world.handle.stop(World::target("echo")).await.unwrap();
            }
            let ended = tokio::time::timeout(SECOND * 31, world.handle.escalated()).await;
            assert_eq!(ended.is_ok(), !stopped);
            world.pass(SECOND * 60).await;
            let said = world.log.take(&["fact agent.failed echo"]).len();
            assert_eq!(said, usize::from(!stopped), "said once");
        });
    }
}

#[test]
fn a_critical_agent_that_was_back_in_between_has_its_full_grace_anew() {
    paused(async {
        let script = Script::default().agent("echo").with(|spec| {
            spec.critical = true;
            spec.restart.max_backoff = SECOND;
        });
        let world = script.begin().await;
        let lose = async || {
            while world.state("echo").await != AgentState::Quarantined {
                world.crash("echo").await;
                world.pass(SECOND * 2).await;
            }
        };
        lose().await;
        world.handle.start(World::target("echo")).await.unwrap();
        world.settled().await;
        lose().await;
        // Past the end of its first grace, before that of its second.
        let early = tokio::time::timeout(SECOND * 22, world.handle.escalated()).await;
        assert!(early.is_err());
        let ended = tokio::time::timeout(SECOND * 9, world.handle.escalated()).await;
        assert_eq!(ended.unwrap().subject, "echo");
    });
}

#[test]
fn under_unlimited_intensity_nothing_gives_up() {
    paused(async {
        let script = Script::default()
            .group("all", Strategy::OneForOne)
            .with_group(|group| {
                group.intensity = crate::domain::restart::Intensity::Unlimited;
            });
        let script = script.agent("echo").with(|spec| {
            spec.group = Some("all".parse().unwrap());
            spec.restart.min_backoff = std::time::Duration::ZERO;
        });
        let world = script.begin().await;
        for _ in 0..200 {
            world.crash("echo").await;
        }
        let status = world.status("echo").await;
        assert_eq!((status.state, status.generation), (AgentState::Ready, 201));
    });
}
