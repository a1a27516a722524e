//! agent-system, through its public face.

use std::time::{Duration, Instant};

use actix::prelude::*;
use agent_system::supervision::{
    Address, AgentContext, Child, Group, Hosted, Intensity, Strategy, Supervisor, Tree,
};

use crate::lives::{self, ASKERS, FEWER, Figures, MANY, MEMBERS, MESSAGES};

struct Worker([u64; 4]);

impl Actor for Worker {
    type Context = AgentContext<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        lives::begins();
    }
}

impl Hosted for Worker {
    const MAILBOX: usize = MESSAGES as usize + 1;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Boom;

impl Handler<Boom> for Worker {
    type Result = ();

    fn handle(&mut self, _: Boom, _: &mut Self::Context) {
        lives::boom();
    }
}

#[derive(Message)]
#[rtype(result = "u64")]
struct Add(u64);

impl Handler<Add> for Worker {
    type Result = u64;

    fn handle(&mut self, Add(more): Add, _: &mut Self::Context) -> u64 {
        self.0[0] += more;
        self.0[0]
    }
}

fn worker(name: String, replicas: u32) -> Child<Worker> {
    Child::new(name, |_| Worker([0; 4]))
        .replicas(replicas)
        .backoff(Duration::ZERO, Duration::ZERO)
}

/// Supervises so many replicas of one child, or so many children.
fn tree(
    strategy: Strategy,
    children: u32,
    replicas: u32,
    arbiters: usize,
) -> (Tree, Vec<Address<Worker>>) {
    let mut all = Group::new("all")
        .strategy(strategy)
        .intensity(Intensity::Unlimited);
    let mut addresses = Vec::new();
    for nth in 0..children {
        let child = worker(format!("w{nth}"), replicas);
        addresses.extend((0..replicas).map(|index| child.address_of(index)));
        all = all.child(child);
    }
    let tree = Supervisor::new().arbiters(arbiters).group(all).start();
    (tree.expect("a tree"), addresses)
}

pub fn run(scenario: &str, arbiters: usize) -> Figures {
    System::new().block_on(async {
        match scenario {
            "burst" => burst(MANY, arbiters).await,
            "burst-10k" => burst(FEWER, arbiters).await,
            "one-for-all" => one_for_all(arbiters).await,
            "restart" => restart(arbiters).await,
            "tell" => tell().await,
            "ask" => ask(1).await,
            "ask-64" => ask(ASKERS).await,
            _ => Vec::new(),
        }
    })
}

async fn burst(count: u32, arbiters: usize) -> Figures {
    lives::weigh_and_burst(
        count,
        async || tree(Strategy::OneForOne, 1, count, arbiters),
        async |(_, addresses)| {
            for one in addresses {
                one.tell(Boom).expect("room");
            }
        },
    )
    .await
}

async fn one_for_all(arbiters: usize) -> Figures {
    lives::want(MEMBERS);
    let (_tree, addresses) = tree(Strategy::OneForAll, MEMBERS, 1, arbiters);
    lives::up().await;
    let middle = &addresses[MEMBERS as usize / 2];
    vec![(
        "ms",
        lives::regroup(async || middle.tell(Boom).expect("room")).await,
    )]
}

async fn one(arbiters: usize) -> (Tree, Address<Worker>) {
    lives::want(1);
    let (tree, addresses) = tree(Strategy::OneForOne, 1, 1, arbiters);
    lives::up().await;
    (tree, addresses[0].clone())
}

async fn restart(arbiters: usize) -> Figures {
    let (_tree, address) = one(arbiters.min(1)).await;
    lives::restarts(async || address.tell(Boom).expect("room")).await
}

async fn tell() -> Figures {
    let (_tree, address) = one(0).await;
    let begun = Instant::now();
    for _ in 0..MESSAGES {
        address.tell(Add(1)).expect("room");
    }
    let sum = address.ask(Add(0), Duration::from_secs(60)).await;
    assert_eq!(sum, Ok(MESSAGES));
    lives::rate(MESSAGES, begun)
}

async fn ask(askers: u64) -> Figures {
    let (_tree, address) = one(0).await;
    let asker = |questions| {
        let address = address.clone();
        actix_rt::spawn(async move {
            for _ in 0..questions {
                address
                    .ask(Add(1), Duration::from_secs(60))
                    .await
                    .expect("a sum");
            }
        })
    };
    lives::asking(askers, asker).await
}
