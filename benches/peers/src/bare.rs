//! What the frameworks stand on: tokio tasks that are caught and spawned again, and actix without
//! supervision.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use actix::prelude::*;
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::lives::{self, ASKERS, FEWER, Figures, MANY, MESSAGES};

type Line = mpsc::UnboundedSender<()>;
type Lines = Arc<Mutex<Vec<Line>>>;

fn spawn(index: usize, ended: mpsc::UnboundedSender<usize>) -> Line {
    let (line, mut told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let life = async move {
            let _state = [0_u64; 4];
            lives::begins();
            if told.recv().await.is_some() {
                lives::boom();
            }
        };
        if AssertUnwindSafe(life).catch_unwind().await.is_err() {
            ended.send(index).ok();
        }
    });
    line
}

/// So many tasks, and one that spawns them again.
fn tasks(count: u32) -> Lines {
    let (ended, mut ends) = mpsc::unbounded_channel();
    let all = (0..count as usize).map(|index| spawn(index, ended.clone()));
    let lines: Lines = Arc::new(Mutex::new(all.collect()));
    let kept = lines.clone();
    tokio::spawn(async move {
        while let Some(index) = ends.recv().await {
            let again = spawn(index, ended.clone());
            kept.lock()[index] = again;
        }
    });
    lines
}

pub fn run(scenario: &str) -> Figures {
    match scenario {
        "burst" => lives::runtime(false).block_on(burst(MANY)),
        "burst-10k" => lives::runtime(false).block_on(burst(FEWER)),
        "restart" => lives::runtime(false).block_on(async {
            lives::want(1);
            let lines = tasks(1);
            lives::up().await;
            lives::restarts(async || lines.lock()[0].send(()).expect("room")).await
        }),
        "tell" => System::new().block_on(tell()),
        "ask" => System::new().block_on(ask(1)),
        "ask-64" => System::new().block_on(ask(ASKERS)),
        _ => Vec::new(),
    }
}

async fn burst(count: u32) -> Figures {
    let kill = async |lines: &Lines| {
        lines
            .lock()
            .iter()
            .for_each(|line| line.send(()).expect("room"))
    };
    lives::weigh_and_burst(count, async || tasks(count), kill).await
}

struct Worker([u64; 4]);

impl Actor for Worker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MESSAGES as usize + 1);
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

async fn one() -> Addr<Worker> {
    let one = Worker([0; 4]).start();
    one.send(Add(0)).await.expect("a sum");
    one
}

async fn tell() -> Figures {
    let one = one().await;
    let begun = Instant::now();
    for _ in 0..MESSAGES {
        one.try_send(Add(1)).expect("room");
    }
    assert_eq!(one.send(Add(0)).await.expect("a sum"), MESSAGES);
    lives::rate(MESSAGES, begun)
}

async fn ask(askers: u64) -> Figures {
    let one = one().await;
    let asker = |questions| {
        let one = one.clone();
        actix_rt::spawn(async move {
            for _ in 0..questions {
                one.send(Add(1)).await.expect("a sum");
            }
        })
    };
    lives::asking(askers, asker).await
}
