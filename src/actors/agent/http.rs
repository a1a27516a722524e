//! Agents that are remote services: tasks are posted to a URL.
//!
//! ```text
//! dispatcher ─▶ TaskPort ─▶ Desk ──POST url──▶ service        one exchange a task
//!                             └──DELETE url/TASK──▶           cancelled: best effort
//! supervisor ◀─unreachable── a connection that cannot be made (beside its probes)
//! ```
//!
//! Rely on: a life holds nothing of the service's: to restart it is to look at the service anew,
//! never to end it. A panic on the way to the service or back ends the life with that reason. Every
//! exchange ends with its attempt's timeout at the latest; a task that was posted goes on until then
//! even when the service is unreachable for others meanwhile. At most `concurrency` connections are
//! kept; what comes back is read up to the largest frame.
//!
//! Not here: `https`, redirects (refused, so that no secret header follows one), and whether the
//! service is healthy, which probes say (`actors::probes`).

mod answer;
mod exchange;
mod mail;
mod remote;

use std::sync::Arc;
use std::time::Duration;

use actix::fut::{ActorFutureExt as _, wrap_future};
use actix::{Actor, ActorContext as _, AsyncContext as _};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::headers;
use super::open_tasks::OpenTasks;
use super::registry::AgentEnvironment;
use crate::actors::life::{ChildFactory, Evidence, Hosted, Life, LifeNote, Ready};
use crate::actors::runner::{AgentContext, Bond, HostedChild};
use crate::actors::work::{PortClosed, Receipt, TaskFrame, TaskPort, WorkSink};
use crate::domain::agent::{AgentSpec, HttpSpec};
use crate::domain::exit::ExitReason;
use crate::domain::ids::TaskId;
use crate::domain::message::Message;
use exchange::Exchange;
use mail::Mail;
use remote::Remote;

/// What all lives of an agent have in common.
#[derive(Debug)]
struct Plan {
    spec: HttpSpec,
    concurrency: usize,
    work: Arc<dyn WorkSink>,
    runtime: Handle,
}

/// One life: what is open at the service.
pub(crate) struct HttpAgent {
    plan: Arc<Plan>,
    desk: Option<Arc<Desk>>,
}

/// What the exchanges of one life share.
#[derive(Debug)]
struct Desk {
    life: Life,
    remote: Remote,
    tasks: OpenTasks,
    work: Arc<dyn WorkSink>,
    runtime: Handle,
    bond: Bond,
}

impl Desk {
    /// Sets work of this life going.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(self.bond.clone().carry(work)));
    }
}

impl HttpAgent {
    /// What starts the lives of `spec`.
    pub(crate) fn child(
        spec: &AgentSpec,
        remote: &HttpSpec,
        environment: &AgentEnvironment,
    ) -> Arc<dyn ChildFactory> {
        let plan = Arc::new(Plan {
            spec: remote.clone(),
            concurrency: spec.concurrency as usize,
            work: environment.work.clone(),
            runtime: environment.launcher.runtime().clone(),
        });
        HostedChild::new(move |_: &Life| Self {
            plan: plan.clone(),
            desk: None,
        })
    }

    /// The service's headers are there, or cannot be had.
    fn begin(&mut self, headers: Result<headers::Headers, String>, ctx: &mut AgentContext<Self>) {
        let life = ctx.life().clone();
        let index = life.instance.index;
        let remote = headers.and_then(|headers| {
            Remote::new(&self.plan.spec, index, headers, self.plan.concurrency)
        });
        match remote {
            Ok(remote) => {
                let desk = Arc::new(Desk {
                    life,
                    remote,
                    tasks: OpenTasks::new(),
                    work: self.plan.work.clone(),
                    runtime: self.plan.runtime.clone(),
                    bond: Bond::here(),
                });
                self.desk = Some(desk.clone());
                let mail = Mail::open(&desk);
                ctx.life().ready(Ready {
                    port: Some(Arc::new(HttpPort { desk, mail })),
                    ..Ready::default()
                });
            }
            Err(message) => {
                ctx.exit_with(ExitReason::StartFailed { message });
                // `exit_with` inside a future of the actor ends the life with this poll.
                ctx.stop();
            }
        }
    }
}

impl Actor for HttpAgent {
    type Context = AgentContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (tell, read) = oneshot::channel();
        let plan = self.plan.clone();
        self.plan.runtime.spawn(async move {
            let headers = headers::read(&plan.spec.headers).await;
            // Nobody listens after a kill.
            tell.send(headers.map_err(|error| error.to_string())).ok();
        });
        ctx.spawn(wrap_future(read).map(|read, this: &mut Self, ctx| {
            let lost = || Err("nobody read its headers to the end".to_owned());
            this.begin(read.unwrap_or_else(|_| lost()), ctx);
        }));
    }
}

impl Drop for HttpAgent {
    fn drop(&mut self) {
        if let Some(desk) = &self.desk {
            if !desk.tasks.is_empty() {
                let words = desk.tasks.evidence();
                desk.life.note(LifeNote::LastWords(words));
            }
            desk.tasks.close();
        }
    }
}

impl Hosted for HttpAgent {
    const READY_AT_START: bool = false;

    fn drain(&mut self, _at_most: Duration, ctx: &mut AgentContext<Self>) {
        let Some(desk) = self.desk.clone() else {
            return ctx.stop();
        };
        let done = wrap_future(async move { desk.tasks.until_empty().await });
        ctx.spawn(done.map(|(), _: &mut Self, ctx: &mut AgentContext<Self>| ctx.stop()));
    }

    fn evidence(&self) -> Evidence {
        self.desk.as_ref().map_or_else(Evidence::default, |desk| {
            desk.tasks.sign();
            desk.tasks.evidence()
        })
    }
}

/// The way in for tasks.
#[derive(Debug)]
struct HttpPort {
    desk: Arc<Desk>,
    mail: Mail,
}

impl TaskPort for HttpPort {
    fn assign(&self, task: TaskFrame) -> Result<(), PortClosed> {
        let opened = self
            .desk
            .tasks
            .open(task.id, task.lease_id, task.attempt, task.traceparent);
        let cancelled = opened.map_err(|_over| PortClosed)?;
        let exchange = Exchange::new(self.desk.clone(), task);
        self.desk.spawn(exchange.run(cancelled));
        Ok(())
    }

    fn cancel(&self, task: TaskId, _reason: &str) {
        self.desk.tasks.cancel(task);
    }

    fn deliver(&self, message: Message, receipt: Receipt) -> Result<(), PortClosed> {
        self.mail.post(message, receipt)
    }
}
