//! Children at the ready: `exec-agent`s that have started and wait for their order.
//!
//! Their number follows that of the living, so that a burst of deaths finds them, and a daemon
//! without processes has none. They are made when nobody waits, by the launcher's thread; a spare
//! ends with the daemon (parent-death signal, end of its stdin), whatever ends that.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Living, Order};
use crate::actors::agent::exec::THIS_BINARY;
use crate::actors::agent::proc;

/// One spare for so many of the living, and one more.
const LIVING_FOR_ONE: usize = 3;
/// The most spares; each holds about half a megabyte.
pub(super) const MAX_SPARES: usize = 32;
/// For how long nobody must have asked before a spare is made: whoever has just got one needs the
/// processor more.
const QUIET: Duration = Duration::from_millis(10);

/// A child that waits for its order.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) child: Child,
    pub(super) pid: u32,
    pub(super) start_ticks: u64,
}

/// The spares, owned by the launcher's thread.
pub(super) struct Spares {
    program: PathBuf,
    living: Arc<Living>,
    most: usize,
    ready: Vec<Started>,
    /// Whether anybody has ever asked.
    used: bool,
}

impl Spares {
    pub(super) fn new(program: PathBuf, living: Arc<Living>, most: usize) -> Self {
        Self {
            program,
            living,
            most,
            ready: Vec::new(),
            used: false,
        }
    }

    /// The thread: one start after another, spares in between.
    pub(super) fn serve(mut self, mut waiting: mpsc::Receiver<Order>, runtime: &Handle) {
        let _entered = runtime.enter();
        loop {
            let order = if self.ready.len() == self.wanted() {
                waiting.blocking_recv()
            } else {
                match runtime.block_on(timeout(QUIET, waiting.recv())) {
                    Ok(order) => order,
                    Err(_quiet) => {
                        self.adjust();
                        continue;
                    }
                }
            };
            let Some(order) = order else { return };
            self.used = true;
            // If nobody waits any more, the child is killed with the value that comes back.
            drop(order.send(self.take()));
        }
    }

    fn wanted(&self) -> usize {
        let living = self.living.0.load(Ordering::Relaxed);
        match self.used {
            true => (1 + living / LIVING_FOR_ONE).min(self.most),
            false => 0,
        }
    }

    /// One more, or one less.
    fn adjust(&mut self) {
        if self.ready.len() > self.wanted() {
            drop(self.ready.pop());
            return;
        }
        match self.start() {
            Ok(spare) => self.ready.push(spare),
            Err(error) => {
                // Whoever needs a process next is told the same.
                tracing::debug!(%error, "no process at the ready");
                self.used = false;
            }
        }
    }

    /// A living spare, or a new child.
    fn take(&mut self) -> io::Result<Started> {
        while let Some(mut spare) = self.ready.pop() {
            if matches!(spare.child.try_wait(), Ok(None)) {
                return Ok(spare);
            }
        }
        self.start()
    }

    fn start(&self) -> io::Result<Started> {
        let child = Command::new(&self.program)
            .arg0(THIS_BINARY)
            .arg("exec-agent")
            .args(["--parent", &std::process::id().to_string()])
            .args(["--order", "stdin"])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().unwrap_or_default();
        let start_ticks = proc::stat(pid).map_or(0, |stat| stat.start_ticks);
        Ok(Started {
            child,
            pid,
            start_ticks,
        })
    }
}
