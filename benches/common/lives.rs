//! What the benches of supervision share: a worker that may be told to panic, the tree above it, bare
//! tokio tasks that are caught and spawned again, and the counting and timing of lives.

#![allow(dead_code, reason = "each bench uses a part of it")]

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use actix::prelude::*;
use agent_system::supervision::{
    Address, AgentContext, Child, Group, Hosted, Intensity, Strategy, Supervisor, Tree,
};
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

static LIVES: AtomicU64 = AtomicU64::new(0);
static WANTED: AtomicU64 = AtomicU64::new(0);
static PANICKED: AtomicU64 = AtomicU64::new(0);
static BEGAN: AtomicU64 = AtomicU64::new(0);
static UP: Notify = Notify::const_new();

fn now() -> u64 {
    static EPOCH: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    u64::try_from(EPOCH.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn life_begins() {
    BEGAN.store(now(), SeqCst);
    if LIVES.fetch_add(1, SeqCst) + 1 == WANTED.load(SeqCst) {
        UP.notify_one();
    }
}

fn boom() -> ! {
    PANICKED.store(now(), SeqCst);
    panic!("boom")
}

/// Does `work` and waits for so many lives to begin.
pub(crate) async fn until_lives(count: u32, work: impl FnOnce()) -> Duration {
    WANTED.store(LIVES.load(SeqCst) + u64::from(count), SeqCst);
    let begun = Instant::now();
    work();
    // An earlier notice may be left over.
    while LIVES.load(SeqCst) < WANTED.load(SeqCst) {
        UP.notified().await;
    }
    begun.elapsed()
}

/// Throws panics one after the other; the spans to the lives that follow, sorted.
pub(crate) async fn restarts(count: usize, throw: impl Fn()) -> Vec<Duration> {
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count {
        until_lives(1, &throw).await;
        let span = BEGAN.load(SeqCst).saturating_sub(PANICKED.load(SeqCst));
        spans.push(Duration::from_nanos(span));
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
    }
    spans.sort_unstable();
    spans
}

/// A plain actor that panics when told to.
pub(crate) struct Worker {
    _state: [u64; 4],
}

impl Actor for Worker {
    type Context = AgentContext<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        life_begins();
    }
}

impl Hosted for Worker {}

/// Panic.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Boom;

impl Handler<Boom> for Worker {
    type Result = ();

    fn handle(&mut self, _: Boom, _: &mut Self::Context) {
        boom();
    }
}

/// Supervises `children` with so many replicas each, all in one group that never gives up.
pub(crate) fn supervise(
    strategy: Strategy,
    children: u32,
    replicas: u32,
    arbiters: usize,
) -> (Tree, Vec<Address<Worker>>) {
    let (mut all, mut addresses) = (Group::new("all").strategy(strategy), Vec::new());
    for nth in 0..children {
        let child = Child::new(format!("w{nth}"), |_| Worker { _state: [0; 4] });
        let child = child.backoff(Duration::ZERO, Duration::ZERO);
        addresses.extend((0..replicas).map(|index| child.address_of(index)));
        all = all.child(child.replicas(replicas));
    }
    let all = all.intensity(Intensity::Unlimited);
    let tree = Supervisor::new().arbiters(arbiters).group(all).start();
    (tree.unwrap(), addresses)
}

/// One system a measurement, so that none inherits what another left.
pub(crate) fn in_a_system<T>(work: impl Future<Output = T>) -> T {
    System::new().block_on(work)
}

/// The way to a bare task.
pub(crate) type Line = mpsc::UnboundedSender<()>;

fn spawn_bare(index: usize, ended: mpsc::UnboundedSender<usize>) -> Line {
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
            ended.send(index).ok();
        }
    });
    line
}

/// So many bare tasks, and one that spawns each again when it has panicked.
pub(crate) fn bare(count: u32) -> Arc<Mutex<Vec<Line>>> {
    let (ended, mut ends) = mpsc::unbounded_channel();
    let all = (0..count as usize).map(|index| spawn_bare(index, ended.clone()));
    let lines = Arc::new(Mutex::new(all.collect::<Vec<_>>()));
    let kept = lines.clone();
    tokio::spawn(async move {
        while let Some(index) = ends.recv().await {
            let again = spawn_bare(index, ended.clone());
            kept.lock()[index] = again;
        }
    });
    lines
}

/// A current-thread runtime with nothing else in it.
pub(crate) fn on_bare_tokio<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(work)
}

/// The value in the middle.
pub(crate) fn median<T: PartialOrd + Copy>(values: impl IntoIterator<Item = T>) -> T {
    let mut sorted: Vec<T> = values.into_iter().collect();
    sorted.sort_unstable_by(|one, other| one.partial_cmp(other).unwrap());
    sorted[sorted.len() / 2]
}

/// How many times as long.
pub(crate) fn ratio(span: Duration, to: Duration) -> f64 {
    span.as_secs_f64() / to.as_secs_f64()
}
