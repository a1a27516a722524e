//! Agents that die, drain, or take nothing.

use super::scene::{World, crash, scene};
use crate::domain::exit::ExitReason;
use crate::domain::task::TaskState;

#[test]
fn a_task_whose_agent_died_alone_is_given_to_the_next_life_at_once() {
    scene(async {
        let world = World::new().await;
        let mut echo = world.ready(0, 1, 1);
        let id = world.submit("echo").await.task.id;
        echo.task().await;
        echo.die(&crash());
        let mut next = world.ready(0, 2, 1);
        let task = next.task().await;
        assert_eq!((task.id, task.attempt), (id, 2));
        let stored = world.task(id).await;
        assert_eq!((stored.crash_attempts, stored.interruptions), (1, 0));
    });
}

#[test]
fn a_task_that_ends_its_agent_three_times_is_poison() {
    scene(async {
        let world = World::new().await;
        let id = world.submit("echo").await.task.id;
        for generation in 1..=3 {
            let mut echo = world.ready(0, generation, 1);
            echo.task().await;
            echo.die(&crash());
        }
        let dead = world.end_of(id).await;
        assert_eq!(
            (dead.state, dead.reason.as_deref()),
            (TaskState::Dead, Some("poison"))
        );
    });
}

#[test]
fn several_that_died_together_run_again_one_at_a_time_and_nothing_beside_them() {
    scene(async {
        let world = World::new().await;
        let mut echo = world.ready(0, 1, 2);
        for _ in 0..2 {
            world.submit("echo").await;
        }
        let (a, b) = (echo.task().await, echo.task().await);
        echo.die(&crash());
        let suspect = |id| world.when(id, |task| task.state == TaskState::Queued);
        for id in [a.id, b.id] {
            let task = suspect(id).await;
            assert_eq!((task.crash_attempts, task.interruptions), (0, 1));
        }
        let mut next = world.ready(0, 2, 2);
        let first = next.task().await;
        let third = world.submit("echo").await;
        assert_eq!(
            third.task.state,
            TaskState::Queued,
            "no slot while one must run alone"
        );
        assert!(next.is_idle());
        next.succeed(&first);
        let second = next.task().await;
        assert!([a.id, b.id].contains(&second.id) && next.is_idle());
        next.succeed(&second);
        assert_eq!(next.task().await.id, third.task.id);
    });
}

#[test]
fn a_wanted_end_costs_a_task_nothing() {
    scene(async {
        let world = World::new().await;
        let id = world.submit("echo").await.task.id;
        for (generation, reason) in [(1, ExitReason::Shutdown), (2, ExitReason::Killed)] {
            let mut echo = world.ready(0, generation, 1);
            echo.task().await;
            echo.die(&reason);
        }
        let task = world.when(id, |task| task.interruptions == 2).await;
        assert_eq!((task.state, task.crash_attempts), (TaskState::Queued, 0));
    });
}

#[test]
fn a_life_that_drains_keeps_what_it_holds_and_gets_nothing_new() {
    scene(async {
        let world = World::new().await;
        let mut echo = world.ready(0, 1, 2);
        let id = world.submit("echo").await.task.id;
        let task = echo.task().await;
        echo.drain();
        assert_eq!(world.submit("echo").await.task.state, TaskState::Queued);
        echo.succeed(&task);
        assert_eq!(world.end_of(id).await.state, TaskState::Succeeded);
        assert!(echo.is_idle());
    });
}

#[test]
fn a_task_that_its_agent_refuses_goes_to_another_replica() {
    scene(async {
        let world = World::new().await;
        let mut closed = world.ready(0, 1, 1);
        closed.close();
        let id = world.submit("echo").await.task.id;
        let mut open = world.ready(1, 1, 1);
        let task = open.task().await;
        assert_eq!((task.id, world.task(id).await.interruptions), (id, 1));
        assert!(closed.is_idle());
    });
}

#[test]
fn the_end_of_an_earlier_life_takes_nothing_from_the_present_one() {
    scene(async {
        let world = World::new().await;
        let old = world.ready(0, 1, 1);
        let mut echo = world.ready(0, 2, 1);
        let id = world.submit("echo").await.task.id;
        let task = echo.task().await;
        old.die(&crash());
        echo.succeed(&task);
        assert_eq!(world.end_of(id).await.state, TaskState::Succeeded);
    });
}
