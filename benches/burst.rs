//! A burst: every actor of a group killed at once, beside bare tokio tasks that are caught and
//! spawned again; and a `one_for_all` restart of a whole group; on one arbiter and on a pool.
//!
//! `cargo bench --bench burst`. Read the ratios; absolute figures are the machine's.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark that cannot go on ends, and its subjects are meant to panic"
)]

#[path = "common/lives.rs"]
mod lives;

use std::time::Duration;

use agent_system::supervision::{ShutdownSpans, Strategy};
use lives::{Boom, bare, in_a_system, median, on_bare_tokio, ratio, supervise, until_lives};

const ROUNDS: usize = 5;
const MANY: u32 = 100_000;
const FEWER: u32 = 10_000;
const MEMBERS: u32 = 1_000;
const POOL: usize = 2;

/// No time for what waits, and enough to end.
const AT_ONCE: ShutdownSpans = ShutdownSpans {
    drain: Duration::ZERO,
    stop: Duration::from_secs(30),
};

/// Every actor of one large child is killed at once: until all are back.
fn burst(count: u32, arbiters: usize) -> Duration {
    in_a_system(async {
        let mut up = None;
        let start = || up = Some(supervise(Strategy::OneForOne, 1, count, arbiters));
        until_lives(count, start).await;
        let (tree, addresses) = up.unwrap();
        let kill = || addresses.iter().for_each(|one| one.tell(Boom).unwrap());
        let span = until_lives(count, kill).await;
        tree.shutdown(AT_ONCE).await.unwrap();
        span
    })
}

/// One of a thousand dies and all start afresh: until the last is back.
fn one_for_all(arbiters: usize) -> Duration {
    in_a_system(async {
        let mut up = None;
        let start = || up = Some(supervise(Strategy::OneForAll, MEMBERS, 1, arbiters));
        until_lives(MEMBERS, start).await;
        let (tree, addresses) = up.unwrap();
        let mut spans = Vec::new();
        for _ in 0..9 {
            let kill = || addresses[MEMBERS as usize / 2].tell(Boom).unwrap();
            spans.push(until_lives(MEMBERS, kill).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tree.shutdown(AT_ONCE).await.unwrap();
        median(spans)
    })
}

/// The same with tokio alone, on one thread.
fn burst_of_bare_tasks(count: u32) -> Duration {
    on_bare_tokio(async {
        let mut lines = None;
        until_lives(count, || lines = Some(bare(count))).await;
        let lines = lines.unwrap();
        let kill = || lines.lock().iter().for_each(|line| line.send(()).unwrap());
        until_lives(count, kill).await
    })
}

struct Round {
    bare: Duration,
    here: Duration,
    pool: Duration,
    fewer: Duration,
}

fn round() -> Round {
    Round {
        bare: burst_of_bare_tasks(MANY),
        here: burst(MANY, 0),
        pool: burst(MANY, POOL),
        fewer: burst(FEWER, 0),
    }
}

fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    let rounds: Vec<Round> = (0..ROUNDS).map(|_| round()).collect();
    for Round {
        bare, here, pool, ..
    } in &rounds
    {
        println!("burst of {MANY}: bare tokio {bare:?}, one arbiter {here:?}, pool {pool:?}");
    }
    let here = median(rounds.iter().map(|round| ratio(round.here, round.bare)));
    let pool = median(rounds.iter().map(|round| ratio(round.pool, round.bare)));
    let times = median(rounds.iter().map(|round| ratio(round.here, round.fewer)));
    println!("one arbiter to bare tokio: {here:.2} (at most 2)");
    println!("pool to bare tokio: {pool:.2} (at most 2.5)");
    println!("{MANY} to {FEWER}: {times:.1} times as long (10 is linear)");
    let (here, pool) = (one_for_all(0), one_for_all(POOL));
    println!("one_for_all of {MEMBERS}: one arbiter {here:?}, pool {pool:?}");
}
