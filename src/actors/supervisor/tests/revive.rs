//! What a healer's restart does, and what it never does.

use super::script::{Manners, SECOND, Script, World, paused};
use crate::actors::life::Evidence;
use crate::actors::supervisor::{Revival, SupervisorError};
use crate::domain::agent::AgentState;
use crate::domain::crash::HeldTask;
use crate::domain::ids::TaskId;
use crate::domain::restart::Strategy;

async fn revive(world: &World, name: &str) -> Result<Revival, SupervisorError> {
    let done = world.handle.revive(&name.parse().unwrap()).await;
    world.settled().await;
    done
}

/// Crashes an agent, each time soon after it is back, until it rests in quarantine.
async fn exhaust(world: &World, name: &str) {
    for _ in 0..6 {
        world.crash(name).await;
        world.pass(SECOND * 9).await;
    }
    assert_eq!(world.state(name).await, AgentState::Quarantined);
}

const STARTED: Revival = Revival {
    ended: 0,
    early: 0,
    on_trial: 1,
};

#[test]
fn out_of_quarantine_an_agent_is_on_trial_and_no_death_is_forgotten() {
    paused(async {
        let world = Script::default().agent("echo").begin().await;
        exhaust(&world, "echo").await;
        let deaths = world.status("echo").await.restarts.window;
        assert_eq!(revive(&world, "echo").await, Ok(STARTED));
        let status = world.status("echo").await;
        assert_eq!(status.state, AgentState::Ready);
        assert_eq!(status.restarts.breaker, "half_open");
        assert_eq!(status.restarts.window, deaths, "the budget is as it was");
        let kept = world.shelf.budgets.lock()["echo#0"].quarantined_until;
        assert_eq!(kept, None, "a restart of the daemon does not send it back");
        world.crash("echo").await;
        assert_eq!(world.state("echo").await, AgentState::Quarantined);
        world.pass(SECOND * 590).await;
        assert_eq!(
            world.state("echo").await,
            AgentState::Quarantined,
            "the second rest is longer than the first"
        );
    });
}

#[test]
fn healing_over_and_over_never_gets_round_the_restart_budget() {
    paused(async {
        let world = Script::default().agent("echo").begin().await;
        exhaust(&world, "echo").await;
        for _ in 0..5 {
            revive(&world, "echo").await.unwrap();
            world.crash("echo").await;
            assert_eq!(world.state("echo").await, AgentState::Quarantined);
        }
        assert_eq!(world.status("echo").await.restarts.total, 10);
    });
}

#[test]
fn a_trial_that_lasts_closes_the_breaker() {
    paused(async {
        let world = Script::default().agent("echo").begin().await;
        exhaust(&world, "echo").await;
        revive(&world, "echo").await.unwrap();
        world.pass(SECOND * 61).await;
        assert_eq!(world.status("echo").await.restarts.breaker, "closed");
        // The end of the rest that was cut short changes nothing.
        world.pass(SECOND * 600).await;
        let status = world.status("echo").await;
        assert_eq!((status.state, status.generation), (AgentState::Ready, 7));
    });
}

#[test]
fn a_healer_cuts_a_backoff_short_and_five_deaths_are_allowed_all_the_same() {
    paused(async {
        let world = Script::default().agent("echo").begin().await;
        world.crash("echo").await;
        let early = Revival {
            ended: 0,
            early: 1,
            on_trial: 0,
        };
        for _ in 0..4 {
            world.crash("echo").await;
            assert_eq!(world.state("echo").await, AgentState::Backoff);
            assert_eq!(revive(&world, "echo").await, Ok(early));
            assert_eq!(world.state("echo").await, AgentState::Ready);
        }
        world.crash("echo").await;
        assert_eq!(world.state("echo").await, AgentState::Quarantined);
        assert_eq!(world.status("echo").await.restarts.total, 5);
    });
}

#[test]
fn what_an_operator_stopped_stays_down() {
    paused(async {
        let script = Script::default().agent("echo");
        let world = script.with(|spec| spec.replicas = 2).begin().await;
        world.handle.stop(World::target("echo#1")).await.unwrap();
        world.crash("echo#0").await;
        world.crash("echo#0").await;
        world.pass(SECOND * 30).await;
        revive(&world, "echo").await.unwrap();
        world.pass(SECOND * 30).await;
        let status = world.status("echo").await;
        assert_eq!(status.instances[1].state, AgentState::Stopped);

        world.handle.stop(World::target("echo")).await.unwrap();
        let refused = revive(&world, "echo").await.unwrap_err();
        assert!(
            matches!(refused, SupervisorError::Conflict(_)),
            "{refused:?}"
        );
        assert!(refused.to_string().contains("agents start echo"));
        world.pass(SECOND * 600).await;
        assert_eq!(world.state("echo").await, AgentState::Stopped);
    });
}

#[test]
fn a_stuck_life_is_ended_at_once_and_its_sound_sibling_works_on() {
    paused(async {
        let script = Script::default().agent("echo");
        let world = script.with(|spec| spec.replicas = 2).begin().await;
        *world.actor("echo#1").evidence.lock() = Evidence {
            open_tasks: vec![HeldTask {
                id: TaskId::from_bytes([7; 16]),
                attempt: 1,
            }],
            since_progress: Some(SECOND * 120),
            ..Evidence::default()
        };
        world.pass(SECOND * 10).await;
        world.log.take(&[]);
        let done = Revival {
            ended: 1,
            early: 0,
            on_trial: 0,
        };
        assert_eq!(revive(&world, "echo").await, Ok(done));
        let told = world.log.take(&["drain", "stop", "kill", "start"]);
        assert_eq!(told, ["stop echo#1", "start echo#1 2 keeps"]);
        let status = world.status("echo").await;
        assert_eq!(status.restarts.window, 0, "a told end is no death");
        assert_eq!(status.instances[0].generation, 1);
    });
}

#[test]
fn an_agent_of_sound_lives_only_is_restarted_in_order() {
    paused(async {
        let drains = Manners {
            drains: true,
            ..Manners::default()
        };
        let script = Script::default().agent("echo").manners(drains);
        let world = script.with(|spec| spec.replicas = 2).begin().await;
        assert_eq!(revive(&world, "echo").await.unwrap().ended, 2);
        let status = world.status("echo").await;
        let generations = status.instances.iter().map(|it| it.generation);
        assert_eq!(generations.collect::<Vec<_>>(), [2, 2]);
    });
}

#[test]
fn a_life_that_starts_is_left_to_its_start_timeout() {
    paused(async {
        let silent = Manners {
            silent: true,
            ..Manners::default()
        };
        let script = Script::default().agent("echo").manners(silent);
        let world = script.begin().await;
        assert_eq!(revive(&world, "echo").await, Ok(Revival::default()));
        assert_eq!(world.status("echo").await.generation, 1);
    });
}

#[test]
fn a_group_that_rests_together_comes_back_together_on_trial() {
    paused(async {
        let script = Script::default().group("family", Strategy::OneForAll);
        let script = ["a", "b"].into_iter().fold(script, |script, name| {
            let script = script.agent(name);
            script.with(|spec| spec.group = Some("family".parse().unwrap()))
        });
        let world = script.begin().await;
        exhaust(&world, "a").await;
        let done = revive(&world, "a").await.unwrap();
        assert_eq!(done.on_trial, 2);
        for name in ["a", "b"] {
            assert_eq!(world.state(name).await, AgentState::Ready, "{name}");
        }
        world.crash("b").await;
        assert_eq!(world.state("a").await, AgentState::Quarantined);
    });
}
