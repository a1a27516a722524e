//! The dispatcher itself dies; the database goes away; hand-overs are lost.

use std::time::Duration;

use actix::prelude::*;

use super::scene::{World, for_agent, scene, soon};
use crate::actors::dispatcher::actor::later;
use crate::actors::dispatcher::{Dispatcher, RESCUE_PERIOD};
use crate::actors::runner::AgentContext;
use crate::domain::query::SlotOffer;
use crate::domain::task::TaskState;
use crate::persistence::WriterExit;

/// Panic on the spot.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Explode;

impl Handler<Explode> for Dispatcher {
    type Result = ();

    fn handle(&mut self, _: Explode, _: &mut AgentContext<Self>) {
        panic!("told to");
    }
}

#[test]
fn a_panic_of_the_dispatcher_loses_nothing_that_agents_hold_or_that_waits() {
    scene(async {
        let world = World::new().await;
        let mut echo = world.ready(0, 1, 1);
        let (held, waiting) = (
            world.submit("echo").await.task.id,
            world.submit("echo").await.task.id,
        );
        let task = echo.task().await;
        world.dispatcher.tell(Explode).unwrap();
        echo.succeed(&task);
        assert_eq!(world.end_of(held).await.state, TaskState::Succeeded);
        assert_eq!(echo.task().await.id, waiting);
    });
}

/// Begin a claim that panics.
#[derive(Message)]
#[rtype(result = "()")]
struct ClaimAndFail;

impl Handler<ClaimAndFail> for Dispatcher {
    type Result = ();

    fn handle(&mut self, _: ClaimAndFail, ctx: &mut AgentContext<Self>) {
        self.memory.lock().claiming = true;
        later::<Explode>(ctx, async { panic!("on the way") });
    }
}

#[test]
fn a_panic_of_what_the_dispatcher_started_is_its_own_and_claims_go_on() {
    scene(async {
        let world = World::new().await;
        let mut echo = world.ready(0, 1, 1);
        world.submit("echo").await;
        let waiting = world.submit("echo").await.task.id;
        let held = echo.task().await;
        world.dispatcher.tell(ClaimAndFail).unwrap();
        echo.succeed(&held);
        assert_eq!(echo.task().await.id, waiting);
    });
}

#[test]
fn a_result_that_comes_while_the_database_is_away_is_kept_until_it_is_back() {
    scene(async {
        let mut world = World::new().await;
        let mut echo = world.ready(0, 1, 1);
        let id = world.submit("echo").await.task.id;
        let task = echo.task().await;
        let (here, away) = (
            world.dir.path().join("test.db"),
            world.dir.path().join("away.db"),
        );
        std::fs::rename(&here, &away).unwrap();
        echo.succeed(&task);
        let lost = soon("the loss", world.keeper.ended()).await;
        assert!(matches!(lost, WriterExit::Lost { .. }), "{lost:?}");
        std::fs::rename(&away, &here).unwrap();
        soon("the restart", world.keeper.restart()).await.unwrap();
        let stored = async {
            while world.task(id).await.state == TaskState::Running {
                tokio::time::advance(Duration::from_millis(100)).await;
            }
        };
        soon("the settlement", stored).await;
        assert_eq!(world.task(id).await.state, TaskState::Succeeded);
    });
}

#[test]
fn a_hand_over_that_was_lost_on_the_way_is_found_by_the_second_sweep() {
    scene(async {
        let world = World::new().await;
        let session = world.handle.session();
        let offer = SlotOffer {
            instance: super::scene::instance("echo", 0),
            role: None,
            queue: "default".parse().unwrap(),
            free: 1,
            reserve: None,
        };
        // Claimed in the database; the answer never reached the dispatcher.
        let lost = world
            .store
            .create_task(session, for_agent("echo"), Some(offer))
            .await
            .unwrap();
        let found = async {
            while world.task(lost.task.id).await.state == TaskState::Running {
                tokio::time::advance(RESCUE_PERIOD).await;
            }
        };
        soon("the sweep", found).await;
        let task = world.task(lost.task.id).await;
        assert_eq!((task.state, task.interruptions), (TaskState::Queued, 1));
    });
}
