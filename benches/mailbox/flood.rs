//! What a flood of one actor does to its neighbours: from a message's sending to its handling, on the
//! flooded arbiter and on another, with the flood and under an equal load without it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use actix::prelude::*;
use agent_system::supervision::{
    Address, AgentContext, Child, Hosted, ShutdownSpans, Supervisor, TellError, Tree,
};
use parking_lot::Mutex;

const ROUNDS: usize = 5;
const MESSAGES: u32 = 1_000_000;
const WORK: Duration = Duration::from_micros(2);
const EVERY: Duration = Duration::from_millis(1);

fn work(span: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < span {
        std::hint::spin_loop();
    }
}

/// Handles messages of 2 µs each; 1,000 may wait.
struct Flooded;

impl Actor for Flooded {
    type Context = AgentContext<Self>;
}

impl Hosted for Flooded {}

#[derive(Message)]
#[rtype(result = "()")]
struct Chore;

impl Handler<Chore> for Flooded {
    type Result = ();

    fn handle(&mut self, _: Chore, _: &mut Self::Context) {
        work(WORK);
    }
}

type Spans = Arc<Mutex<Vec<Duration>>>;

/// Notes how long messages were on their way.
struct Neighbour(Spans);

impl Actor for Neighbour {
    type Context = AgentContext<Self>;
}

impl Hosted for Neighbour {}

#[derive(Message)]
#[rtype(result = "()")]
struct SentAt(Instant);

impl Handler<SentAt> for Neighbour {
    type Result = ();

    fn handle(&mut self, SentAt(at): SentAt, _: &mut Self::Context) {
        self.0.lock().push(at.elapsed());
    }
}

struct Street {
    tree: Tree,
    flooded: Address<Flooded>,
    neighbours: [(Address<Neighbour>, Spans); 2],
}

/// Two arbiters, taken in turns: the first neighbour is on the other one, the second beside.
fn street() -> Street {
    let flooded = Child::new("flooded", |_| Flooded);
    let address = flooded.address();
    let mut supervisor = Supervisor::new().arbiters(2).child(flooded);
    let neighbours = ["elsewhere", "beside"].map(|name| {
        let spans = Spans::default();
        let noted = spans.clone();
        let child = Child::new(name, move |_| Neighbour(noted.clone()));
        (child, spans)
    });
    let neighbours = neighbours.map(|(child, spans)| {
        let address = child.address();
        supervisor = std::mem::take(&mut supervisor).child(child);
        (address, spans)
    });
    Street {
        tree: supervisor.start().unwrap(),
        flooded: address,
        neighbours,
    }
}

/// Keeps the mailbox full until so many messages were taken in.
async fn flood(one: Address<Flooded>) {
    let mut left = MESSAGES;
    while left > 0 {
        match one.tell(Chore) {
            Ok(()) => left -= 1,
            // Refused at once, and not taken in: the sender decides what to do.
            Err(TellError::Full) => tokio::time::sleep(EVERY).await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// As much work as the flood, on a thread that no actor lives on.
async fn equal_load() {
    let load = tokio::task::spawn_blocking(|| work(WORK * MESSAGES));
    load.await.unwrap();
}

/// How long messages were on their way to a neighbour.
#[derive(Debug, Clone, Copy)]
struct Delay {
    p50: Duration,
    p99: Duration,
}

/// The delays to both neighbours, elsewhere and beside, under the flood or an equal load.
async fn delays(flooded: bool) -> [Delay; 2] {
    let street = street();
    let over = Arc::new(AtomicBool::new(false));
    let (ends, one) = (over.clone(), street.flooded.clone());
    actix_rt::spawn(async move {
        if flooded {
            flood(one).await
        } else {
            equal_load().await
        }
        ends.store(true, Relaxed);
    });
    while !over.load(Relaxed) {
        for (neighbour, _) in &street.neighbours {
            neighbour.tell(SentAt(Instant::now())).unwrap();
        }
        tokio::time::sleep(EVERY).await;
    }
    street
        .tree
        .shutdown(ShutdownSpans::default())
        .await
        .unwrap();
    street.neighbours.map(|(_, spans)| {
        let mut spans = spans.lock().clone();
        spans.sort_unstable();
        let at = |percent: usize| spans[spans.len() * percent / 100];
        Delay {
            p50: at(50),
            p99: at(99),
        }
    })
}

fn resident_kib() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4
}

/// Prints what there is.
pub(crate) fn measure() {
    let before = resident_kib();
    let round = |_| [false, true].map(|flooded| System::new().block_on(delays(flooded)));
    let rounds: Vec<[[Delay; 2]; 2]> = (0..ROUNDS).map(round).collect();
    for [[quiet_there, quiet_beside], [there, beside]] in &rounds {
        println!("beside the flood {beside:?}, without it {quiet_beside:?}");
        println!("elsewhere {there:?}, without it {quiet_there:?}");
    }
    let of = |pick: fn(&[[Delay; 2]; 2]) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(pick).collect();
        values.sort_unstable_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let p50 = of(|[_, flood]| flood[1].p50.as_secs_f64() * 1e3);
    let p99 = of(|[_, flood]| flood[1].p99.as_secs_f64() * 1e3);
    let times = of(|[quiet, flood]| flood[0].p99.as_secs_f64() / quiet[0].p99.as_secs_f64());
    println!("flood: neighbour beside p50 {p50:.2} ms, p99 {p99:.2} ms (at most 1)");
    println!(
        "flood: neighbour elsewhere p99 {times:.2} times that under an equal load (at most 2)"
    );
    let grown = resident_kib().saturating_sub(before);
    println!("flood: memory grew by {grown} KiB");
}
