//! Messages a second: told, and asked with a deadline, of a supervised actor and of a bare one.

use std::time::{Duration, Instant};

use actix::prelude::*;
use agent_system::supervision::{Address, AgentContext, Child, Hosted, Supervisor, Tree};
use tokio::task::JoinHandle;

const ROUNDS: usize = 7;
const MESSAGES: u64 = 1_000_000;
const QUESTIONS: u64 = 200_000;
const DEADLINE: Duration = Duration::from_secs(60);

struct Counter<const SUPERVISED: bool>(u64);

impl Actor for Counter<true> {
    type Context = AgentContext<Self>;
}

impl Hosted for Counter<true> {
    const MAILBOX: usize = MESSAGES as usize + 1;
}

impl Actor for Counter<false> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MESSAGES as usize + 1);
    }
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Add(u64);

impl<const SUPERVISED: bool> Handler<Add> for Counter<SUPERVISED>
where
    Self: Actor,
{
    type Result = u64;

    fn handle(&mut self, Add(more): Add, _: &mut Self::Context) -> u64 {
        self.0 += more;
        self.0
    }
}

fn supervised() -> (Tree, Address<Counter<true>>) {
    let child = Child::new("counter", |_| Counter(0));
    let address = child.address();
    let tree = Supervisor::new().arbiters(0).child(child).start().unwrap();
    (tree, address)
}

fn rate(count: u64, begun: Instant) -> f64 {
    count as f64 / begun.elapsed().as_secs_f64()
}

async fn tell() -> f64 {
    let (_tree, one) = supervised();
    one.ask(Add(0), DEADLINE).await.unwrap();
    let begun = Instant::now();
    (0..MESSAGES).for_each(|_| one.tell(Add(1)).unwrap());
    assert_eq!(one.ask(Add(0), DEADLINE).await, Ok(MESSAGES));
    rate(MESSAGES, begun)
}

async fn bare_tell() -> f64 {
    let one = Counter::<false>(0).start();
    one.send(Add(0)).await.unwrap();
    let begun = Instant::now();
    (0..MESSAGES).for_each(|_| one.try_send(Add(1)).unwrap());
    assert_eq!(one.send(Add(0)).await.unwrap(), MESSAGES);
    rate(MESSAGES, begun)
}

/// So many ask at the same time, each one question after the other through one address: what it costs to
/// clone that is not measured.
async fn asking(askers: u64, asker: impl Fn(u64) -> JoinHandle<()>) -> f64 {
    let begun = Instant::now();
    let all: Vec<JoinHandle<()>> = (0..askers).map(|_| asker(QUESTIONS / askers)).collect();
    for asker in all {
        asker.await.unwrap();
    }
    rate(QUESTIONS, begun)
}

async fn ask(askers: u64) -> f64 {
    let (_tree, one) = supervised();
    let asker = |questions| {
        let one = one.clone();
        actix_rt::spawn(async move {
            for _ in 0..questions {
                one.ask(Add(1), DEADLINE).await.unwrap();
            }
        })
    };
    asking(askers, asker).await
}

async fn bare_ask(askers: u64) -> f64 {
    let one = Counter::<false>(0).start();
    let asker = |questions| {
        let one = one.clone();
        actix_rt::spawn(async move {
            for _ in 0..questions {
                one.send(Add(1)).await.unwrap();
            }
        })
    };
    asking(askers, asker).await
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Rounds of both in turns; the medians, and the median of the ratios.
fn beside(what: &str, bar: &str, ours: impl AsyncFn() -> f64, bare: impl AsyncFn() -> f64) {
    let round = |_| {
        let theirs = System::new().block_on(bare());
        (System::new().block_on(ours()), theirs)
    };
    let rounds: Vec<(f64, f64)> = (0..ROUNDS).map(round).collect();
    let of = |pick: fn(&(f64, f64)) -> f64| median(rounds.iter().map(pick).collect());
    let (ours, bare, ratio) = (of(|r| r.0), of(|r| r.1), of(|r| r.0 / r.1));
    println!("{what}: supervised {ours:.0}/s, bare actix {bare:.0}/s, ratio {ratio:.2}{bar}");
}

/// Prints what there is.
pub(crate) fn measure() {
    beside("tell", "", tell, bare_tell);
    let bar = " (at least 0.75)";
    beside(
        "ask, one at a time",
        bar,
        async || ask(1).await,
        async || bare_ask(1).await,
    );
    beside(
        "ask, 64 at a time",
        bar,
        async || ask(64).await,
        async || bare_ask(64).await,
    );
}
