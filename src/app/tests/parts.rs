//! A part of the daemon dies: nothing that was acknowledged is lost, nothing is told twice, and what
//! cannot be kept up ends the daemon.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use super::{LONG, eventually, live_in};
use crate::actors::dispatcher::DispatcherHandle;
use crate::actors::journal::JournalHandle;
use crate::actors::supervisor::SupervisorHandle;
use crate::app::boot::House;
use crate::app::signals::Signals;
use crate::app::{Ending, stop};
use crate::clock;
use crate::domain::event::{Event, NewEvent};
use crate::domain::ids::TaskId;
use crate::domain::query::EventFilter;
use crate::domain::task::{NewTask, Target, TaskState};
use crate::http::Server;
use crate::persistence::Store;

/// Deaths that a budget bears.
const BORNE: usize = 3;
/// Tasks in each round, from so many submitters.
const ROUND: (usize, usize) = (40, 8);

/// Each submitter waits for its result before it hands in the next task; each must be told.
async fn work(dispatcher: &DispatcherHandle) {
    let mut submitters = JoinSet::new();
    for _ in 0..ROUND.1 {
        let dispatcher = dispatcher.clone();
        submitters.spawn(async move {
            for n in 0..ROUND.0 / ROUND.1 {
                let target = Target::Agent("echo".parse().unwrap());
                let id = TaskId::from_bytes(clock::new_id());
                let task = NewTask::plain(id, "echo".to_owned(), target, json!(n));
                let done = dispatcher.run_task(task, LONG).await.unwrap().task;
                assert_eq!((done.state, done.attempt), (TaskState::Succeeded, 1));
                assert_eq!(done.result, Some(json!(n)));
            }
        });
    }
    while let Some(ended) = submitters.join_next().await {
        ended.unwrap();
    }
}

/// Records facts, and knows them again.
struct Facts {
    journal: JournalHandle,
    heard: broadcast::Receiver<Arc<Event>>,
    recorded: usize,
}

impl Facts {
    fn of(house: &House) -> Self {
        Self {
            journal: house.journal.clone(),
            heard: house.journal.subscribe(),
            recorded: 0,
        }
    }

    fn record(&mut self, facts: usize) {
        for _ in 0..facts {
            self.journal.record(NewEvent {
                kind: "agent.resumed",
                subject: format!("fact#{}", self.recorded),
                at: clock::now(),
                data: json!({}),
            });
            self.recorded += 1;
        }
    }

    /// Each fact was told once, stored once, and in its order.
    async fn told_once(mut self, store: &Store) {
        let told = async {
            let mut told = Vec::new();
            while told.len() < self.recorded {
                let event = self.heard.recv().await.expect("no lag");
                if event.subject.starts_with("fact#") {
                    told.push(event.subject.clone());
                }
            }
            told
        };
        let told = tokio::time::timeout(LONG, told)
            .await
            .expect("all are told");
        let all: Vec<String> = (0..self.recorded).map(|n| format!("fact#{n}")).collect();
        assert_eq!(told, all);
        let filter = EventFilter {
            kinds: vec!["agent.resumed".to_owned()],
            ..EventFilter::default()
        };
        let rows = store.events(filter, 1_000).await.unwrap();
        let stored: Vec<String> = rows.into_iter().map(|event| event.subject).collect();
        assert_eq!(stored, all);
        while let Ok(event) = self.heard.try_recv() {
            assert!(!event.subject.starts_with("fact#"), "{event:?} comes again");
        }
    }
}

/// How often each part has begun a life.
async fn lives(tree: &SupervisorHandle, part: &str) -> Option<u64> {
    let status = tree.agent(&part.parse().unwrap()).await.unwrap();
    (status.replicas.ready == 1).then_some(status.generation)
}

/// A part is there in a life of this number.
async fn is_back(tree: &SupervisorHandle, part: &'static str, generation: u64) {
    eventually("the part is back", || {
        let tree = tree.clone();
        async move { (lives(&tree, part).await == Some(generation)).then_some(()) }.boxed()
    })
    .await;
}

/// The house works on through deaths of one part, and all callers are told.
fn works_through_deaths_of(part: &'static str) {
    let data = tempfile::tempdir().unwrap();
    live_in(data.path(), async |house| {
        let (tree, mut facts) = (house.inner.clone(), Facts::of(&house));
        for death in 1..=BORNE {
            facts.record(50);
            let dies = async {
                assert!(tree.explode_child(part).await);
                facts.record(50);
                is_back(&tree, part, 1 + death as u64).await;
            };
            tokio::join!(work(&house.dispatcher), dies);
        }
        work(&house.dispatcher).await;
        facts.told_once(&house.store).await;
        let reports = house.health.run(None).await.expect("a report");
        assert_eq!(reports.checks.len(), 3, "{reports:?}");
        assert_eq!(house.readiness.borrow().part_down, None);
        assert!(house.inner.escalated().now_or_never().is_none());
        assert_eq!(stop::close(house).await, Ending::Drained);
    });
}

#[test]
fn a_panic_of_the_journal_in_the_house_loses_no_fact_and_tells_none_twice() {
    works_through_deaths_of("journal");
}

#[test]
fn a_panic_of_the_persistence_actor_in_the_house_loses_nothing_acknowledged() {
    works_through_deaths_of("persistence");
}

#[test]
fn a_panic_of_the_dispatcher_in_the_house_leaves_no_caller_without_his_result() {
    works_through_deaths_of("dispatcher");
}

#[test]
fn a_panic_of_the_monitor_in_the_house_costs_no_report() {
    works_through_deaths_of("health");
}

#[test]
fn a_panic_of_the_healer_in_the_house_costs_nothing() {
    works_through_deaths_of("healer");
}

#[test]
fn a_panic_of_who_keeps_records_costs_nothing() {
    works_through_deaths_of("records");
}

/// The part dies as soon as it lives, again and again, by what `killer` makes.
fn ends_the_daemon<K: AsyncFn()>(part: &'static str, killer: impl FnOnce(&House) -> K) {
    let data = tempfile::tempdir().unwrap();
    let ending = live_in(data.path(), async |house| {
        let (kill, readiness) = (killer(&house), house.readiness.clone());
        let missed = tokio::spawn(async move {
            let mut seen = readiness.subscribe();
            let missed = seen.wait_for(|now| now.part_down == Some(part)).await;
            missed.map(drop).is_ok()
        });
        let killer = async {
            loop {
                kill().await;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let signals = Signals::listen().unwrap();
        let ending = tokio::select! {
            ending = tokio::time::timeout(LONG, stop::live(house, signals)) => ending,
            () = killer => unreachable!("it never ends"),
        };
        let missed = tokio::time::timeout(LONG, missed).await;
        assert!(missed.expect("readiness said so").unwrap());
        ending.expect("it ends")
    });
    assert_eq!((ending, ending.exit_code()), (Ending::GaveUp, 70));
}

/// The same, by a panic of the part's actor.
fn dying_ends_the_daemon(part: &'static str) {
    ends_the_daemon(part, |house| {
        let tree = house.inner.clone();
        async move || {
            tree.explode_child(part).await;
        }
    });
}

#[test]
fn a_panic_of_who_keeps_the_metrics_small_costs_nothing() {
    works_through_deaths_of("metrics");
}

#[test]
fn a_panic_of_retention_costs_nothing() {
    works_through_deaths_of("upkeep");
}

/// One part fails by itself, as often as a budget bears, and is back each time; `fail` also asks for
/// what it is there for.
fn is_back_after_each_failure(part: &'static str, fail: impl AsyncFn(&House)) {
    let data = tempfile::tempdir().unwrap();
    live_in(data.path(), async |house| {
        for death in 1..=BORNE {
            fail(&house).await;
            is_back(&house.inner, part, 1 + death as u64).await;
        }
        work(&house.dispatcher).await;
        assert!(house.inner.escalated().now_or_never().is_none());
        assert_eq!(stop::close(house).await, Ending::Drained);
    });
}

/// Asks over a connection of its own.
async fn ask(server: &Server, path: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(LONG, read).await.unwrap().unwrap();
    answer
}

#[test]
fn a_panic_of_who_takes_connections_leaves_no_port_deaf() {
    for (part, port, path) in [("api-port", 0, "/livez"), ("metrics-port", 1, "/metrics")] {
        is_back_after_each_failure(part, async |house| {
            let server = &house.servers[port];
            server.fail();
            for _ in 0..3 {
                let answer = ask(server, path).await;
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            }
        });
    }
}

#[test]
fn a_panic_of_the_launcher_is_a_death_of_its_part_and_ends_no_process() {
    is_back_after_each_failure("launcher", async |house| {
        house.reloader.launcher().fail().await;
    });
}

#[test]
fn a_port_that_nobody_can_serve_ends_the_daemon_with_70() {
    ends_the_daemon("api-port", |house| {
        let server = house.servers[0].clone();
        async move || {
            server.fail();
            // Brings who takes connections round, if there is one.
            TcpStream::connect(server.address()).await.ok();
        }
    });
}

#[test]
fn a_launcher_that_panics_again_and_again_ends_the_daemon_with_70() {
    ends_the_daemon("launcher", |house| {
        let launcher = house.reloader.launcher();
        async move || launcher.fail().await
    });
}

#[test]
fn a_journal_that_dies_again_and_again_ends_the_daemon_with_70() {
    dying_ends_the_daemon("journal");
}

#[test]
fn a_persistence_actor_that_dies_again_and_again_ends_the_daemon_with_70() {
    dying_ends_the_daemon("persistence");
}

#[test]
fn a_dispatcher_that_dies_again_and_again_ends_the_daemon_with_70() {
    dying_ends_the_daemon("dispatcher");
}

/// A supervisor panics.
fn ends_with(which: fn(&House) -> SupervisorHandle) {
    let data = tempfile::tempdir().unwrap();
    let ending = live_in(data.path(), async |house| {
        work(&house.dispatcher).await;
        which(&house).explode();
        let signals = Signals::listen().unwrap();
        tokio::time::timeout(LONG, stop::live(house, signals)).await
    });
    assert_eq!(ending.expect("it ends").exit_code(), 70);
}

#[test]
fn the_end_of_the_agents_supervisor_ends_the_daemon_with_70() {
    ends_with(|house| house.agents.clone());
}

#[test]
fn the_end_of_the_supervisor_of_the_daemons_own_actors_ends_it_with_70() {
    ends_with(|house| house.inner.clone());
}
