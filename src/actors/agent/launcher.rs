//! One permanent thread that spawns every process agent.
//!
//! The kernel ties a child's parent-death signal to the *thread* that spawned it, so that thread
//! must live as long as its children; threads of a pool would not. While a [`Launcher`] or a
//! [`Launched`] child exists, so does the thread.
//!
//! The child starts as `agent-system exec-agent`, see `exec`.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::environment::{Environment, EnvironmentError, environment};
use super::exec::{THIS_BINARY, THIS_PROGRAM};
use super::family::{Family, signal_group};
use super::proc;
use super::process::OomKills;
use crate::domain::agent::{ProcessLimits, ProcessSpec};

/// Starts waiting for the thread.
const MAX_WAITING: usize = 1024;

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
    runtime: Handle,
    owner: Arc<str>,
    program: Arc<Path>,
    oom_kills: Arc<OomKills>,
}

struct Order {
    command: Command,
    reply: oneshot::Sender<io::Result<(Child, u64)>>,
}

impl Launcher {
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
        super::reaper::start_if_first(&runtime);
        let (orders, waiting) = mpsc::channel(MAX_WAITING);
        let entered = runtime.clone();
        std::thread::Builder::new()
            .name("launcher".into())
            .stack_size(128 * 1024)
            .spawn(move || carry_out(waiting, &entered))?;
        Ok(Self {
            orders,
            runtime,
            owner: owner.into(),
            program: program.into(),
            oom_kills: Arc::new(OomKills::from_now()),
        })
    }

    /// The runtime on which pipes and exits are watched.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
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
        let command = self.command(spec, environment(&spec.env).await?, stdin);
        let (reply, answer) = oneshot::channel();
        let order = Order { command, reply };
        self.orders
            .send(order)
            .await
            .map_err(|_| LaunchError::Ended)?;
        let (child, start_ticks) = answer.await.map_err(|_| LaunchError::Ended)??;
        let pid = child.id().unwrap_or_default();
        Ok(Launched {
            child,
            pid,
            start_ticks,
            family: Family::new(&self.owner, pid, start_ticks),
            _launcher: self.clone(),
        })
    }

    fn command(&self, spec: &ProcessSpec, environment: Environment, stdin: Input) -> Command {
        let mut command = Command::new(&*self.program);
        command
            .arg0(THIS_BINARY)
            .arg("exec-agent")
            .args(["--parent", &std::process::id().to_string()])
            .args(["--owner", &self.owner])
            .args(limit_flags(&spec.limits));
        if let Some(directory) = &spec.directory {
            command.arg("--directory").arg(directory);
        }
        command
            .arg("--")
            .args(&spec.command)
            .env_clear()
            .envs(environment)
            .stdin(match stdin {
                Input::Piped => Stdio::piped(),
                Input::Empty => Stdio::null(),
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }
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

/// The thread: one spawn after another.
fn carry_out(mut waiting: mpsc::Receiver<Order>, runtime: &Handle) {
    let _entered = runtime.enter();
    while let Some(mut order) = waiting.blocking_recv() {
        let spawned = order.command.spawn().map(|child| {
            let stat = child.id().and_then(proc::stat);
            (child, stat.map_or(0, |stat| stat.start_ticks))
        });
        // If nobody waits any more, the child is killed with the value that comes back.
        drop(order.reply.send(spawned));
    }
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
    _launcher: Launcher,
}

impl Drop for Launched {
    fn drop(&mut self) {
        // Once reaped, its number may be another's.
        if self.child.id().is_some() {
            signal_group(self.pid, rustix::process::Signal::KILL);
        }
    }
}
