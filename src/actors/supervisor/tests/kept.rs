//! What a restart of the daemon does not forget, and in which order it stops.

use super::script::{Manners, SECOND, Script, World, paused};
use crate::actors::supervisor::{SIBLING_PATIENCE, ShutdownSpans};
use crate::domain::agent::{AgentState, Desired};
use crate::domain::restart::Strategy;

fn three() -> Script {
    let drains = Manners {
        drains: true,
        ..Manners::default()
    };
    let script = Script::default().agent("echo").manners(drains);
    script.with(|spec| spec.replicas = 3)
}

async fn states(world: &World) -> Vec<AgentState> {
    let status = world.status("echo").await;
    status.instances.iter().map(|it| it.state).collect()
}

#[test]
fn a_replica_stopped_by_index_stays_stopped_over_a_restart_of_the_daemon() {
    use AgentState::{Ready, Stopped};
    paused(async {
        let world = three().begin().await;
        world.handle.stop(World::target("echo#1")).await.unwrap();
        let left = world.shelf.overrides.lock().clone();
        let next = three().left(left).begin().await;
        assert_eq!(states(&next).await, [Ready, Stopped, Ready]);
        next.handle.restart(World::target("echo")).await.unwrap();
        next.settled().await;
        assert_eq!(states(&next).await, [Ready, Stopped, Ready]);
        next.handle.start(World::target("echo")).await.unwrap();
        next.settled().await;
        assert_eq!(states(&next).await, [Ready, Ready, Ready]);
    });
}

#[test]
fn an_agent_without_replicas_is_stopped_like_any_other() {
    paused(async {
        let world = three().begin().await;
        let echo = "echo".parse().unwrap();
        world.handle.scale(&echo, 0).await.unwrap();
        world.pass(SECOND * 21).await;
        let status = world.handle.stop(World::target("echo")).await.unwrap();
        assert_eq!(status.desired, Desired::Stopped);
        let status = world.handle.scale(&echo, 2).await.unwrap();
        assert_eq!(status.state, AgentState::Stopped);
    });
}

#[test]
fn of_a_stopped_agent_a_replica_is_started_alone() {
    use AgentState::{Ready, Stopped};
    paused(async {
        let world = three().begin().await;
        world.handle.stop(World::target("echo")).await.unwrap();
        world.settled().await;
        world.handle.start(World::target("echo#2")).await.unwrap();
        world.settled().await;
        assert_eq!(states(&world).await, [Stopped, Stopped, Ready]);
    });
}

#[test]
fn what_an_operator_set_is_reset_by_its_opposite() {
    paused(async {
        let world = three().begin().await;
        let echo = "echo".parse().unwrap();
        world.handle.pause(&echo, None).await.unwrap();
        let set = world.handle.scale(&echo, 5).await.unwrap().overrides;
        assert_eq!(
            (set.desired, set.replicas),
            (Some(Desired::Paused), Some(5))
        );
        world.handle.resume(&echo).await.unwrap();
        let set = world.handle.scale(&echo, 3).await.unwrap().overrides;
        assert_eq!((set.desired, set.replicas), (None, None));
        assert_eq!(world.shelf.overrides.lock()[&echo], set);
    });
}

fn family() -> Script {
    let script = Script::default().group("family", Strategy::OneForAll);
    ["a", "b"].into_iter().fold(script, |script, name| {
        let script = script.agent(name);
        script.with(|spec| spec.group = Some("family".parse().unwrap()))
    })
}

#[test]
fn a_group_in_quarantine_rests_on_over_a_restart_of_the_daemon_and_then_is_on_trial() {
    paused(async {
        let world = family().begin().await;
        for _ in 0..6 {
            world.crash("a").await;
            world.pass(SECOND * 9).await;
        }
        assert_eq!(world.state("b").await, AgentState::Quarantined);
        let mut budget = world.shelf.budgets.lock()["@family"].clone();
        // Time was paused, the wall clock was not.
        budget.quarantined_until = Some(crate::clock::now().after(SECOND * 300));
        let next = family().budget(budget).begin().await;
        for name in ["a", "b"] {
            assert_eq!(next.state(name).await, AgentState::Quarantined, "{name}");
        }
        next.pass(SECOND * 301).await;
        assert_eq!(next.state("b").await, AgentState::Ready);
        assert!(next.shelf.budgets.lock()["@family"].on_trial);
        next.crash("b").await;
        assert_eq!(next.state("a").await, AgentState::Quarantined);
    });
}

#[test]
fn a_restart_of_what_rests_with_its_group_starts_it_once() {
    paused(async {
        let world = family().begin().await;
        for _ in 0..6 {
            world.crash("a").await;
            world.pass(SECOND * 9).await;
        }
        assert_eq!(world.state("b").await, AgentState::Quarantined);
        world.log.take(&[]);
        world.handle.restart(World::target("b")).await.unwrap();
        world.settled().await;
        let starts = world.log.take(&["start"]);
        assert_eq!(starts.len(), 2, "{starts:?}");
    });
}

#[test]
fn when_the_drain_is_over_whoever_is_left_is_told_in_reverse() {
    paused(async {
        let stubborn = Manners {
            stubborn: true,
            ..Manners::default()
        };
        let script = Script::default().group("family", Strategy::RestForOne);
        let script = ["a", "b", "c"].into_iter().fold(script, |script, name| {
            let script = script.agent(name).manners(stubborn);
            script.with(|spec| spec.group = Some("family".parse().unwrap()))
        });
        let world = script.begin().await;
        world.log.take(&[]);
        // Each is needed by those after it, and none obeys.
        let spans = ShutdownSpans {
            drain: SECOND * 4,
            stop: SECOND * 2,
        };
        assert_eq!(world.handle.shutdown(spans).await.unwrap().killed.len(), 3);
        let told = world.log.take(&["stop"]);
        assert_eq!(told, ["stop c#0", "stop b#0", "stop a#0"]);
    });
}

#[test]
fn a_naughty_child_holds_up_a_shutdown_for_a_moment_only() {
    paused(async {
        let drains = Manners {
            drains: true,
            ..Manners::default()
        };
        let stubborn = Manners {
            stubborn: true,
            ..Manners::default()
        };
        let script = Script::default().agent("one").manners(drains);
        let script = script.agent("two").manners(drains);
        let world = script.agent("mule").manners(stubborn).begin().await;
        world.log.take(&[]);
        let (handle, spans) = (world.handle.clone(), ShutdownSpans::default());
        let ending = actix_rt::spawn(async move { handle.shutdown(spans).await });
        world.settled().await;
        assert_eq!(world.log.take(&["drain"]), ["drain mule#0"]);
        world.pass(SIBLING_PATIENCE).await;
        assert_eq!(world.log.take(&["drain"]), ["drain two#0"]);
        world.pass(SIBLING_PATIENCE).await;
        assert_eq!(world.log.take(&["drain"]), ["drain one#0"]);
        assert_eq!(ending.await.unwrap().unwrap().killed.len(), 1);
    });
}
