//! Children at the ready: `exec-agent`s that have started and wait for their order.
//!
//! Their number follows that of the living, so that a burst of deaths finds them, and a daemon
//! without processes has none. They are made when nobody waits, by the launcher's thread; a spare
//! ends with the daemon (parent-death signal, end of its stdin), whatever ends that.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Living;
use crate::actors::agent::children::Own;
use crate::actors::agent::exec::THIS_BINARY;
use crate::actors::agent::proc;

/// One spare for so many of the living, and one more.
const LIVING_FOR_ONE: usize = 2;
/// The most spares; each holds about 0.7 MB.
pub(super) const MAX_SPARES: usize = 64;
/// For how long nobody must have asked before a spare is made: whoever has just got one needs the
/// processor more.
const QUIET: Duration = Duration::from_millis(10);

/// A child that waits for its order.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) child: Child,
    pub(super) pid: u32,
    pub(super) start_ticks: u64,
    pub(super) own: Own,
}

/// The spares that are ready: whoever needs one takes it, without a turn of the launcher's thread.
#[derive(Debug, Clone, Default)]
pub(super) struct Shelf(Arc<Mutex<Vec<Started>>>);

impl Shelf {
    /// A spare that lives, if there is one.
    pub(super) fn take(&self) -> Option<Started> {
        loop {
            let mut spare = self.0.lock().pop()?;
            if matches!(spare.child.try_wait(), Ok(None)) {
                return Some(spare);
            }
        }
    }
}

/// What the launcher's thread is told.
pub(super) enum Order {
    /// Somebody waits for a child.
    Start(oneshot::Sender<io::Result<Started>>),
    /// A spare was taken from the shelf.
    Taken,
    /// The thread's work is to panic.
    #[cfg(test)]
    Fail,
}

/// What the launcher's thread knows.
pub(super) struct Spares {
    program: PathBuf,
    living: Arc<Living>,
    most: usize,
    shelf: Shelf,
    /// Whether anybody has ever asked.
    used: bool,
}

impl Spares {
    pub(super) fn new(program: PathBuf, living: Arc<Living>, most: usize, shelf: Shelf) -> Self {
        Self {
            program,
            living,
            most,
            shelf,
            used: false,
        }
    }

    /// The thread: one start after another, spares in between.
    pub(super) fn serve(&mut self, waiting: &mut mpsc::Receiver<Order>, runtime: &Handle) {
        let _entered = runtime.enter();
        loop {
            let order = if self.ready() == self.wanted() {
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
            match order {
                None => return,
                Some(Order::Taken) => {}
                #[cfg(test)]
                Some(Order::Fail) => panic!("the launcher fails"),
                Some(Order::Start(reply)) => {
                    self.used = true;
                    let child = self.shelf.take().map_or_else(|| self.start(), Ok);
                    // If nobody waits any more, the child is killed with the value that comes back.
                    drop(reply.send(child));
                }
            }
        }
    }

    fn ready(&self) -> usize {
        self.shelf.0.lock().len()
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
        if self.ready() > self.wanted() {
            drop(self.shelf.take());
            return;
        }
        match self.start() {
            Ok(spare) => self.shelf.0.lock().push(spare),
            Err(error) => {
                // Whoever needs a process next is told the same.
                tracing::debug!(%error, "no process at the ready");
                self.used = false;
            }
        }
    }

    /// A panic costs this start alone: with the thread all processes would end.
    fn start(&self) -> io::Result<Started> {
        let spawned = catch_unwind(AssertUnwindSafe(|| self.spawn()));
        spawned.unwrap_or_else(|_| Err(io::Error::other("the start of a process panicked")))
    }

    fn spawn(&self) -> io::Result<Started> {
        let spawned = Own::spawn(|| {
            let child = self.command().spawn()?;
            let pid = child.id().unwrap_or_default();
            let start_ticks = proc::stat(pid).map_or(0, |stat| stat.start_ticks);
            Ok(((child, pid, start_ticks), pid, start_ticks))
        });
        let ((child, pid, start_ticks), own) = spawned?;
        Ok(Started {
            child,
            pid,
            start_ticks,
            own,
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg0(THIS_BINARY)
            .arg("exec-agent")
            .args(["--parent", &std::process::id().to_string()])
            .args(["--order", "stdin"])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}
