//! Agents that are child processes, in any language.
//!
//! ```text
//! supervisor ─▶ ProcessAgent (on an arbiter: orders, evidence)
//!                  │ leash: told, killed          ▲ how it ended
//!                  ▼                              │
//!               Session (on the daemon's runtime: one process, its pipes, its end)
//!                  │ lines                        ▲ frames
//!                  ▼                              │
//!               Talk ◀─────────── TaskPort ── dispatcher
//! ```
//!
//! Rely on: a life ends when its process has been reaped and the rest of its group was killed;
//! dropping the actor kills the group; the next life of a replica begins only when the process of
//! the one before is gone; nothing that a child does (or does not do) with its pipes holds up
//! the arbiter.

mod exit;
mod frame_tail;
mod jobs;
mod leash;
mod log;
mod log_file;
mod mail;
mod pipes;
mod session;
mod tail;
mod talk;
mod vitals;

use std::sync::Arc;
use std::time::Duration;

use actix::fut::{ActorFutureExt as _, wrap_future};
use actix::{Actor, ActorContext as _, AsyncContext as _};
use parking_lot::Mutex;
use rustix::process::Signal;
use tokio::sync::oneshot;

use super::proc;
use super::registry::AgentEnvironment;
use crate::actors::life::{ChildFactory, Evidence, Hosted, Life, LifeNote, TailOf};
use crate::actors::runner::{AgentContext, HostedChild};
use crate::domain::agent::{AgentSpec, InstanceId, ProcessProtocol, ProcessSpec, StopPolicy};
use crate::domain::exit::ExitReason;
use jobs::JobAgent;
use leash::Leash;
use log::AgentLog;
use log_file::LogFile;
use session::Session;
use tail::Spoken;
use talk::Talk;

/// What all lives of an agent have in common.
#[derive(Debug)]
struct Plan {
    process: ProcessSpec,
    stop: StopPolicy,
    environment: AgentEnvironment,
    /// One for all replicas, so that only one hand rotates it.
    log_file: Option<LogFile>,
    /// Whether a line in the file must say whose it is.
    many: bool,
}

impl Plan {
    fn signal(&self) -> Signal {
        Signal::from_named_raw(self.stop.signal).unwrap_or(Signal::TERM)
    }
}

/// What the lives of one replica have in common.
#[derive(Debug)]
struct Slot {
    log: Arc<AgentLog>,
}

/// The replicas of an agent, as their lives come.
#[derive(Debug, Default)]
struct Slots(Mutex<Vec<Arc<Slot>>>);

impl Slots {
    fn of(&self, instance: &InstanceId, plan: &Plan) -> Arc<Slot> {
        let mut slots = self.0.lock();
        let index = instance.index as usize;
        while slots.len() <= index {
            let instance = InstanceId {
                agent: instance.agent.clone(),
                index: u32::try_from(slots.len()).unwrap_or(u32::MAX),
            };
            slots.push(Arc::new(Slot::new(instance, plan)));
        }
        slots[index].clone()
    }
}

impl Slot {
    fn new(instance: InstanceId, plan: &Plan) -> Self {
        Self {
            log: Arc::new(AgentLog::new(instance, plan.log_file.clone(), plan.many)),
        }
    }
}

/// One life of a child process that is kept alive, with or without a conversation.
pub(crate) struct ProcessAgent {
    plan: Arc<Plan>,
    slot: Arc<Slot>,
    leash: Arc<Leash>,
    talk: Option<Arc<Talk>>,
    life: Option<Life>,
}

impl ProcessAgent {
    /// What starts the lives of `spec`.
    pub(crate) fn child(
        spec: &AgentSpec,
        process: &ProcessSpec,
        environment: &AgentEnvironment,
    ) -> Arc<dyn ChildFactory> {
        let plan = Arc::new(Plan {
            process: process.clone(),
            stop: spec.stop,
            environment: environment.clone(),
            log_file: process.log.as_ref().map(|spec| {
                LogFile::start(environment.launcher.runtime(), &environment.log_dir, spec)
            }),
            many: spec.replicas > 1,
        });
        let slots = Slots::default();
        if process.protocol == ProcessProtocol::Exec {
            return HostedChild::new(move |life: &Life| {
                JobAgent::new(plan.clone(), slots.of(&life.instance, &plan))
            });
        }
        HostedChild::new(move |life: &Life| Self {
            plan: plan.clone(),
            slot: slots.of(&life.instance, &plan),
            leash: Arc::default(),
            talk: None,
            life: None,
        })
    }
}

impl Actor for ProcessAgent {
    type Context = AgentContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (session, talk) = Session::prepare(
            self.plan.clone(),
            self.slot.clone(),
            self.leash.clone(),
            ctx.life().clone(),
        );
        self.talk = talk;
        let said = Spoken {
            log: self.slot.log.clone(),
            talk: self.talk.clone(),
            life: ctx.life().generation,
        };
        self.life = Some(ctx.life().clone());
        ctx.life().note(LifeNote::Tail(TailOf(Arc::new(said))));
        let (tell, ended) = oneshot::channel();
        let runtime = self.plan.environment.launcher.runtime();
        runtime.spawn(async move {
            // Nobody listens after a kill.
            tell.send(session.live().await).ok();
        });
        ctx.spawn(wrap_future(ended).map(|reason, _: &mut Self, ctx| end(reason, ctx)));
    }
}

/// The process is gone, or its session broke.
fn end(
    reason: Result<ExitReason, oneshot::error::RecvError>,
    ctx: &mut AgentContext<ProcessAgent>,
) {
    ctx.exit_with(reason.unwrap_or_else(|_| ExitReason::Error {
        message: "the watch over the process broke".to_owned(),
    }));
    // `exit_with` inside a future of the actor ends the life with this poll.
    ctx.stop();
}

impl Drop for ProcessAgent {
    fn drop(&mut self) {
        if let Some(life) = &self.life {
            let log = self.slot.log.lines_of(life.generation);
            let words = self.leash.last_words();
            let words = words.unwrap_or_else(|| self.evidence());
            life.note(LifeNote::LastWords(Evidence { log, ..words }));
        }
        self.leash.kill();
        if let Some(talk) = &self.talk {
            talk.close();
        }
    }
}

impl Hosted for ProcessAgent {
    const READY_AT_START: bool = false;

    fn drain(&mut self, at_most: Duration, ctx: &mut AgentContext<Self>) {
        let Some(talk) = self.talk.clone() else {
            // Without a conversation there is nothing to finish.
            return self.leash.signal(self.plan.signal());
        };
        self.leash.tell();
        talk.drain(at_most);
        ctx.spawn(wrap_future(async move {
            talk.tasks.until_empty().await;
            talk.shut_down();
        }));
    }

    fn stop(&mut self, _ctx: &mut AgentContext<Self>) {
        self.leash.signal(self.plan.signal());
    }

    fn probe(&mut self, answer: oneshot::Sender<Evidence>, _ctx: &mut AgentContext<Self>) {
        if self.leash.pid().is_some_and(proc::is_stopped) {
            // Whatever it holds, it shows no sign.
            return;
        }
        match &self.talk {
            Some(talk) => talk.probe(answer),
            // Who asked may have stopped waiting.
            None => drop(answer.send(self.evidence())),
        }
    }

    fn evidence(&self) -> Evidence {
        match &self.talk {
            Some(talk) => talk.evidence(),
            None => session::silent_evidence(&self.leash),
        }
    }
}
