//! Hosts an [`Agent`] on the supervised context: tasks come through the mailbox of one life and
//! run as futures linked to it.

use std::sync::Arc;
use std::time::Duration;

use actix::fut::{ActorFutureExt as _, wrap_future};
use actix::{Actor, ActorContext as _, AsyncContext as _, Handler};
use serde::Deserialize as _;
use tokio::sync::watch;

use super::open_tasks::OpenTasks;
use super::scope::{Scope, Surroundings};
use super::user::{Agent, Failure};
use crate::actors::life::{Evidence, Hosted, LifeNote, Ready};
use crate::actors::runner::{Address, AgentContext, TellError, link};
use crate::actors::work::{AgentOutcome, PortClosed, Receipt, TaskFrame, TaskPort};
use crate::domain::exit::ExitReason;
use crate::domain::ids::TaskId;
use crate::domain::message::Message;
use crate::domain::task::TaskError;

/// One life of an agent in Rust.
pub(crate) struct ActorAgent<A: Agent> {
    agent: A,
    surroundings: Surroundings,
}

impl<A: Agent> ActorAgent<A> {
    pub(crate) fn new(agent: A, surroundings: Surroundings) -> Self {
        Self {
            agent,
            surroundings,
        }
    }

    fn tasks(&self) -> &Arc<OpenTasks> {
        &self.surroundings.tasks
    }
}

impl<A: Agent> Drop for ActorAgent<A> {
    fn drop(&mut self) {
        if !self.tasks().is_empty() {
            let words = self.tasks().evidence();
            self.surroundings.life.note(LifeNote::LastWords(words));
        }
        self.tasks().close();
    }
}

impl<A: Agent> Actor for ActorAgent<A> {
    type Context = AgentContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let begun = wrap_future(self.agent.start());
        ctx.spawn(begun.map(|begun, this: &mut Self, ctx| this.begin(begun, ctx)));
    }
}

impl<A: Agent> ActorAgent<A> {
    /// The start hook has ended.
    fn begin(&self, begun: Result<(), Failure>, ctx: &mut AgentContext<Self>) {
        match begun {
            Ok(()) => ctx.life().ready(Ready {
                port: Some(Arc::new(ActorPort {
                    address: ctx.me_in_this_life(),
                    tasks: self.tasks().clone(),
                })),
                concurrency: None,
                version: None,
            }),
            Err(failure) => ctx.exit_with(ExitReason::StartFailed {
                message: TaskError::from(failure).message,
            }),
        }
    }
}

impl<A: Agent> Hosted for ActorAgent<A> {
    const READY_AT_START: bool = false;

    fn drain(&mut self, _at_most: Duration, ctx: &mut AgentContext<Self>) {
        self.agent.drain();
        let tasks = self.tasks().clone();
        let done = wrap_future(async move { tasks.until_empty().await });
        ctx.spawn(done.map(|(), _: &mut Self, ctx: &mut AgentContext<Self>| ctx.stop()));
    }

    fn evidence(&self) -> Evidence {
        self.tasks().sign();
        self.tasks().evidence()
    }
}

/// A task for this life.
#[derive(actix::Message)]
#[rtype(result = "()")]
struct RunTask {
    task: TaskFrame,
    cancelled: watch::Receiver<bool>,
}

impl<A: Agent> Handler<RunTask> for ActorAgent<A> {
    type Result = ();

    fn handle(&mut self, message: RunTask, _: &mut AgentContext<Self>) {
        let RunTask { task, cancelled } = message;
        self.tasks().delivered(task.id);
        let settle = Settle {
            surroundings: self.surroundings.clone(),
        };
        match A::Input::deserialize(&task.payload) {
            Ok(input) => {
                let scope = Scope::new(self.surroundings.clone(), &task, cancelled);
                let running = self.agent.task(input, scope);
                // Its end is told by `settle`; a panic in it by the link.
                let tasks = self.tasks().clone();
                drop(actix_rt::spawn(link(async move {
                    let mut running = std::pin::pin!(running);
                    // Code that runs is a sign of work.
                    let watched = std::future::poll_fn(|cx| {
                        tasks.polled();
                        running.as_mut().poll(cx)
                    });
                    settle.done(&task, watched.await);
                })));
            }
            Err(error) => settle.done::<A::Output>(&task, Err(invalid(&error))),
        }
    }
}

fn invalid(error: &serde_json::Error) -> Failure {
    Failure::fatal(format_args!(
        "the payload is not what the agent takes: {error}"
    ))
    .code("invalid_payload")
}

/// Reports the end of an execution.
struct Settle {
    surroundings: Surroundings,
}

impl Settle {
    fn done<T: serde::Serialize>(&self, task: &TaskFrame, result: Result<T, Failure>) {
        let Surroundings {
            tasks, work, life, ..
        } = &self.surroundings;
        let Some(cancelled) = tasks.settle(task.id, task.lease_id) else {
            return;
        };
        let outcome = outcome(result, cancelled);
        if matches!(outcome, AgentOutcome::Failed(_)) {
            tasks.error();
            life.note(LifeNote::Error);
        }
        work.settled(&life.instance, task.id, task.lease_id, outcome);
    }
}

/// What a task's result means; one that fails after it was told to give up obeyed.
fn outcome<T: serde::Serialize>(result: Result<T, Failure>, cancelled: bool) -> AgentOutcome {
    match result.map(|output| serde_json::to_value(output)) {
        Ok(Ok(output)) => AgentOutcome::Output(output),
        Ok(Err(error)) => AgentOutcome::Failed(TaskError {
            code: "invalid_output".to_owned(),
            message: format!("the output cannot be written as JSON: {error}"),
            retryable: false,
        }),
        Err(_) if cancelled => AgentOutcome::Cancelled,
        Err(failure) => AgentOutcome::Failed(failure.into()),
    }
}

/// A message for the agent.
#[derive(actix::Message)]
#[rtype(result = "()")]
struct Deliver {
    message: Message,
    receipt: Receipt,
}

impl<A: Agent> Handler<Deliver> for ActorAgent<A> {
    type Result = ();

    /// Taken when the hook has ended; a panic in it is told by the link and drops the receipt.
    fn handle(&mut self, Deliver { message, receipt }: Deliver, _: &mut AgentContext<Self>) {
        let heard = self.agent.message(message);
        drop(actix_rt::spawn(link(async move {
            heard.await;
            receipt.taken();
        })));
    }
}

/// The way into one life.
struct ActorPort<A: Agent> {
    address: Address<ActorAgent<A>>,
    tasks: Arc<OpenTasks>,
}

impl<A: Agent> std::fmt::Debug for ActorPort<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ActorPort").field(&self.address).finish()
    }
}

impl<A: Agent> TaskPort for ActorPort<A> {
    fn assign(&self, task: TaskFrame) -> Result<(), PortClosed> {
        let (id, lease) = (task.id, task.lease_id);
        let opened = self.tasks.open(id, lease, task.attempt, task.traceparent);
        let cancelled = opened.map_err(|_over| PortClosed)?;
        let told = self.address.tell(RunTask { task, cancelled });
        told.map_err(|_: TellError| {
            self.tasks.settle(id, lease);
            PortClosed
        })
    }

    fn cancel(&self, task: TaskId, _reason: &str) {
        self.tasks.cancel(task);
    }

    fn deliver(&self, message: Message, receipt: Receipt) -> Result<(), PortClosed> {
        let told = self.address.tell(Deliver { message, receipt });
        told.map_err(|_: TellError| PortClosed)
    }
}
