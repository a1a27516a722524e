//! One permanent thread that spawns every process agent.
//!
//! The kernel ties a child's parent-death signal to the *thread* that spawned it, so that thread
//! must live as long as its children; threads of a pool would not. While a [`Launcher`] or a
//! [`Launched`] child exists, so does the thread: what panics in it begins anew, and is counted
//! ([`Launcher::panics`]).
//!
//! The child starts as `agent-system exec-agent`, see `exec`. Starting that large binary costs more
//! than most programs do, so the thread keeps some started at the ready (see [`spares`]): whoever
//! starts an agent takes one, gives it its order on stdin, and it becomes the agent's program at once.

mod lasts;
mod oom;
mod spares;

use std::ffi::OsString;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Child;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::children::Own;
use super::environment::{Environment, EnvironmentError, environment, secrets_of};
use super::exec::{self, THIS_PROGRAM, mark_of};
use super::family::{Family, Sweeper, signal_group};
use crate::domain::agent::{InstanceId, ProcessLimits, ProcessSpec};
use crate::domain::redaction::Redactor;
use lasts::{Gone, Lasts};
use oom::OomKills;
use spares::{MAX_SPARES, Order, Shelf, Spares, Started};

/// Starts waiting for the thread.
const MAX_WAITING: usize = 1024;
/// How often a child that ended before it got its order is replaced.
const TRIES: usize = 3;
/// How long a child may take to read its order: it does nothing else.
const ORDER_WITHIN: Duration = Duration::from_secs(5);
/// After a panic of the thread's work; whoever counts them ends the daemon after a few.
const REST: Duration = Duration::from_millis(100);

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error("cannot spawn a process: {0}")]
    Spawn(#[from] io::Error),
    #[error("the launcher has ended")]
    Ended,
}

/// The handle of the spawning thread. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Launcher {
    orders: mpsc::Sender<Order>,
    shelf: Shelf,
    runtime: Handle,
    owner: Arc<str>,
    living: Arc<Living>,
    oom_kills: Arc<OomKills>,
    sweeper: Sweeper,
    lasts: Lasts,
    panics: Arc<Semaphore>,
}

/// The processes that live, counted.
#[derive(Debug, Default)]
struct Living(AtomicUsize);

impl Launcher {
    /// A life of this replica comes; gives what it has to wait for.
    pub(super) fn follow(&self, replica: &InstanceId, gone: Gone) -> Option<Gone> {
        self.lasts.follow(replica, gone)
    }

    /// Starts the thread. Pipes and exits are watched by `runtime`, which is the daemon's own and
    /// not an arbiter's. `owner` marks the processes, see [`super::owner_of`]. The running program
    /// must begin with [`super::answer_early`].
    ///
    /// # Errors
    /// The thread cannot be made.
    pub fn start(runtime: Handle, owner: &str) -> io::Result<Self> {
        Self::start_through(runtime, owner, Path::new(THIS_PROGRAM))
    }

    /// As [`Launcher::start`], for a program that does not answer early itself: `program` is an
    /// `agent-system` binary.
    ///
    /// # Errors
    /// The thread cannot be made.
    pub fn start_through(runtime: Handle, owner: &str, program: &Path) -> io::Result<Self> {
        Self::start_with(runtime, owner, program, MAX_SPARES)
    }

    /// As [`Launcher::start_through`], with so many processes at the ready at most.
    ///
    /// # Errors
    /// The thread cannot be made.
    pub fn start_with(
        runtime: Handle,
        owner: &str,
        program: &Path,
        spares: usize,
    ) -> io::Result<Self> {
        let (orders, mut waiting) = mpsc::channel(MAX_WAITING);
        let panics = Arc::new(Semaphore::new(0));
        let living = Arc::<Living>::default();
        let shelf = Shelf::default();
        let mut spares = Spares::new(program.to_owned(), living.clone(), spares, shelf.clone());
        let (entered, counted) = (runtime.clone(), panics.clone());
        std::thread::Builder::new()
            .name("launcher".into())
            .stack_size(128 * 1024)
            .spawn(move || keep_up(&counted, || spares.serve(&mut waiting, &entered)))?;
        Ok(Self {
            orders,
            shelf,
            runtime,
            owner: owner.into(),
            living,
            oom_kills: Arc::new(OomKills::from_now()),
            sweeper: Sweeper::default(),
            lasts: Lasts::default(),
            panics,
        })
    }

    /// A permit for each panic of the thread's work.
    pub(crate) fn panics(&self) -> Arc<Semaphore> {
        self.panics.clone()
    }

    /// The runtime on which pipes and exits are watched.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Ends what an ended process left behind.
    pub(crate) fn end_family(&self, family: Family) {
        family.has_no_leader();
        self.sweeper.end(family, &self.runtime);
    }

    /// The out-of-memory kills that explain deaths of its processes.
    pub(crate) fn oom_kills(&self) -> &OomKills {
        &self.oom_kills
    }

    /// Starts a process.
    pub(crate) async fn launch(
        &self,
        spec: &ProcessSpec,
        stdin: Input,
    ) -> Result<Launched, LaunchError> {
        let environment = environment(&spec.env).await?;
        let secrets = secrets_of(&spec.env, &environment);
        let mut tries = 1;
        loop {
            let mut started = self.started().await?;
            started.own.begins();
            let mark = mark_of(&self.owner, started.pid, started.start_ticks);
            let order = exec::sealed(order(spec, &environment, stdin, mark));
            match give(&mut started.child, &order, stdin).await {
                Ok(()) => return Ok(self.launched(started, secrets)),
                // Killed from outside while it waited; nobody has seen it yet.
                Err(error) if tries == TRIES => return Err(error.into()),
                Err(_) => tries += 1,
            }
        }
    }

    /// A child that waits for its order.
    async fn started(&self) -> Result<Started, LaunchError> {
        if let Some(spare) = self.shelf.take() {
            // A thread with so much to do that its queue is full looks by itself.
            self.orders.try_send(Order::Taken).ok();
            return Ok(spare);
        }
        let (reply, answer) = oneshot::channel();
        let sent = self.orders.send(Order::Start(reply)).await;
        sent.map_err(|_| LaunchError::Ended)?;
        Ok(answer.await.map_err(|_| LaunchError::Ended)??)
    }

    fn launched(&self, started: Started, secrets: Redactor) -> Launched {
        let Started {
            child,
            pid,
            start_ticks,
            own,
        } = started;
        self.living.0.fetch_add(1, Ordering::Relaxed);
        Launched {
            child,
            pid,
            start_ticks,
            family: Family::new(&self.owner, pid, start_ticks),
            secrets,
            _own: own,
            launcher: self.clone(),
        }
    }
}

/// Carries out `work` until it ends by itself: with this thread all processes would end.
fn keep_up(panics: &Semaphore, mut work: impl FnMut()) {
    while catch_unwind(AssertUnwindSafe(&mut work)).is_err() {
        tracing::error!("the launcher of processes panicked and begins anew");
        panics.add_permits(1);
        std::thread::park_timeout(REST);
    }
}

#[cfg(test)]
impl Launcher {
    /// Lets the thread's work panic.
    pub(crate) async fn fail(&self) {
        self.orders.send(Order::Fail).await.ok();
    }
}

/// Tells a child what to become.
async fn give(child: &mut Child, order: &[u8], input: Input) -> io::Result<()> {
    if let Some(stdin) = &mut child.stdin {
        timeout(ORDER_WITHIN, stdin.write_all(order)).await??;
    }
    if input == Input::Empty {
        child.stdin = None;
    }
    Ok(())
}

/// The arguments of `exec-agent`.
fn order(
    spec: &ProcessSpec,
    environment: &Environment,
    input: Input,
    mark: String,
) -> Vec<OsString> {
    let mut order = vec![
        "--life".into(),
        mark.into(),
        "--environment".into(),
        "own".into(),
    ];
    for (name, value) in environment {
        let mut line = name.clone();
        line.push("=");
        line.push(value);
        order.extend(["--variable".into(), line]);
    }
    if input == Input::Empty {
        order.extend(["--input".into(), "none".into()]);
    }
    order.extend(limit_flags(&spec.limits));
    if let Some(directory) = &spec.directory {
        order.extend(["--directory".into(), directory.into()]);
    }
    order.push("--".into());
    order.extend(spec.command.iter().map(OsString::from));
    order
}

fn limit_flags(limits: &ProcessLimits) -> Vec<OsString> {
    let flags = [
        ("--memory", limits.memory_bytes),
        ("--open-files", limits.open_files),
        ("--processes", limits.processes),
    ];
    flags
        .into_iter()
        .filter_map(|(flag, value)| Some([flag.into(), value?.to_string().into()]))
        .flatten()
        .collect()
}

/// Where a child's stdin comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// A pipe from the daemon.
    Piped,
    /// Nothing.
    Empty,
}

/// A process that exists. Dropped, its whole group is killed.
#[derive(Debug)]
pub(crate) struct Launched {
    pub(crate) child: Child,
    pub(crate) pid: u32,
    pub(crate) start_ticks: u64,
    pub(crate) family: Family,
    /// The secrets that it was given.
    pub(crate) secrets: Redactor,
    _own: Own,
    launcher: Launcher,
}

impl Drop for Launched {
    fn drop(&mut self) {
        self.launcher.living.0.fetch_sub(1, Ordering::Relaxed);
        // Once reaped, its number may be another's.
        if self.child.id().is_some() {
            signal_group(self.pid, rustix::process::Signal::KILL);
        }
    }
}
