//! The whole chain with real actors: supervisor, runner, pool, watchdog.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::script::{paused, spec};
use crate::actors::life::Hosted;
use crate::actors::pool::Pool;
use crate::actors::runner::{AgentContext, AskError, HostedChild};
use crate::actors::supervisor::{Child, Plan, SupervisorHandle, start};
use crate::domain::agent::AgentState;

const LONG: Duration = Duration::from_secs(90);

struct Counter {
    generation: u64,
    count: u32,
}

impl Actor for Counter {
    type Context = AgentContext<Self>;
}

impl Hosted for Counter {}

#[derive(Message)]
#[rtype(result = "(u64, u32)")]
enum Count {
    Up,
    Panic,
    Block(Arc<std::sync::Barrier>),
}

impl Handler<Count> for Counter {
    type Result = MessageResult<Count>;

    fn handle(&mut self, what: Count, _: &mut Self::Context) -> Self::Result {
        match what {
            Count::Up => self.count += 1,
            Count::Panic => panic!("as told"),
            Count::Block(barrier) => drop(barrier.wait()),
        }
        MessageResult((self.generation, self.count))
    }
}

fn counters() -> Arc<HostedChild<Counter>> {
    HostedChild::new(|life| Counter {
        generation: life.generation,
        count: 0,
    })
}

fn supervise(
    names: &[&str],
    counters: &BTreeMap<String, Arc<HostedChild<Counter>>>,
    pool: Option<Arc<Pool>>,
) -> SupervisorHandle {
    let children = names.iter().map(|name| Child {
        spec: spec(name),
        factory: counters[*name].clone(),
        record: None,
    });
    start(Plan {
        children: children.collect(),
        pool,
        ..Plan::default()
    })
    .unwrap()
}

#[test]
fn a_panicked_actor_is_back_with_fresh_state_at_the_same_address() {
    paused(async {
        let child = counters();
        let hosts = BTreeMap::from([("counter".to_owned(), child.clone())]);
        let handle = supervise(&["counter"], &hosts, None);
        let address = child.address(0);
        assert_eq!(address.ask(Count::Up, LONG).await, Ok((1, 1)));
        assert_eq!(address.ask(Count::Panic, LONG).await, Err(AskError::Died));
        assert_eq!(address.ask(Count::Up, LONG).await, Ok((2, 1)));
        let status = handle.agent(&"counter".parse().unwrap()).await.unwrap();
        assert_eq!((status.generation, status.restarts.total), (2, 1));
        let said = status.restarts.last_reason.unwrap();
        assert!(
            said.contains("as told") && said.contains("tests/library.rs"),
            "{said}"
        );
        handle.stop("counter".parse().unwrap()).await.unwrap();
        let gone = address.ask(Count::Up, LONG).await;
        assert_eq!(gone, Err(AskError::Closed));
    });
}

fn system() -> actix::SystemRunner {
    actix::System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap()
    })
}

#[test]
fn an_agent_whose_handlers_hold_two_threads_is_quarantined_and_its_neighbour_serves_on() {
    system().block_on(async {
        let names = ["a", "b"];
        let hosts: BTreeMap<_, _> = names
            .iter()
            .map(|name| ((*name).to_owned(), counters()))
            .collect();
        let pool = Pool::start(1);
        let handle = supervise(&names, &hosts, Some(pool.clone()));
        let barrier = Arc::new(std::sync::Barrier::new(3));
        let neighbour = hosts["b"].address(0);
        for life in 1..=2 {
            let block = Count::Block(barrier.clone());
            hosts["a"].address(0).tell(block).unwrap();
            neighbour.tell(Count::Up).unwrap();
            let served = neighbour.ask(Count::Up, LONG).await.unwrap();
            assert_eq!(served, (life + 1, 2));
        }
        let status = handle.agent(&"a".parse().unwrap()).await.unwrap();
        assert_eq!(status.state, AgentState::Quarantined, "{status:?}");
        let standing = handle.standing(&"a".parse().unwrap()).await.unwrap();
        let why = standing.replicas[0].why.unwrap();
        assert_eq!(why, "its handlers hold as many threads as they may");
        let neighbour = handle.agent(&"b".parse().unwrap()).await.unwrap();
        assert_eq!(
            (neighbour.restarts.total, neighbour.restarts.window),
            (2, 0)
        );
        assert_eq!(pool.abandoned(), 2);
        barrier.wait();
        pool.stop();
    });
}

#[test]
fn a_blocked_arbiter_is_replaced_and_everybody_on_it_serves_again() {
    let system = system();
    system.block_on(async {
        let names = ["a", "b", "c", "d"];
        let hosts: BTreeMap<_, _> = names
            .iter()
            .map(|name| ((*name).to_owned(), counters()))
            .collect();
        let pool = Pool::start(2);
        let handle = supervise(&names, &hosts, Some(pool.clone()));
        for name in names {
            assert_eq!(
                hosts[name].address(0).ask(Count::Up, LONG).await,
                Ok((1, 1))
            );
        }
        let barrier = Arc::new(std::sync::Barrier::new(2));
        hosts["a"]
            .address(0)
            .tell(Count::Block(barrier.clone()))
            .unwrap();
        let mut served = BTreeMap::new();
        for name in names {
            let address = hosts[name].address(0);
            address.tell(Count::Up).unwrap();
            served.insert(name, address.ask(Count::Up, LONG).await.unwrap());
        }
        // "c" shares the arbiter of "a": what waited for it is handled by its next life.
        let wanted = [("a", (2, 2)), ("b", (1, 3)), ("c", (2, 2)), ("d", (1, 3))];
        assert_eq!(served, BTreeMap::from(wanted));
        let agents = handle.agents().await.unwrap();
        let reasons: Vec<_> = agents
            .iter()
            .map(|a| a.restarts.last_reason.clone())
            .collect();
        assert!(
            reasons[0].as_ref().unwrap().starts_with("stuck for"),
            "{reasons:?}"
        );
        assert_eq!(reasons[2].as_deref(), Some("its thread was written off"));
        assert_eq!((reasons[1].as_ref(), pool.abandoned()), (None, 1));
        barrier.wait();
        pool.stop();
    });
}
