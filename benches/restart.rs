//! How long it takes from a panic to the next life, beside a bare tokio task that is caught and
//! spawned again, in one run; and what an idle supervised actor weighs.
//!
//! `cargo bench --bench restart`. Read the ratios; absolute figures are the machine's.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that cannot go on ends, and its subjects are meant to panic"
)]

#[path = "common/lives.rs"]
mod lives;

use std::time::Duration;

use agent_system::supervision::Strategy;
use criterion::Criterion;
use lives::{Boom, in_a_system, median, on_bare_tokio, ratio, restarts, supervise, until_lives};

const ROUNDS: usize = 5;
const RESTARTS: usize = 4_000;
const IDLE: u32 = 100_000;

/// Restarts of a supervised actor, in place: on the caller's thread, or on a worker arbiter.
fn supervised(count: usize, arbiters: usize) -> Vec<Duration> {
    in_a_system(async {
        let mut up = None;
        let start = || up = Some(supervise(Strategy::OneForOne, 1, 1, arbiters));
        until_lives(1, start).await;
        let (_tree, addresses) = up.unwrap();
        restarts(count, || addresses[0].tell(Boom).unwrap()).await
    })
}

/// Restarts of a bare tokio task by another that waits for its end.
fn bare(count: usize) -> Vec<Duration> {
    on_bare_tokio(async {
        let mut lines = None;
        until_lives(1, || lines = Some(lives::bare(1))).await;
        let lines = lines.unwrap();
        restarts(count, || lines.lock()[0].send(()).unwrap()).await
    })
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

/// Resident bytes of one idle actor, of many.
fn idle_bytes() -> u64 {
    in_a_system(async {
        let before = resident_kib();
        let mut up = None;
        let start = || up = Some(supervise(Strategy::OneForOne, 1, IDLE, 0));
        until_lives(IDLE, start).await;
        let (tree, _addresses) = up.unwrap();
        // Answered behind every report of a life that is ready.
        tree.statuses().await.ok();
        (resident_kib() - before) * 1024 / u64::from(IDLE)
    })
}

fn p(spans: &[Duration], percent: usize) -> Duration {
    spans[spans.len() * percent / 100]
}

fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    let weight = idle_bytes();
    let rounds: Vec<[Vec<Duration>; 3]> = (0..ROUNDS)
        .map(|_| {
            [
                bare(RESTARTS),
                supervised(RESTARTS, 0),
                supervised(RESTARTS, 1),
            ]
        })
        .collect();
    for (nth, what) in ["bare tokio", "in place", "in place, worker arbiter"]
        .iter()
        .enumerate()
    {
        let [p50, p99] =
            [50, 99].map(|percent| median(rounds.iter().map(|round| p(&round[nth], percent))));
        println!("restart, {what}: p50 {p50:?}, p99 {p99:?}");
    }
    let of = |nth: usize| {
        median(
            rounds
                .iter()
                .map(|round| ratio(p(&round[nth], 50), p(&round[0], 50))),
        )
    };
    println!(
        "restart p50 to bare tokio: {:.2} (at most 2), worker arbiter {:.2}",
        of(1),
        of(2)
    );
    println!("idle supervised actor: {weight} bytes of {IDLE} (at most 2048)");

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("restart");
    let sum = |spans: Vec<Duration>| spans.into_iter().sum();
    group.bench_function("bare_tokio", |bench| {
        bench.iter_custom(|n| sum(bare(n as usize)))
    });
    group.bench_function("in_place", |bench| {
        bench.iter_custom(|n| sum(supervised(n as usize, 0)))
    });
    group.finish();
}
