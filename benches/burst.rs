//! A burst: every actor of a group killed at once, beside bare tokio tasks that are caught and
//! spawned again; and a `one_for_all` restart of a whole group; on one arbiter and on a pool.
//!
//! `cargo bench --bench burst`. Read the ratios; absolute figures are the machine's.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that cannot go on ends, and its subjects are meant to panic"
)]

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix::prelude::*;
use agent_system::actors::life::Hosted;
use agent_system::actors::pool::Pool;
use agent_system::actors::runner::{Address, AgentContext, HostedChild};
use agent_system::actors::supervisor::{Child, Plan, SupervisorHandle, start};
use agent_system::domain::agent::{AgentProgram, AgentSpec, OnStall, ProbePolicy, StopPolicy};
use agent_system::domain::restart::{GroupSpec, Intensity, RestartPolicy, Strategy};
use futures_util::FutureExt;
use tokio::sync::{Notify, mpsc};

const ROUNDS: usize = 5;
const MANY: u32 = 100_000;
const FEWER: u32 = 10_000;
const MEMBERS: u32 = 1_000;

static LIVES: AtomicU64 = AtomicU64::new(0);
static WANTED: AtomicU64 = AtomicU64::new(0);
static UP: Notify = Notify::const_new();

fn life_begins() {
    if LIVES.fetch_add(1, Ordering::SeqCst) + 1 == WANTED.load(Ordering::SeqCst) {
        UP.notify_one();
    }
}

/// Does `work` and waits for so many lives to begin.
async fn until_lives(count: u32, work: impl FnOnce()) -> Duration {
    WANTED.store(
        LIVES.load(Ordering::SeqCst) + u64::from(count),
        Ordering::SeqCst,
    );
    let begun = Instant::now();
    work();
    UP.notified().await;
    begun.elapsed()
}

struct Worker {
    _state: [u64; 4],
}

impl Actor for Worker {
    type Context = AgentContext<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        life_begins();
    }
}

impl Hosted for Worker {}

#[derive(Message)]
#[rtype(result = "()")]
struct Boom;

impl Handler<Boom> for Worker {
    type Result = ();

    fn handle(&mut self, _: Boom, _: &mut Self::Context) {
        panic!("boom");
    }
}

fn spec(name: &str, replicas: u32) -> AgentSpec {
    AgentSpec {
        name: name.parse().unwrap(),
        runs: AgentProgram::Actor {
            actor: "worker".to_owned(),
            settings: serde_json::Value::Null,
        },
        role: None,
        group: Some("all".parse().unwrap()),
        replicas,
        critical: false,
        restart: RestartPolicy {
            min_backoff: Duration::ZERO,
            ..RestartPolicy::default()
        },
        depends_on: BTreeMap::new(),
        probes: Default::default(),
        concurrency: 1,
        queue: "default".parse().unwrap(),
        stall_timeout: Duration::from_secs(120),
        on_stall: OnStall::Report,
        stop: StopPolicy {
            drain_timeout: Duration::ZERO,
            signal: 15,
            timeout: Duration::from_secs(8),
        },
        start_timeout: Duration::from_secs(30),
        liveness: ProbePolicy {
            enabled: false,
            period: Duration::from_secs(10),
            timeout: Duration::from_secs(3),
            failure_threshold: 3,
            success_threshold: 1,
        },
        labels: BTreeMap::new(),
    }
}

fn group(strategy: Strategy) -> GroupSpec {
    GroupSpec {
        strategy,
        intensity: Intensity::Unlimited,
        ..GroupSpec::alone("all".parse().unwrap())
    }
}

/// Supervises these agents, all in one group.
fn supervise(
    strategy: Strategy,
    agents: &[(String, u32)],
    pool: Option<Arc<Pool>>,
) -> (SupervisorHandle, Vec<Address<Worker>>) {
    let (mut children, mut addresses) = (Vec::new(), Vec::new());
    for (name, replicas) in agents {
        let host = HostedChild::new(|_| Worker { _state: [0; 4] });
        addresses.extend((0..*replicas).map(|index| host.address(index)));
        children.push(Child {
            spec: spec(name, *replicas),
            factory: host,
            record: None,
        });
    }
    let plan = Plan {
        groups: vec![group(strategy)],
        children,
        pool,
        ..Plan::default()
    };
    (start(plan).unwrap(), addresses)
}

/// One system a measurement, so that none inherits what another left.
fn in_a_system<T>(pooled: bool, work: impl AsyncFnOnce(Option<Arc<Pool>>) -> T) -> T {
    actix::System::new().block_on(async {
        let pool = pooled.then(|| Pool::start(2));
        let measured = work(pool.clone()).await;
        if let Some(pool) = pool {
            pool.stop();
        }
        measured
    })
}

/// Every actor of one large agent is killed at once: until all are back.
fn burst(count: u32, pooled: bool) -> Duration {
    in_a_system(pooled, async |pool| {
        let mut up = None;
        let agents = [("worker".to_owned(), count)];
        until_lives(count, || {
            up = Some(supervise(Strategy::OneForOne, &agents, pool))
        })
        .await;
        let (_handle, addresses) = up.unwrap();
        let kill = || addresses.iter().for_each(|one| one.tell(Boom).unwrap());
        until_lives(count, kill).await
    })
}

/// One of a thousand dies and all start afresh: until the last is back.
fn one_for_all(pooled: bool) -> Duration {
    in_a_system(pooled, async |pool| {
        let mut up = None;
        let agents: Vec<_> = (0..MEMBERS).map(|nth| (format!("w{nth}"), 1)).collect();
        until_lives(MEMBERS, || {
            up = Some(supervise(Strategy::OneForAll, &agents, pool))
        })
        .await;
        let (_handle, addresses) = up.unwrap();
        let mut spans = Vec::new();
        for _ in 0..9 {
            let kill = || addresses[MEMBERS as usize / 2].tell(Boom).unwrap();
            spans.push(until_lives(MEMBERS, kill).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        median(spans)
    })
}

type Line = mpsc::UnboundedSender<()>;

fn spawn_bare(index: usize, ended: mpsc::UnboundedSender<usize>) -> Line {
    let (line, mut told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let life = async move {
            let _state = [0_u64; 4];
            life_begins();
            if told.recv().await.is_some() {
                panic!("boom");
            }
        };
        if AssertUnwindSafe(life).catch_unwind().await.is_err() {
            ended.send(index).ok();
        }
    });
    line
}

/// The same with tokio alone, on one thread.
fn bare(count: u32) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let (ended, mut ends) = mpsc::unbounded_channel();
        let lines = Arc::new(parking_lot::Mutex::new(Vec::new()));
        until_lives(count, || {
            let all = (0..count as usize).map(|index| spawn_bare(index, ended.clone()));
            lines.lock().extend(all);
        })
        .await;
        let kept = lines.clone();
        tokio::spawn(async move {
            while let Some(index) = ends.recv().await {
                let again = spawn_bare(index, ended.clone());
                kept.lock()[index] = again;
            }
        });
        let kill = || {
            lines
                .lock()
                .iter()
                .for_each(|line: &Line| line.send(()).unwrap())
        };
        until_lives(count, kill).await
    })
}

fn median(mut spans: Vec<Duration>) -> Duration {
    spans.sort_unstable();
    spans[spans.len() / 2]
}

fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    let rounds: Vec<[Duration; 4]> = (0..ROUNDS)
        .map(|_| {
            [
                bare(MANY),
                burst(MANY, false),
                burst(MANY, true),
                burst(FEWER, false),
            ]
        })
        .collect();
    let of = |nth: usize| median(rounds.iter().map(|round| round[nth]).collect());
    let (bare, here, pool, fewer) = (of(0), of(1), of(2), of(3));
    let ratio = |span: Duration, to: Duration| span.as_secs_f64() / to.as_secs_f64();
    println!("burst of {MANY}: bare tokio {bare:?}, one arbiter {here:?}, pool {pool:?}");
    println!(
        "one arbiter to bare tokio: {:.2} (at most 2)",
        ratio(here, bare)
    );
    println!("pool to bare tokio: {:.2} (at most 2.5)", ratio(pool, bare));
    println!(
        "{MANY} to {FEWER}: {:.1} times as long (10 is linear)",
        ratio(here, fewer)
    );
    println!(
        "one_for_all of {MEMBERS}: one arbiter {:?}, pool {:?}",
        one_for_all(false),
        one_for_all(true)
    );
}
