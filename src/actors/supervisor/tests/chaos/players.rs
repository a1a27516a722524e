//! Children of the real runner that do as they are told: die in every way, hang, disobey.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::prelude::*;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::book::Book;
use crate::actors::life::{
    ChildFactory, Evidence, Hosted, Life, LifeControl, LifeNote, LifeSink, Ready, Start,
};
use crate::actors::probes::{Answer, Prober, Question};
use crate::actors::runner::{AgentContext, HostedChild, link};
use crate::actors::supervisor::tests::listeners::Port;
use crate::domain::agent::InstanceId;
use crate::domain::exit::ExitReason;

/// How a life begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begins {
    AtOnce,
    After(Duration),
    Never,
    Fails,
    Panics,
}

/// How an agent's lives behave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Temper {
    pub(super) begins: Begins,
    /// Does nothing when told to stop.
    pub(super) ignores_stop: bool,
    /// Ends by itself when told to drain.
    pub(super) drains: bool,
}

impl Temper {
    pub(super) const GOOD: Self = Self {
        begins: Begins::AtOnce,
        ignores_stop: false,
        drains: true,
    };
}

/// What the agents' services are to a probe: fine, away, or silent until the question's time is up.
#[derive(Debug, Default)]
pub(super) struct Services(Mutex<(bool, bool)>);

impl Services {
    pub(super) fn are(&self, away: bool, silent: bool) {
        *self.0.lock() = (away, silent);
    }
}

impl Prober for Services {
    fn ask(&self, question: Question) -> BoxFuture<'static, Answer> {
        let (away, silent) = *self.0.lock();
        Box::pin(async move {
            if silent {
                tokio::time::sleep(question.timeout).await;
            }
            if away { Err("away".to_owned()) } else { Ok(()) }
        })
    }
}

/// What a life is made to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Panic,
    PanicInTimer,
    PanicInLinked,
    Error,
    Exit(i32),
    Signal {
        signal: i32,
        oom: bool,
    },
    End,
    /// Waits for ever: handles nothing, answers nothing.
    Hang,
    /// Answers no ping.
    Mute,
}

#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Do(pub(super) Act);

/// One life.
pub(super) struct Player {
    life: Life,
    temper: Temper,
    book: Book,
    mute: bool,
    unanswered: Vec<oneshot::Sender<Evidence>>,
}

impl Player {
    fn ready(&self) {
        self.life.ready(Ready {
            port: Some(Arc::new(Port)),
            ..Ready::default()
        });
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.book.died(&self.life.instance, self.life.generation);
    }
}

impl Actor for Player {
    type Context = AgentContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        match self.temper.begins {
            Begins::AtOnce => self.ready(),
            Begins::After(span) => {
                ctx.run_later(span, |player, _| player.ready());
            }
            Begins::Panics => panic!("in started, as told"),
            Begins::Never | Begins::Fails => {}
        }
    }
}

impl Hosted for Player {
    const READY_AT_START: bool = false;

    fn drain(&mut self, _: Duration, ctx: &mut AgentContext<Self>) {
        if self.temper.drains {
            ctx.stop_when_idle();
        }
    }

    fn stop(&mut self, ctx: &mut AgentContext<Self>) {
        if !self.temper.ignores_stop {
            ctx.stop();
        }
    }

    fn probe(&mut self, answer: oneshot::Sender<Evidence>, _: &mut AgentContext<Self>) {
        if self.mute {
            self.unanswered.push(answer);
        } else {
            drop(answer.send(Evidence::default()));
        }
    }
}

impl Handler<Do> for Player {
    type Result = ();

    fn handle(&mut self, Do(act): Do, ctx: &mut AgentContext<Self>) {
        match act {
            Act::Panic => panic!("as told"),
            Act::PanicInTimer => {
                ctx.run_later(Duration::from_millis(1), |_, _| panic!("in a timer"));
            }
            Act::PanicInLinked => drop(actix_rt::spawn(link(async { panic!("in a link") }))),
            Act::Error => ctx.exit_with(ExitReason::Error {
                message: "as told".to_owned(),
            }),
            Act::Exit(code) => ctx.exit_with(ExitReason::ExitCode { code }),
            Act::Signal { signal, oom } => ctx.exit_with(ExitReason::Signal { signal, oom }),
            Act::End => ctx.stop(),
            Act::Hang => ctx.wait(std::future::pending::<()>().into_actor(self)),
            Act::Mute => self.mute = true,
        }
    }
}

/// Makes the lives of one agent, and writes down what becomes of them.
#[derive(Debug)]
pub(super) struct Troupe {
    pub(super) host: Arc<HostedChild<Player>>,
    book: Book,
}

impl Troupe {
    pub(super) fn new(book: &Book) -> Arc<Self> {
        let lives = book.clone();
        let host = HostedChild::fallible(move |life: &Life| {
            let temper = lives.temper(&life.instance.agent);
            if temper.begins == Begins::Fails {
                return Err("no life, as told".to_owned());
            }
            lives.born(&life.instance, life.generation);
            Ok(Player {
                life: life.clone(),
                temper,
                book: lives.clone(),
                mute: false,
                unanswered: Vec::new(),
            })
        });
        Arc::new(Self {
            host,
            book: book.clone(),
        })
    }
}

impl ChildFactory for Troupe {
    fn start(&self, mut start: Start) -> Arc<dyn LifeControl> {
        let instance = start.life.instance.clone();
        let sink = start.life.sink.clone();
        self.book.started(&instance, start.life.generation);
        start.life.sink = Arc::new(Witness {
            sink: sink.clone(),
            book: self.book.clone(),
        });
        let reins = Arc::new(Reins {
            instance: instance.clone(),
            book: self.book.clone(),
            sink,
            control: self.host.start(start),
            blocked: AtomicBool::new(false),
            withheld: Mutex::default(),
        });
        self.book.holds(instance, reins.clone());
        reins
    }

    fn close(&self, instance: &InstanceId) {
        self.host.close(instance);
    }
}

/// Hears what the runner reports before the supervisor does.
#[derive(Debug)]
struct Witness {
    sink: Arc<dyn LifeSink>,
    book: Book,
}

impl LifeSink for Witness {
    fn ready(&self, instance: &InstanceId, generation: u64, ready: Ready) {
        self.book.ready(instance, generation);
        self.sink.ready(instance, generation, ready);
    }
    fn noted(&self, instance: &InstanceId, generation: u64, note: LifeNote) {
        self.sink.noted(instance, generation, note);
    }
    fn exited(&self, instance: &InstanceId, generation: u64, reason: ExitReason) {
        self.book.exited(instance, generation);
        self.sink.exited(instance, generation, reason);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Drain(Duration),
    Stop,
    Kill,
}

/// The supervisor's hold on a runner. While its thread is blocked, no order gets through.
#[derive(Debug)]
pub(super) struct Reins {
    instance: InstanceId,
    book: Book,
    sink: Arc<dyn LifeSink>,
    control: Arc<dyn LifeControl>,
    blocked: AtomicBool,
    withheld: Mutex<Vec<Told>>,
}

impl Reins {
    pub(super) fn block(&self) {
        self.blocked.store(true, Ordering::Release);
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Acquire)
    }

    pub(super) fn unblock(&self) {
        self.blocked.store(false, Ordering::Release);
        let withheld = std::mem::take(&mut *self.withheld.lock());
        withheld.into_iter().for_each(|told| self.pass(told));
    }

    /// Reports an end that was reported long ago, past the witness's eyes.
    pub(super) fn report_again(&self, generation: u64) {
        let reason = ExitReason::Killed;
        self.sink.exited(&self.instance, generation, reason);
    }

    fn pass(&self, told: Told) {
        match told {
            Told::Drain(at_most) => self.control.drain(at_most),
            Told::Stop => self.control.stop(),
            Told::Kill => self.control.kill(),
        }
    }

    fn tell(&self, told: Told) {
        self.book.told(&self.instance, told);
        if self.is_blocked() {
            self.withheld.lock().push(told);
        } else {
            self.pass(told);
        }
    }
}

impl LifeControl for Reins {
    fn drain(&self, at_most: Duration) {
        self.tell(Told::Drain(at_most));
    }
    fn stop(&self) {
        self.tell(Told::Stop);
    }
    fn kill(&self) {
        self.tell(Told::Kill);
    }
    fn probe(&self) -> oneshot::Receiver<Evidence> {
        if self.is_blocked() {
            let (answer, waiting) = oneshot::channel();
            // Nobody answers, but nobody is gone.
            std::mem::forget(answer);
            return waiting;
        }
        self.control.probe()
    }
    fn mailbox_depth(&self) -> usize {
        self.control.mailbox_depth()
    }
}
