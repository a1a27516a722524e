//! `protocol = "exec"`: one process a task. The payload goes to stdin as JSON, stdout is the
//! result (JSON, or else text), the exit code decides.

mod heard;

use std::sync::Arc;
use std::time::Duration;

use actix::fut::{ActorFutureExt as _, wrap_future};
use actix::{Actor, ActorContext as _, AsyncContext as _};
use rustix::process::Signal;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use self::heard::Heard;
use super::exit::{Circumstances, reason};
use super::leash::Leash;
use super::log::AgentLog;
use super::tail::Spoken;
use super::{Plan, Slot};
use crate::actors::agent::environment::in_trace;
use crate::actors::agent::exec::FAILURE_MARK;
use crate::actors::agent::family::signal_group;
use crate::actors::agent::launcher::{Input, LaunchError, Launched};
use crate::actors::agent::open_tasks::OpenTasks;
use crate::actors::life::{Evidence, Hosted, Life, LifeNote, Ready, TailOf};
use crate::actors::runner::{AgentContext, Bond};
use crate::actors::work::{AgentOutcome, PortClosed, TaskFrame, TaskPort};
use crate::domain::exit::ExitReason;
use crate::domain::ids::TaskId;
use crate::domain::redaction::Redactor;
use crate::domain::task::TaskError;

/// One life of an agent that has a process only while it has a task.
pub(crate) struct JobAgent {
    desk: Arc<Desk>,
    /// Ends when the last process has ended.
    running: mpsc::Receiver<()>,
}

/// What its tasks share.
#[derive(Debug)]
struct Desk {
    plan: Arc<Plan>,
    log: Arc<AgentLog>,
    tasks: OpenTasks,
    leashes: parking_lot::Mutex<Vec<std::sync::Weak<Leash>>>,
    /// Held by each job too: the last one that goes ends the wait for them all.
    alive: parking_lot::Mutex<Option<mpsc::Sender<()>>>,
}

impl JobAgent {
    pub(super) fn new(plan: Arc<Plan>, slot: Arc<Slot>) -> Self {
        let (alive, running) = mpsc::channel(1);
        Self {
            desk: Arc::new(Desk {
                plan,
                log: slot.log.clone(),
                tasks: OpenTasks::new(),
                leashes: parking_lot::Mutex::default(),
                alive: parking_lot::Mutex::new(Some(alive)),
            }),
            running,
        }
    }
}

impl Actor for JobAgent {
    type Context = AgentContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Err(message) = can_run(&self.desk.plan) {
            ctx.exit_with(ExitReason::StartFailed { message });
            return;
        }
        let life = ctx.life();
        self.desk.log.begin(life.generation, Redactor::default());
        life.note(LifeNote::Tail(TailOf(Arc::new(Spoken {
            log: self.desk.log.clone(),
            talk: None,
            life: life.generation,
        }))));
        life.ready(Ready {
            port: Some(Arc::new(JobPort {
                desk: self.desk.clone(),
                life: ctx.life().clone(),
                bond: Bond::here(),
            })),
            ..Ready::default()
        });
    }
}

impl Drop for JobAgent {
    fn drop(&mut self) {
        self.desk.tasks.close();
        for leash in self.desk.leashes.lock().drain(..) {
            if let Some(leash) = leash.upgrade() {
                leash.kill();
            }
        }
    }
}

impl Hosted for JobAgent {
    const READY_AT_START: bool = false;

    fn drain(&mut self, _at_most: Duration, ctx: &mut AgentContext<Self>) {
        let desk = self.desk.clone();
        let done = wrap_future(async move { desk.tasks.until_empty().await });
        ctx.spawn(done.map(|(), _: &mut Self, ctx: &mut AgentContext<Self>| ctx.stop()));
    }

    fn stop(&mut self, ctx: &mut AgentContext<Self>) {
        self.desk.tasks.close();
        self.desk.alive.lock().take();
        let mut running = std::mem::replace(&mut self.running, mpsc::channel(1).1);
        let ended = wrap_future(async move {
            // Nothing is ever sent: it resolves when every process has ended.
            running.recv().await;
        });
        ctx.spawn(ended.map(|(), _: &mut Self, ctx: &mut AgentContext<Self>| ctx.stop()));
    }

    fn evidence(&self) -> Evidence {
        self.desk.tasks.sign();
        self.desk.evidence()
    }
}

impl Desk {
    /// What it holds, and what the processes of its tasks use together.
    fn evidence(&self) -> Evidence {
        let leashes = self.leashes.lock();
        let mut sum = Evidence {
            cpu_seconds: Some(0.0),
            memory_bytes: Some(0),
            ..self.tasks.evidence()
        };
        for leash in leashes.iter().filter_map(std::sync::Weak::upgrade) {
            let mut one = Evidence::default();
            leash.show(&mut one);
            sum.cpu_seconds = Some(add(sum.cpu_seconds, one.cpu_seconds));
            sum.memory_bytes = Some(add(sum.memory_bytes, one.memory_bytes));
            sum.since_activity = [sum.since_activity, one.since_activity]
                .into_iter()
                .flatten()
                .min();
        }
        sum
    }

    fn leash(&self) -> Arc<Leash> {
        let leash = Arc::<Leash>::default();
        let mut leashes = self.leashes.lock();
        leashes.retain(|leash| leash.strong_count() > 0);
        leashes.push(Arc::downgrade(&leash));
        leash
    }
}

fn add<T: std::ops::Add<Output = T> + Default>(a: Option<T>, b: Option<T>) -> T {
    a.unwrap_or_default() + b.unwrap_or_default()
}

/// Whether the command can be found, so that a wrong one is seen when the agent starts and not
/// with its first task.
fn can_run(plan: &Plan) -> Result<(), String> {
    let process = &plan.process;
    let name = process.command.first().map_or("", String::as_str);
    if name == crate::actors::agent::exec::THIS_BINARY {
        return Ok(());
    }
    let directory = process.directory.clone().unwrap_or_default();
    let path = process.env.set.get("PATH").map(std::ffi::OsString::from);
    let path = path
        .or_else(|| std::env::var_os("PATH"))
        .unwrap_or_default();
    let found = if name.contains('/') {
        directory.join(name).exists()
    } else {
        std::env::split_paths(&path).any(|place| place.join(name).is_file())
    };
    found.then_some(()).ok_or_else(|| {
        let path = path.to_string_lossy();
        format!("command '{name}' not found in PATH ({path})")
    })
}

/// The way in for tasks.
#[derive(Debug)]
struct JobPort {
    desk: Arc<Desk>,
    life: Life,
    bond: Bond,
}

impl TaskPort for JobPort {
    fn assign(&self, task: TaskFrame) -> Result<(), PortClosed> {
        let opened = self
            .desk
            .tasks
            .open(task.id, task.lease_id, task.attempt, task.traceparent);
        let cancelled = opened.map_err(|_over| PortClosed)?;
        let alive = self.desk.alive.lock().clone();
        let job = Job {
            desk: self.desk.clone(),
            life: self.life.clone(),
            task,
            leash: self.desk.leash(),
        };
        let runtime = self.desk.plan.environment.launcher.runtime();
        runtime.spawn(self.bond.clone().carry(async move {
            job.run(cancelled).await;
            drop(alive);
        }));
        Ok(())
    }

    fn cancel(&self, task: TaskId, _reason: &str) {
        self.desk.tasks.cancel(task);
    }
}

/// One task with its process.
struct Job {
    desk: Arc<Desk>,
    life: Life,
    task: TaskFrame,
    leash: Arc<Leash>,
}

impl Job {
    async fn run(self, mut cancelled: watch::Receiver<bool>) {
        let outcome = match self.process(&mut cancelled).await {
            Ok(output) => AgentOutcome::Output(output),
            Err(error) => AgentOutcome::Failed(error),
        };
        let Job {
            desk, life, task, ..
        } = &self;
        let outcome = match (desk.tasks.settle(task.id, task.lease_id), outcome) {
            (None, _) => return,
            (Some(true), AgentOutcome::Failed(_)) => AgentOutcome::Cancelled,
            (Some(_), outcome) => outcome,
        };
        if matches!(outcome, AgentOutcome::Failed(_)) {
            desk.tasks.error();
            life.note(LifeNote::Error);
        }
        let work = &desk.plan.environment.work;
        work.settled(&life.instance, task.id, task.lease_id, outcome);
    }

    async fn process(&self, cancelled: &mut watch::Receiver<bool>) -> Result<Value, TaskError> {
        let plan = &self.desk.plan;
        let launcher = &plan.environment.launcher;
        let process = in_trace(&plan.process, self.task.traceparent);
        let launched = launcher.launch(&process, Input::Piped).await;
        let mut launched = launched.map_err(|error| start_failed(&error))?;
        self.desk.tasks.delivered(self.task.id);
        let secrets = launched.secrets.clone();
        self.desk.log.begin(self.life.generation, secrets);
        if !self.leash.attach(launched.pid) {
            return Err(failed("killed", "its agent has ended".to_owned(), true));
        }
        let payload = serde_json::to_vec(&self.task.payload).unwrap_or_default();
        let pipes = heard::all(payload, &mut launched.child, self.desk.log.clone());
        let status = self.until_end(&mut launched, cancelled).await;
        self.leash.detach();
        signal_group(launched.pid, Signal::KILL);
        launcher.end_family(launched.family.clone());
        let heard = pipes.await;
        let status = status.map_err(|error| failed("failed", error.to_string(), true))?;
        self.judge(status, heard)
    }

    /// Waits for the end; brings it about when the task is cancelled.
    async fn until_end(
        &self,
        launched: &mut Launched,
        cancelled: &mut watch::Receiver<bool>,
    ) -> std::io::Result<std::process::ExitStatus> {
        let plan = &self.desk.plan;
        tokio::select! {
            status = launched.child.wait() => return status,
            // An error means that the life is over.
            _ = cancelled.wait_for(|cancelled| *cancelled) => {}
        }
        self.leash.signal(plan.signal());
        if let Ok(status) = timeout(plan.stop.timeout, launched.child.wait()).await {
            return status;
        }
        self.leash.kill();
        launched.child.wait().await
    }

    fn judge(&self, status: std::process::ExitStatus, heard: Heard) -> Result<Value, TaskError> {
        let process = &self.desk.plan.process;
        let killed = std::os::unix::process::ExitStatusExt::signal(&status) == Some(9);
        let told = self.leash.was_told();
        let known = Circumstances {
            told: false,
            exec_failure: heard.last_line.strip_prefix(FAILURE_MARK),
            success: &process.success_exit_codes,
            oom: killed && !told && self.desk.plan.environment.launcher.oom_kills().take_one(),
        };
        let ended = reason(status, known);
        match &ended {
            ExitReason::Normal => heard.output(),
            ExitReason::ExitCode { code } => {
                let fatal = process.fatal_exit_codes.contains(code);
                let message = match heard.last_line.as_str() {
                    "" => ended.to_string(),
                    why => format!("{ended}: {why}"),
                };
                Err(failed(ended.label(), message, !fatal))
            }
            other => Err(failed(other.label(), other.to_string(), true)),
        }
    }
}

fn failed(code: &str, message: String, retryable: bool) -> TaskError {
    TaskError {
        code: code.to_owned(),
        message,
        retryable,
    }
}

fn start_failed(error: &LaunchError) -> TaskError {
    failed("start_failed", error.to_string(), true)
}
