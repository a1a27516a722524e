//! ractor. It tells a supervisor of deaths; to restart is the supervisor's own code, written here as
//! its examples write it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use ractor::rpc::CallResult;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};

use crate::lives::{self, ASKERS, FEWER, Figures, MANY, MESSAGES};

type Workers = Arc<Mutex<Vec<ActorRef<Do>>>>;

struct Worker;

enum Do {
    Boom,
    Add(u64),
    Sum(u64, RpcReplyPort<u64>),
}

impl Actor for Worker {
    type Msg = Do;
    type State = [u64; 4];
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Do>, (): ()) -> Result<[u64; 4], ActorProcessingErr> {
        lives::begins();
        Ok([0; 4])
    }

    async fn handle(
        &self,
        _: ActorRef<Do>,
        message: Do,
        state: &mut [u64; 4],
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Do::Boom => lives::boom(),
            Do::Add(more) => state[0] += more,
            Do::Sum(more, reply) => {
                state[0] += more;
                reply.send(state[0])?;
            }
        }
        Ok(())
    }
}

/// Supervises workers, one_for_one.
struct Boss;

struct Children {
    workers: Workers,
    index: HashMap<ActorId, usize>,
}

impl Actor for Boss {
    type Msg = ();
    type State = Children;
    type Arguments = (u32, Workers);

    async fn pre_start(
        &self,
        me: ActorRef<()>,
        (count, workers): (u32, Workers),
    ) -> Result<Children, ActorProcessingErr> {
        let mut index = HashMap::new();
        for nth in 0..count as usize {
            let (worker, _) = Actor::spawn_linked(None, Worker, (), me.get_cell()).await?;
            index.insert(worker.get_id(), nth);
            workers.lock().push(worker);
        }
        Ok(Children { workers, index })
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<()>,
        event: SupervisionEvent,
        state: &mut Children,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(who, _) = event
            && let Some(nth) = state.index.remove(&who.get_id())
        {
            let (worker, _) = Actor::spawn_linked(None, Worker, (), me.get_cell()).await?;
            state.index.insert(worker.get_id(), nth);
            state.workers.lock()[nth] = worker;
        }
        Ok(())
    }
}

async fn start(count: u32) -> Workers {
    let workers = Workers::default();
    let started = Actor::spawn(None, Boss, (count, workers.clone())).await;
    std::mem::forget(started.expect("a supervisor"));
    workers
}

fn kill(workers: &Workers, nth: usize) {
    workers.lock()[nth].send_message(Do::Boom).expect("room");
}

pub fn run(scenario: &str, threads: bool) -> Figures {
    let runtime = lives::runtime(threads);
    runtime.block_on(async {
        match scenario {
            "burst" => burst(MANY).await,
            "burst-10k" => burst(FEWER).await,
            "restart" => {
                let one = one().await;
                lives::restarts(async || kill(&one, 0)).await
            }
            "tell" => tell().await,
            "ask" => ask(1).await,
            "ask-64" => ask(ASKERS).await,
            _ => Vec::new(),
        }
    })
}

async fn burst(count: u32) -> Figures {
    let kill_all = async |workers: &Workers| (0..count as usize).for_each(|nth| kill(workers, nth));
    lives::weigh_and_burst(count, async || start(count).await, kill_all).await
}

async fn one() -> Workers {
    lives::want(1);
    let workers = start(1).await;
    lives::up().await;
    workers
}

async fn sum(one: &ActorRef<Do>, more: u64) -> u64 {
    match one.call(|reply| Do::Sum(more, reply), None).await {
        Ok(CallResult::Success(sum)) => sum,
        _ => panic!("no sum"),
    }
}

async fn tell() -> Figures {
    let one = one().await.lock()[0].clone();
    let begun = Instant::now();
    for _ in 0..MESSAGES {
        one.send_message(Do::Add(1)).expect("room");
    }
    assert_eq!(sum(&one, 0).await, MESSAGES);
    lives::rate(MESSAGES, begun)
}

async fn ask(askers: u64) -> Figures {
    let one = one().await.lock()[0].clone();
    let asker = |questions| {
        let one = one.clone();
        tokio::spawn(async move {
            for _ in 0..questions {
                sum(&one, 1).await;
            }
        })
    };
    lives::asking(askers, asker).await
}
