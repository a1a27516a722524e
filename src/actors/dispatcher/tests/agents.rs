//! What agents say while they work, and what is known of their load.

use super::scene::{World, scene, soon};
use crate::actors::work::WorkSink;

#[test]
fn progress_is_kept_once_a_second_at_most() {
    scene(async {
        let world = World::new().await;
        let mut echo = world.ready(0, 1, 1);
        let id = world.submit("echo").await.task.id;
        let task = echo.task().await;
        for percent in [10.0, 20.0, 30.0] {
            world
                .handle
                .progress(id, task.lease_id, Some(percent), None);
        }
        let kept = world.when(id, |task| task.progress.is_some()).await;
        assert_eq!(kept.progress.unwrap().percent, Some(10.0));
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        world.handle.progress(id, task.lease_id, Some(90.0), None);
        let later = |task: &crate::domain::task::Task| {
            task.progress
                .as_ref()
                .is_some_and(|progress| progress.percent == Some(90.0))
        };
        world.when(id, later).await;
    });
}

#[test]
fn who_tells_of_progress_all_the_time_is_shown_with_what_it_told_last() {
    scene(async {
        let world = World::new().await;
        let mut echo = world.ready(0, 1, 1);
        let id = world.submit("echo").await.task.id;
        let task = echo.task().await;
        let told = |percent: f64| {
            move |task: &crate::domain::task::Task| {
                let progress = task.progress.as_ref();
                progress.is_some_and(|progress| progress.percent == Some(percent))
            }
        };
        for percent in 0..20 {
            let percent = Some(f64::from(percent));
            world.handle.progress(id, task.lease_id, percent, None);
            tokio::time::advance(std::time::Duration::from_millis(300)).await;
            world.when(id, |task| task.progress.is_some()).await;
        }
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        world.when(id, told(19.0)).await;
    });
}

#[test]
fn loads_tell_what_waits_runs_and_fits() {
    scene(async {
        let world = World::new().await;
        let mut echo = world.ready(0, 1, 2);
        for _ in 0..3 {
            world.submit("echo").await;
        }
        echo.task().await;
        echo.task().await;
        let loads = soon("loads", world.handle.loads()).await.unwrap();
        let load = &loads[0];
        assert_eq!((load.depth, load.running, load.capacity), (1, 2, 2));
        assert_eq!(loads[1].agent.as_str(), "sum");
    });
}
