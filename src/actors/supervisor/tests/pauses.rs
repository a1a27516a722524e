//! Pauses with an end: it is an instant on the wall clock, and what an operator says in between wins.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use super::script::{Manners, SECOND, Script, World, paused, record, spec};
use crate::actors::supervisor::pauses::LOOK_AT_CLOCK;
use crate::actors::supervisor::{AgentStatus, Declaration, Redeclared, SupervisorError};
use crate::clock::WallClock;
use crate::domain::agent::{AgentState, Desired};
use crate::domain::name::Name;
use crate::domain::timestamp::Timestamp;

/// A wall clock that goes as the paused one does, until it is set.
#[derive(Clone)]
struct Wall {
    begun: Instant,
    set_by: Arc<AtomicI64>,
}

const BEGUN: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

impl Wall {
    fn new() -> Self {
        Self {
            begun: Instant::now(),
            set_by: Arc::default(),
        }
    }

    fn now(&self) -> Timestamp {
        let micros = BEGUN.after(self.begun.elapsed()).as_micros();
        Timestamp::from_micros(micros + self.set_by.load(Relaxed))
    }

    fn set_by(&self, seconds: i64) {
        self.set_by.fetch_add(seconds * 1_000_000, Relaxed);
    }

    fn clock(&self) -> WallClock {
        let wall = self.clone();
        WallClock::new(move || wall.now())
    }
}

fn echo() -> Name {
    "echo".parse().unwrap()
}

/// An agent that is paused for so long.
async fn paused_for(span: Duration) -> (World, Wall) {
    let wall = Wall::new();
    let world = Script::default()
        .agent("echo")
        .wall(wall.clock())
        .begin()
        .await;
    let until = Some(wall.now().after(span));
    let status = world.handle.pause(&echo(), until).await.unwrap();
    assert_eq!(status.overrides.paused_until, until);
    world.settled().await;
    (world, wall)
}

fn stands(status: &AgentStatus) -> (Desired, AgentState) {
    (status.desired, status.state)
}

const PAUSED: (Desired, AgentState) = (Desired::Paused, AgentState::Paused);
const RUNS: (Desired, AgentState) = (Desired::Running, AgentState::Ready);

fn kept(world: &World) -> Option<Desired> {
    world.shelf.overrides.lock()[&echo()].desired
}

fn told(world: &World) -> Vec<String> {
    world
        .log
        .take(&["fact agent.paused", "fact agent.resumed", "work ready"])
}

#[test]
fn a_pause_ends_by_itself_at_its_instant_and_not_before() {
    paused(async {
        let (world, _) = paused_for(SECOND * 600).await;
        told(&world);
        world.pass(SECOND * 599).await;
        assert_eq!(stands(&world.status("echo").await), PAUSED);
        world.pass(SECOND * 2).await;
        let status = world.status("echo").await;
        assert_eq!(stands(&status), RUNS);
        assert_eq!(status.overrides.paused_until, None);
        assert_eq!(kept(&world), None, "the next daemon pauses nobody");
        let wanted = [
            r#"fact agent.resumed echo {"reason":"its time was over"}"#,
            "work ready echo#0 1",
        ];
        assert_eq!(told(&world), wanted);
    });
}

#[test]
fn a_pause_whose_instant_passed_while_no_daemon_ran_is_over_at_the_next_start() {
    paused(async {
        let (world, wall) = paused_for(SECOND * 600).await;
        let left = world.shelf.overrides.lock().clone();
        drop(world);
        tokio::time::sleep(SECOND * 601).await;
        let next = Script::default().agent("echo").left(left);
        let next = next.wall(wall.clock()).begin().await;
        assert_eq!(stands(&next.status("echo").await), RUNS);
        assert_eq!(kept(&next), None);
        assert_eq!(told(&next).len(), 2);
    });
}

#[test]
fn a_pause_that_is_not_over_goes_on_in_the_next_daemon_until_its_instant() {
    paused(async {
        let (world, wall) = paused_for(SECOND * 600).await;
        let left = world.shelf.overrides.lock().clone();
        drop(world);
        tokio::time::sleep(SECOND * 300).await;
        let next = Script::default().agent("echo").left(left);
        let next = next.wall(wall.clock()).begin().await;
        next.pass(SECOND * 299).await;
        assert_eq!(stands(&next.status("echo").await), PAUSED);
        next.pass(SECOND * 2).await;
        assert_eq!(stands(&next.status("echo").await), RUNS);
    });
}

#[test]
fn a_clock_that_is_set_neither_ends_a_pause_early_nor_holds_it_for_ever() {
    paused(async {
        // Forward: over as soon as the clock is looked at, long before its span has passed.
        let (world, wall) = paused_for(SECOND * 3_600).await;
        wall.set_by(3_601);
        world.pass(LOOK_AT_CLOCK + SECOND).await;
        assert_eq!(stands(&world.status("echo").await), RUNS);
        // Back: its span has passed, its instant has not.
        let (world, wall) = paused_for(SECOND * 3_600).await;
        wall.set_by(-600);
        world.pass(SECOND * 4_199).await;
        assert_eq!(stands(&world.status("echo").await), PAUSED);
        world.pass(SECOND * 2).await;
        assert_eq!(stands(&world.status("echo").await), RUNS);
    });
}

#[test]
fn what_an_operator_says_meanwhile_wins_over_the_end_of_a_pause() {
    use AgentState::Stopped;
    paused(async {
        let (world, _) = paused_for(SECOND * 60).await;
        world.handle.stop(World::target("echo")).await.unwrap();
        world.pass(SECOND * 100).await;
        let status = world.status("echo").await;
        assert_eq!(stands(&status), (Desired::Stopped, Stopped));
        assert_eq!(kept(&world), Some(Desired::Stopped));
        world.handle.start(World::target("echo")).await.unwrap();
        world.settled().await;
        assert_eq!(stands(&world.status("echo").await), RUNS);

        let (world, _) = paused_for(SECOND * 60).await;
        world.handle.resume(&echo()).await.unwrap();
        world.handle.pause(&echo(), None).await.unwrap();
        world.pass(SECOND * 100).await;
        assert_eq!(stands(&world.status("echo").await), PAUSED);

        let (world, wall) = paused_for(SECOND * 600).await;
        let sooner = Some(wall.now().after(SECOND * 3));
        world.handle.pause(&echo(), sooner).await.unwrap();
        world.pass(SECOND * 4).await;
        assert_eq!(stands(&world.status("echo").await), RUNS);

        let (world, wall) = paused_for(SECOND * 3).await;
        let later = Some(wall.now().after(SECOND * 60));
        world.handle.pause(&echo(), later).await.unwrap();
        world.pass(SECOND * 59).await;
        assert_eq!(stands(&world.status("echo").await), PAUSED);
    });
}

#[test]
fn an_instant_that_is_past_is_refused_and_changes_nothing() {
    paused(async {
        let wall = Wall::new();
        let script = Script::default().agent("echo").wall(wall.clock());
        let world = script.begin().await;
        told(&world);
        let refused = world.handle.pause(&echo(), Some(wall.now())).await;
        assert!(
            matches!(refused, Err(SupervisorError::Invalid(_))),
            "{refused:?}"
        );
        assert_eq!(stands(&world.status("echo").await), RUNS);
        assert_eq!(told(&world), [""; 0]);
    });
}

#[test]
fn asking_for_the_pause_that_holds_tells_nobody_again() {
    paused(async {
        let (world, wall) = paused_for(SECOND * 60).await;
        told(&world);
        let until = Some(BEGUN.after(SECOND * 60));
        world.handle.pause(&echo(), until).await.unwrap();
        assert_eq!(told(&world), [""; 0]);
        let other = Some(wall.now().after(SECOND * 61));
        world.handle.pause(&echo(), other).await.unwrap();
        assert_eq!(told(&world).len(), 1);
    });
}

/// Declares just these.
async fn declare(world: &World, names: &[&str]) {
    let redeclared = |name: &&str| {
        let kept = world.shelf.overrides.lock();
        let name: Name = name.parse().unwrap();
        Redeclared {
            spec: spec(name.as_str()),
            factory: Some(world.factory()),
            record: kept.get(&name).map(|set| record(&name, set)),
        }
    };
    let declared = Declaration {
        agents: names.iter().map(redeclared).collect(),
        ..Declaration::default()
    };
    world.handle.redeclare(declared).await.unwrap();
    world.settled().await;
}

#[test]
fn an_agent_that_is_declared_again_is_paused_as_long_as_it_was_to_be() {
    paused(async {
        for (away, is) in [(SECOND * 30, PAUSED), (SECOND * 90, RUNS)] {
            for drains in [true, false] {
                let wall = Wall::new();
                let manners = Manners {
                    drains,
                    stubborn: true,
                    immortal: true,
                    ..Manners::default()
                };
                let script = Script::default().agent("echo").manners(manners);
                let script = script.agent("another").wall(wall.clock());
                let world = script.begin().await;
                let until = Some(wall.now().after(SECOND * 60));
                world.handle.pause(&echo(), until).await.unwrap();
                // Gone at once, or still on its way out when it comes back.
                declare(&world, &["another"]).await;
                let away = if drains { away } else { SECOND };
                world.pass(away).await;
                declare(&world, &["another", "echo"]).await;
                let is = if drains { is } else { PAUSED };
                assert_eq!(world.status("echo").await.desired, is.0, "{away:?}");
                world.pass(SECOND * 60).await;
                assert_eq!(world.status("echo").await.desired, Desired::Running);
            }
        }
    });
}

#[test]
fn other_settings_meanwhile_leave_the_end_of_a_pause_as_it_is() {
    paused(async {
        let (world, _) = paused_for(SECOND * 60).await;
        // Its place in the tree is another one now.
        declare(&world, &["another", "echo"]).await;
        world.pass(SECOND * 58).await;
        assert_eq!(stands(&world.status("echo").await), PAUSED);
        world.pass(SECOND * 3).await;
        assert_eq!(stands(&world.status("echo").await), RUNS);
    });
}
