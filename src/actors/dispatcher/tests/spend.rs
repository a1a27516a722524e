//! Ceilings: what is held, what is stopped, and what goes on.

use serde_json::json;

use super::scene::{LONG, Scripted, World, for_agent, instance, scene, soon, spec};
use crate::actors::work::{AgentSpent, TaskFrame, WorkSink as _};
use crate::domain::agent::AgentSpec;
use crate::domain::query::EventFilter;
use crate::domain::spend::tests::a_thousand;
use crate::domain::spend::{OnSpent, Per, SpendSpec, SpendView, Usage};
use crate::domain::task::{NewTask, Target, TaskState};

/// A thousand micro-dollars a month, of which a task holds a hundred: no test meets the end of it
/// by chance of the day.
fn ceiling() -> SpendSpec {
    a_thousand(Per::Month)
}

/// `echo` may spend this, `sum` whatever it likes.
async fn declare(world: &World, spend: Option<SpendSpec>) {
    let echo = AgentSpec {
        spend,
        ..spec("echo", Some("worker"))
    };
    world
        .handle
        .set_known_agents(&[echo, spec("sum", Some("worker"))]);
    world.handle.declared_anew();
    let known = async {
        let echo = "echo".parse().unwrap();
        while world
            .handle
            .spend_of(&echo)
            .is_some_and(|it| it.held && !it.is_exhausted())
        {
            tokio::task::yield_now().await;
        }
    };
    soon("what is stored", known).await;
}

fn says(echo: &Scripted, task: Option<&TaskFrame>, micros: u64, with_answer: bool) -> AgentSpent {
    AgentSpent {
        from: echo.instance.clone(),
        of: task.map(|task| (task.id, task.lease_id)),
        usage: Usage {
            cost_micros: Some(micros),
            ..Usage::default()
        },
        with_answer,
    }
}

fn view(world: &World) -> SpendView {
    world.handle.spend_of(&"echo".parse().unwrap()).unwrap()
}

/// The view when `wanted` holds.
async fn when(world: &World, what: &str, wanted: impl Fn(&SpendView) -> bool) -> SpendView {
    soon(what, async {
        loop {
            let view = view(world);
            if wanted(&view) {
                return view;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// Types of the events of spend, once there are so many.
async fn edges(world: &World, count: usize) -> Vec<String> {
    let filter = EventFilter {
        kinds: vec!["spend.*".to_owned()],
        ..EventFilter::default()
    };
    soon("edges", async {
        loop {
            let page = world.store.events(filter.clone(), 50).await.unwrap();
            if page.len() >= count {
                return page.into_iter().map(|event| event.kind).collect();
            }
        }
    })
    .await
}

#[test]
fn an_agent_that_has_spent_what_it_may_gets_no_task_and_another_takes_those_for_its_role() {
    scene(async {
        let world = World::new().await;
        declare(&world, Some(ceiling())).await;
        let mut echo = world.ready(0, 1, 4);
        world.at_rest().await;
        world.handle.spent(says(&echo, None, 950, false));
        let own = world.submit("echo").await.task;
        let role = Target::Role("worker".parse().unwrap());
        let shared = NewTask {
            target: role,
            ..for_agent("echo")
        };
        let shared = world.handle.submit(shared).await.unwrap().task;
        assert_eq!(
            (own.state, shared.state),
            (TaskState::Queued, TaskState::Queued)
        );
        let mut sum = world.ready_as(instance("sum", 0), 1, 1);
        assert_eq!(sum.task().await.id, shared.id);
        world.at_rest().await;
        assert!(echo.is_idle(), "it has spent what it may");
        let load = world.handle.loads().await.unwrap().remove(0);
        assert!(load.held_back && load.spend.unwrap().is_exhausted());
    });
}

#[test]
fn a_raised_ceiling_lets_what_waits_go_at_once_and_touches_no_life() {
    scene(async {
        let world = World::new().await;
        declare(&world, Some(ceiling())).await;
        let mut echo = world.ready(0, 1, 1);
        world.at_rest().await;
        world.handle.spent(says(&echo, None, 1_000, false));
        let waiting = world.submit("echo").await.task.id;
        world.at_rest().await;
        assert!(echo.is_idle());
        let mut raised = ceiling();
        raised.ceiling.micros = Some(5_000);
        declare(&world, Some(raised)).await;
        assert_eq!(echo.task().await.id, waiting);
        let kinds = edges(&world, 2).await;
        assert_eq!(kinds, ["spend.exhausted", "spend.renewed"]);
        declare(&world, None).await;
        assert!(world.handle.spend_of(&"echo".parse().unwrap()).is_none());
    });
}

#[test]
fn no_more_tasks_are_open_than_their_reservations_fit_and_what_was_not_spent_is_free_again() {
    scene(async {
        let world = World::new().await;
        let mut small = ceiling();
        small.ceiling.micros = Some(350);
        declare(&world, Some(small)).await;
        let mut replicas = [world.ready(0, 1, 4), world.ready(1, 1, 4)];
        world.at_rest().await;
        for _ in 0..6 {
            world.submit("echo").await;
        }
        world.at_rest().await;
        let mut open = Vec::new();
        for (number, replica) in replicas.iter_mut().enumerate() {
            while let Some(task) = replica.given() {
                open.push((number, task));
            }
        }
        assert_eq!(open.len(), 3, "three reservations of 100 fit into 350");
        let (number, task) = open.remove(0);
        let spent = says(&replicas[number], Some(&task), 10, true);
        world.handle.spent(spent);
        replicas[number].succeed(&task);
        world.end_of(task.id).await;
        let [first, second] = &mut replicas;
        let next = soon("the next task", async {
            loop {
                if let Some(task) = first.given().or_else(|| second.given()) {
                    return task;
                }
                tokio::task::yield_now().await;
            }
        });
        next.await;
        world.at_rest().await;
        assert!(first.is_idle() && second.is_idle());
        let view = view(&world);
        assert!((view.used.cost_usd - 0.000_01).abs() < 1e-12, "{view:?}");
    });
}

#[test]
fn a_task_over_its_own_ceiling_fails_for_good_and_its_agent_is_asked_to_give_it_up() {
    scene(async {
        let world = World::new().await;
        let mut own = ceiling();
        own.task_ceiling.micros = Some(200);
        declare(&world, Some(own)).await;
        let mut echo = world.ready(0, 1, 2);
        world.at_rest().await;
        let (first, second) = (world.submit("echo").await, world.submit("echo").await);
        let (over, within) = (echo.task().await, echo.task().await);
        assert_eq!((over.id, within.id), (first.task.id, second.task.id));
        world.handle.spent(says(&echo, Some(&within), 150, false));
        world.handle.spent(says(&echo, Some(&over), 150, false));
        world.handle.spent(says(&echo, Some(&over), 51, false));
        assert_eq!(echo.cancel().await, over.id);
        let failed = world.end_of(over.id).await;
        let error = failed.error.unwrap();
        assert_eq!((failed.state, failed.attempt), (TaskState::Failed, 1));
        assert_eq!(
            (error.code.as_str(), error.retryable),
            ("spend_exceeded", false)
        );
        echo.give_up(&over);
        echo.succeed(&within);
        assert_eq!(world.end_of(within.id).await.state, TaskState::Succeeded);
        let usage = world.store.task_attempts(over.id).await.unwrap()[0].usage;
        assert_eq!(usage.unwrap().cost_micros, Some(201));
    });
}

#[test]
fn what_comes_with_an_answer_does_not_take_it_back_however_much_it_is() {
    scene(async {
        let world = World::new().await;
        let mut own = ceiling();
        own.task_ceiling.micros = Some(200);
        own.on_exhausted = OnSpent::Cancel;
        declare(&world, Some(own)).await;
        let mut echo = world.ready(0, 1, 1);
        let id = world.submit("echo").await.task.id;
        let task = echo.task().await;
        world.handle.spent(says(&echo, Some(&task), 2_000, true));
        echo.succeed(&task);
        assert_eq!(world.end_of(id).await.state, TaskState::Succeeded);
        assert!(view(&world).is_exhausted());
    });
}

#[test]
fn running_tasks_are_stopped_when_the_ceiling_is_reached_if_the_settings_say_so() {
    for (on_exhausted, ends) in [
        (OnSpent::Cancel, TaskState::Failed),
        (OnSpent::Hold, TaskState::Succeeded),
    ] {
        scene(async {
            let world = World::new().await;
            let stops = SpendSpec {
                on_exhausted,
                ..ceiling()
            };
            declare(&world, Some(stops)).await;
            let mut echo = world.ready(0, 1, 2);
            let id = world.submit("echo").await.task.id;
            let task = echo.task().await;
            world.handle.spent(says(&echo, None, 1_000, false));
            if on_exhausted == OnSpent::Cancel {
                assert_eq!(echo.cancel().await, id);
                assert_eq!(world.end_of(id).await.error.unwrap().code, "spend_exceeded");
                echo.give_up(&task);
            } else {
                echo.succeed(&task);
            }
            assert_eq!(world.end_of(id).await.state, ends, "{on_exhausted:?}");
        });
    }
}

#[test]
fn edges_are_told_once_however_much_is_reported() {
    scene(async {
        let world = World::new().await;
        declare(&world, Some(ceiling())).await;
        let echo = world.ready(0, 1, 1);
        let told = ["spend.warning", "spend.exhausted"];
        for (reports, edges_so_far) in [(17, 1), (3, 2), (10, 2)] {
            for _ in 0..reports {
                world.handle.spent(says(&echo, None, 50, false));
            }
            let edges = edges(&world, edges_so_far).await;
            assert_eq!(edges, told[..edges_so_far]);
        }
        when(&world, "the sum", |it| it.used.cost_usd > 0.001_499).await;
        soon("the end", world.handle.drain(LONG)).await.unwrap();
        assert_eq!(edges(&world, 2).await, ["spend.warning", "spend.exhausted"]);
    });
}

#[test]
fn an_agent_whose_life_was_cut_has_spent_at_least_what_its_tasks_held() {
    scene(async {
        let world = World::new().await;
        declare(&world, Some(ceiling())).await;
        let mut echo = world.ready(0, 1, 2);
        world.at_rest().await;
        world.submit("echo").await;
        world.submit("echo").await;
        let (first, _second) = (echo.task().await, echo.task().await);
        world.handle.spent(says(&echo, Some(&first), 40, false));
        echo.die(&super::scene::crash());
        let view = when(&world, "what was held", |it| it.reserved.cost_usd == 0.0).await;
        assert!((view.used.cost_usd - 0.000_2).abs() < 1e-12, "{view:?}");
        assert!((view.used.presumed.cost_usd - 0.000_16).abs() < 1e-12);
    });
}

#[test]
fn a_new_life_of_the_dispatcher_goes_on_counting() {
    scene(async {
        let world = World::new().await;
        declare(&world, Some(ceiling())).await;
        let mut echo = world.ready(0, 1, 1);
        world.at_rest().await;
        world.handle.spent(says(&echo, None, 950, false));
        world.dispatcher.tell(super::faults::Explode).unwrap();
        world.handle.spent(says(&echo, None, 25, false));
        world.submit("echo").await;
        world.at_rest().await;
        assert!(echo.is_idle());
        soon("the end", world.handle.drain(LONG)).await.unwrap();
        let window = crate::domain::spend::Window::at(Per::Month, crate::clock::now());
        let stored = world.store.spend_window("echo".parse().unwrap(), window);
        assert_eq!(stored.await.unwrap().own.cost_micros, 975);
    });
}

#[test]
fn agents_without_a_ceiling_are_not_counted_and_not_held() {
    scene(async {
        let world = World::new().await;
        let mut echo = world.ready(0, 1, 1);
        world.at_rest().await;
        world.handle.spent(says(&echo, None, u64::MAX, false));
        let id = world.submit("echo").await.task.id;
        assert_eq!(echo.task().await.payload, json!({"n": 1}));
        assert_eq!(world.store.task_attempts(id).await.unwrap()[0].usage, None);
    });
}
