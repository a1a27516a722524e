//! What the tests watch: an actor that does as it is told, and a sink that remembers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::prelude::*;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::actors::life::{
    ChildFactory, Hosted, Life, LifeControl, LifeNote, LifeSink, Ready, Start,
};
use crate::actors::pool::Place;
use crate::actors::runner::{Address, AgentContext, Grant, HostedChild, exit_with, link};
use crate::domain::agent::InstanceId;
use crate::domain::exit::ExitReason;
use crate::domain::restart::{RestartRule, RestartType};

/// A deadline that is never reached unless something is broken.
pub(super) const LONG: Duration = Duration::from_secs(90);

/// Where a subject goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    Factory,
    FactoryRefuses,
    Started,
    Timer,
    Interval,
    Stream,
    Notify,
    Spawned,
    Stopping,
    Stopped,
    Drop,
}

pub(super) struct Subject {
    fault: Fault,
    pub(super) generation: u64,
    handled: Vec<u32>,
}

impl Drop for Subject {
    fn drop(&mut self) {
        assert!(self.fault != Fault::Drop, "in drop");
    }
}

impl Actor for Subject {
    type Context = AgentContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let soon = Duration::from_millis(1);
        match self.fault {
            Fault::Started => panic!("in started"),
            Fault::Timer => drop(ctx.run_later(soon, |_, _| panic!("in timer"))),
            Fault::Interval => drop(ctx.run_interval(soon, |_, _| panic!("in interval"))),
            Fault::Stream => drop(ctx.add_stream(futures_util::stream::iter([1u8]))),
            Fault::Notify => ctx.notify(Do::Panic),
            Fault::Spawned => {
                let spawned = async { panic!("in spawned") }.into_actor(self);
                ctx.spawn(spawned);
            }
            _ => {}
        }
    }

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        assert!(self.fault != Fault::Stopping, "in stopping");
        Running::Stop
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        assert!(self.fault != Fault::Stopped, "in stopped");
    }
}

impl Hosted for Subject {
    const MAILBOX: usize = 8;
}

impl StreamHandler<u8> for Subject {
    fn handle(&mut self, _: u8, _: &mut Self::Context) {
        panic!("in stream");
    }
}

/// Things to do on the spot.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) enum Do {
    Panic,
    PanicWith(u8),
    PanicWithEvil,
    Stop,
    Terminate,
    ExitWith(ExitReason),
    /// Take no message until this comes.
    WaitFor(oneshot::Receiver<()>),
    /// Panic after a while, as a future of the actor.
    PanicLater(oneshot::Sender<()>),
    /// Note a number.
    Note(u32),
    /// Hold the thread for so long.
    Spin(Duration),
    /// Send a note to this life, later.
    NoteInThisLife(Duration),
}

struct Evil;

impl Drop for Evil {
    fn drop(&mut self) {
        panic!("in the payload's drop");
    }
}

impl Handler<Do> for Subject {
    type Result = ();

    fn handle(&mut self, what: Do, ctx: &mut Self::Context) {
        match what {
            Do::Panic => panic!("in handler"),
            Do::PanicWith(payload) => std::panic::panic_any(payload),
            Do::PanicWithEvil => std::panic::panic_any(Evil),
            Do::Stop => ctx.stop(),
            Do::Terminate => ctx.terminate(),
            Do::ExitWith(reason) => exit_with(reason),
            Do::WaitFor(gate) => ctx.wait(
                async move { gate.await.ok() }
                    .into_actor(self)
                    .map(|_, _, _| ()),
            ),
            Do::PanicLater(begun) => {
                let later = async move {
                    begun.send(()).ok();
                    tokio::time::sleep(Duration::from_secs(3)).await;
                    panic!("from an earlier life");
                };
                ctx.spawn(later.into_actor(self));
            }
            Do::Note(number) => self.handled.push(number),
            Do::Spin(span) => {
                let begun = std::time::Instant::now();
                while begun.elapsed() < span {
                    std::hint::spin_loop();
                }
            }
            Do::NoteInThisLife(later) => {
                let me = ctx.me_in_this_life();
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(later).await;
                    me.tell(Do::Note(99)).ok();
                });
            }
        }
    }
}

/// Panics in a future beside the actor.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) enum Beside {
    Panic,
    Hang(oneshot::Sender<()>),
}

impl Handler<Beside> for Subject {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, what: Beside, _: &mut Self::Context) -> Self::Result {
        link(async move {
            tokio::task::yield_now().await;
            match what {
                Beside::Panic => panic!("in a linked future"),
                Beside::Hang(held) => {
                    let _held = held;
                    std::future::pending::<()>().await;
                }
            }
        })
    }
}

/// Panics in a future of the actor.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Within(pub(super) bool);

impl Handler<Within> for Subject {
    type Result = ActorResponse<Self, ()>;

    fn handle(&mut self, Within(alone): Within, _: &mut Self::Context) -> Self::Result {
        let future = async move {
            tokio::task::yield_now().await;
            if alone {
                panic!("alone");
            }
            panic!("in a future of the actor");
        };
        ActorResponse::r#async(future.into_actor(self))
    }
}

#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Atomically;

impl Handler<Atomically> for Subject {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, _: Atomically, _: &mut Self::Context) -> Self::Result {
        let future = async {
            tokio::task::yield_now().await;
            panic!("in an atomic response");
        };
        AtomicResponse::new(Box::pin(future.into_actor(self)))
    }
}

/// Which life this is, and what it has noted.
#[derive(Message)]
#[rtype(result = "(u64, Vec<u32>)")]
pub(super) struct Show;

impl Handler<Show> for Subject {
    type Result = MessageResult<Show>;

    fn handle(&mut self, _: Show, _: &mut Self::Context) -> Self::Result {
        MessageResult((self.generation, self.handled.clone()))
    }
}

/// Remembers what a life reported.
#[derive(Debug, Default)]
pub(super) struct Memory {
    readies: AtomicU64,
    exits: Mutex<Vec<(u64, ExitReason)>>,
    changed: tokio::sync::Notify,
}

impl Memory {
    /// The first ends, when there are so many.
    pub(super) async fn ends(&self, count: usize) -> Vec<(u64, ExitReason)> {
        loop {
            let exits = self.exits.lock().clone();
            if exits.len() >= count {
                return exits;
            }
            self.changed.notified().await;
        }
    }
}

impl LifeSink for Memory {
    fn ready(&self, _: &InstanceId, _: u64, _: Ready) {
        self.readies.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
    }

    fn noted(&self, _: &InstanceId, _: u64, _: LifeNote) {}

    fn exited(&self, _: &InstanceId, generation: u64, reason: ExitReason) {
        self.exits.lock().push((generation, reason));
        self.changed.notify_one();
    }
}

/// A subject with everything that one needs to watch it.
pub(super) struct Watched {
    pub(super) address: Address<Subject>,
    pub(super) control: Arc<dyn LifeControl>,
    pub(super) grant: Grant,
    pub(super) child: Arc<HostedChild<Subject>>,
    memory: Arc<Memory>,
}

impl Watched {
    /// Starts a subject that may be restarted in place `restarts` times.
    pub(super) fn start(fault: Fault, restarts: u32) -> Self {
        Self::start_on(Place::Here, fault, restarts)
    }

    pub(super) fn start_on(place: Place, fault: Fault, restarts: u32) -> Self {
        let memory = Arc::new(Memory::default());
        let rule = RestartRule {
            kind: RestartType::Permanent,
            fatal_exit_codes: Vec::new(),
        };
        let grant = Grant::new(Arc::new(rule), 1, restarts);
        let child = HostedChild::fallible(move |life| match fault {
            Fault::Factory => panic!("in factory"),
            Fault::FactoryRefuses => Err("no database".to_owned()),
            fault => Ok(Subject {
                fault,
                generation: life.generation,
                handled: Vec::new(),
            }),
        });
        let control = child.start(Start {
            life: life(memory.clone(), 1),
            grant: grant.clone(),
            place,
            keep_mail: true,
        });
        Self {
            address: child.address(0),
            control,
            grant,
            child,
            memory,
        }
    }

    /// Waits until `count` lives have ended, and gives their reasons.
    pub(super) async fn exits(&self, count: usize) -> Vec<(u64, ExitReason)> {
        tokio::time::timeout(LONG, self.memory.ends(count))
            .await
            .expect("the ends are reported")
    }

    /// The reason of the one end there is, after time for a second.
    pub(super) async fn only_exit(&self) -> ExitReason {
        self.exits(1).await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        let exits = self.memory.exits.lock().clone();
        assert_eq!(exits.len(), 1, "{exits:?}");
        exits[0].1.clone()
    }

    pub(super) fn readies(&self) -> u64 {
        self.memory.readies.load(Ordering::SeqCst)
    }

    pub(super) fn sink(&self) -> Arc<Memory> {
        self.memory.clone()
    }
}

pub(super) fn life(sink: Arc<Memory>, generation: u64) -> Life {
    Life {
        instance: InstanceId {
            agent: "subject".parse().unwrap(),
            index: 0,
        },
        generation,
        sink,
    }
}

/// Runs a claim on one thread under paused time.
pub(super) fn paused(claim: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, claim);
}
