//! What every side shares: counting lives, timing panics and starts, memory, medians.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub const MANY: u32 = 100_000;
pub const FEWER: u32 = 10_000;
pub const MEMBERS: u32 = 1_000;
pub const RESTARTS: usize = 4_000;
pub const MESSAGES: u64 = 1_000_000;
pub const QUESTIONS: u64 = 200_000;
pub const ASKERS: u64 = 64;

static LIVES: AtomicU64 = AtomicU64::new(0);
static WANTED: AtomicU64 = AtomicU64::new(0);
static PANICKED: AtomicU64 = AtomicU64::new(0);
static BEGAN: AtomicU64 = AtomicU64::new(0);
static UP: Notify = Notify::const_new();

pub type Figures = Vec<(&'static str, f64)>;

fn now() -> u64 {
    static EPOCH: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    EPOCH.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Called where a life begins.
pub fn begins() {
    BEGAN.store(now(), SeqCst);
    if LIVES.fetch_add(1, SeqCst) + 1 == WANTED.load(SeqCst) {
        UP.notify_one();
    }
}

/// Called where a life ends by a panic.
pub fn boom() -> ! {
    PANICKED.store(now(), SeqCst);
    panic!("boom")
}

/// So many lives more are wanted from here on.
pub fn want(count: u32) {
    WANTED.store(LIVES.load(SeqCst) + u64::from(count), SeqCst);
}

/// Waits until they are there.
pub async fn up() {
    // An earlier notice may be left over.
    while LIVES.load(SeqCst) < WANTED.load(SeqCst) {
        UP.notified().await;
    }
}

/// How long it takes from the kill of so many until all are back, in milliseconds.
pub async fn burst(count: u32, kill: impl AsyncFnOnce()) -> f64 {
    want(count);
    let begun = Instant::now();
    kill().await;
    up().await;
    begun.elapsed().as_secs_f64() * 1e3
}

/// Restarts of one, one after the other: from the panic to the next life, p50 and p99.
pub async fn restarts(throw: impl AsyncFn()) -> Figures {
    let mut spans = Vec::with_capacity(RESTARTS);
    for _ in 0..RESTARTS {
        want(1);
        throw().await;
        up().await;
        spans.push(BEGAN.load(SeqCst).saturating_sub(PANICKED.load(SeqCst)) as f64 / 1e3);
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
    }
    // The first tenth warms up.
    let mut spans = spans.split_off(RESTARTS / 10);
    spans.sort_unstable_by(f64::total_cmp);
    vec![
        ("p50_us", spans[spans.len() / 2]),
        ("p99_us", spans[spans.len() * 99 / 100]),
    ]
}

/// One `one_for_all` restart: the median of nine, in milliseconds.
pub async fn regroup(kill: impl AsyncFn()) -> f64 {
    let mut spans = Vec::new();
    for _ in 0..9 {
        spans.push(burst(MEMBERS, || kill()).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    crate::table::median(&spans)
}

/// So many askers at the same time, each one question after the other; `asker` spawns one of them.
pub async fn asking(askers: u64, asker: impl Fn(u64) -> JoinHandle<()>) -> Figures {
    let begun = Instant::now();
    let all: Vec<JoinHandle<()>> = (0..askers).map(|_| asker(QUESTIONS / askers)).collect();
    for asker in all {
        asker.await.expect("an end");
    }
    rate(QUESTIONS, begun)
}

/// How many of `count` there were a second.
pub fn rate(count: u64, begun: Instant) -> Figures {
    vec![("per_s", count as f64 / begun.elapsed().as_secs_f64())]
}

/// Resident memory of this process, bytes.
pub fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4096.0
}

/// Starts many, weighs them, kills them all.
pub async fn weigh_and_burst<T>(
    count: u32,
    start: impl AsyncFnOnce() -> T,
    kill: impl AsyncFnOnce(&T),
) -> Figures {
    let before = resident();
    want(count);
    let started = start().await;
    up().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let bytes = (resident() - before) / f64::from(count);
    let ms = burst(count, async || kill(&started).await).await;
    vec![("ms", ms), ("bytes", bytes)]
}

/// A tokio runtime of one thread or of two.
pub fn runtime(threads: bool) -> tokio::runtime::Runtime {
    let mut builder = if threads {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    if threads {
        builder.worker_threads(2);
    }
    builder.enable_all().build().expect("a runtime")
}
