//! Thousands of steps drawn from a seed; what must always hold is looked at after each.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::script::{Manners, SECOND, Script, World, paused};
use crate::domain::agent::{AgentState, Desired};
use crate::domain::exit::ExitReason;
use crate::domain::restart::Strategy;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

async fn world(chance: &mut StdRng) -> World {
    let strategy = [
        Strategy::OneForOne,
        Strategy::OneForAll,
        Strategy::RestForOne,
    ];
    let script = Script::default().group("family", strategy[chance.random_range(0..3)]);
    let script = NAMES
        .iter()
        .enumerate()
        .fold(script, |script, (nth, name)| {
            let manners = Manners {
                silent: chance.random_bool(0.1),
                stubborn: chance.random_bool(0.2),
                immortal: chance.random_bool(0.1),
                drains: chance.random_bool(0.5),
                mute: chance.random_bool(0.1),
            };
            let script = script.agent(name).manners(manners);
            script.with(|spec| {
                spec.replicas = 1 + chance.random_range(0..3);
                spec.group = (nth < 3).then(|| "family".parse().unwrap());
            })
        });
    script.begin().await
}

async fn step(world: &World, chance: &mut StdRng) {
    let name = NAMES[chance.random_range(0..NAMES.len())];
    let target = World::target(name);
    match chance.random_range(0..10) {
        0 => drop(world.handle.stop(target).await.unwrap()),
        1 => drop(world.handle.start(target).await.unwrap()),
        2 => drop(world.handle.restart(target).await.unwrap()),
        3 => {
            let replicas = chance.random_range(0..4);
            world.handle.scale(&target.agent, replicas).await.unwrap();
        }
        4 => drop(world.handle.pause(&target.agent).await),
        5 => drop(world.handle.resume(&target.agent).await),
        _ => {
            let ends = [
                ExitReason::Normal,
                ExitReason::Killed,
                ExitReason::ExitCode { code: 1 },
            ];
            let instances = world.status(name).await.instances.len().max(1);
            let index = chance.random_range(0..instances);
            if instances > 0 && world.has(&format!("{name}#{index}")) {
                let reason = ends[chance.random_range(0..3)].clone();
                world.actor(&format!("{name}#{index}")).end(reason);
            }
        }
    }
    let spans = [0, 0, 1, 5, 30, 700];
    let span = SECOND * spans[chance.random_range(0..spans.len())];
    if !span.is_zero() {
        world.pass(span).await;
    }
}

async fn check(world: &World, seed: u64) {
    for name in NAMES {
        let status = world.status(name).await;
        for instance in &status.instances {
            let alive = instance.started_at.is_some();
            let context = format!("seed {seed}: {name}#{} {instance:?}", instance.index);
            let resting = matches!(
                instance.state,
                AgentState::Stopped
                    | AgentState::Backoff
                    | AgentState::Quarantined
                    | AgentState::Failed
                    | AgentState::Pending
            );
            assert_eq!(alive, !resting, "{context}");
            if status.desired == Desired::Stopped {
                let leaving = matches!(
                    instance.state,
                    AgentState::Draining | AgentState::Stopping | AgentState::Stopped
                );
                assert!(leaving, "{context}");
            }
        }
    }
}

#[test]
fn no_order_of_events_restarts_what_was_stopped_or_loses_what_is_wanted() {
    for seed in 0..24 {
        paused(async move {
            let mut chance = StdRng::seed_from_u64(seed);
            let world = world(&mut chance).await;
            for _ in 0..60 {
                step(&world, &mut chance).await;
                check(&world, seed).await;
            }
            for name in NAMES {
                world.handle.stop(World::target(name)).await.unwrap();
            }
            world.pass(SECOND * 30).await;
            for name in NAMES {
                assert_eq!(
                    world.state(name).await,
                    AgentState::Stopped,
                    "seed {seed}: {name}"
                );
            }
            for name in NAMES {
                world.handle.start(World::target(name)).await.unwrap();
            }
            world.pass(SECOND * 4_000).await;
            for name in NAMES {
                let state = world.state(name).await;
                let lost = matches!(state, AgentState::Pending | AgentState::Stopped);
                let none = world.status(name).await.replicas.desired == 0;
                assert!(none || !lost, "seed {seed}: {name} {state:?}");
            }
        });
    }
}
