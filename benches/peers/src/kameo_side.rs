//! kameo, with its own supervision (it restarts in place, at the same reference).

use std::time::{Duration, Instant};

use kameo::error::Infallible;
use kameo::mailbox;
use kameo::prelude::*;
use kameo::supervision::SupervisionStrategy;

use crate::lives::{self, ASKERS, FEWER, Figures, MANY, MEMBERS, MESSAGES};

/// A supervisor with a strategy.
struct Boss<const ALL: bool>;

impl<const ALL: bool> Actor for Boss<ALL> {
    type Args = ();
    type Error = Infallible;

    fn supervision_strategy() -> SupervisionStrategy {
        if ALL {
            SupervisionStrategy::OneForAll
        } else {
            SupervisionStrategy::OneForOne
        }
    }

    async fn on_start((): (), _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(Self)
    }
}

struct Worker([u64; 4]);

impl Actor for Worker {
    type Args = ();
    type Error = Infallible;

    async fn on_start((): (), _: ActorRef<Self>) -> Result<Self, Infallible> {
        lives::begins();
        Ok(Self([0; 4]))
    }
}

struct Boom;

impl Message<Boom> for Worker {
    type Reply = ();

    async fn handle(&mut self, _: Boom, _: &mut Context<Self, ()>) {
        lives::boom();
    }
}

struct Add(u64);

impl Message<Add> for Worker {
    type Reply = u64;

    async fn handle(&mut self, Add(more): Add, _: &mut Context<Self, u64>) -> u64 {
        self.0[0] += more;
        self.0[0]
    }
}

/// A supervisor with so many workers. It goes with the process.
async fn workers<const ALL: bool>(count: u32) -> Vec<ActorRef<Worker>> {
    let boss = Boss::<ALL>::spawn_with_mailbox((), mailbox::unbounded());
    let mut all = Vec::new();
    for _ in 0..count {
        let worker =
            Worker::supervise(&boss, ()).restart_limit(u32::MAX, Duration::from_secs(3_600));
        all.push(worker.spawn_with_mailbox(mailbox::unbounded()).await);
    }
    std::mem::forget(boss);
    all
}

async fn kill(worker: &ActorRef<Worker>) {
    worker.tell(Boom).try_send().expect("room");
}

pub fn run(scenario: &str, threads: bool) -> Figures {
    kameo::error::set_actor_error_hook(|_| {});
    let runtime = lives::runtime(threads);
    runtime.block_on(async {
        match scenario {
            "burst" => burst(MANY).await,
            "burst-10k" => burst(FEWER).await,
            "one-for-all" => {
                lives::want(MEMBERS);
                let all = workers::<true>(MEMBERS).await;
                lives::up().await;
                let middle = &all[MEMBERS as usize / 2];
                vec![("ms", lives::regroup(async || kill(middle).await).await)]
            }
            "restart" => {
                let one = one().await;
                lives::restarts(async || kill(&one).await).await
            }
            "tell" => tell().await,
            "ask" => ask(1).await,
            "ask-64" => ask(ASKERS).await,
            _ => Vec::new(),
        }
    })
}

async fn burst(count: u32) -> Figures {
    let kill_all = async |all: &Vec<ActorRef<Worker>>| {
        for one in all {
            kill(one).await;
        }
    };
    lives::weigh_and_burst(count, async || workers::<false>(count).await, kill_all).await
}

async fn one() -> ActorRef<Worker> {
    lives::want(1);
    let all = workers::<false>(1).await;
    lives::up().await;
    all[0].clone()
}

async fn tell() -> Figures {
    let one = one().await;
    let begun = Instant::now();
    for _ in 0..MESSAGES {
        one.tell(Add(1)).try_send().expect("room");
    }
    assert_eq!(one.ask(Add(0)).await.expect("a sum"), MESSAGES);
    lives::rate(MESSAGES, begun)
}

async fn ask(askers: u64) -> Figures {
    let one = one().await;
    let asker = |questions| {
        let one = one.clone();
        tokio::spawn(async move {
            for _ in 0..questions {
                one.ask(Add(1)).await.expect("a sum");
            }
        })
    };
    lives::asking(askers, asker).await
}
