//! What grows with the number of agents, and not with what happens to them; what a group's deaths
//! count against, and who vouches for it.

use super::look::look;
use super::script::{Manners, SECOND, Script, World, paused};
use crate::domain::agent::{AgentState, DependsOn};
use crate::domain::restart::{Intensity, RestartType, Strategy};

fn family(strategy: Strategy) -> Script {
    let script = Script::default().group("family", strategy);
    ["a", "b", "c"].into_iter().fold(script, |script, name| {
        let script = script.agent(name);
        script.with(|spec| spec.group = Some("family".parse().unwrap()))
    })
}

fn endless(script: Script) -> Script {
    script.with_group(|group| group.intensity = Intensity::Unlimited)
}

async fn timers(world: &World) -> usize {
    look(&world.handle, |supervisor| supervisor.timers.len()).await
}

#[test]
fn neither_stops_nor_crash_loops_fill_the_heap_of_timers() {
    paused(async {
        let world = endless(family(Strategy::OneForAll));
        let world = world.with(|spec| spec.restart.min_backoff = SECOND / 1_000);
        let world = world.begin().await;
        for _ in 0..200 {
            world.crash("a").await;
            world.pass(SECOND / 10).await;
            world.handle.restart(World::target("c")).await.unwrap();
            world.pass(SECOND / 10).await;
        }
        let timers = timers(&world).await;
        assert!(timers < 30, "{timers} timers for three agents");
    });
}

#[test]
fn a_group_shows_its_own_window_and_breaker_on_each_member() {
    paused(async {
        let world = family(Strategy::OneForAll).begin().await;
        for name in ["a", "b", "a"] {
            world.crash(name).await;
            world.pass(SECOND * 5).await;
        }
        for name in ["a", "b", "c"] {
            let restarts = world.status(name).await.restarts;
            assert_eq!((restarts.window, restarts.breaker), (3, "closed"), "{name}");
        }
        for _ in 0..3 {
            world.crash("b").await;
            world.pass(SECOND * 9).await;
        }
        assert_eq!(world.status("c").await.restarts.breaker, "open");
        world.pass(SECOND * 300).await;
        assert_eq!(world.status("c").await.restarts.breaker, "half_open");
        world.pass(SECOND * 61).await;
        assert_eq!(world.status("c").await.restarts.breaker, "closed");
        let kept = world.shelf.budgets.lock()["@family"].on_trial;
        assert!(
            !kept,
            "what is forgiven is forgiven over a restart of the daemon"
        );
    });
}

#[test]
fn an_elder_that_lives_on_vouches_for_no_younger_sibling() {
    paused(async {
        let world = endless(family(Strategy::RestForOne)).begin().await;
        world.pass(SECOND * 55).await;
        // "a" is stable five seconds after "c" has died for the fifth time.
        for delay in [0, 1, 2, 4] {
            world.crash("c").await;
            world.pass(SECOND * delay + SECOND / 10).await;
            assert_eq!(world.state("c").await, AgentState::Ready);
        }
        world.pass(SECOND * 5).await;
        world.crash("c").await;
        world.pass(SECOND * 7).await;
        assert_eq!(
            world.state("c").await,
            AgentState::Pending,
            "its backoff is eight seconds"
        );
        world.pass(SECOND * 70).await;
        world.crash("c").await;
        assert_eq!(world.state("c").await, AgentState::Ready);
    });
}

#[test]
fn a_temporary_member_that_its_group_has_ended_stays_down() {
    paused(async {
        let script = family(Strategy::OneForAll);
        let world = script.with(|spec| spec.restart.kind = RestartType::Temporary);
        let world = world.begin().await;
        world.crash("a").await;
        assert_eq!(world.state("a").await, AgentState::Ready);
        assert_eq!(world.state("b").await, AgentState::Ready);
        assert_eq!(world.state("c").await, AgentState::Stopped);
        world.handle.start(World::target("c")).await.unwrap();
        world.settled().await;
        assert_eq!(world.state("c").await, AgentState::Ready);
    });
}

#[test]
fn lives_that_begin_together_are_not_asked_for_a_sign_together() {
    paused(async {
        let script = Script::default().agent("echo");
        let world = script.with(|spec| spec.replicas = 20).begin().await;
        let due = look(&world.handle, |supervisor| {
            let replicas = supervisor.tree.agents[0].replicas.iter();
            let due = replicas.map(|replica| replica.life.as_ref().unwrap().sign_at.unwrap());
            due.collect::<std::collections::BTreeSet<_>>()
        });
        let due = due.await;
        assert!(due.len() > 15, "{due:?}");
        assert!(*due.last().unwrap() - *due.first().unwrap() < SECOND * 10);
    });
}

#[test]
fn what_waits_for_many_replicas_starts_when_the_last_of_them_stands() {
    paused(async {
        let many = Script::default()
            .agent("many")
            .with(|spec| spec.replicas = 3);
        let silent = Manners {
            silent: true,
            ..Manners::default()
        };
        let late = many.agent("late").with(|spec| {
            spec.replicas = 2;
            let on = ("many".parse().unwrap(), DependsOn::Healthy);
            spec.depends_on.extend([on]);
        });
        let world = late.agent("mute").manners(silent).begin().await;
        assert_eq!(world.status("late").await.replicas.ready, 2);
        world.handle.stop(World::target("late")).await.unwrap();
        world.pass(SECOND * 21).await;
        world.crash("many#1").await;
        world.crash("many#1").await;
        world.handle.start(World::target("late")).await.unwrap();
        world.settled().await;
        assert_eq!(world.state("late").await, AgentState::Pending);
        world.pass(SECOND * 2).await;
        assert_eq!(world.status("late").await.replicas.ready, 2);
    });
}

#[test]
fn a_quarantine_from_before_the_daemons_start_is_told_and_a_critical_agent_in_it_is_lost() {
    paused(async {
        let script = || {
            let script = Script::default().agent("echo");
            script.with(|spec| spec.critical = true)
        };
        let world = script().begin().await;
        for _ in 0..6 {
            world.crash("echo").await;
            world.pass(SECOND * 9).await;
        }
        let mut budget = world.shelf.budgets.lock()["echo#0"].clone();
        budget.quarantined_until = Some(crate::clock::now().after(SECOND * 200));
        let next = script().budget(budget).begin().await;
        let told = next.log.take(&["fact agent.quarantined"]);
        assert_eq!(told, ["fact agent.quarantined echo#0"]);
        let ended = tokio::time::timeout(SECOND * 31, next.handle.escalated()).await;
        assert_eq!(ended.unwrap().subject, "echo");
    });
}

#[test]
fn a_healer_after_a_restart_of_the_daemon_gets_round_no_budget() {
    paused(async {
        let world = Script::default().agent("echo").begin().await;
        for _ in 0..6 {
            world.crash("echo").await;
            world.pass(SECOND * 9).await;
        }
        assert_eq!(world.state("echo").await, AgentState::Quarantined);
        let mut budget = world.shelf.budgets.lock()["echo#0"].clone();
        for nth in 1..4_u32 {
            // Time was paused, the wall clock was not.
            budget.quarantined_until = Some(crate::clock::now().after(SECOND * 200));
            let next = Script::default().agent("echo").budget(budget).begin().await;
            next.handle.revive(&"echo".parse().unwrap()).await.unwrap();
            next.settled().await;
            assert_eq!(next.status("echo").await.restarts.breaker, "half_open");
            next.crash("echo").await;
            let status = next.status("echo").await;
            assert_eq!(status.state, AgentState::Quarantined);
            budget = next.shelf.budgets.lock()["echo#0"].clone();
            assert_eq!(
                budget.quarantines,
                nth + 1,
                "each rest is longer than the last"
            );
            let rest = budget.quarantined_until.unwrap().since(crate::clock::now());
            assert!(rest > SECOND * 290 * (1 << nth).min(12), "{rest:?}");
        }
    });
}
