//! How long it takes from a panic to the next life, beside a bare tokio task that is caught and
//! spawned again, in one run; and what an idle supervised actor weighs.
//!
//! `cargo bench --bench restart`. Read the ratios; absolute figures are the machine's.

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
use agent_system::actors::runner::{Address, AgentContext, HostedChild};
use agent_system::actors::supervisor::{Child, Plan, SupervisorHandle, start};
use agent_system::domain::agent::{AgentProgram, AgentSpec, OnStall, ProbePolicy, StopPolicy};
use agent_system::domain::restart::{GroupSpec, Intensity, RestartPolicy};
use criterion::Criterion;
use futures_util::FutureExt;
use tokio::sync::{Notify, mpsc};

const ROUNDS: usize = 5;
const RESTARTS: usize = 4_000;
const IDLE: u32 = 100_000;

/// When the last panic was thrown, and when the life after it began.
static PANICKED: AtomicU64 = AtomicU64::new(0);
static BEGAN: AtomicU64 = AtomicU64::new(0);
static LIVES: AtomicU64 = AtomicU64::new(0);
static UP: Notify = Notify::const_new();

fn now() -> u64 {
    static EPOCH: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    u64::try_from(EPOCH.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn life_begins() {
    BEGAN.store(now(), Ordering::SeqCst);
    LIVES.fetch_add(1, Ordering::SeqCst);
    UP.notify_one();
}

fn boom() -> ! {
    PANICKED.store(now(), Ordering::SeqCst);
    panic!("boom")
}

async fn lives(count: u64) {
    while LIVES.load(Ordering::SeqCst) < count {
        UP.notified().await;
    }
}

/// Throws `count` panics, one after the other; the spans to the lives that follow.
async fn spans(count: usize, throw: impl Fn()) -> Vec<Duration> {
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count {
        let next = LIVES.load(Ordering::SeqCst) + 1;
        throw();
        lives(next).await;
        let span = BEGAN
            .load(Ordering::SeqCst)
            .saturating_sub(PANICKED.load(Ordering::SeqCst));
        spans.push(Duration::from_nanos(span));
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
    }
    spans
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
        boom();
    }
}

fn spec(replicas: u32) -> AgentSpec {
    AgentSpec {
        name: "worker".parse().unwrap(),
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
        probes: Default::default(),
        labels: BTreeMap::new(),
    }
}

/// Supervises so many workers on this thread.
fn supervise(replicas: u32) -> (SupervisorHandle, Arc<HostedChild<Worker>>) {
    let host = HostedChild::new(|_| Worker { _state: [0; 4] });
    let group = GroupSpec {
        intensity: Intensity::Unlimited,
        ..GroupSpec::alone("all".parse().unwrap())
    };
    let child = Child {
        spec: spec(replicas),
        factory: host.clone(),
        record: None,
    };
    let plan = Plan {
        groups: vec![group],
        children: vec![child],
        ..Plan::default()
    };
    (start(plan).unwrap(), host)
}

fn on_one_thread<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

/// Restarts of a supervised actor, in place.
fn supervised(count: usize) -> Vec<Duration> {
    on_one_thread(async {
        let before = LIVES.load(Ordering::SeqCst);
        let (_handle, host) = supervise(1);
        let address: Address<Worker> = host.address(0);
        lives(before + 1).await;
        spans(count, || address.tell(Boom).unwrap()).await
    })
}

type Lines = Arc<parking_lot::Mutex<mpsc::UnboundedSender<()>>>;

fn spawn_bare(ended: mpsc::UnboundedSender<()>) -> mpsc::UnboundedSender<()> {
    let (line, mut told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let life = async move {
            let _state = [0_u64; 4];
            life_begins();
            if told.recv().await.is_some() {
                boom();
            }
        };
        if AssertUnwindSafe(life).catch_unwind().await.is_err() {
            ended.send(()).ok();
        }
    });
    line
}

/// Restarts of a bare tokio task by another that waits for its end.
fn bare(count: usize) -> Vec<Duration> {
    on_one_thread(async {
        let before = LIVES.load(Ordering::SeqCst);
        let (ended, mut ends) = mpsc::unbounded_channel();
        let line: Lines = Arc::new(parking_lot::Mutex::new(spawn_bare(ended.clone())));
        let (kept, again) = (line.clone(), ended);
        tokio::spawn(async move {
            while ends.recv().await.is_some() {
                *kept.lock() = spawn_bare(again.clone());
            }
        });
        lives(before + 1).await;
        spans(count, || line.lock().send(()).unwrap()).await
    })
}

fn median(mut spans: Vec<Duration>) -> Duration {
    spans.sort_unstable();
    spans[spans.len() / 2]
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}

/// Resident bytes of each of many idle supervised actors: state, context, mailbox, task, and the
/// supervisor's own record.
fn idle_bytes() -> u64 {
    on_one_thread(async {
        let before = (resident_bytes(), LIVES.load(Ordering::SeqCst));
        let (_handle, host) = supervise(IDLE);
        lives(before.1 + u64::from(IDLE)).await;
        let addresses: Vec<_> = (0..IDLE).map(|index| host.address(index)).collect();
        let weight = (resident_bytes() - before.0) / u64::from(IDLE);
        drop(addresses);
        weight
    })
}

fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    let weight = idle_bytes();
    let rounds: Vec<(Duration, Duration)> = (0..ROUNDS)
        .map(|_| (median(bare(RESTARTS)), median(supervised(RESTARTS))))
        .collect();
    let of =
        |pick: fn(&(Duration, Duration)) -> Duration| median(rounds.iter().map(pick).collect());
    let (bare_p50, supervised_p50) = (of(|round| round.0), of(|round| round.1));
    let ratio = supervised_p50.as_secs_f64() / bare_p50.as_secs_f64();
    println!("restart p50: bare tokio {bare_p50:?}, supervised in place {supervised_p50:?}");
    println!("restart p50 ratio: {ratio:.2} (at most 2)");
    println!("idle supervised actor: {weight} bytes of {IDLE} (at most 2048)");

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("restart");
    let sum = |spans: Vec<Duration>| spans.into_iter().sum();
    group.bench_function("bare_tokio", |bench| {
        bench.iter_custom(|n| sum(bare(n as usize)))
    });
    group.bench_function("in_place", |bench| {
        bench.iter_custom(|n| sum(supervised(n as usize)))
    });
    group.finish();
}
