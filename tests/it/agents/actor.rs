//! Claims about agents in Rust.

use std::cell::Cell;
use std::rc::Rc;

use agent_system::actors::agent::{Agent, Failure, Registry, Scope, child_factory};
use agent_system::actors::work::{AgentOutcome, TaskFrame};
use agent_system::domain::agent::AgentProgram;
use agent_system::domain::exit::ExitReason;
use agent_system::domain::name::Name;
use agent_system::domain::spend::Usage;
use serde::Deserialize;
use serde_json::{Value, json};

use super::rig::{LONG, Rig, failed_with, output, spec, task};

/// The trace of a task that reports.
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Does what it is told; its state is not `Send`.
struct Subject {
    count: Rc<Cell<u32>>,
    refuses: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    Count,
    Fail(String),
    Panic,
    PanicElsewhere,
    UntilCancelled,
    Report(Name),
    Spend(u64),
}

impl Agent for Subject {
    type Input = Order;
    type Output = Value;

    fn start(&mut self) -> impl Future<Output = Result<(), Failure>> + 'static {
        let refuses = self.refuses;
        async move {
            if refuses {
                return Err(Failure::fatal("no database"));
            }
            Ok(())
        }
    }

    fn task(
        &mut self,
        order: Order,
        scope: Scope,
    ) -> impl Future<Output = Result<Value, Failure>> + 'static {
        let count = self.count.clone();
        async move {
            match order {
                Order::Count => {
                    count.set(count.get() + 1);
                    Ok(json!(count.get()))
                }
                Order::Fail(why) => {
                    // Any error becomes a failure.
                    why.parse::<u32>()?;
                    Ok(Value::Null)
                }
                Order::Panic => panic!("as told"),
                Order::PanicElsewhere => scope.blocking(|_| panic!("on another thread")).await,
                Order::UntilCancelled => {
                    scope.cancelled().await;
                    assert!(scope.is_cancelled());
                    Err(Failure::fatal("gave up"))
                }
                Order::Report(to) => {
                    scope.progress(140.0, "done");
                    scope.message(to.clone(), "event", json!(1));
                    scope.submit_to_agent(to, json!(2));
                    assert_eq!(scope.traceparent(), TRACE.parse().ok());
                    Ok(json!(scope.attempt()))
                }
                Order::Spend(tokens) => {
                    scope.spent(Usage {
                        output_tokens: Some(tokens),
                        ..Usage::default()
                    });
                    Ok(Value::Null)
                }
            }
        }
    }
}

fn subject(settings: Value, restarts: u32) -> Rig {
    let registry = Registry::default().register("subject", |seed| {
        Ok(Subject {
            count: Rc::default(),
            refuses: seed.settings["refuses"] == true,
        })
    });
    let runs = AgentProgram::Actor {
        actor: "subject".into(),
        settings,
    };
    Rig::start_with(runs, registry, restarts)
}

#[actix_rt::test]
async fn a_task_is_typed_both_ways_and_the_state_lasts_for_a_life() {
    let rig = subject(Value::Null, 0);
    assert_eq!(output(rig.run(json!("count")).await), json!(1));
    assert_eq!(output(rig.run(json!("count")).await), json!(2));
    assert_eq!(
        failed_with(&rig.run(json!({"fail": "x"})).await),
        ("failed".into(), true)
    );
    let (code, retryable) = failed_with(&rig.run(json!("dance")).await);
    assert_eq!((code.as_str(), retryable), ("invalid_payload", false));
    assert_eq!(rig.probe().await.unwrap().errors, 2);
}

#[actix_rt::test]
async fn a_panic_in_one_task_ends_the_life_with_its_text_and_place_and_the_next_is_fresh() {
    for (order, text) in [
        ("panic", "as told"),
        ("panic_elsewhere", "on another thread"),
    ] {
        let rig = subject(Value::Null, 1);
        assert_eq!(output(rig.run(json!("count")).await), json!(1));
        let port = rig.port().await;
        let held = task(json!("until_cancelled"));
        port.assign(held).unwrap();
        port.assign(task(json!(order))).unwrap();
        let ExitReason::Panic { message, place } = rig.exit().await else {
            panic!("{:?}", rig.memory);
        };
        assert!(message.contains(text), "{message}");
        assert!(place.contains(".rs:"), "{place}");
        assert!(port.assign(task(json!("count"))).is_err());
        let next = rig.ready_of(2).await.port.unwrap();
        let count = task(json!("count"));
        let id = count.id;
        next.assign(count).unwrap();
        assert_eq!(output(rig.settled(id).await), json!(1));
        // What it held is not settled: its lease goes back.
        assert_eq!(rig.memory.settled.lock().len(), 2);
    }
}

#[actix_rt::test]
async fn several_tasks_run_at_once_and_one_is_cancelled_alone() {
    let rig = subject(Value::Null, 0);
    let port = rig.port().await;
    let (one, two) = (
        task(json!("until_cancelled")),
        task(json!("until_cancelled")),
    );
    let (first, second) = (one.id, two.id);
    port.assign(one).unwrap();
    port.assign(two).unwrap();
    assert_eq!(output(rig.run(json!("count")).await), json!(1));
    assert_eq!(rig.probe().await.unwrap().open_tasks.len(), 2);
    port.cancel(first, "not needed");
    assert_eq!(rig.settled(first).await, AgentOutcome::Cancelled);
    let open = rig.probe().await.unwrap().open_tasks;
    assert_eq!((open.len(), open[0].id), (1, second));
}

#[actix_rt::test]
async fn a_drain_ends_the_life_when_the_last_task_is_done() {
    let rig = subject(Value::Null, 0);
    let held = task(json!("until_cancelled"));
    let id = held.id;
    let port = rig.port().await;
    port.assign(held).unwrap();
    rig.control.drain(LONG);
    assert!(rig.probe().await.is_some());
    assert!(rig.memory.exits.lock().is_empty());
    port.cancel(id, "not needed");
    assert_eq!(rig.exit().await, ExitReason::Shutdown);
}

#[actix_rt::test]
async fn a_start_hook_that_fails_is_a_failed_start() {
    let rig = subject(json!({"refuses": true}), 0);
    let message = "no database".to_owned();
    assert_eq!(rig.exit().await, ExitReason::StartFailed { message });
    assert!(rig.memory.ready.lock().is_empty());
}

#[actix_rt::test]
async fn a_task_reports_through_its_scope() {
    let rig = subject(Value::Null, 0);
    let task = TaskFrame {
        traceparent: TRACE.parse().ok(),
        ..task(json!({"report": "other"}))
    };
    let id = task.id;
    rig.port().await.assign(task).unwrap();
    assert_eq!(output(rig.settled(id).await), json!(1));
    assert_eq!(rig.memory.progress.lock()[0].1, Some(100.0));
    assert_eq!(rig.memory.messages.lock()[0].content, json!(1));
    let submitted = &rig.memory.submitted.lock()[0];
    assert_eq!(submitted.payload, json!(2));
    assert_eq!(submitted.traceparent, TRACE.parse().ok());
}

#[actix_rt::test]
async fn a_task_says_through_its_scope_what_it_has_spent() {
    let rig = subject(Value::Null, 0);
    let task = task(json!({"spend": 12}));
    let of = Some((task.id, task.lease_id));
    let id = task.id;
    rig.port().await.assign(task).unwrap();
    rig.settled(id).await;
    let spent = rig.memory.spent.lock()[0].clone();
    assert_eq!((spent.of, spent.usage.output_tokens), (of, Some(12)));
    assert_eq!(spent.usage.cost_micros, None);
}

#[actix_rt::test]
async fn an_actor_that_nobody_registered_is_refused_with_the_names_there_are() {
    let rig = subject(Value::Null, 0);
    let mut environment = rig.environment.clone();
    environment.registry = Registry::built_in();
    let wrong = spec(AgentProgram::Actor {
        actor: "word_cuont".into(),
        settings: Value::Null,
    });
    let error = child_factory(&wrong, &environment).unwrap_err().to_string();
    let expected = "agent 'subject': unknown actor 'word_cuont', did you mean 'word_count'?; known: word_count";
    assert_eq!(error, expected);
}
