//! What an operator asks for, in every order of events.

use super::script::{Manners, SECOND, Script, World, paused};
use crate::actors::supervisor::{ShutdownSpans, SupervisorError};
use crate::domain::agent::{AgentState, Desired};

#[test]
fn stop_drains_then_stops_then_kills_each_in_its_time() {
    paused(async {
        let stubborn = Manners {
            stubborn: true,
            ..Manners::default()
        };
        let world = Script::default()
            .agent("echo")
            .manners(stubborn)
            .begin()
            .await;
        world.log.take(&[]);
        world.handle.stop(World::target("echo")).await.unwrap();
        assert_eq!(world.state("echo").await, AgentState::Draining);
        world.pass(SECOND * 12).await;
        assert_eq!(world.state("echo").await, AgentState::Stopping);
        world.pass(SECOND * 8).await;
        assert_eq!(world.state("echo").await, AgentState::Stopped);
        let told = world.log.take(&["drain", "stop", "kill", "close", "work"]);
        let wanted = [
            "work draining echo#0 1",
            "drain echo#0",
            "stop echo#0",
            "kill echo#0",
            "work gone echo#0 1",
            "close echo#0",
        ];
        assert_eq!(told, wanted);
    });
}

#[test]
fn even_a_life_that_cannot_be_killed_does_not_hold_anybody_up() {
    paused(async {
        let immortal = Manners {
            stubborn: true,
            immortal: true,
            ..Manners::default()
        };
        let world = Script::default()
            .agent("echo")
            .manners(immortal)
            .begin()
            .await;
        world.handle.restart(World::target("echo")).await.unwrap();
        world.pass(SECOND * 26).await;
        let status = world.status("echo").await;
        assert_eq!((status.state, status.generation), (AgentState::Ready, 2));
    });
}

#[test]
fn a_stop_wins_over_a_restart_whenever_it_comes() {
    for crashes in 0..4 {
        for late in [false, true] {
            paused(async move {
                let world = Script::default().agent("echo").begin().await;
                for _ in 0..crashes {
                    world.crash("echo").await;
                    world.pass(if late { SECOND * 3 } else { SECOND / 4 }).await;
                }
                let actor = world.actor("echo");
                let stopping = world.handle.stop(World::target("echo"));
                let dying = async { actor.end(crate::domain::exit::ExitReason::Killed) };
                tokio::join!(stopping, dying).0.unwrap();
                world.pass(SECOND * 600).await;
                let status = world.status("echo").await;
                assert_eq!(
                    (status.state, status.desired),
                    (AgentState::Stopped, Desired::Stopped)
                );
                assert!(world.actor("echo").is_over());
                let kept = world.shelf.overrides.lock().values().next().cloned();
                assert_eq!(kept.unwrap().desired, Some(Desired::Stopped));
            });
        }
    }
}

#[test]
fn start_pardons_what_gave_up_and_restart_is_no_crash() {
    paused(async {
        let world = Script::default().agent("echo").begin().await;
        for _ in 0..6 {
            world.crash("echo").await;
            world.pass(SECOND * 9).await;
        }
        assert_eq!(world.state("echo").await, AgentState::Quarantined);
        world.handle.start(World::target("echo")).await.unwrap();
        world.settled().await;
        assert_eq!(world.state("echo").await, AgentState::Ready);
        let crashes = world.shelf.crashes.lock().len();
        world.handle.restart(World::target("echo")).await.unwrap();
        world.pass(SECOND * 13).await;
        assert_eq!(world.state("echo").await, AgentState::Ready);
        assert_eq!(world.shelf.crashes.lock().len(), crashes);
    });
}

#[test]
fn one_replica_is_stopped_and_started_without_the_others() {
    paused(async {
        let drains = Manners {
            drains: true,
            ..Manners::default()
        };
        let script = Script::default()
            .agent("echo")
            .with(|spec| spec.replicas = 3);
        let world = script.manners(drains).begin().await;
        world.handle.stop(World::target("echo#1")).await.unwrap();
        world.settled().await;
        let states = |status: crate::actors::supervisor::AgentStatus| {
            status
                .instances
                .iter()
                .map(|instance| instance.state)
                .collect::<Vec<_>>()
        };
        use AgentState::{Ready, Stopped};
        assert_eq!(states(world.status("echo").await), [Ready, Stopped, Ready]);
        world.handle.start(World::target("echo#1")).await.unwrap();
        world.settled().await;
        assert_eq!(states(world.status("echo").await), [Ready, Ready, Ready]);
    });
}

#[test]
fn scaling_starts_and_drains_replicas_and_never_reuses_a_generation() {
    paused(async {
        let drains = Manners {
            drains: true,
            ..Manners::default()
        };
        let world = Script::default()
            .agent("echo")
            .manners(drains)
            .begin()
            .await;
        let echo = "echo".parse().unwrap();
        world.handle.scale(&echo, 3).await.unwrap();
        world.settled().await;
        assert_eq!(world.status("echo").await.replicas.ready, 3);
        world.handle.scale(&echo, 1).await.unwrap();
        world.settled().await;
        assert_eq!(world.status("echo").await.instances.len(), 1);
        world.handle.scale(&echo, 2).await.unwrap();
        world.settled().await;
        assert_eq!(world.status("echo").await.instances[1].generation, 2);
        let too_many = world.handle.scale(&echo, 1_001).await;
        assert!(matches!(too_many, Err(SupervisorError::Invalid(_))));
    });
}

#[test]
fn a_paused_agent_lives_on_and_is_offered_again_when_resumed() {
    paused(async {
        let world = Script::default().agent("echo").begin().await;
        let echo = "echo".parse().unwrap();
        world.handle.pause(&echo, None).await.unwrap();
        assert_eq!(world.state("echo").await, AgentState::Paused);
        world.crash("echo").await;
        assert_eq!(world.state("echo").await, AgentState::Paused);
        world.handle.resume(&echo).await.unwrap();
        assert_eq!(world.state("echo").await, AgentState::Ready);
        let wanted = [
            "work ready echo#0 1",
            "work draining echo#0 1",
            "work gone echo#0 1",
            "work ready echo#0 2",
        ];
        assert_eq!(world.log.take(&["work"]), wanted);
    });
}

#[test]
fn an_unknown_agent_is_told_with_the_nearest_name() {
    paused(async {
        let world = Script::default().agent("echo").begin().await;
        let refused = world
            .handle
            .agent(&"ecko".parse().unwrap())
            .await
            .unwrap_err();
        assert_eq!(
            refused.to_string(),
            "agent 'ecko' does not exist; did you mean 'echo'?"
        );
        let refused = world
            .handle
            .stop(World::target("echo#7"))
            .await
            .unwrap_err();
        assert!(matches!(refused, SupervisorError::NotFound { .. }));
    });
}

#[test]
fn a_shutdown_ends_everybody_in_reverse_and_within_its_spans() {
    paused(async {
        let stubborn = Manners {
            stubborn: true,
            ..Manners::default()
        };
        let drains = Manners {
            drains: true,
            ..Manners::default()
        };
        let script = Script::default().agent("store").manners(drains);
        let script = script.agent("writer").manners(drains).with(|spec| {
            let store = "store".parse().unwrap();
            spec.depends_on
                .insert(store, crate::domain::agent::DependsOn::Healthy);
        });
        let world = script.agent("mule").manners(stubborn).begin().await;
        world.log.take(&[]);
        let begun = tokio::time::Instant::now();
        let report = world
            .handle
            .shutdown(ShutdownSpans::default())
            .await
            .unwrap();
        assert_eq!(report.killed.len(), 1);
        assert_eq!(begun.elapsed().as_secs(), 20);
        let told = world.log.take(&["drain", "start"]);
        assert_eq!(told, ["drain mule#0", "drain writer#0", "drain store#0"]);
        assert_eq!(world.state("writer").await, AgentState::Stopped);
    });
}
